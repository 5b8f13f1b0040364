"""What the mesh of the result says against the mesh of the target, frame by frame: gaze, and sizes.

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
EYE_OPEN = 0.12
"""Below this opening (lid distance / corner distance) of the target's eye its gaze is not measured."""


def eye_distance(points: F32) -> F64:
    """(..., 478, 3) -> (...,) distance of the outer eye corners in the picture, px."""
    across = points[..., OUTER_CORNERS[1], :2] - points[..., OUTER_CORNERS[0], :2]
    return np.asarray(np.maximum(np.linalg.norm(across, axis=-1), 1e-6), dtype=np.float64)


def eyes_open(points: F32) -> NDArray[np.bool_]:
    """(T, 478, 3) -> (T,): are both eyes open far enough to show where they look?"""
    return np.asarray(index.eye_apertures(points).min(axis=-1) >= EYE_OPEN)


def gaze_error(result: F32, target: F32) -> F64:
    """(T, 478, 3) twice -> (T,) in % of the eye's width, mean of both; NaN where the target's are shut."""
    apart = np.linalg.norm(index.gaze_offsets(result) - index.gaze_offsets(target), axis=-1).mean(axis=-1)
    return np.asarray(np.where(eyes_open(target), 100 * apart, np.nan))
