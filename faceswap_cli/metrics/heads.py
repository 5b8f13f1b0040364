"""Meshes apart from the pose of the head: what the figures of movement and shape are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from faceswap_cli.records import F32, F64
from faceswap_cli.swap.shape import remove_pose


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """T meshes; rows are NaN where there was none."""

    canonical: F32 = field(repr=False)
    """(T, 478, 3) in the head's own frame: turned to the front, outer eye corners of the mean face 1 apart"""
    rotation: F64 = field(repr=False)
    """(T, 3, 3) from that frame to the picture"""


def heads(points: F32) -> Heads:
    """(T, 478, 3) meshes in pixels, depth in the same unit."""
    canonical = np.full_like(points, np.nan, dtype=np.float32)
    rotation = np.full((len(points), 3, 3), np.nan)
    seen = ~np.isnan(points).any(axis=(1, 2))
    if seen.any():
        posed = remove_pose(torch.from_numpy(points[seen].astype(np.float64)))
        canonical[seen] = posed.canonical.numpy()
        rotation[seen] = posed.rotation.numpy()
    return Heads(canonical, rotation)
