"""Upright squares around faces, the checks a mesh must pass, and overlaps of faces.

Matrices are 3x3 ``dst_from_src`` on points with pixel centers at integer + 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from faceswap_cli.faces.landmarks import STABLE, bounds, topology
from faceswap_cli.geometry.align import apply
from faceswap_cli.records import F32, F64, U8

CROP = 256
"""Side of the crops that meshes are measured on."""
MARGIN = 2.0
"""Side of a crop over the size of the mesh in it; the network itself looks at 1.5 times the face."""

_RIGHT_CORNER, _LEFT_CORNER = 33, 263
_HALF = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])


def upright_crop(mesh: F32, side: int = CROP, margin: float = MARGIN) -> F64:
    """(478, 3) mesh -> (3, 3) crop_from_image: eyes level, mesh in the middle."""
    across = (mesh[_LEFT_CORNER] - mesh[_RIGHT_CORNER])[:2].astype(np.float64)
    axis = across / max(float(np.linalg.norm(across)), 1e-6)
    level = np.array([[axis[0], axis[1]], [-axis[1], axis[0]]])
    turned = mesh[:, :2] @ level.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    scale = side / (margin * max(float((high - low).max()), 1.0))
    matrix = np.eye(3)
    matrix[:2, :2] = scale * level
    matrix[:2, 2] = side / 2 - scale * (low + high) / 2
    return matrix


def turn_crop(degrees: float, side: int = CROP) -> F64:
    """(3, 3): a crop turned clockwise about its middle."""
    angle = np.radians(degrees)
    c, s, half = float(np.cos(angle)), float(np.sin(angle)), side / 2
    return np.array([[c, -s, half - c * half + s * half], [s, c, half - s * half - c * half], [0, 0, 1.0]])


def cut(rgb: U8, out_from_image: F64, side: int = CROP, *, sharp: bool = False) -> U8:
    """(H, W, 3) -> (side, side, 3); shrinking averages, outside the picture the border is repeated.

    ``sharp`` interpolates cubically, for crops that are shown and not only measured.
    """
    part, out_from_part = _under(rgb, out_from_image, side)
    scale = float(np.sqrt(abs(np.linalg.det(out_from_part[:2, :2]))))
    while scale < 0.5 and min(part.shape[:2]) > 1:  # halve until a bilinear tap covers the rest: no aliasing
        height, width = part.shape[:2]
        size = (max(width // 2, 1), max(height // 2, 1))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        out_from_part = out_from_part @ np.diag([width / size[0], height / size[1], 1.0])
        scale *= 2
    matrix = np.linalg.inv(_HALF) @ out_from_part @ _HALF
    flags, border = cv2.INTER_CUBIC if sharp else cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.warpAffine(part, matrix[:2], (side, side), flags=flags, borderMode=border), np.uint8
    )


def _under(rgb: U8, out_from_image: F64, side: int) -> tuple[U8, F64]:
    """The part of the picture that a crop can show, and the matrix from it."""
    height, width = rgb.shape[:2]
    corners = np.linalg.inv(out_from_image) @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    margin = 0.1 * float(np.ptp(corners[:2], axis=1).max()) + 4
    low, high = corners[:2].min(axis=1) - margin, corners[:2].max(axis=1) + margin
    x0, y0 = (int(np.clip(v, 0, limit - 1)) for v, limit in zip(low, (width, height), strict=True))
    x1, y1 = (int(np.clip(v, 1, limit)) for v, limit in zip(high, (width, height), strict=True))
    part = rgb[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    return part, out_from_image @ np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1.0]])


def back(mesh: F32, crop_from_image: F64) -> F32:
    """Crop pixels -> pixels of the picture, depth scaled alike."""
    image_from_crop: F64 = np.linalg.inv(crop_from_image).astype(np.float64)
    return apply(image_from_crop, mesh)


def width_px(mesh: F32) -> float:
    """Larger side of the mesh's bounds."""
    box = bounds(mesh)
    return float(max(box[2] - box[0], box[3] - box[1]))


def overlap(one: F32, other: F32) -> float:
    """Intersection over union of two boxes (4,)."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    total = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / max(total, 1e-6)


def shape_error(mesh: F32) -> float:
    """How far the stable points are from those of a real face, in outer eye distances (rms).

    The best similarity in 3-D is taken out, so turning the head costs little; a mesh that was
    drawn onto something that is not a face is bent.
    """
    rows = list(STABLE)
    mean = topology().mean_shape[rows].astype(np.float64)
    points = mesh[rows].astype(np.float64)
    p, q = mean - mean.mean(axis=0), points - points.mean(axis=0)
    u, s, vt = np.linalg.svd(p.T @ q)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = float((s * signs).sum() / (p**2).sum())
    if scale <= 1e-6:
        return float("inf")
    rest = scale * p @ (u * signs @ vt) - q
    return float(np.sqrt((rest**2).sum(axis=1).mean()) / scale)


def without_doubles(meshes: Sequence[F32], limit: float = 0.35) -> list[F32]:
    """Largest first, each face once."""
    kept: list[F32] = []
    for mesh in sorted(meshes, key=width_px, reverse=True):
        if all(not same_face(mesh, other, limit) for other in kept):
            kept.append(mesh)
    return kept


def same_face(one: F32, other: F32, limit: float = 0.35) -> bool:
    """Boxes overlap, or one lies mostly inside the other."""
    a, b = bounds(one), bounds(other)
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    smaller = min(float(np.prod(a[2:] - a[:2])), float(np.prod(b[2:] - b[:2])))
    return overlap(a, b) > limit or shared > 0.75 * max(smaller, 1e-6)
