"""Where one shot ends and the next begins.

Frames are compared in hue, saturation and value on a small picture, as PySceneDetect's adaptive detector
does: a cut is a change that stands out from the steps around it, however dark or alike the two shots are,
and that lasts, which a flash or a damaged frame does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.records import F64, I64, U8, Shot

LOOK = (24, 14)
"""Width and height of the picture that is compared."""
CUT = 7.0
"""Mean difference of hue (half degrees), saturation and value, from which on a step may be a cut.

Measured on 49 clips and 322 pairs of them (same room, same light, other person): single shots step by
less than 7, or keep stepping; all pairs except 11, of one person in one room, differ by more."""
VALUE_CUT, DARKEST = 0.15, 24.0
"""The same for value alone, as a share of the mean value, which counts as at least the second."""
STANDS_OUT = 3.0
"""A cut's difference over the mean of its neighbors'."""
NEIGHBORS = 2
LASTS = 3
"""The frames on each side that must all differ,"""
STILL_DIFFERS = 0.8
"""by this share of :data:`CUT` or more."""


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """What is kept of a frame for finding cuts: a kilobyte."""

    look: U8 = field(repr=False)
    """(14, 24, 3) hue in half degrees, saturation, value"""


def signature(thumbnail: U8) -> Signature:
    """(H, W, 3) -> its signature."""
    small = cv2.resize(thumbnail, LOOK, interpolation=cv2.INTER_AREA)
    return Signature(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2HSV), np.uint8))


def difference(one: Signature, other: Signature) -> float:
    """Mean absolute difference of hue, saturation and value; hue is a circle of 180.

    Dark and colorless pictures differ in value alone, and by little: by their share of its mean.
    """
    apart = np.asarray(cv2.absdiff(one.look, other.look))
    _, saturation, value = (float(channel) for channel in apart.mean(axis=(0, 1)))
    hue = float(np.minimum(apart[..., 0], 180 - apart[..., 0]).mean())
    bright = max(float(one.look[..., 2].mean() + other.look[..., 2].mean()) / 2, DARKEST)
    return max((hue + saturation + value) / 3, value / bright * (CUT / VALUE_CUT))


def steps(signatures: Sequence[Signature]) -> F64:
    """(T,) difference of each frame from the one before; 0 for the first."""
    return np.array([0.0, *(difference(a, b) for a, b in pairwise(signatures))][: len(signatures)])


def cuts(signatures: Sequence[Signature]) -> tuple[int, ...]:
    """Positions of the first frames of new shots."""
    moved = steps(signatures)
    return tuple(k for k in range(1, len(moved)) if moved[k] >= CUT and _is_cut(k, moved, signatures))


def _is_cut(k: int, moved: F64, signatures: Sequence[Signature]) -> bool:
    """Whether the step to frame k stands out and lasts."""
    around = np.concatenate([moved[max(k - NEIGHBORS, 1) : k], moved[k + 1 : k + 1 + NEIGHBORS]])
    if len(around) >= 2 and moved[k] < STANDS_OUT * around.mean():
        return False
    before, after = signatures[max(k - LASTS, 0) : k], signatures[k : k + LASTS]
    return all(difference(a, b) >= STILL_DIFFERS * CUT for a in before for b in after)


def shots(signatures: Sequence[Signature], pts: I64) -> tuple[Shot, ...]:
    """Shots of a clip, in order and without gaps; ``pts`` (T,)."""
    if not len(pts):
        return ()
    starts = [0, *cuts(signatures)]
    ends = [*(int(pts[k]) for k in starts[1:]), int(pts[-1]) + 1]
    return tuple(Shot(int(pts[start]), end) for start, end in zip(starts, ends, strict=True))


def shot_numbers(found: Sequence[Shot], pts: NDArray[np.int64]) -> I64:
    """(T,) index of the shot of each frame."""
    starts = np.array([shot.first_pts for shot in found], dtype=np.int64)
    return np.asarray(np.searchsorted(starts, pts, side="right") - 1, dtype=np.int64)
