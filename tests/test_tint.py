"""Black and white stays neutral, sepia stays one hue, colors are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.color import planes_region_from_rgb
from faceswap_cli.geometry.paste import paste_into_planes
from faceswap_cli.records import ColorTags, FaceCrop, Planes, RenderedFace
from faceswap_cli.tint import TintGauge, tinted

SIDE = 64
BOX = [np.array([8.0, 8.0, 56.0, 56.0])]


def luma(depth: int = 8) -> np.ndarray:
    rng = np.random.default_rng(5)
    return (rng.integers(16, 236, (SIDE, SIDE)) << (depth - 8)).astype(np.uint8 if depth == 8 else np.uint16)


def clip_of(cb: np.ndarray, cr: np.ndarray, y: np.ndarray, depth: int = 8) -> Planes:
    return Planes(y, cb.astype(y.dtype), cr.astype(y.dtype), depth)


def smooth() -> np.ndarray:
    """Luma that hardly differs within a chroma sample."""
    return np.clip(np.add.outer(np.arange(SIDE), np.arange(SIDE)) * 1.6 + 20, 16, 235).astype(np.uint8)


def sepia() -> Planes:
    y = smooth()
    level = (y[::2, ::2].astype(float) - 16) / 219
    return clip_of(np.round(128 - 26 * level), np.round(128 + 13 * level), y)


def tint_of(*frames: Planes) -> ColorTags:
    gauge = TintGauge()
    for frame in frames:
        gauge.add(frame, BOX)
    return ColorTags(6, False, tint=gauge.tint())


def reddish() -> RenderedFace:
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8) + np.array([200, 120, 90], np.uint8)
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[10:50, 10:50] = 0.7
    mask[20:40, 20:40] = 1
    return RenderedFace(FaceCrop(0, rgb, np.eye(3), np.zeros((478, 3), np.float32)), rgb, mask)


@pytest.mark.parametrize("depth", [8, 10])
def test_black_and_white_stays_neutral_to_the_code_value(depth: int) -> None:
    neutral = np.full((SIDE // 2, SIDE // 2), 1 << (depth - 1))
    frame = clip_of(neutral, neutral, luma(depth), depth)
    tags = tint_of(frame)
    assert tags.tint is not None
    pasted = paste_into_planes(frame, tags, [reddish()])
    assert (pasted.y != frame.y).any()
    np.testing.assert_array_equal(pasted.cb, neutral)
    np.testing.assert_array_equal(pasted.cr, neutral)


def test_sepia_stays_one_hue() -> None:
    frame = sepia()
    pasted = paste_into_planes(frame, tint_of(frame), [reddish()])
    level = (pasted.y.reshape(SIDE // 2, 2, -1, 2).mean(axis=(1, 3)) - 16) / 219
    assert np.abs(pasted.cb - (128 - 26 * level)).max() <= 2
    assert np.abs(pasted.cr - (128 + 13 * level)).max() <= 2


def test_a_clip_with_colors_has_no_tint() -> None:
    rng = np.random.default_rng(2)
    rgb = np.clip(np.array([190, 140, 120]) + rng.normal(0, 14, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    colored = planes_region_from_rgb(rgb, ColorTags(6))
    assert tint_of(sepia(), colored, colored).tint is None
    assert tinted(colored, ColorTags(6)) is colored
    assert TintGauge().tint() is None


def test_a_gray_picture_stays_gray_and_keeps_its_mode(tmp_path: Path) -> None:
    from PIL import Image

    from faceswap_cli.config import SwapOptions
    from faceswap_cli.pictures import _pasted
    from faceswap_cli.video.picture import read_picture, write_picture

    Image.fromarray(np.dstack([luma(), luma()[::-1]])).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.png", _pasted(picture, [reddish()], SwapOptions()))
    with Image.open(tmp_path / "b.png") as made:
        assert made.mode == "LA"
        gray, alpha = np.moveaxis(np.asarray(made), -1, 0)
    np.testing.assert_array_equal(alpha, luma()[::-1])
    np.testing.assert_array_equal(gray[:8], luma()[:8])
    assert (gray[20:40, 20:40] != luma()[20:40, 20:40]).any()
