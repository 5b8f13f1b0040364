"""Lids where pictures show them.

The mesh's points of the lids are off by the same small way in every face: some hundredths of the eye's width
too high, and too near to its middle.  It shows, because swaps cut eyes out along them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from faceswap_cli.faces.landmarks import IRISES, following, topology
from faceswap_cli.records import F32, Face

UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
"""Of the right eye, from the outer corner to the inner one"""
POINTS = (*UPPER, *LOWER[1:-1])
MOVES = np.array(
    [
        *((-0.035, 0.047), (-0.035, 0.045), (-0.036, 0.045), (-0.035, 0.039)),
        *((-0.030, 0.020), (-0.021, 0.012), (-0.006, 0.022), (0.010, 0.025)),
        *((0.020, 0.030), (-0.027, 0.027), (-0.020, 0.014), (-0.011, 0.007)),
        *((-0.002, 0.004), (0.005, 0.005), (0.013, 0.020), (0.017, 0.024)),
    ],
    np.float32,
)
"""(16, 2) from each of ``POINTS`` to the lid, in widths of the eye, along it and down
(``weights/build/lids.py``)"""


def frame_of(mesh: F32) -> tuple[F32, float]:
    """(2, 2) directions along and down the right eye of a ``mesh`` (478, 2+), and its width."""
    way = mesh[UPPER[-1], :2] - mesh[UPPER[0], :2]
    width = max(float(np.linalg.norm(way)), 1e-6)
    x, y = way / width
    return np.array([[x, y], [-y, x]], np.float32), width


@lru_cache(maxsize=1)
def _around() -> F32:
    """(478, 2): how each point of the mesh moves with the right eye's lids."""
    ways = following(POINTS) @ MOVES
    ways[list(IRISES)] = 0.0
    return np.asarray(ways, np.float32)


def with_true_lids(face: Face) -> Face:
    """A face as it was measured, with lids where its picture shows them."""
    mesh, mirror = face.landmarks.copy(), topology().mirror
    right = _moved(face.landmarks)
    left = _moved(face.landmarks[mirror, :2] * np.array([-1, 1], np.float32))[mirror]
    mesh[:, :2] += right + left * np.array([-1, 1], np.float32)
    return replace(face, landmarks=mesh)


def _moved(mesh: F32) -> F32:
    """(478, 2): the way of each point with the right eye's lids."""
    axes, width = frame_of(mesh)
    return np.asarray(_around() @ axes * np.float32(width), np.float32)
