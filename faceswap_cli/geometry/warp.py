"""Smooth dense warps between two poses of the face mesh.

The displacement known at the 478 mesh points is spread over the crop by multilevel B-splines
(Lee, Wolberg, Shin: Scattered data interpolation with multilevel B-splines, 1997): each level
fits what the coarser ones left over.  The field passes close to every point and has no edges,
so cheeks do not tear into triangles when a head turns.

Convention: points are unit-square coordinates of a crop, [0, 1]^2; a field sampled on an n x n
grid holds the value at the centres ((i + 0.5) / n).
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.records import F32

LEVELS = (2, 4, 8, 16, 32, 64)
"""Cells per side of the control lattices, coarse to fine."""
FIELD_SIDE = 64
"""Samples per side on which fields are evaluated; enlarged smoothly to the crop."""


def _basis(t: F32) -> F32:
    """(...,) in [0, 1) -> (..., 4): uniform cubic B-spline weights."""
    t2, t3 = t * t, t * t * t
    return np.stack(
        [(1 - t) ** 3 / 6, (3 * t3 - 6 * t2 + 4) / 6, (-3 * t3 + 3 * t2 + 3 * t + 1) / 6, t3 / 6],
        axis=-1,
    ).astype(np.float32)


def _lattice_weights(points: F32, cells: int) -> tuple[NDArray[np.int64], F32]:
    """(P, 2) -> flat lattice index (P, 16) and tensor-product weight (P, 16); lattice side cells + 3."""
    scaled = np.clip(points, 0.0, 1.0 - 1e-6) * cells
    cell = scaled.astype(np.int64)
    frac = (scaled - cell).astype(np.float32)
    wx, wy = _basis(frac[:, 0]), _basis(frac[:, 1])
    weights = (wy[:, :, None] * wx[:, None, :]).reshape(len(points), 16)
    steps = np.arange(4)
    index = (cell[:, 1, None, None] + steps[None, :, None]) * (cells + 3)
    index = (index + cell[:, 0, None, None] + steps[None, None, :]).reshape(len(points), 16)
    return index, weights


@lru_cache(maxsize=64)
def _sampling(cells: int, side: int) -> F32:
    """(side, cells + 3): rows evaluate a lattice axis at the centres of ``side`` samples."""
    where = (np.arange(side, dtype=np.float32) + 0.5) / side * cells
    cell = np.minimum(where.astype(np.int64), cells - 1)
    weights = _basis((where - cell).astype(np.float32))
    matrix = np.zeros((side, cells + 3), dtype=np.float32)
    for k in range(4):
        matrix[np.arange(side), cell + k] += weights[:, k]
    return matrix


def scatter(
    points: F32,
    values: F32,
    weights: F32 | None = None,
    levels: tuple[int, ...] = LEVELS,
    side: int = FIELD_SIDE,
) -> F32:
    """Spread ``values`` (P, D) known at unit-square ``points`` (P, 2) -> (side, side, D).

    ``weights`` (P,) >= 0 says how much a point counts where several compete.
    """
    trust = np.ones(len(points), np.float32) if weights is None else weights.astype(np.float32)
    left = values.astype(np.float32).copy()
    field = np.zeros((side, side, values.shape[1]), np.float32)
    for cells in levels:
        index, basis = _lattice_weights(points, cells)
        lattice = _fit(index, basis, left, trust, cells)
        rows = _sampling(cells, side)
        field += np.einsum("ia,abd,jb->ijd", rows, lattice, rows, optimize=True)
        flat = lattice.reshape(-1, values.shape[1])
        left -= np.einsum("pk,pkd->pd", basis, flat[index])
    return field


def _fit(index: NDArray[np.int64], basis: F32, values: F32, trust: F32, cells: int) -> F32:
    """Control values of one level: the weighted local solution of the paper's equation 5."""
    side = cells + 3
    square = basis * basis
    norm = square.sum(axis=1)
    share = square * trust[:, None]
    denominator = np.bincount(index.ravel(), share.ravel(), side * side)
    lattice = np.empty((side * side, values.shape[1]), np.float32)
    pull = share * basis / norm[:, None]
    for d in range(values.shape[1]):
        numerator = np.bincount(index.ravel(), (pull * values[:, d, None]).ravel(), side * side)
        lattice[:, d] = numerator / np.maximum(denominator, 1e-6)
    return lattice.reshape(side, side, values.shape[1])


def enlarge(field: F32, side: int) -> F32:
    """(n, n) or (n, n, D) field -> (side, side[, D]), smooth, sample centres kept."""
    return np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC))


def sample_map(field: F32, side: int, source_side: float) -> F32:
    """Displacement field (n, n, 2) in unit coordinates -> cv2.remap map (side, side, 2).

    The map takes each pixel of a ``side`` crop to pixels of a ``source_side`` picture, in cv2's
    convention (pixel centres at integers).
    """
    grid = (np.arange(side, dtype=np.float32) + 0.5) / side
    big = enlarge(field, side)
    big[..., 0] += grid[None, :]
    big[..., 1] += grid[:, None]
    big *= np.float32(source_side)
    big -= np.float32(0.5)
    return big


def vertex_normals(points: F32, triangles: NDArray[np.int64]) -> F32:
    """(P, 3) mesh with z growing away from the viewer -> (P, 3) unit normals, z > 0 facing the viewer."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    out = np.zeros_like(points)
    for k in range(3):
        for axis in range(3):
            out[:, axis] += np.bincount(triangles[:, k], normal[:, axis], len(points))
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    return out
