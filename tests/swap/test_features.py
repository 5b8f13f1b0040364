"""Eyes, lips, nostrils and the mouth's inside of a drawn face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, FaceCrop
from faceswap_cli.swap import features
from tests.swap.drawn import SIDE, crop, mesh_points, picture

DRAWN, LID = (60.0, 12.0, 14.0), (40.0, 20.0, 25.0)
USUAL = 0.285
"""How far the eyes of the mean face are open"""


def face(open_eyes: tuple[float, float]) -> FaceCrop:
    points = mesh_points()
    return replace(crop(picture(points), points), open_eyes=open_eyes)


def flat(color: tuple[float, float, float]) -> F32:
    return np.full((SIDE, SIDE, 3), color, np.float32)


def with_eyes(open_eyes: tuple[float, float], target: F32) -> F32:
    """What becomes of a plain drawn face where the target looks as ``target`` does."""
    seen = face(open_eyes)
    lab = flat(DRAWN)
    features.keep_shut_eyes(lab, target, seen, seen.landmarks / np.float32(SIDE), Window.full(SIDE))
    return lab


def test_open_eyes_are_left_alone() -> None:
    assert np.array_equal(with_eyes((USUAL, USUAL), flat(LID)), flat(DRAWN))


def test_shut_eyes_are_the_targets_in_the_color_of_the_drawn_skin() -> None:
    """Usually twice as far open as now: shut.  A plain lid becomes plain skin; a line on it stays a line."""
    lid = flat(LID)
    assert np.allclose(with_eyes((2 * USUAL, 2 * USUAL), lid), flat(DRAWN), atol=0.01)
    eye = face((1.0, 1.0)).landmarks[list(parts.LEFT_EYE), :2].mean(axis=0).round().astype(int)
    lid[eye[1], eye[0] - 3 : eye[0] + 4, 0] -= 30.0
    lashes = with_eyes((2 * USUAL, 2 * USUAL), lid)[..., 0] - DRAWN[0]
    assert lashes[eye[1], eye[0]] < -25.0
    assert np.abs(np.delete(lashes, eye[1], axis=0)).max() < 6.0


def test_glasses_do_not_shine_on_shut_eyes() -> None:
    """A light and a green patch on the target's lid: neither is drawn."""
    lid = flat(LID)
    left, right = (
        face((1.0, 1.0)).landmarks[list(ring), :2].mean(axis=0).round().astype(int)
        for ring in (parts.LEFT_EYE, parts.RIGHT_EYE)
    )
    lid[left[1] - 1 : left[1] + 2, left[0] - 2 : left[0] + 3, 0] += 40.0
    lid[right[1] - 1 : right[1] + 2, right[0] - 2 : right[0] + 3, 1:] = (-30.0, 20.0)
    lab = with_eyes((2 * USUAL, 2 * USUAL), lid)
    assert (lab[..., 0] - DRAWN[0]).max() < 6.0
    assert np.abs(lab[..., 1:] - DRAWN[1:]).max() < 2.0


def test_one_shut_eye_does_not_shut_the_other() -> None:
    shut = features.shut_eyes(np.array([0.03, 0.3], np.float32), np.array([0.3, 0.3], np.float32))
    assert shut[0] == 1.0
    assert shut[1] == 0.0


@pytest.mark.parametrize(("now", "expected"), [(0.3, 0.0), (0.21, 0.0), (0.16, 1.0), (0.0, 1.0)])
def test_shut_is_measured_against_the_usual(now: float, expected: float) -> None:
    eyes = np.full(2, now, np.float32)
    assert features.shut_eyes(eyes, np.full(2, 0.3, np.float32)) == pytest.approx(np.full(2, expected))


def test_the_mouth_is_moved_to_the_new_lips() -> None:
    """The target's teeth, one row of light pixels, follow when the new mouth lies three pixels lower."""
    points = face((USUAL, USUAL)).landmarks / np.float32(SIDE)
    points[list(parts.LIPS_INNER[1:10]), 1] += 0.05
    wanted = points + np.array([0, 3 / SIDE, 0], np.float32)
    ring = points[list(parts.LIPS_INNER), :2].mean(axis=0) * SIDE
    x, y = ring.round().astype(int)
    target = flat((20.0, 0.0, 0.0))
    target[y] = (90.0, 0.0, 0.0)
    lab = flat(DRAWN)
    features.keep_mouth(lab, target, points, wanted, Window.full(SIDE))
    column = lab[:, x, 0]
    assert int(np.argmax(column)) == y + 3


def test_lips_that_shut_keep_the_line_between_them() -> None:
    points = face((USUAL, USUAL)).landmarks / np.float32(SIDE)
    inner = list(parts.LIPS_INNER)
    points[inner, 1] = points[inner, 1].mean()
    x, y = (points[inner, :2].mean(axis=0) * SIDE).astype(int)
    target = flat(DRAWN)
    target[y - 1 : y + 2] = (10.0, 0.0, 0.0)
    beside = []
    for onto in (0.0, 1.0):
        lab = flat(DRAWN)
        features.keep_mouth(lab, target, points, points, Window.full(SIDE), onto)
        beside.append(lab[y + 1, x])
    assert beside[1][0] < beside[0][0] - 8
    np.testing.assert_array_equal(beside[1][1:], beside[0][1:])  # darker, of the same color


def lips(drawn: tuple[float, float, float], target: tuple[float, float, float]) -> tuple[F32, F32]:
    """Color of the lower lip and of the forehead, once lips drawn so have met the target's."""
    points = face((USUAL, USUAL)).landmarks / np.float32(SIDE)
    lab = flat(drawn)
    features.limit_lips(lab, flat(target), points, points, Window.full(SIDE))
    x, y = (points[[14, 17], :2].mean(axis=0) * SIDE).round().astype(int)
    top = (points[10, :2] * SIDE).round().astype(int)
    return lab[y, x], lab[top[1], top[0]]


def test_lips_are_neither_more_violet_nor_paler_nor_more_painted_than_the_targets() -> None:
    violet, elsewhere = lips((50, 30, -6), (50, 25, 12))
    assert violet[2] > 6
    assert elsewhere.tolist() == [50, 30, -6]
    pale, _ = lips((50, 8, 9), (50, 25, 12))
    assert 15 < pale[1] <= 21
    painted, elsewhere = lips((30, 45, 30), (50, 25, 12))
    assert painted.tolist() == pytest.approx([42, 30, 17], abs=1)
    assert elsewhere.tolist() == [30, 45, 30]
    plain, _ = lips((50, 28, 15), (50, 25, 12))
    assert plain.tolist() == pytest.approx([50, 28, 15])


def test_nostrils_are_hardly_darker_than_the_targets() -> None:
    points = mesh_points() / np.float32(SIDE)
    window = Window.full(SIDE)
    hole = masks.union(points, (parts.NOSTRILS_RING,), SIDE) > 0.5

    def nose(dark: float) -> F32:
        lab = np.full((SIDE, SIDE, 3), (60, 10, 12), np.float32)
        lab[hole, 0] = dark
        return lab

    shown = nose(40)
    for dark, low, high in ((5, 23, 30), (36, 35.9, 36.1), (50, 49.9, 50.1)):
        lab = nose(dark)
        features.limit_nostrils(lab, shown, points, points, window)
        assert low < np.median(lab[hole, 0]) < high
        np.testing.assert_array_equal(lab[..., 1:], nose(dark)[..., 1:])
        np.testing.assert_array_equal(lab[: SIDE // 4], nose(dark)[: SIDE // 4])
