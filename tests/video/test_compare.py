"""Before and after are where the viewer sees them, however the frame is stored."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from faceswap_cli.records import Clip, Frame, Planes
from faceswap_cli.video.compare import compared, compared_clip
from tests.swap.test_engine import make_clip

HALF_WAY = 1000
"""pts at which the wiping line is in the middle"""


def plain(clip: Clip, level: int) -> Frame:
    chroma = np.full((clip.height // 2, clip.width // 2), 128, np.uint8)
    luma = np.full((clip.height, clip.width), level, np.uint8)
    return Frame(0, HALF_WAY, Fraction(1, 1000), Planes(luma, chroma, chroma))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(("how", "left"), [("side", 50), ("wipe", 200)])
def test_what_is_at_the_left_of_the_display(how: str, left: int, rotation: int, mirrored: bool) -> None:
    clip = replace(make_clip(), rotation=rotation, mirrored=mirrored)
    joined = compared(plain(clip, 50), plain(clip, 200), clip, how).planes
    wide = compared_clip(clip, how)
    assert joined.y.shape == (wide.height, wide.width)
    shown = clip.upright(joined.y)
    half = shown.shape[1] // 2
    assert (shown[:, :half] == left).all()
    assert (shown[:, half:] == 250 - left).all()
