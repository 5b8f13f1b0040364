"""Glasses in small crops: found as finely as in large ones, before they are averaged over time."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn import mesh_points

from faceswap_cli.config import PasteOptions
from faceswap_cli.faces.landmarks import LEFT_BROW_RING
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.occluder import SIDE_OUT
from faceswap_cli.records import F32, U8, FaceCrop
from faceswap_cli.swap import glasses, sight, small_glasses
from faceswap_cli.swap.occluder_head import Seen, look
from faceswap_cli.swap.renderer import measure
from faceswap_cli.swap.small_glasses import with_fine_glasses
from faceswap_cli.training.glasses import draw_glasses

SIDE = 128


@pytest.fixture(scope="module")
def face(portrait: U8, finder: object) -> tuple[U8, F32]:
    """The example person's swap crop, and its mesh in unit coordinates."""
    from faceswap_cli.faces.crops import cut
    from faceswap_cli.faces.detect import find_faces

    mesh = find_faces(portrait, finder=finder)[0].landmarks  # type: ignore[arg-type]
    matrix = align.scaled(align.unit_from_points(mesh), SIDE)
    return cut(portrait, matrix, SIDE), np.asarray(align.apply(matrix, mesh) / SIDE, np.float32)


def with_glasses(face: tuple[U8, F32], seed: int) -> tuple[U8, F32]:
    """The face with drawn glasses, and how much of each pixel their rims cover."""
    rgb, points = face
    rng = np.random.default_rng(seed)
    pair = draw_glasses(rng, points * SIDE, np.zeros((SIDE, SIDE, 3), np.float32))
    worn = pair.over(rgb.astype(np.float32) / 255, points * SIDE, rng)
    return (np.clip(worn, 0, 1) * 255).astype(np.uint8), pair.rim


def seen_rims(rim: F32) -> Seen:
    """An answer of the head with these rims (96, 96)."""
    shares = np.zeros((SIDE_OUT, SIDE_OUT, 6), np.float32)
    shares[..., 1], shares[..., 0] = rim, 1 - rim
    return Seen(shares, 1.0)


def overlap(found: F32, truth: F32) -> float:
    return float(np.minimum(found, truth).sum() / np.maximum(found, truth).sum())


def test_rims_of_a_small_crop_are_finer_than_the_head_sees_them(face: tuple[U8, F32]) -> None:
    fine, coarse = [], []
    for seed in range(6):
        rgb, truth = with_glasses(face, seed)
        truth = cv2.resize(truth, (SIDE_OUT, SIDE_OUT), interpolation=cv2.INTER_AREA)
        seen = look(rgb, face[1])
        coarse.append(overlap(seen.shares[..., 1], truth))
        fine.append(overlap(with_fine_glasses(seen, rgb, face[1]).shares[..., 1], truth))
    assert np.mean(fine) > np.mean(coarse) + 0.1


def test_what_is_measured_of_a_small_crop_has_the_fine_rims(face: tuple[U8, F32]) -> None:
    """They are smoothed over time with the code; a large crop keeps what the head sees."""
    rgb, _ = with_glasses(face, 1)
    for picture in (rgb, cv2.resize(rgb, (256, 256), interpolation=cv2.INTER_CUBIC)):
        side = picture.shape[0]
        crop = FaceCrop(0, picture, np.eye(3), np.asarray(face[1] * side, np.float32))
        found, _ = sight.unpack(measure(crop, PasteOptions(occlusion=True)).front)
        seen = look(picture, face[1])
        expected = with_fine_glasses(seen, picture, face[1])
        assert (expected is seen) == (side == 256)
        np.testing.assert_allclose(found.shares[12:64, :, 1:3], expected.shares[12:64, :, 1:3], atol=1e-5)


@pytest.mark.parametrize("share", [1.0, 0.9])
def test_the_fine_answer_lies_where_it_was_found(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bright pixels of the crop, taken for rims, come out at the same places."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    rgb[50:54, 30:90] = 255

    def bright(picture: U8, points: F32, window: Window, seen: Seen) -> F32:
        scale = 384 / seen.share / window.side
        size = round(window.width * scale), round(window.height * scale)
        rim = cv2.resize(picture[..., 0], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return np.dstack([rim, np.zeros_like(rim)])

    monkeypatch.setattr(small_glasses, "rims_and_lenses", bright)
    shares = seen_rims(np.zeros((SIDE_OUT, SIDE_OUT), np.float32)).shares
    shares[30:50, 15:75, 1] = 0.5
    found = with_fine_glasses(Seen(shares, share), rgb, points).over(Window.full(SIDE), (SIDE, SIDE))[..., 1]
    rows, columns = found.sum(axis=1), found.sum(axis=0)
    assert abs((rows * np.arange(SIDE)).sum() / rows.sum() - 51.5) < 0.7
    assert abs((columns * np.arange(SIDE)).sum() / columns.sum() - 59.5) < 0.7


def test_an_area_wider_than_a_rim_is_narrowed_and_a_line_is_not() -> None:
    """Sunlit skin beside a rim: what is left is the middle of what the head takes for the rim."""
    rows = np.arange(SIDE_OUT, dtype=np.float32)[:, None]
    head = np.broadcast_to(0.5 * np.exp(-(((rows - 40) / 2) ** 2)), (SIDE_OUT, SIDE_OUT)).astype(np.float32)
    rim = np.zeros((SIDE_OUT, SIDE_OUT), np.float32)
    rim[39:42] = 0.9
    rim[36:52, 60:] = 0.9
    found = small_glasses._narrow(rim, head)
    np.testing.assert_allclose(found[:, :50], rim[:, :50])
    assert found[40, 70:90].min() > 0.85
    assert found[46:, 70:90].max() < 0.05


def test_over_brows_of_a_small_crop_rims_must_be_surer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blurred brow looks like a rim; the network is not asked again in each frame."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    brow = masks.union(points, (LEFT_BROW_RING,), SIDE)
    y, x = (int(k) for k in np.unravel_index(masks.blur(brow, 1.0).argmax(), brow.shape))
    beside = round(float(points[168, 0]) * SIDE)
    assert brow[y, x] > 0.9
    assert brow[y, beside] == 0.0

    def fail(*_: object) -> F32:
        raise AssertionError

    monkeypatch.setattr(glasses, "rims_and_lenses", fail)
    rgb, light = np.full((SIDE, SIDE, 3), 150, np.uint8), np.full((8, 8, 3), 60, np.float32)
    for probability, kept in ((0.5, False), (0.95, True)):
        line = np.zeros((SIDE_OUT, SIDE_OUT), np.float32)
        line[round(y * SIDE_OUT / SIDE) - 1 : round(y * SIDE_OUT / SIDE) + 2] = probability
        rims = glasses.find_glasses(rgb, light, points, Window.full(SIDE), seen_rims(line))[0]
        assert rims[y, beside] > 0.7
        assert (rims[y, x] > 0.7) == kept
        assert (rims[y, x] < 0.2) != kept
