"""Which way a head is turned, from its mesh alone.

Angles in degrees, of the head as the viewer sees it; left and right are the subject's:
``yaw`` > 0 the head is turned to its left (the nose points to the image's right), ``pitch`` > 0
it looks up, ``roll`` > 0 it leans towards its left shoulder (turned clockwise in the image).
Zero is the mean frontal face of ``faces.landmarks.topology().mean_shape``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from faceswap_cli.faces.landmarks import STABLE, topology
from faceswap_cli.records import F32, F64


class Pose(NamedTuple):
    """Arrays of one shape, degrees."""

    yaw: F64
    pitch: F64
    roll: F64


def rotation(landmarks: F32) -> F64:
    """(..., 478, 3) meshes -> (..., 3, 3) rotation of the mean face onto each (Kabsch 1976).

    Axes: x to the image's right, y down, z away from the viewer.
    """
    rows = list(STABLE)
    mean = topology().mean_shape[rows].astype(np.float64)
    points = np.asarray(landmarks, dtype=np.float64)[..., rows, :]
    p = mean - mean.mean(axis=0)
    q = points - points.mean(axis=-2, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("...ki,kj->...ij", q, p))
    signs = np.ones((*u.shape[:-2], 3))
    signs[..., 2] = np.sign(np.linalg.det(u @ vt))
    turned: F64 = (u * signs[..., None, :]) @ vt
    return turned


def pose(landmarks: F32) -> Pose:
    """(..., 478, 3) meshes -> angles of shape (...,).

    The rotation is taken apart as roll after yaw after pitch, so yaw and pitch are those of the
    head held level, whatever its roll.
    """
    r = rotation(landmarks)
    yaw = np.arcsin(np.clip(r[..., 2, 0], -1.0, 1.0))
    pitch = -np.arctan2(r[..., 2, 1], r[..., 2, 2])
    roll = np.arctan2(r[..., 1, 0], r[..., 0, 0])
    return Pose(np.degrees(yaw), np.degrees(pitch), np.degrees(roll))
