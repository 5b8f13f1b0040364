"""Before and after in one picture: side by side, or with a line that moves across."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from faceswap_cli.records import Clip, Frame, Planes, Samples

_PERIOD_S = 4.0
"""The wiping line goes across and back in this time."""


def compared_clip(clip: Clip, how: str | None) -> Clip:
    """The clip as it is encoded; with ``side`` it is twice as wide on display."""
    if how != "side":
        return clip
    if clip.rotation % 180:
        return replace(clip, height=2 * clip.height)
    return replace(clip, width=2 * clip.width)


def compared(before: Frame, after: Frame, clip: Clip, how: str) -> Frame:
    """One frame of the comparison: ``side`` (before at the display's left) or ``wipe``."""
    joined = _side(before.planes, after.planes, clip) if how == "side" else _wipe(before, after, clip)
    return replace(after, planes=joined, alpha=None)


def _ends_left(clip: Clip) -> bool:
    """Frames are stored turned and mirrored: whether their last rows or columns are at the display's left."""
    return (clip.rotation % 360 in (180, 270)) != clip.mirrored


def _side(before: Planes, after: Planes, clip: Clip) -> Planes:
    axis = 0 if clip.rotation % 180 else 1
    first, second = (after, before) if _ends_left(clip) else (before, after)

    def joined(a: Samples, b: Samples) -> Samples:
        return np.concatenate([a, b], axis=axis)

    return _combined(joined, first, second)


def _combined(how: Callable[[Samples, Samples], Samples], a: Planes, b: Planes) -> Planes:
    return Planes(how(a.y, b.y), how(a.cb, b.cb), how(a.cr, b.cr), a.bit_depth)


def _wipe(before: Frame, after: Frame, clip: Clip) -> Planes:
    seconds = float((after.pts - clip.start_pts) * after.time_base)
    share = 0.5 - 0.5 * math.cos(2 * math.pi * seconds / _PERIOD_S)
    return _combined(lambda a, b: _wiped(a, b, share, clip), before.planes, after.planes)


def _wiped(before: Samples, after: Samples, share: float, clip: Clip) -> Samples:
    """Swapped at the display's left of the line, the original at its right."""
    height, width = after.shape
    length = height if clip.rotation % 180 else width
    line = round(share * length)
    swapped = slice(length - line, length) if _ends_left(clip) else slice(0, line)
    out = before.copy()
    if clip.rotation % 180:
        out[swapped] = after[swapped]
    else:
        out[:, swapped] = after[:, swapped]
    return out
