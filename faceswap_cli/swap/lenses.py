"""A face behind lenses: tinted as the target's is, under the target's reflections."""

from __future__ import annotations

import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap.appearance import LAB_OFFSET

_TINTED = (0.82, 0.92)
"""Lightness behind a lens over that of the drawn face, below which the lens counts as tinted, and from which
it does not: eye sockets differ between people too"""
_OPAQUE = (0.3, 0.45)
"""The same ratio up to which nothing is seen through a lens, and from which on everything is"""
_GLARE = (9.0, 22.0)
"""L* over the drawn face, and over the target's skin, from which a reflection shows, a little and wholly"""
_GLARE_SOFT = 0.004
"""Softness of reflections, as a share of the crop"""
_FEW = 8


def behind_lenses(lab: F32, target: F32, lens: F32, points: F32, window: Window) -> F32:
    """Tint the drawn Lab picture (h, w, 3) of ``window`` where ``lens`` (h, w) is, in place.

    Returns how far (h, w) the target's own pixels stay there: reflections, and lenses that hide the eyes.
    ``points`` (478, 2+): the target's mesh, unit coordinates.
    """
    kept = np.zeros(window.shape, np.float32)
    rows, columns = (np.flatnonzero((lens > 0).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return kept
    # Blurred reflections reach a little beyond the lenses.
    edge = int(3 * _GLARE_SOFT * window.side) + 2
    top, left = max(int(rows[0]) - edge, 0), max(int(columns[0]) - edge, 0)
    part = (slice(top, int(rows[-1]) + edge + 1), slice(left, int(columns[-1]) + edge + 1))
    height, width = lens[part].shape
    inner = Window(window.x + left, window.y + top, width, height, window.side)
    kept[part] = _tinted(lab[part], target[part], lens[part], points, inner)
    return kept


def _tinted(lab: F32, target: F32, lens: F32, points: F32, window: Window) -> F32:
    eyes = masks.union(points, (*parts.FEATURE_RINGS[:4],), window, 0.012 * window.side)
    kept = np.zeros(window.shape, np.float32)
    middle = min(max(round(float(window.pixels(points[[168]])[0, 0])), 0), window.width)
    for own in (np.s_[:, :middle], np.s_[:, middle:]):
        kept[own] = _one_lens(lab[own], target[own], lens[own], eyes[own])
    return masks.blur(kept, _GLARE_SOFT * window.side)


def _one_lens(lab: F32, target: F32, lens: F32, eyes: F32) -> F32 | float:
    """:func:`behind_lenses` of one side of the nose, sharp; ``eyes`` (h, w) with the brows."""
    some = np.s_[::2, ::2]  # enough for medians
    skin = (lens[some] > 0.5) & (eyes[some] < 0.5)
    if np.count_nonzero(skin) < _FEW:
        return 0.0
    drawn, seen = (np.median(x[some][skin], axis=0) for x in (lab, target))
    tint = _tint(drawn, seen)
    shade = 1.0 - _ramp(tint[0], _TINTED)
    factor = np.float32(1.0 + (tint[0] - 1.0) * shade)
    if shade > 0.0:
        lit = (lab[..., 0] + LAB_OFFSET) * factor - LAB_OFFSET
        lab[..., 0] += (lit - lab[..., 0]) * lens
        for k in (1, 2):
            lab[..., k] += np.float32(shade * tint[k]) * lens + (factor - 1) * lab[..., k] * lens
    # Brighter than either skin: the target's own wrinkles are no reflections.
    base = np.maximum(lab[..., 0], seen[0])
    glare = (target[..., 0] - base - np.float32(_GLARE[0])) / np.float32(_GLARE[1] - _GLARE[0])
    opaque = np.float32(1.0 - _ramp(tint[0], _OPAQUE))
    return np.asarray(np.maximum(masks.smoothstep(glare) * (1.0 - eyes), opaque) * lens, np.float32)


def _tint(drawn: F32, seen: F32) -> tuple[float, float, float]:
    """Ratio of lightness, and shifts of a* and b*, from Lab (3,) behind a lens."""
    ratio = float((seen[0] + LAB_OFFSET) / max(float(drawn[0]) + LAB_OFFSET, 1.0))
    a, b = (float(seen[k] - drawn[k] * ratio) for k in (1, 2))
    return ratio, a, b


def _ramp(value: float, bounds: tuple[float, float]) -> float:
    return min(max((value - bounds[0]) / (bounds[1] - bounds[0]), 0.0), 1.0)
