"""Names for the 478 points of the face mesh.  Left and right are the subject's.

Index sets are ordered along their contour.  The mesh is the one of mediapipe (Apache-2.0); the
table ``topology.npz`` beside this file is made by ``weights/build/topology.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.records import F32, F64

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_BROW = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
NOSE = (168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327)
RIGHT_IRIS = (468, 469, 470, 471, 472)
"""Center, then the rim: image right, top, image left, bottom."""
LEFT_IRIS = (473, 474, 475, 476, 477)

LEFT_BROW_RING = (276, 283, 282, 295, 285, 336, 296, 334, 293, 300)
RIGHT_BROW_RING = (46, 53, 52, 65, 55, 107, 66, 105, 63, 70)
NOSTRILS_RING = (98, 97, 2, 326, 327, 4)
FEATURE_RINGS = (LEFT_EYE, RIGHT_EYE, LEFT_BROW_RING, RIGHT_BROW_RING, LIPS_OUTER, NOSTRILS_RING)
"""Closed outlines of what is not skin inside the oval."""
LEFT_LIDS = (386, 374, 362, 263)
"""Middle of the upper lid, of the lower lid, inner and outer corner of the eye."""
RIGHT_LIDS = (159, 145, 133, 33)
LEFT_EAR, RIGHT_EAR = 454, 234
"""Outermost points of the oval, before the ears."""

LIPS = LIPS_OUTER + LIPS_INNER
EYES = LEFT_EYE + RIGHT_EYE
BROWS = LEFT_BROW + RIGHT_BROW
IRISES = RIGHT_IRIS + LEFT_IRIS

_NEAR, _REACH = 0.05, 0.07
"""How far around a point that moves the skin follows, in distances of the outer eye corners"""
_IRIS_SEEN = (0.09, 0.18)
"""Opening of an eye, in widths of it, up to which nothing of the iris is seen, and from which on enough."""
SUBSET = OVAL + LIPS + EYES + BROWS + NOSE + IRISES
"""152 points that say all that matters of shape and expression."""

STABLE = (
    *(33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 19, 2, 98, 327, 10, 151, 9, 8),
    *(109, 338, 67, 297, 103, 332, 54, 284, 21, 251, 162, 389, 127, 356, 234, 454, 116, 345),
)
"""Points that speech and expression hardly move: forehead, temples, eye corners, nose."""

FIVE = (263, 362, 33, 133, 2)
"""Eye corners (left outer, left inner, right outer, right inner) and the base of the nose."""


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """How the points hang together."""

    triangles: NDArray[np.int64] = field(repr=False)
    """(852, 3) the surface, open at eyes and mouth; clockwise as seen (y down, front side)"""
    closed: NDArray[np.int64] = field(repr=False)
    """(898, 3) the same with eyes and mouth filled"""
    mirror: NDArray[np.int64] = field(repr=False)
    """(478,) index of each point's mirror image"""
    mean_shape: F32 = field(repr=False)
    """(478, 3) symmetric mean face: centered, outer eye corners 1 apart, x right, y down, z to the back"""


@lru_cache(maxsize=1)
def topology() -> Topology:
    """The table of the mesh, read once."""
    with np.load(Path(__file__).with_name("topology.npz")) as table:
        skin, fill = table["skin"].astype(np.int64), table["fill"].astype(np.int64)
        return Topology(
            triangles=skin,
            closed=np.concatenate([skin, fill]),
            mirror=table["mirror"].astype(np.int64),
            mean_shape=table["mean_shape"].astype(np.float32),
        )


def following(rows: Sequence[int]) -> F32:
    """(478, R): how far each point of the mesh goes with each of ``rows``: around them the skin follows."""
    mean = topology().mean_shape[:, :2]
    apart = np.linalg.norm(mean[:, None] - mean[None, list(rows)], axis=-1)
    near = np.exp(-np.square(apart / _NEAR))
    follow = near / np.maximum(near.sum(axis=1, keepdims=True), 1e-6)
    follow *= np.exp(-np.square(apart.min(axis=1, keepdims=True) / _REACH))
    follow[list(rows)] = np.eye(len(rows))
    return np.asarray(follow, np.float32)


def mirrored(landmarks: F32, width: float) -> F32:
    """(..., 478, 2 or 3) points of the horizontally flipped picture of ``width`` pixels."""
    flipped: F32 = np.ascontiguousarray(landmarks[..., topology().mirror, :])
    flipped[..., 0] = width - flipped[..., 0]
    return flipped


def bounds(landmarks: F32) -> F32:
    """(..., 478, 2 or 3) -> (..., 4) x0, y0, x1, y1 of the mesh."""
    xy = landmarks[..., :2]
    return np.concatenate([xy.min(axis=-2), xy.max(axis=-2)], axis=-1).astype(np.float32)


def eye_apertures(landmarks: F32) -> F32:
    """(..., 478, 2 or 3) -> (..., 2): opening of the left and right eye as a share of its width."""
    ratios = []
    for upper, lower, inner, outer in (LEFT_LIDS, RIGHT_LIDS):
        opening = np.linalg.norm(landmarks[..., upper, :2] - landmarks[..., lower, :2], axis=-1)
        width = np.linalg.norm(landmarks[..., inner, :2] - landmarks[..., outer, :2], axis=-1)
        ratios.append(opening / np.maximum(width, 1e-6))
    return np.stack(ratios, axis=-1).astype(np.float32)


def mouth_opening(points: F32) -> float:
    """Opening of the inner lips of a mesh (478, 2 or 3), as a share of the mouth's width."""
    width = float(np.linalg.norm(points[308, :2] - points[78, :2]))
    return float(np.linalg.norm(points[14, :2] - points[13, :2])) / max(width, 1e-6)


def seen_irises(landmarks: F32) -> F32:
    """(..., 478, 2 or 3) -> (..., 2): how much of the left and right iris open lids show, 0 to 1."""
    begin, whole = _IRIS_SEEN
    return np.asarray(np.clip((eye_apertures(landmarks) - begin) / (whole - begin), 0.0, 1.0), np.float32)


def gaze_offsets(landmarks: F32) -> F64:
    """(..., 478, 2 or 3) -> (..., 2 eyes, 2): iris center from the middle of the eye's corners, right first.

    In the eye's own axes (outer to inner corner, and across it), in units of the distance of its corners.
    """
    xy = landmarks[..., :2].astype(np.float64)
    offsets = []
    for (_, _, inner, outer), iris in ((RIGHT_LIDS, RIGHT_IRIS), (LEFT_LIDS, LEFT_IRIS)):
        along = xy[..., inner, :] - xy[..., outer, :]
        width = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
        along = along / width
        across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
        away = (xy[..., iris[0], :] - (xy[..., outer, :] + xy[..., inner, :]) / 2) / width
        offsets.append(np.stack([(away * along).sum(axis=-1), (away * across).sum(axis=-1)], axis=-1))
    return np.stack(offsets, axis=-2)
