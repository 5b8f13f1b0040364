"""What already lies in front of the faces of a pool: fringes and glasses that nobody has marked.

Judged by color, roughly: hair over the forehead, temples and cheeks is what looks more like the hair above
the face than like skin; beside the face it must also be joined to what surrounds it.  What else looks odd
below the eyes is a beard, a shadow or make-up far more often than a thing, so it counts as face, and more
than other skin does.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance
from faceswap_cli.swap.texture import hair_beside, odd_skin

_SIDE = 64
_ODD = np.array((24.0, 14.0, 16.0), np.float32)
"""L*, a*, b* differences from the face's mean light that are still skin."""
_HAIR_RATIO, _HAIR_FROM_SKIN = 0.5, 14.0
"""Nearer to the crown's color than this share of the distance to skin, and so far from skin: hair."""
_BESIDE_SIDE, _BESIDE_RATIO, _BESIDE = 96, 0.7, 0.5
"""Beside the face: side at which it is looked for, that share there, and the share of a cell that must be"""
_OUTSIDE, _GUESSED, _MAYBE, _HARD = 0.08, 0.6, 0.3, 1.6
"""Weights: around the face, where hair was guessed, where glasses or shadows may be, where skin looks odd."""


def outline_weight(points: F32, side: int) -> F32:
    """(side, side) 1 in the face outline and just around it, little elsewhere."""
    hull = masks.grow(masks.union(points, (parts.OVAL,), side), 3 * side / 128)
    return np.asarray(_OUTSIDE + (1 - _OUTSIDE) * hull, np.float32)


def already_covered(rgb: F32, points: F32, *, glasses: bool = False) -> tuple[F32, F32]:
    """Share that hair covers and weight, each (S, S), of a picture (S, S, 3) in [0, 1] with nothing added.

    ``points`` (478, 2+) unit coordinates; with ``glasses`` nothing beside the face is sure to be hair.
    """
    side = rgb.shape[0]
    lab = appearance.lab_from_float(cv2.resize(rgb, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA))
    light = appearance.light_at(lab, appearance.skin_weight(lab, points), points).mean(axis=0)
    features = masks.grow(masks.union(points, parts.FEATURE_RINGS, _SIDE), 1)
    odd = ((np.abs(lab - light) / _ODD).max(axis=2) > 1.0) * (1 - features)
    from_skin = np.linalg.norm(lab - light, axis=2)
    from_crown = np.linalg.norm(lab - _crown(lab, points), axis=2)
    hair = (from_crown < _HAIR_RATIO * from_skin) & (from_skin > _HAIR_FROM_SKIN)
    row = (np.arange(_SIDE, dtype=np.float32)[:, None] + 0.5) / _SIDE
    brows, nose, mouth = (float(points[list(ring), 1].mean()) for ring in (parts.BROWS, (197,), (13,)))
    forehead, eyes, sides = row < brows - 0.03, row < nose, row < mouth
    weight = np.where(odd > 0.5, np.where(eyes, np.where(forehead & hair, _GUESSED, _MAYBE), _HARD), 1.0)
    beside = _beside(rgb, points) & (features < 0.5) & sides & ~forehead
    weight = np.where(beside | ((odd > 0.5) & hair & sides & ~forehead), 0.05, weight)
    beside &= (from_crown < _BESIDE_RATIO * from_skin) & (from_skin > _HAIR_FROM_SKIN)
    beside &= not glasses
    weight = np.where(beside, _GUESSED, weight)
    covered = (beside | ((odd > 0.5) & forehead & hair)).astype(np.float32)
    both = (cv2.resize(x.astype(np.float32), (side, side)) for x in (covered, weight))
    covered, weight = both
    return covered, np.asarray(weight * outline_weight(points, side), np.float32)


def _beside(rgb: F32, points: F32) -> NDArray[np.bool_]:
    """(n, n) where hair, or something else around the face, lies over temples and cheeks."""
    n = _BESIDE_SIDE
    lab = appearance.lab_from_float(cv2.resize(rgb, (n, n), interpolation=cv2.INTER_AREA))
    skin = appearance.skin_weight(lab, points)
    found = hair_beside(lab, skin, points, odd_skin(skin, points) > 0.5)
    return np.asarray(cv2.resize(found, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) > _BESIDE)


def _crown(lab: F32, points: F32) -> F32:
    """(3,) median color just above the face outline."""
    up = points[10] - points[152]
    x, y = np.clip((points[10] + 0.17 * up)[:2] * _SIDE, 3, _SIDE - 4).astype(int)
    return np.asarray(np.median(lab[y - 3 : y + 4, x - 6 if x > 6 else 0 : x + 7].reshape(-1, 3), axis=0))
