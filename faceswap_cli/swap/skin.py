"""Parts of a face in which detail and color are compared."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance

_SIDE = 128
_INNER_END, _OUTER_END = (4, 5), (0, 9)
"""Of a brow's ring"""
_TAIL = 1.15
"""Length of a brow up to the tip of its tail, in lengths of its ring"""
_EDGE = 0.004
"""How far around brows and lips form ends, as a share of the crop"""
_INNER = 0.85
"""Size of the inner face, as a share of the oval."""


def inner_face(points: F32, window: Window) -> F32:
    """(h, w) face without its rim and without the mouth's interior; 0 or 1."""
    oval = points[list(parts.OVAL), :2]
    center = oval.mean(axis=0)
    inner = masks.fill_polygon((oval - center) * _INNER + center, window)
    mouth = masks.fill_polygon(points[list(parts.LIPS_INNER), :2], window)
    return np.asarray((inner > 127) & (mouth < 127), np.float32)


def brows(points: F32, window: Window) -> NDArray[np.bool_]:
    """(h, w) where the brows are."""
    return np.asarray(masks.union(points, parts.FEATURE_RINGS[2:4], window) > 0.5)


def whole_brows(meshes: Sequence[F32], window: Window, grown: float = 0.0) -> F32:
    """(h, w) in [0, 1]: the brows of all ``meshes`` with their tails, which are longer than the mesh's rings.

    ``grown`` pixels wider.
    """
    area = np.zeros(window.shape, np.uint8)
    for points in meshes:
        for ring in (parts.LEFT_BROW_RING, parts.RIGHT_BROW_RING):
            brow = points[list(ring), :2]
            inner, outer = (brow[list(rows)].mean(axis=0) for rows in (_INNER_END, _OUTER_END))
            tip = inner + np.float32(_TAIL) * (outer - inner)
            # A tail that ended square would look cut off.
            masks.fill_polygon(np.concatenate([tip[None], brow[1:9]]), window, area)
    return masks.dilated(area, grown).astype(np.float32) / np.float32(255)


def bare_form(points: F32, window: Window) -> F32:
    """(h, w) in [0, 1]: what has its form from light, lids and nostrils too, but no brows and no lips."""
    brows_and_lips = parts.FEATURE_RINGS[2:5]
    return warp.enlarge(appearance.skin_area(points, _SIDE, brows_and_lips, _EDGE), window)


def inner_skin(points: F32, window: Window, weight: F32 | None = None) -> NDArray[np.bool_]:
    """(h, w) where the inner face is skin: no brows, eyes, lips or nostrils.

    ``weight`` (n, n) of the whole crop, where it is known better what is skin (``appearance.skin_weight``).
    """
    size = (_SIDE, _SIDE)
    skin = appearance.skin_area(points, _SIDE) if weight is None else cv2.resize(weight, size)
    small = skin * inner_face(points, Window.full(_SIDE))
    return np.asarray(warp.enlarge(small.astype(np.float32), window) > 0.5)
