"""Masks: the parts of the face to swap, and the user's picture of what stays."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli.errors import InputError
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, FaceCrop

_REACH = {"brows": 0.02, "eyes": 0.03, "nose": 0.012, "mouth": 0.02}
"""How far around its outline a part reaches, as a share of the crop"""
_SOFT = 0.012
_NOSE = (168, 6, 122, 351, 209, 429, 129, 358, 64, 294, 98, 327, 2, 4)
_RINGS = {
    "brows": parts.FEATURE_RINGS[2:4],
    "eyes": (parts.LEFT_EYE, parts.RIGHT_EYE),
    "mouth": (parts.LIPS_OUTER,),
}


def regions_mask(points: F32, window: Window, names: str) -> F32:
    """(h, w) in [0, 1] of the parts ``names`` (with commas) of a mesh (478, 2+) in unit coordinates."""
    chosen = {name.strip() for name in names.split(",")}
    own = {name: _part(points, window, name) for name in ("brows", "eyes", "nose", "mouth")}
    row = (np.arange(window.height, dtype=np.float32) + window.y + 0.5)[:, None] / window.side
    brows = float(points[list(parts.BROWS), 1].min())
    own["forehead"] = np.broadcast_to(masks.smoothstep((brows - row) / 0.02 + 0.5), window.shape)
    total = np.maximum.reduce(list(own.values()))
    own["skin"] = np.asarray(1.0 - total, np.float32)
    mask = np.maximum.reduce([own[name] for name in sorted(chosen)])
    return masks.blur(np.asarray(mask, np.float32), _SOFT * window.side)


def _part(points: F32, window: Window, name: str) -> F32:
    reach = _REACH[name] * window.side
    if name == "nose":
        hull = cv2.convexHull(np.ascontiguousarray(points[list(_NOSE), :2], np.float32))[:, 0]
        shape = masks.fill_polygon(hull, window).astype(np.float32) / np.float32(255)
        return masks.grow(shape, reach)
    return masks.union(points, _RINGS[name], window, reach)


def kept_by_picture(path: Path, crop: FaceCrop, window: Window) -> F32:
    """(h, w) in [0, 1]: where the picture ``path``, as large as the frame, is white."""
    shift = np.array([[1, 0, -window.x - 0.5], [0, 1, -window.y - 0.5], [0, 0, 1.0]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    matrix = (shift @ crop.crop_from_frame @ half)[:2]
    size = (window.width, window.height)
    return np.asarray(cv2.warpAffine(_picture(path), matrix, size, flags=cv2.INTER_LINEAR), np.float32)


@lru_cache(maxsize=2)
def _picture(path: Path) -> F32:
    found = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if found is None:
        raise InputError(f"the occlusion mask {path} cannot be read; give a PNG as large as the frame")
    return np.asarray(found, np.float32) / np.float32(255)
