"""Color conversion against the defining equations, and where things land in the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from faceswap_cli import color
from faceswap_cli.records import ColorTags, Planes

TAGS = [ColorTags(matrix, full) for matrix in (1, 6, 9) for full in (False, True)]


def ramp_planes(height: int, width: int, step: tuple[int, int], bit_depth: int = 8) -> Planes:
    """Planes whose values are linear in the *luma* position of each sample."""
    down, across = step
    scale = 1 << (bit_depth - 8)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    rows, columns = -(-height // down), -(-width // across)
    cy, cx = np.mgrid[:rows, :columns].astype(np.float64)
    # Left siting: on luma columns 0, 2, 4; midway between two luma rows.
    cx, cy = cx * across, cy * down + (0.5 if down == 2 else 0.0)
    luma, blue, red = 40 + x + 0.5 * y, 100 + 0.8 * cx - 0.3 * cy, 150 - 0.5 * cx + 0.4 * cy
    return Planes(*(color.to_samples(p * scale, bit_depth) for p in (luma, blue, red)), bit_depth=bit_depth)


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_white_black_and_primaries(tags: ColorTags, depth: int) -> None:
    """H.273: black and white sit at the ends of the range, neutral chroma in the middle."""
    matrix = color.ycc_from_rgb(tags.matrix, tags.full_range, depth)
    step = 1 << (depth - 8)
    white, black = matrix @ [1, 1, 1, 1], matrix @ [0, 0, 0, 1]
    ends = (0, (1 << depth) - 1) if tags.full_range else (16 * step, 235 * step)
    np.testing.assert_allclose([black[0], white[0]], ends, atol=1e-9)
    np.testing.assert_allclose([*white[1:], *black[1:]], 128 * step, atol=1e-9)
    blue, red = matrix @ [0, 0, 1, 1], matrix @ [1, 0, 0, 1]
    top = 128 * step + (((1 << depth) - 1) / 2 if tags.full_range else 112 * step)
    np.testing.assert_allclose([blue[1], red[2]], top, atol=1e-9)


def test_known_values_of_bt_709() -> None:
    """75 % color bars in 10 bit, limited range, as published in SMPTE RP 219."""
    bars = {
        (1, 1, 0): (674, 176, 543),
        (0, 1, 1): (581, 589, 176),
        (0, 1, 0): (534, 253, 207),
        (1, 0, 1): (251, 771, 817),
        (1, 0, 0): (204, 435, 848),
        (0, 0, 1): (111, 848, 481),
    }
    for rgb, expected in bars.items():
        found = color.ycc_from_rgb(1, False, 10) @ [*(0.75 * np.array(rgb)), 1]
        assert np.round(found).tolist() == list(expected)


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("step", [(2, 2), (1, 2), (1, 1)])
def test_there_and_back(tags: ColorTags, depth: int, step: tuple[int, int]) -> None:
    planes = ramp_planes(48, 64, step, depth)
    rgb = color.rgb_float_from_planes(planes, tags)
    again = color.planes_region_from_rgb(rgb, tags, depth, step)
    np.testing.assert_array_equal(again.y, planes.y)
    for name in ("cb", "cr"):
        error = getattr(again, name).astype(int) - getattr(planes, name)
        assert np.abs(error[1:-1, 1:-1]).max() <= 1


def test_no_drift_over_many_passes() -> None:
    """The usual library path darkens by about a level per pass."""
    tags = ColorTags(1, False)
    planes = ramp_planes(48, 64, (1, 1))
    now = planes
    for _ in range(10):
        now = color.planes_region_from_rgb(color.rgb_float_from_planes(now, tags), tags, 8, (1, 1))
    np.testing.assert_array_equal(now.y, planes.y)
    np.testing.assert_array_equal(now.cb, planes.cb)


@pytest.mark.parametrize("step", [(2, 2), (1, 2), (1, 1)])
@pytest.mark.parametrize("box", [(0, 0, 20, 10), (7, 5, 31, 30), (33, 17, 64, 48), (-5, -5, 99, 99)])
def test_a_region_is_the_region_of_the_whole(box: color.Box, step: tuple[int, int]) -> None:
    planes, tags = ramp_planes(48, 64, step), ColorTags(1, False)
    x0, y0, x1, y1 = max(box[0], 0), max(box[1], 0), min(box[2], 64), min(box[3], 48)
    whole = color.rgb_from_planes(planes, tags)[y0:y1, x0:x1].astype(int)
    assert np.abs(color.rgb_from_planes(planes, tags, box).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("step", [(2, 2), (1, 2), (1, 1)])
def test_chroma_lies_where_it_is_sited(step: tuple[int, int]) -> None:
    """A chroma ramp comes out as the same ramp at luma resolution: no half-sample shift."""
    ycc = color.ycc_region(ramp_planes(48, 64, step))
    y, x = np.mgrid[:48, :64].astype(np.float64)
    inner = (slice(2, -2), slice(2, -2))
    assert np.abs(ycc[..., 1] - (100 + 0.8 * x - 0.3 * y))[inner].max() < 0.75
    assert abs((ycc[..., 1] - (100 + 0.8 * x - 0.3 * y))[inner].mean()) < 0.06
    assert abs((ycc[..., 2] - (150 - 0.5 * x + 0.4 * y))[inner].mean()) < 0.06


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("step", [(2, 2), (1, 2), (1, 1)])
@pytest.mark.parametrize("size", [(49, 63), (1, 1), (2, 3)])
def test_odd_sizes(size: tuple[int, int], step: tuple[int, int], depth: int) -> None:
    planes, tags = ramp_planes(*size, step, depth), ColorTags(1, False)
    rgb = color.rgb_float_from_planes(planes, tags)
    assert rgb.shape == (*size, 3)
    again = color.planes_region_from_rgb(rgb, tags, depth, step)
    assert again.cb.shape == planes.cb.shape
    np.testing.assert_array_equal(again.y, planes.y)


def test_8_bit_rounding_is_within_a_level() -> None:
    rng = np.random.default_rng(0)
    planes = Planes(*(rng.integers(0, 256, (64, 64), dtype=np.uint8) for _ in range(3)))
    for tags in TAGS:
        exact = np.clip(np.round(color.rgb_float_from_planes(planes, tags) * 255.0), 0, 255)
        fast = color.rgb_from_planes(planes, tags).astype(float)
        assert np.abs(exact - fast).max() <= 1
        assert abs((exact - fast).mean()) < 0.06


def test_linear_light_there_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8)
    linear = color.linear_from_gamma(levels)
    assert linear[0] == 0
    assert linear[255] == 1
    assert linear[188] == pytest.approx(0.503, abs=0.002)
    np.testing.assert_array_equal(np.round(color.gamma_from_linear(linear) * 255), levels)
    fine = np.linspace(0, 1, 999, dtype=np.float32)
    back = color.gamma_from_linear(color.linear_from_gamma(fine))
    np.testing.assert_allclose(back, fine, atol=0.05 / 255)


def crop_matrix(scale: float, angle: float, x: float, y: float) -> Any:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y], [0, 0, 1.0]])


@pytest.mark.parametrize("step", [(2, 2), (1, 2), (1, 1)])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("scale", [1.7, 1.0, 0.6, 0.3])
def test_a_crop_shows_what_lies_there(scale: float, depth: int, step: tuple[int, int]) -> None:
    """Every crop pixel holds the ramp's value at its own place in the frame, at any scale."""
    height, width, side, tags = 200, 240, 32, ColorTags(1, False)
    y, x = np.mgrid[:height, :width] + 0.5
    gray = 60 + 0.4 * x + 0.2 * y
    rgb = np.stack([gray, gray * 0.8 + 20, 200 - 0.4 * x], axis=-1)
    planes = color.planes_region_from_rgb(rgb / 255.0, tags, depth, step)
    crop_from_frame = crop_matrix(scale, 0.3, 0, 0)
    center = crop_from_frame @ [width / 2, height / 2, 1]
    crop_from_frame[:2, 2] += side / 2 - center[:2]
    crop = color.warp_rgb(planes, tags, crop_from_frame, side).astype(float)
    v, u = np.mgrid[:side, :side] + 0.5
    fx, fy, _ = np.linalg.inv(crop_from_frame) @ np.stack([u.ravel(), v.ravel(), np.ones(side * side)])
    expected = np.stack([60 + 0.4 * fx + 0.2 * fy, (60 + 0.4 * fx + 0.2 * fy) * 0.8 + 20, 200 - 0.4 * fx])
    error = crop.reshape(-1, 3).T - expected
    assert np.abs(error).max() < 3.5  # rounding of three 8-bit planes, chroma with a gain of up to 2.1
    assert np.abs(error.mean(axis=1)).max() < 0.6


