"""The invisible mark: faint, found again after a codec, and not found where it is not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceswap_cli.config import SwapOptions
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.landmarks import OVAL, topology
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.paste import paste_into_rgb
from faceswap_cli.provenance import watermark
from faceswap_cli.provenance.search import search_clip, search_picture
from faceswap_cli.provenance.watermark import GRID, Aligned, false_alarm, pattern, score, search, watermarked
from faceswap_cli.records import F32, U8, FaceCrop, RenderedFace
from tests.clips import make_clip

SCALE = align.SWAP_SCALE
FIRST_VERSION = [-1.96, -0.025, 0.547, -1.309, 2.082, 0.547, 0.729, -0.891, -0.238]
"""Some values of the pattern."""


def texture(seed: int, side: int = GRID) -> F32:
    """(side, side) something with the power spectrum of skin and hair: 1 / f."""
    rng = np.random.default_rng(seed)
    steps = np.fft.fftfreq(side) * side
    radius = np.maximum(np.hypot(steps[:, None], steps[None, :]), 1)
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((side, side))) / radius**1.4).real
    return np.clip(128 + 25 * field / field.std(), 0, 255).astype(np.float32)


def mesh(side: int = GRID) -> F32:
    """(478, 3) the mean face, aligned, in a crop of ``side``."""
    shape = topology().mean_shape
    return align.apply(align.scaled(align.unit_from_points(shape), side), shape)


def rendered(rgb: U8, points: F32) -> tuple[RenderedFace, FaceCrop]:
    """A swap that changes nothing but the mark, and the crop it was drawn from."""
    side = rgb.shape[0]
    crop = FaceCrop(0, rgb, np.eye(3), points)
    hull = masks.fill_polygon(points[list(OVAL)] / np.float32(side), side)
    return RenderedFace(crop, rgb, hull.astype(np.float32) / 255), crop


def gray(luma: F32) -> U8:
    return np.repeat(np.rint(luma).astype(np.uint8)[:, :, None], 3, axis=2)


def looks(lumas: list[F32], person: int = 0) -> list[Aligned]:
    return [Aligned(person, person, luma, mesh()) for luma in lumas]


def test_the_pattern_is_the_same_everywhere() -> None:
    drawn = pattern()
    assert drawn.shape == (GRID, GRID)
    assert abs(float(drawn.mean())) < 1e-5
    assert float(drawn.std()) == pytest.approx(1, abs=1e-5)
    # A change of these is a new version: the old files would no longer be recognised.
    assert drawn[::64, ::64].ravel().round(3).tolist() == pytest.approx(FIRST_VERSION, abs=2e-3)


def test_the_mark_is_faint_and_fainter_on_flat_skin() -> None:
    flat, busy = np.full((GRID, GRID), 150, np.float32), texture(1) + texture(2) - 128
    change = []
    for luma in (flat, busy):
        face, whole = rendered(gray(luma), mesh())
        change.append(watermarked(face, whole, SCALE).rgb.astype(float) - face.rgb)
    levels = [float(np.sqrt((part**2).mean())) for part in change]
    assert levels[0] < 0.5
    assert levels[0] < levels[1] < 1.6
    assert np.abs(change[0]).max() <= 2
    for part, level in zip(change, levels, strict=True):
        assert (part[..., 0] == part[..., 1]).all()  # gray: the hue of skin stays
        assert 20 * np.log10(255 / level) > 44
        assert abs(part.mean()) < 0.02


def test_long_waves_on_the_flat_skin_of_large_faces_are_fainter() -> None:
    levels = []
    for side in (160, 640):
        face, whole = rendered(gray(np.full((side, side), 150, np.float32)), mesh(side))
        levels.append(float((watermarked(face, whole, SCALE).rgb.astype(float) - face.rgb).std()))
    assert levels[1] < 0.5 * levels[0]


def test_a_window_of_a_crop_gets_its_part_of_the_pattern() -> None:
    face, whole = rendered(gray(np.full((300, 300), 90, np.float32)), mesh(300))
    all_of_it = watermarked(face, whole, SCALE).rgb
    shift = np.array([[1, 0, -40], [0, 1, -25], [0, 0, 1.0]])
    part = FaceCrop(0, np.ascontiguousarray(face.rgb[25:250, 40:200]), shift, whole.landmarks)
    window = RenderedFace(part, part.rgb, np.ones(part.rgb.shape[:2], np.float32))
    assert (watermarked(window, whole, SCALE).rgb == all_of_it[25:250, 40:200]).all()


@pytest.mark.parametrize("crop_scale", [SCALE, 1.0])
@pytest.mark.parametrize("side", [160, GRID, 400])
def test_what_is_made_is_found_whatever_the_crop(side: int, crop_scale: float) -> None:
    import cv2

    face, whole = rendered(gray(texture(3, side)), mesh(side))
    marked = watermarked(face, whole, crop_scale).rgb[:, :, 0].astype(np.float32)
    grid_from_crop = align.scaled(align.rescaled(align.scaled(np.eye(3), 1 / side), crop_scale, SCALE), GRID)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    small = cv2.GaussianBlur(marked, (0, 0), 0.4 * side / GRID) if side > GRID else marked
    matrix = (np.linalg.inv(half) @ grid_from_crop @ half)[:2]
    luma = cv2.warpAffine(small, matrix, (GRID, GRID), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    found = search(looks([luma]))
    assert found.found
    assert found.score > 8


@pytest.mark.parametrize("move", [(0, 0, 1.0), (3, -2, 1.0), (-4, 4, 1.02), (2, 1, 0.97)])
def test_an_alignment_that_differs_a_little_does_no_harm(move: tuple[float, float, float]) -> None:
    import cv2

    face, whole = rendered(gray(texture(4)), mesh())
    marked = watermarked(face, whole, SCALE).rgb[:, :, 0].astype(np.float32)
    x, y, scale = move
    middle = (GRID - 1) / 2
    matrix = np.array([[scale, 0, middle * (1 - scale) + x], [0, scale, middle * (1 - scale) + y]])
    moved = cv2.warpAffine(marked, matrix, (GRID, GRID), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    assert search(looks([moved])).found


def test_frames_add_up_and_the_marked_person_is_named() -> None:
    face, whole = rendered(gray(texture(5)), mesh())
    marked = watermarked(face, whole, SCALE).rgb[:, :, 0].astype(np.float32)
    rng = np.random.default_rng(6)

    def noisy(luma: F32, count: int) -> list[F32]:
        return [luma + rng.normal(0, 12, luma.shape).astype(np.float32) for _ in range(count)]

    one, many = search(looks(noisy(marked, 1))), search(looks(noisy(marked, 40)))
    assert many.score > one.score + 1.5
    both = search([*looks(noisy(texture(7), 40), 0), *looks(noisy(marked, 40), 1)])
    assert (both.found, both.person, both.faces) == (True, 1, 80)


def test_without_a_mark_scores_are_those_of_chance() -> None:
    whites = [watermark.whiten(texture(seed), watermark.oval_mask(mesh())) for seed in range(4)]
    scores = [score(white, b"key %d" % k) for k in range(6) for white in whites]
    assert false_alarm(max(scores)) > 1e-4
    # Not far below chance either: then the bound would be worthless.
    assert 2.0 < float(np.median(scores)) < 4.5
    assert not search(looks([texture(seed) for seed in range(20)])).found


def test_the_bound_of_false_alarms() -> None:
    assert false_alarm(0.0) == 1.0
    assert 1e-9 < false_alarm(6.8) < watermark.FALSE_ALARM < false_alarm(6.5)
    assert search(()).found is False


def marked_portrait(portrait: U8, finder: object) -> U8:
    """(512, 512, 3) the portrait with the mark in its face, as the program leaves it."""
    points = find_faces(portrait, finder=finder)[0].landmarks  # type: ignore[arg-type]
    crop_from_image = align.scaled(align.unit_from_points(points, 1.0), 512)
    from faceswap_cli.faces.crops import cut

    rgb = cut(portrait, crop_from_image, 512, sharp=True)
    face, whole = rendered(rgb, align.apply(crop_from_image, points))
    crop = FaceCrop(0, rgb, crop_from_image, whole.landmarks)
    face = RenderedFace(crop, rgb, face.mask)
    unit = portrait.astype(np.float32) / np.float32(255)
    return np.rint(paste_into_rgb(unit, [watermarked(face, crop, 1.0)]) * 255).clip(0, 255).astype(np.uint8)


def jpeg(rgb: U8, quality: int) -> U8:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def test_a_picture_keeps_its_mark_through_jpeg_and_scaling(portrait: U8, finder: object) -> None:
    marked = marked_portrait(portrait, finder)
    smaller = np.asarray(Image.fromarray(marked).resize((400, 400), Image.Resampling.LANCZOS))
    for rgb in (marked, jpeg(marked, 85), jpeg(smaller, 90), marked[20:480, 30:500]):
        assert search_picture(rgb, find_faces(rgb, finder=finder)).found  # type: ignore[arg-type]
    for rgb in (portrait, jpeg(portrait, 85)):
        assert not search_picture(rgb, find_faces(rgb, finder=finder)).found  # type: ignore[arg-type]


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_clip_is_searched_after_encoding(
    tmp_path: Path, portrait: U8, finder: object, is_marked: bool
) -> None:
    from faceswap_cli.inspection import inspect_video

    shown = marked_portrait(portrait, finder) if is_marked else portrait

    def drifting(index: int, width: int, height: int) -> U8:
        return np.roll(shown, (index // 2, index), axis=(0, 1))

    path = tmp_path / "clip.mp4"
    make_clip(path, size=(512, 512), frames=20, picture=drifting, options={"crf": "26", "preset": "fast"})
    report = inspect_video(path, SwapOptions())
    assert report.watermark is not None
    assert report.watermark.found is is_marked
    assert report.synthetic is is_marked
    assert report.watermark.faces == 20
    assert report.analysis is not None
    assert search_clip(report.clip, report.analysis) == report.watermark
