"""Tiles of the preview sheet."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from faceswap_cli.preview import _cut
from faceswap_cli.records import Frame, Planes
from faceswap_cli.swap.engine import Swapped
from tests.swap.test_engine import make_clip


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_tile_shows_the_frame_as_players_do(mirrored: bool) -> None:
    clip = replace(make_clip(), mirrored=mirrored)
    luma = np.tile(np.linspace(30, 220, clip.width).astype(np.uint8), (clip.height, 1))
    chroma = np.full((clip.height // 2, clip.width // 2), 128, np.uint8)
    frame = Frame(0, 0, Fraction(1, 1000), Planes(luma, chroma, chroma))
    tile = _cut(frame, Swapped(frame, frame, (), 0), clip)[160, :, 0].astype(int)
    left, right = tile[100], tile[220]
    assert (left > right) == mirrored
