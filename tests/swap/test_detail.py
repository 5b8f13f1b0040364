"""Noise of a drawn face is that of the footage around it, in luma and in color."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceswap_cli.color import planes_region_from_rgb, rgb_float_from_planes
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, U8, ColorTags, Planes
from faceswap_cli.swap import appearance, detail
from faceswap_cli.swap.skin import inner_skin
from tests.swap.drawn import mesh_points

SIDE = 128
TAGS = ColorTags(matrix=6)
SKIN = np.ones((SIDE, SIDE), bool)


def footage(sigma: float, step: tuple[int, int], seed: int = 0) -> Planes:
    """Dark skin in every pixel, with noise of ``sigma`` codes in Y, Cb and Cr."""
    rng = np.random.default_rng(seed)
    rgb = np.full((SIDE, SIDE, 3), (74, 52, 42), np.uint8)
    flat = planes_region_from_rgb(rgb, TAGS, 8, step)
    parts = (
        np.clip(np.round(p + rng.normal(0, sigma, p.shape)), 16, 240) for p in (flat.y, flat.cb, flat.cr)
    )
    return Planes(*(part.astype(np.uint8) for part in parts))


def shown(planes: Planes) -> U8:
    return (np.clip(rgb_float_from_planes(planes, TAGS), 0, 1) * 255 + 0.5).astype(np.uint8)


def turned(rgb: U8, degrees: float) -> U8:
    """As a crop is cut from a frame, and pasted back."""
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, 1)
    size, border = (SIDE, SIDE), cv2.BORDER_REFLECT
    return np.asarray(cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border), np.uint8)


def pasted(planes: Planes, color_px: float) -> Planes:
    """Smooth skin with the detail of ``planes``, stored as they are."""
    target = appearance.lab_from_rgb(turned(shown(planes), 4.0))
    lab = np.empty_like(target)
    lab[:] = target.mean(axis=(0, 1))
    wanted = detail.measure(detail.split(np.ascontiguousarray(target[..., 0])), SKIN)
    detail.match_detail(lab, target, Window.full(SIDE), detail.Part(wanted, SKIN), None, 7, color_px)
    back = turned(appearance.rgb_from_lab(lab), -4.0)
    return planes_region_from_rgb(back, TAGS, 8, planes.chroma_step)


def noise(planes: Planes) -> F32:
    """Deviations of what is fine in Y, Cb and Cr."""
    parts = [part.astype(np.float32) for part in (planes.y, planes.cb, planes.cr)]
    return np.array([(part - cv2.GaussianBlur(part, (0, 0), 2.5)).std() for part in parts], np.float32)


@pytest.mark.parametrize("step", [(2, 2), (1, 1)])
def test_noise_is_that_of_the_footage_in_luma_and_color(step: tuple[int, int]) -> None:
    planes = footage(7.0, step)
    share = noise(pasted(planes, 2.0 if step == (2, 2) else 0.0)) / noise(planes)
    assert (share > 0.7).all(), share
    assert (share < 1.4).all(), share


def test_clean_footage_gets_no_noise() -> None:
    planes = footage(0.0, (2, 2))
    assert noise(pasted(planes, 2.0)).max() < 0.6


def test_complexion_is_not_noise() -> None:
    """Blotches of the target's skin, as fine as the coarsest octave of noise, stay the target's."""
    y, x = np.mgrid[:SIDE, :SIDE]
    rgb = np.full((SIDE, SIDE, 3), (150, 110, 90), np.float32)
    rgb[..., 0] += 12 * np.sin(x / 3.0) * np.sin(y / 3.0)
    planes = planes_region_from_rgb(np.clip(rgb, 0, 255).astype(np.uint8), TAGS, 8, (2, 2))
    before, after = noise(planes), noise(pasted(planes, 2.0))
    assert after[2] < 0.4 * before[2]


@pytest.mark.parametrize("coarse", [False, True])
def test_noise_stays_where_it_is_when_the_window_shifts(coarse: bool) -> None:
    points = np.array([[0.2, 0.2], [0.7, 0.8]], np.float32)
    windows = [Window.around(points + shift, SIDE) for shift in (np.float32(0), np.float32(2 / SIDE))]
    fields = [np.zeros((SIDE, SIDE), np.float32) for _ in windows]
    for field, window in zip(fields, windows, strict=True):
        window.of(field)[:] = detail._noise(window, 3, coarse=coarse)
    both = (fields[0] != 0) & (fields[1] != 0)
    assert both.sum() > 1000
    assert (fields[0][both] == fields[1][both]).all()


def test_what_is_left_of_a_coarse_octave_is_not_sharper_than_the_footage() -> None:
    rng = np.random.default_rng(5)
    white = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    target, lab = (np.tile(np.array((60, 14, 18), np.float32), (SIDE, SIDE, 1)) for _ in range(2))
    target[..., 0] += 8 * cv2.GaussianBlur(white, (0, 0), 3)
    lab[..., 0] += 4 * cv2.GaussianBlur(white, (0, 0), 1.5)
    wanted = detail.measure(detail.split(np.ascontiguousarray(target[..., 0])), SKIN)
    detail.match_detail(lab, target, Window.full(SIDE), detail.Part(wanted, SKIN))
    found = detail.measure(detail.split(np.ascontiguousarray(lab[..., 0])), SKIN)
    assert (found[:2] < 1.6 * wanted[:2]).all(), found / wanted


@pytest.mark.parametrize(("own", "wanted", "after"), [(6.0, 2.0, 3.0), (1.5, 2.0, 1.5)])
def test_a_face_under_a_hard_lamp_is_flattened_lids_and_nostrils_too(
    own: float, wanted: float, after: float
) -> None:
    points, window = mesh_points(SIDE) / np.float32(SIDE), Window.full(SIDE)
    wave = np.sin(np.arange(SIDE) * 2 * np.pi / 20).astype(np.float32)
    lab = np.tile(np.array((60, 14, 18), np.float32), (SIDE, SIDE, 1))
    lab[..., 0] += own * wave
    skin = inner_skin(points, window)
    detail.limit_relief(lab, wanted / np.sqrt(2), skin, points, window)
    lids = masks.union(points, parts.FEATURE_RINGS[:2], SIDE, 0.02 * SIDE) > 0.5
    lips = masks.union(points, (parts.LIPS_OUTER,), SIDE) > 0.5
    sizes = [np.sqrt(2) * (lab[..., 0] - 60)[where].std() for where in (skin, lids)]
    assert sizes == pytest.approx([after, after], rel=0.25)
    np.testing.assert_allclose((lab[..., 0] - 60)[lips], np.tile(own * wave, (SIDE, 1))[lips], atol=0.3 * own)
    np.testing.assert_allclose(lab[: SIDE // 8, :, 0], 60 + np.tile(own * wave, (SIDE // 8, 1)), atol=1e-4)
