"""Where one shot ends and the next begins.

Each frame leaves a small signature.  Two frames differ when neither their colours nor their
layout agree: a flash changes the colours but not the layout, a pan the layout but not the
colours (and the layout agrees again once it is shifted).  A cut is a difference that stands out from its
neighbourhood and that lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.records import F32, F64, I64, U8, Shot

LAYOUT = (32, 18)
REACH = 3
"""Layouts are compared at shifts of up to so many cells: a pan of a tenth of the picture per frame."""
COLOUR_CUT = 0.30
"""Chi-square distance of the colour histograms, 0 to 1, above which colours disagree."""
LAYOUT_CUT = 0.45
"""1 - correlation of the layouts at the best shift."""
SURE_COLOUR, SURE_LAYOUT = 0.08, 0.72
"""A pair with a completely different layout needs less difference of colour."""
STANDS_OUT = 2.0
"""A cut's difference over the median of its neighbours'."""
NEIGHBOURS = 4
LASTS = 3
"""So many frames on each side must all differ."""


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """What is kept of a frame for finding cuts: about 700 bytes."""

    layout: U8 = field(repr=False)
    """(18, 32) luma"""
    colours: F32 = field(repr=False)
    """(64,) histogram over 4 x 4 x 4 colours, sum 1, counted softly"""


def signature(thumbnail: U8) -> Signature:
    """(27, 48, 3) -> its signature."""
    grey = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY)
    layout = np.asarray(cv2.resize(grey, LAYOUT, interpolation=cv2.INTER_AREA), np.uint8)
    return Signature(layout, _histogram(thumbnail))


def _histogram(rgb: U8) -> F32:
    """Trilinear counts over 4 bins per channel, so that a colour near a border does not jump."""
    place = rgb.reshape(-1, 3).astype(np.float32) * (3 / 255)
    low = np.minimum(place.astype(np.int64), 2)
    share = place - low
    bins = np.zeros(64, np.float32)
    for corner in range(8):
        step = np.array([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
        weight = np.where(step == 1, share, 1 - share).prod(axis=1)
        bins += np.bincount((low + step) @ np.array([16, 4, 1]), weight, 64).astype(np.float32)
    return (bins / np.float32(max(len(place), 1))).astype(np.float32)


def colour_distance(one: Signature, other: Signature) -> float:
    """Chi-square distance of the histograms in [0, 1]."""
    total = one.colours + other.colours
    squares = (one.colours - other.colours) ** 2
    return float(0.5 * (squares[total > 0] / total[total > 0]).sum())


def layout_distance(one: Signature, other: Signature) -> float:
    """1 - the best correlation of the layouts over small shifts; brightness and contrast do not matter."""
    a = one.layout[REACH:-REACH, REACH:-REACH].astype(np.float32)
    b = other.layout.astype(np.float32)
    if a.std() < 1.0 or b.std() < 1.0:  # a blank picture correlates with nothing
        return 0.0 if a.std() < 1.0 and b.std() < 1.0 else 1.0
    return float(1 - cv2.matchTemplate(b, a, cv2.TM_CCOEFF_NORMED).max())


def difference(one: Signature, other: Signature) -> float:
    """How much two frames differ; from 1 on they may be two shots."""
    colour, layout = colour_distance(one, other), layout_distance(one, other)
    usual = min(colour / COLOUR_CUT, layout / LAYOUT_CUT)
    sure = min(colour / SURE_COLOUR, layout / SURE_LAYOUT)
    return max(usual, sure)


def cuts(signatures: Sequence[Signature]) -> tuple[int, ...]:
    """Positions of the first frames of new shots."""
    steps = np.array([difference(a, b) for a, b in pairwise(signatures)])
    return tuple(k + 1 for k in range(len(steps)) if steps[k] >= 1 and _is_cut(k, steps, signatures))


def _is_cut(k: int, steps: F64, signatures: Sequence[Signature]) -> bool:
    """Whether the step from frame k to k + 1 stands out and lasts."""
    around = np.concatenate([steps[max(k - NEIGHBOURS, 0) : k], steps[k + 1 : k + 1 + NEIGHBOURS]])
    if len(around) >= 2 and steps[k] < STANDS_OUT * np.median(around):
        return False
    # A flash or a damaged frame: what comes after it looks again like what was before.
    before, after = signatures[max(k - LASTS + 1, 0) : k + 1], signatures[k + 1 : k + 1 + LASTS]
    return all(difference(a, b) >= 1 for a in before for b in after)


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
