"""The visible label: legible, upright for every rotation, and only where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from faceswap_cli.provenance.label import draw_label, label_alpha, label_bitmap, label_planes
from faceswap_cli.records import ColorTags, Planes


def _planes(height: int, width: int, bits: int = 8, step: tuple[int, int] = (2, 2)) -> Planes:
    kind = np.uint8 if bits == 8 else np.uint16
    small = (-(-height // step[0]), -(-width // step[1]))
    return Planes(
        np.full((height, width), 100 << (bits - 8), kind),
        np.full(small, 90 << (bits - 8), kind),
        np.full(small, 160 << (bits - 8), kind),
        bits,
    )


@pytest.mark.parametrize("height", [12, 20, 44])
def test_bitmap_has_letters_and_a_margin(height: int) -> None:
    bitmap = label_bitmap(height)
    assert bitmap.shape[0] == height
    assert bitmap.shape[1] > 3 * height
    assert 0.08 < bitmap.mean() < 0.5
    assert bitmap.max() > 0.9
    assert bitmap[0].max() == bitmap[-1].max() == bitmap[:, 0].max() == 0


def test_label_is_in_the_lower_left_and_leaves_the_rest_alone() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    changed = (draw_label(rgb) != rgb).any(axis=-1)
    assert changed.any()
    assert not changed[:180].any()
    assert not changed[:, 200:].any()


def test_letters_are_lighter_than_the_pad_on_any_ground() -> None:
    letters, pad = label_alpha(240, 320)
    for ground in (0, 128, 255):
        drawn = draw_label(np.full((240, 320, 3), ground, np.uint8)).mean(axis=-1)
        assert drawn[letters > 0.95].min() > drawn[(pad > 0) & (letters == 0)].max() + 100


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_planes_show_the_label_upright_once_turned_for_display(rotation: int, mirrored: bool) -> None:
    planes = _planes(240, 320)
    luma = label_planes(planes, ColorTags(), rotation, mirrored=mirrored).y
    upright = np.rot90(luma, k=rotation // 90)
    upright = upright[:, ::-1] if mirrored else upright
    shown = np.rot90(planes.y, k=rotation // 90).shape
    letters, pad = label_alpha(*shown)
    assert (upright[letters > 0.95] > 220).all()
    assert (upright[pad == 0] == 100).all()


@pytest.mark.parametrize(("bits", "step"), [(8, (2, 2)), (10, (2, 2)), (8, (1, 2)), (10, (1, 1))])
def test_depth_and_subsampling_are_kept(bits: int, step: tuple[int, int]) -> None:
    planes = _planes(241, 321, bits, step)
    marked = label_planes(planes, ColorTags(full_range=False))
    assert marked.bit_depth == bits
    for before, after in ((planes.y, marked.y), (planes.cb, marked.cb), (planes.cr, marked.cr)):
        assert after.dtype == before.dtype
        assert after.shape == before.shape
        assert (after != before).any()
    assert marked.y.max() <= 235 << (bits - 8)


def test_anamorphic_frames_get_a_squeezed_label() -> None:
    plain, wide = (label_planes(_planes(576, 720), ColorTags(), 0, aspect).y for aspect in (1.0, 2.0))

    def columns(luma: np.ndarray) -> int:
        return int((luma != 100).any(axis=0).sum())

    assert columns(wide) == pytest.approx(columns(plain) / 2, abs=2)


def test_a_tiny_picture_does_not_fail() -> None:
    assert draw_label(np.zeros((8, 8, 3), np.uint8)).shape == (8, 8, 3)
