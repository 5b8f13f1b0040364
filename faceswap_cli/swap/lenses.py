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
"""L* over the drawn face from which a reflection shows, a little and wholly"""
_GLARE_SOFT = 0.004
"""Softness of reflections, as a share of the crop"""
_FEW = 30


def behind_lenses(lab: F32, target: F32, lens: F32, points: F32, window: Window) -> F32:
    """Tint the drawn Lab picture (h, w, 3) of ``window`` where ``lens`` (h, w) is, in place.

    Returns how far (h, w) the target's own pixels stay there: reflections, and lenses that hide the eyes.
    ``points`` (478, 2+): the target's mesh, unit coordinates.
    """
    eyes = masks.union(points, (*parts.FEATURE_RINGS[:4],), window, 0.012 * window.side)
    kept = np.zeros(window.shape, np.float32)
    middle = window.pixels(points[[168]])[0, 0]
    columns = np.arange(window.width)[None, :]
    for own in (columns < middle, columns >= middle):
        area = lens * own
        skin = (area > 0.5) & (eyes < 0.5)
        if np.count_nonzero(skin) < _FEW:
            continue
        tint = _tint(lab[skin], target[skin])
        shade = 1.0 - _ramp(tint[0], _TINTED)
        factor = np.float32(1.0 + (tint[0] - 1.0) * shade)
        lit = (lab[..., 0] + LAB_OFFSET) * factor - LAB_OFFSET
        lab[..., 0] += (lit - lab[..., 0]) * area
        for k in (1, 2):
            lab[..., k] += np.float32(shade * tint[k]) * area + (factor - 1) * lab[..., k] * area
        glare = (target[..., 0] - lab[..., 0] - np.float32(_GLARE[0])) / np.float32(_GLARE[1] - _GLARE[0])
        opaque = np.float32(1.0 - _ramp(tint[0], _OPAQUE))
        outside = masks.smoothstep(glare) * (1.0 - eyes)
        kept = np.maximum(kept, np.maximum(outside, opaque) * area)
    return masks.blur(np.asarray(kept, np.float32), _GLARE_SOFT * window.side)


def _tint(drawn: F32, seen: F32) -> tuple[float, float, float]:
    """Ratio of lightness, and shifts of a* and b*, from pixels (P, 3) behind a lens."""
    low, high = np.median(seen, axis=0), np.median(drawn, axis=0)
    ratio = float((low[0] + LAB_OFFSET) / max(float(high[0]) + LAB_OFFSET, 1.0))
    a, b = (float(low[k] - high[k] * ratio) for k in (1, 2))
    return ratio, a, b


def _ramp(value: float, bounds: tuple[float, float]) -> float:
    return min(max((value - bounds[0]) / (bounds[1] - bounds[0]), 0.0), 1.0)
