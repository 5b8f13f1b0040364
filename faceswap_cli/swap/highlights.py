"""Strong highlights of the source photograph, taken off its texture once.

What is much lighter and paler than the skin around it is the room's light, and would shine in every scene.
Small differences stay: they are the form of the face.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance

_FROM, _PALE = 8.0, 12.0
"""L* above the skin around from which skin shines, and over which its color goes"""
_SHARE = 0.85
"""Part of a highlight that is taken off"""
_AROUND, _FINE = 0.06, 0.008
"""Blurs of the skin around a highlight and of the highlight, as shares of the side"""
_SIDE = 96


def without_highlights(lab: F32, points: F32) -> F32:
    """A texture (S, S, 3) L*a*b* with mesh ``points`` (478, 3) without strong highlights."""
    side = lab.shape[0]
    small = cv2.resize(lab, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    weight = appearance.skin_weight(small, points) + np.float32(1e-3)
    base = warp.enlarge(masks.masked_blur(small, weight, _AROUND * _SIDE)[0], side)
    skin = appearance.skin_area(points, side)
    shine = np.maximum(masks.blur(lab[..., 0], _FINE * side) - base[..., 0] - _FROM, 0.0) * skin
    out = lab.copy()
    out[..., 0] -= _SHARE * shine
    out[..., 1:] += (base[..., 1:] - lab[..., 1:]) * np.clip(shine / _PALE, 0.0, _SHARE)[..., None]
    return out
