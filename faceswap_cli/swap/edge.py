"""The edge of a swapped face: where it ends, and how softly.

The mask follows the mesh's oval with the forehead lowered: hair begins there, and a tone arc across the
forehead is what gives a swap away most often.  It fades widely at the top and less along the cheeks.
It moves as smoothly as the mesh does.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap.skin import whole_brows

FOREHEAD = 0.75
"""Top of the mask, as a share of the way from the brows to the top of the mesh."""
TOP = 2.25
"""Width of the soft edge at the top, in widths of that along the cheeks."""
_SIDE = 64
"""Samples a side: distances vary slowly."""
_TOP_FROM = 0.15
"""Share of the forehead's height below the brows from which the edge widens."""
_BROW_TOP = (105, 334)
_BROW_REACH, _BROW_SOFT = 1.0, 1.0
"""How far around a brow the face is whole, and the blur of that, in samples"""
_HEAD_EDGE = 0.03
"""Width of the soft edge of that along the head's outline, in widths of the face"""


def face_mask(points: F32, target: F32, window: Window, feather: float) -> F32:
    """(h, w) in [0, 1] of a mesh (478, 2+) drawn over that of the ``target``, both in unit coordinates.

    ``feather``: width of the soft edge along the cheeks, in widths of the face.
    """
    ring = points[list(parts.OVAL), :2].astype(np.float32)
    brow = points[list(_BROW_TOP), :2].mean(axis=0)
    up = points[10, :2] - brow
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    # The target's own brows are covered too, however high they are.
    brow = brow + up * max(float(((target[list(_BROW_TOP), :2] - brow) @ up).max()), 0.0)
    tall = max(float((points[10, :2] - brow) @ up), 1e-3)
    height = (ring - brow) @ up
    ring = ring - np.where(height > 0, height * (1 - FOREHEAD), 0.0)[:, None] * up
    axis = (np.arange(_SIDE, dtype=np.float32) + 0.5) / _SIDE
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).astype(np.float32)
    rise = ((grid - brow) @ up) / (FOREHEAD * tall) + _TOP_FROM
    across = feather * float(np.ptp(ring[:, 0]))
    top = min(TOP * across, 0.75 * FOREHEAD * tall)
    width = across + (top - across) * masks.smoothstep(rise)
    mask = masks.smoothstep(depth_inside(ring, grid) / width)
    # Half a brow over half of another looks like two.
    brows = masks.blur(whole_brows((points, target), Window.full(_SIDE), _BROW_REACH), _BROW_SOFT)
    mask = np.maximum(mask, brows * _inside_head(points, grid))
    return warp.enlarge(mask, window)


def _inside_head(points: F32, grid: F32) -> F32:
    """(n, n): 1 inside the silhouette of a mesh, 0 from there on; a turned head hides a part of its oval."""
    silhouette = cv2.convexHull(np.ascontiguousarray(points[:, :2], np.float32))[:, 0]
    soft = _HEAD_EDGE * float(np.ptp(silhouette[:, 0]))
    return masks.smoothstep(depth_inside(silhouette, grid) / soft)


def depth_inside(ring: F32, grid: F32) -> F32:
    """How far ``grid`` (n, n, 2) lies inside the closed outline ``ring`` (P, 2), along rays from its middle.

    Negative outside.  For an oval this is the distance from the edge within a tenth, and as smooth as the
    outline.
    """
    center = ring.mean(axis=0)
    away, spokes = grid - center, ring - center
    angle = np.arctan2(spokes[:, 1], spokes[:, 0])
    order = np.argsort(angle)
    radius = np.interp(
        np.arctan2(away[..., 1], away[..., 0]),
        angle[order],
        np.hypot(spokes[:, 0], spokes[:, 1])[order],
        period=2 * np.pi,
    )
    return np.asarray(radius - np.hypot(away[..., 0], away[..., 1]), np.float32)
