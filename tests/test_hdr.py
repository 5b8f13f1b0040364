"""PQ and HLG are looked at as SDR of the right white, and put back in linear light."""

from __future__ import annotations

import numpy as np
import pytest

from faceswap_cli import color, hdr
from faceswap_cli.geometry.paste import paste_into_planes
from faceswap_cli.records import ColorTags, FaceCrop, Planes, RenderedFace

SIDE = 64
TAGS = {
    "pq": ColorTags(9, False, 9, hdr.PQ, tagged=True),
    "hlg": ColorTags(9, False, 9, hdr.HLG, tagged=True),
}


def hdr_planes(rgb: np.ndarray, tags: ColorTags, gain: float = 1.0) -> Planes:
    """Planes of 10 bit that show ``rgb`` (SDR, uint8); ``gain`` makes it brighter than white."""
    light = gain * hdr.light_from_sdr(rgb.astype(np.float32) / 255, tags)
    return color.planes_region_from_rgb(hdr.code_from_light(light, tags), tags, 10, (1, 1))


def picture() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.stack([60 + 2 * x, 90 + y, 200 - 2 * x], axis=-1).astype(np.uint8)


def face_of(rgb: np.ndarray, mask: float = 1.0) -> RenderedFace:
    inner = np.zeros((SIDE, SIDE), np.float32)
    inner[16:48, 16:48] = mask
    crop = FaceCrop(0, rgb, np.eye(3), np.zeros((478, 3), np.float32))
    return RenderedFace(crop, rgb, inner)


@pytest.mark.parametrize("kind", TAGS)
def test_sdr_and_back(kind: str) -> None:
    planes = hdr_planes(picture(), TAGS[kind])
    seen = color.rgb_from_planes(planes, TAGS[kind])
    assert np.abs(seen.astype(int) - picture()).max() <= 2


@pytest.mark.parametrize(("kind", "white"), [("pq", 0.5807), ("hlg", 0.75)])
def test_diffuse_white_is_where_the_standard_puts_it(kind: str, white: float) -> None:
    code = hdr.code_from_light(np.ones((1, 1, 3), np.float32), TAGS[kind])
    assert code == pytest.approx(white, abs=0.002)
    assert hdr.light_from_code(code, TAGS[kind]) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("kind", TAGS)
@pytest.mark.parametrize("mask", [1.0, 0.5])
def test_a_face_is_as_bright_as_its_surroundings(kind: str, mask: float) -> None:
    tags = TAGS[kind]
    planes = hdr_planes(picture(), tags)
    pasted = paste_into_planes(planes, tags, [face_of(picture(), mask)])
    seen = color.rgb_from_planes(pasted, tags).astype(int)
    assert np.abs(seen - picture()).max() <= 3
    np.testing.assert_array_equal(pasted.y[:16], planes.y[:16])


def test_highlights_stay_above_white() -> None:
    tags = TAGS["pq"]
    bright = np.full((SIDE, SIDE, 3), 255, np.uint8)
    planes = hdr_planes(bright, tags, gain=3.0)
    pasted = paste_into_planes(planes, tags, [face_of(bright)])
    light = hdr.light_from_code(color.rgb_float_from_planes(pasted, tags), tags)
    assert light[32, 32] == pytest.approx(3.0, rel=0.03)
    dark = paste_into_planes(planes, tags, [face_of(bright // 4)])
    light = hdr.light_from_code(color.rgb_float_from_planes(dark, tags), tags)
    assert light[32, 32].max() < 0.1
