"""What the mesh of the result says against the mesh of the target: pose, expression, gaze.

Both meshes come from single frames by the same detector, unsmoothed, so the detector's own
noise is part of every figure (on identical clips it is zero).  Points are (..., 478, 3) in
display pixels, depth in the same unit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as index
from faceswap_cli.records import F32, F64

OUTER_CORNERS = (33, 263)
SURFACE = slice(0, 468)
EXPRESSION = (*index.LIPS_OUTER, *index.LIPS_INNER, *index.EYES, *index.BROWS)
EYE_OPEN = 0.12
"""Below this opening (lid distance / corner distance) of the target's eye its gaze is not measured."""


def eye_distance(points: F32) -> F64:
    """(..., 478, 3) -> (...,) distance of the outer eye corners in the picture, px."""
    across = points[..., OUTER_CORNERS[1], :2] - points[..., OUTER_CORNERS[0], :2]
    return np.asarray(np.maximum(np.linalg.norm(across, axis=-1), 1e-6), dtype=np.float64)


def without_pose(moving: F32, fixed: F32) -> F64:
    """(T, 478, 3) ``moving`` carried onto ``fixed`` by one 3-D similarity a frame (Umeyama 1991).

    Fitted on the 468 surface points; what is left between the two is expression and shape.
    """
    a, b = moving.astype(np.float64), fixed.astype(np.float64)
    a_mean = a[:, SURFACE].mean(axis=1, keepdims=True)
    b_mean = b[:, SURFACE].mean(axis=1, keepdims=True)
    a_free, b_free = a - a_mean, b - b_mean
    u, s, vt = np.linalg.svd(a_free[:, SURFACE].transpose(0, 2, 1) @ b_free[:, SURFACE])
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None, :]) @ vt
    scale = (s * sign).sum(axis=1) / np.maximum((a_free[:, SURFACE] ** 2).sum(axis=(1, 2)), 1e-12)
    return np.asarray(scale[:, None, None] * (a_free @ rotation) + b_mean)


def expression_error(result: F32, target: F32) -> F64:
    """(T, 478, 3) twice -> (T,) in % of the target's outer eye distance.

    Mean 3-D distance over lips, eyelids and brows once place, size and pose are removed.  A
    person's own shape stays in it: two different faces with the same expression do not give 0.
    """
    points = list(EXPRESSION)
    apart = np.linalg.norm(without_pose(result, target)[:, points] - target[:, points], axis=-1)
    return np.asarray(100 * apart.mean(axis=1) / eye_distance(target))


def eyes_open(points: F32) -> NDArray[np.bool_]:
    """(T, 478, 3) -> (T,): are both eyes open far enough to show where they look?"""
    return np.asarray(index.eye_apertures(points).min(axis=-1) >= EYE_OPEN)


def gaze_error(result: F32, target: F32) -> F64:
    """(T, 478, 3) twice -> (T,) in % of the eye's width, mean of both; NaN where the target's are shut."""
    apart = np.linalg.norm(index.gaze_offsets(result) - index.gaze_offsets(target), axis=-1).mean(axis=-1)
    return np.asarray(np.where(eyes_open(target), 100 * apart, np.nan))


def pose_error(result: F64, target: F64) -> F64:
    """(T, 3) yaw, pitch, roll in degrees, twice -> (T,) Euclidean norm of their differences."""
    apart = (np.asarray(result) - np.asarray(target) + 180.0) % 360.0 - 180.0
    return np.asarray(np.linalg.norm(apart, axis=-1))
