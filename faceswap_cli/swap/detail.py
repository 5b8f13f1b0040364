"""Sharpness and grain: those of the target's own skin, never harsher than the footage.

L* is split into octave bands.  Each band of the drawn face is scaled to the strength that it has on the
target's skin, up or, mostly, down; what the source cannot give (a small photograph, clean skin in grainy
footage) is taken from the target's own skin, which carries the noise of the footage, its coding and its pores
exactly, and moves with the target.  Strengths are medians, so that folds, hairs and rims do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.records import F32
from faceswap_cli.swap.appearance import DEVIATION, FEW_PIXELS, split_bands

BANDS = 3
GAIN_LOW = np.array([0.1, 0.35, 0.8], np.float32)
GAIN_HIGH = np.array([1.25, 1.15, 1.05], np.float32)
"""Limits of the gains, fine to coarse.  The coarse band holds features, which are the source's."""
CODED = np.float32(1.1)
"""The finest band is made this much stronger: pasting and coding take of it."""
_BORROWED = 2
"""Bands that may be taken from the target's skin."""
_CLIP = 2.5
"""Deviations at which borrowed detail is cut: what is stronger is a fold, a hair or an edge."""
_COLOR_SIGMA = 2.0
_LEAST = np.float32(1e-3)
_NOISELESS = 0.15
"""Deviation of a* and b* below which there is no color noise worth adding."""


def measure(layers: Sequence[F32], skin: NDArray[np.bool_]) -> F32:
    """(K,) robust deviations of detail layers (h, w) on ``skin`` (h, w); ones where there is too little."""
    if np.count_nonzero(skin) < FEW_PIXELS:
        return np.ones(len(layers), np.float32)
    return np.array([DEVIATION * np.median(np.abs(layer[skin])) for layer in layers], np.float32) + _LEAST


def match_detail(lab: F32, target: F32, wanted: F32, skin: NDArray[np.bool_]) -> None:
    """Bring the detail of a drawn face to the target's, in place.

    ``lab``, ``target`` (h, w, 3) L*a*b* of the same window; ``wanted`` (BANDS,) deviations of the target's
    skin, smoothed over time; ``skin`` (h, w) where the drawn face shows skin.
    """
    *layers, base = split_bands(np.ascontiguousarray(lab[..., 0]))
    have = measure(layers, skin)
    wanted = wanted * np.array([CODED, 1.0, 1.0], np.float32)
    gains = np.clip(wanted / have, GAIN_LOW, GAIN_HIGH)
    for layer, gain in zip(layers, gains, strict=True):
        base += layer * gain
    missing = np.sqrt(np.maximum(wanted**2 - (have * gains) ** 2, 0.0)) / wanted
    own = split_bands(np.ascontiguousarray(target[..., 0]), _BORROWED)
    for layer, share, strength in zip(own[:_BORROWED], missing, wanted, strict=False):
        if share > 0.05:
            limit = float(_CLIP * strength)
            base += np.clip(layer, -limit, limit) * share
    lab[..., 0] = base
    _add_color_noise(lab, target, skin)


def _add_color_noise(lab: F32, target: F32, skin: NDArray[np.bool_]) -> None:
    for k in (1, 2):
        fine = [_fine(np.ascontiguousarray(x[..., k])) for x in (target, lab)]
        there, have = measure(fine, skin)
        if there > max(have, _NOISELESS):
            share = np.sqrt(1.0 - (have / there) ** 2)
            lab[..., k] += np.clip(fine[0], -_CLIP * there, _CLIP * there) * share


def _fine(plane: F32) -> F32:
    smooth = cv2.GaussianBlur(plane, (0, 0), _COLOR_SIGMA, borderType=cv2.BORDER_REFLECT)
    return np.asarray(plane - smooth, np.float32)