def test_outside_the_picture_its_mirror_image_is_seen() -> None:
    planes, tags = ramp_planes(48, 64, (2, 2)), ColorTags(1, False)
    shifted = np.array([[1, 0, 16.0], [0, 1, 0], [0, 0, 1]])
    crop = color.warp_rgb(planes, tags, shifted, 48).astype(int)
    assert np.abs(crop[:, 15::-1] - crop[:, 16:32]).max() <= 3


def test_a_strong_shrink_averages() -> None:
    """A fine checkerboard becomes gray, not noise."""
    board = ((np.indices((400, 400)).sum(axis=0) % 2) * 200 + 20).astype(np.uint8)
    neutral = np.full((200, 200), 128, np.uint8)
    planes, tags = Planes(board, neutral, neutral), ColorTags(1, True)
    crop = color.warp_rgb(planes, tags, np.diag([0.1, 0.1, 1.0]), 40)
    assert np.abs(crop.astype(int) - 120).max() <= 3


@pytest.mark.parametrize("far", [1e4, -1e4])
def test_a_crop_far_outside_is_still_a_crop(far: float) -> None:
    planes = ramp_planes(48, 64, (2, 2))
    for scale in (1.0, 0.2):
        matrix = crop_matrix(scale, 0, far, far)
        assert color.warp_rgb(planes, ColorTags(), matrix, 16).shape == (16, 16, 3)


@pytest.mark.parametrize(("size", "long_side"), [((1080, 1920), 640), ((1920, 1080), 480), ((49, 63), 640)])
@pytest.mark.parametrize("depth", [8, 10])
def test_the_downscaled_picture(size: tuple[int, int], long_side: int, depth: int) -> None:
    height, width = size
    y, x = np.mgrid[:height, :width] + 0.5
    flat = np.stack([x / width, y / height, 0.5 + 0 * x], axis=-1)
    tags = ColorTags(1, False)
    planes = color.planes_region_from_rgb(flat, tags, depth, (2, 2))
    rgb, scale = color.downscaled_rgb(planes, tags, long_side)
    assert scale == min(long_side / max(size), 1.0)
    assert max(rgb.shape[:2]) == min(long_side, max(size))
    v, u = np.mgrid[: rgb.shape[0], : rgb.shape[1]] + 0.5
    expected = np.stack([u / scale / width, v / scale / height, 0.5 + 0 * u], axis=-1) * 255
    assert np.abs(rgb - expected).mean() < 1.0
