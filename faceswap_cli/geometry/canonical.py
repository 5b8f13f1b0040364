"""Meshes without their pose.

*Canonical* means turned to the front, with the size and place of the mean face (outer eye corners 1 apart).
``swap.shape`` does the same on tensors, for the networks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from faceswap_cli.faces.landmarks import STABLE, topology
from faceswap_cli.records import F32, F64


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """``points = center + scale * canonical @ rotation^T``, batched over the leading axes."""

    rotation: F64 = field(repr=False)
    """(..., 3, 3)"""
    scale: F64 = field(repr=False)
    """(..., 1, 1)"""
    center: F64 = field(repr=False)
    """(..., 1, 3)"""

    def place(self, canonical: F32) -> F32:
        """Canonical meshes (..., 478, 3) in this pose."""
        return np.asarray(self.center + self.direct(canonical), np.float32)

    def direct(self, offset: F32) -> F32:
        """Canonical offsets (..., K, 3) rotated and scaled into this pose."""
        return np.asarray(self.scale * offset @ np.swapaxes(self.rotation, -1, -2), np.float32)


def remove_pose(points: F32) -> tuple[F32, Pose]:
    """(..., 478, 3) meshes in any unit -> canonical meshes and their poses.

    Least-squares similarity (Umeyama 1991) of the points that expression hardly moves onto the mean face.
    """
    stable = list(STABLE)
    model = topology().mean_shape[stable].astype(np.float64)
    seen = points[..., stable, :].astype(np.float64)
    model_center, center = model.mean(axis=0), seen.mean(axis=-2, keepdims=True)
    a, b = model - model_center, seen - center
    u, s, vt = np.linalg.svd(np.swapaxes(b, -1, -2) @ a)
    sign = np.ones_like(s)
    sign[..., 2] = np.linalg.det(u @ vt)
    rotation = (u * sign[..., None, :]) @ vt
    scale = ((s * sign).sum(axis=-1) / np.square(a).sum())[..., None, None]
    canonical = (points - center) @ rotation / scale + model_center
    pose = Pose(rotation, scale, center - scale * model_center @ np.swapaxes(rotation, -1, -2))
    return np.asarray(canonical, np.float32), pose
