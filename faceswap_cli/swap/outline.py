"""The head's outline, bent toward the source's.

Jaw and cheeks of the frame move to where the swapped face has them; around them everything moves along, less
and less, and nothing beyond 1.45 times the oval.  The frame itself is bent, sample by sample
(``geometry.paste``), so that hair and background pass through one interpolation only.
"""

from __future__ import annotations

import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32, Bend, FaceCrop
from faceswap_cli.swap.edge import depth_inside

FIXED = 1.45
"""Times the oval from which on nothing moves."""
SPAN = 1.5
"""Side of the square that is bent, in sides of the crop in its middle: chins reach the crop's border, and the
neck below moves along."""
_RINGS = (FIXED, 1.7, 2.0)
_LEAST = 0.0015
"""Moves below this share of the crop are not worth an interpolation."""
_LEVELS = (4, 12, 36)
_SIDE = 144
_BORDER = 16


def bend_field(points: F32, drawn: F32) -> F32 | None:
    """(n, n, 2): what the bent frame shows at p lies at p + field(p); None where nothing moves.

    ``points``, ``drawn`` (478, 2+): the target's mesh and the swapped face's in unit coordinates of the crop.
    The field is in those of the square of side :data:`SPAN` around it, as are its moves.
    """
    moves = points[list(parts.OVAL), :2] - drawn[list(parts.OVAL), :2]
    if float(np.linalg.norm(moves, axis=1).max()) < _LEAST:
        return None
    oval, moves = (drawn[list(parts.OVAL), :2] - 0.5) / SPAN + 0.5, moves / SPAN
    center = oval.mean(axis=0)
    rings = [center + (oval - center) * k for k in _RINGS]
    t = (np.arange(_BORDER, dtype=np.float32) + 0.5) / _BORDER
    zero = np.zeros_like(t)
    border = [np.stack(pair, axis=1) for pair in ((t, zero), (t, zero + 1), (zero, t), (zero + 1, t))]
    fixed = np.concatenate([*rings, *border])
    # Inside, the mean of all moves: only the rim of what lies there is ever shown.
    inner = [center + (oval - center) * k for k in (0.4, 0.7, 0.85)]
    places = np.concatenate([oval, *inner, fixed]).astype(np.float32)
    moved = np.concatenate([moves, *(moves * k for k in (0.4, 0.7, 0.85)), np.zeros_like(fixed)])
    field = warp.scatter(places, moved.astype(np.float32), levels=_LEVELS, side=_SIDE)
    return np.asarray(field * _inside(center, oval)[..., None], np.float32)


def in_crop(field: F32) -> F32:
    """The part of :func:`bend_field` in the crop, in its unit coordinates."""
    edge = round(field.shape[0] * (1 - 1 / SPAN) / 2)
    return np.ascontiguousarray(field[edge:-edge, edge:-edge]) * np.float32(SPAN)


def frame_bend(field: F32, crop: FaceCrop) -> Bend:
    """:func:`bend_field` as the frame is bent with it."""
    side = crop.rgb.shape[0]
    edge = side * (SPAN - 1) / 2
    square_from_crop = np.array([[1.0, 0.0, edge], [0.0, 1.0, edge], [0.0, 0.0, 1.0]])
    return Bend(field, square_from_crop @ crop.crop_from_frame, side * SPAN)


def _inside(center: F32, oval: F32) -> F32:
    """(n, n) 1 within 1.25 times the oval, 0 beyond ``FIXED``: a spline overshoots a little everywhere."""
    axis = (np.arange(_SIDE, dtype=np.float32) + 0.5) / _SIDE
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).astype(np.float32)
    outer = (center + (oval - center) * FIXED).astype(np.float32)
    soft = 0.2 * float(np.ptp(oval[:, 0])) / 2
    return masks.smoothstep(depth_inside(outer, grid) / soft)
