"""Smooth dense warps between two poses of the face mesh.

The displacement known at the 478 mesh points is spread over the crop by multilevel B-splines
(Lee, Wolberg, Shin: Scattered data interpolation with multilevel B-splines, 1997): each level
fits what the coarser ones left over.  The field passes close to every point and has no edges,
so cheeks do not tear into triangles when a head turns.

Convention: points are unit-square coordinates of a crop, [0, 1]^2; a field sampled on an n x n
grid holds the value at the centers ((i + 0.5) / n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, F64

LEVELS = (2, 4, 8, 16, 32, 64)
"""Cells per side of the control lattices, coarse to fine."""
FIELD_SIDE = 128
"""Samples per side on which fields are evaluated: fine enough to be enlarged linearly."""


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
    """(side, cells + 3): rows evaluate a lattice axis at the centers of ``side`` samples."""
    where = (np.arange(side, dtype=np.float32) + 0.5) / side * cells
    cell = np.minimum(where.astype(np.int64), cells - 1)
    weights = _basis((where - cell).astype(np.float32))
    matrix = np.zeros((side, cells + 3), dtype=np.float32)
    for k in range(4):
        matrix[np.arange(side), cell + k] += weights[:, k]
    return matrix


class Spread:
    """Scattered interpolation from one set of points; several fields share its lattices.

    ``points`` (P, 2) in the unit square; ``weights`` (P,) >= 0 says how much a point counts
    where several compete.
    """

    def __init__(self, points: F32, weights: F32 | None = None) -> None:
        self._points = points
        self._trust = np.ones(len(points), np.float32) if weights is None else weights.astype(np.float32)
        self._levels: dict[int, _Level] = {}

    def field(self, values: F32, levels: tuple[int, ...] = LEVELS, side: int = FIELD_SIDE) -> F32:
        """``values`` (P, D) known at the points -> (side, side, D)."""
        left = values.astype(np.float32).copy()
        out = np.zeros((side, side, values.shape[1]), np.float32)
        for cells in levels:
            level = self._level(cells)
            lattice = np.asarray(level.pulled(left) / level.below[:, None], np.float32)
            rows = _sampling(cells, side)
            across = np.tensordot(rows, lattice.reshape(cells + 3, cells + 3, -1), (1, 0))
            out += np.matmul(rows[None], across)
            if cells != levels[-1]:
                left -= (level.basis[:, None, :] @ lattice[level.index])[:, 0]
        return out

    def _level(self, cells: int) -> _Level:
        if cells not in self._levels:
            self._levels[cells] = _level(self._points, self._trust, cells)
        return self._levels[cells]


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """One lattice: flat index and weight (P, 16) of the controls around each point, and the two sums
    of the local solution (the paper's equation 5)."""

    index: NDArray[np.int64]
    basis: F32
    pull: F32
    below: F32

    def pulled(self, values: F32) -> F64:
        """``values`` (P, D) summed into the controls, (C, D)."""
        flat, count = self.index.ravel(), len(self.below)
        sums = [np.bincount(flat, (self.pull * column[:, None]).ravel(), count) for column in values.T]
        return np.stack(sums, axis=-1)


def _level(points: F32, trust: F32, cells: int) -> _Level:
    index, basis = _lattice_weights(points, cells)
    count = (cells + 3) ** 2
    square = basis * basis
    share = square * trust[:, None]
    pull = share * basis / square.sum(axis=1, keepdims=True)
    below = np.bincount(index.ravel(), share.ravel(), count).astype(np.float32)
    return _Level(index, basis, pull, np.maximum(below, np.float32(1e-6)))


def scatter(
    points: F32,
    values: F32,
    weights: F32 | None = None,
    levels: tuple[int, ...] = LEVELS,
    side: int = FIELD_SIDE,
) -> F32:
    """One field of a :class:`Spread`: ``values`` (P, D) at unit-square ``points`` -> (side, side, D)."""
    return Spread(points, weights).field(values, levels, side)


def enlarge(field: F32, window: Window | int, size: tuple[int, int] | None = None) -> F32:
    """(n, n) or (n, n, D <= 4) field -> its part in ``window`` (height, width[, D]), linear, centers kept.

    ``size`` (width, height) of the result where it is not to be the window's.
    """
    window = Window.full(window) if isinstance(window, int) else window
    if size is None:
        # Enlarging is several times as fast as an affine warp, even where more than the part is enlarged.
        (y, x), cells = _cells_under(field.shape[0], window)
        step = window.side / field.shape[0]
        size = (
            round(step * (cells[1].stop - cells[1].start)),
            round(step * (cells[0].stop - cells[0].start)),
        )
        more = cv2.resize(field[cells], size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(more[y : y + window.height, x : x + window.width])
    scale = field.shape[0] / window.side
    across, down = scale * window.width / size[0], scale * window.height / size[1]
    matrix = np.array(
        [
            [across, 0, window.x * scale + 0.5 * across - 0.5],
            [0, down, window.y * scale + 0.5 * down - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(field, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _cells_under(n: int, window: Window) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """Rows and columns of an n x n field that ``window`` needs, beginning and ending between two pixels.

    Also where in those, enlarged, the window begins: (y, x).
    """
    every = n // math.gcd(n, window.side)  # so many cells are a whole number of pixels
    step = window.side / n
    starts, cells = [], []
    for first, length in ((window.y, window.height), (window.x, window.width)):
        # One cell more on each side, from which the outermost pixels are interpolated too.
        low = max(math.floor(first / step - 1) // every * every, 0)
        high = min(-(-math.ceil((first + length) / step + 1) // every) * every, n)
        starts.append(first - round(low * step))
        cells.append(slice(low, high))
    return (starts[0], starts[1]), (cells[0], cells[1])


def sample_map(field: F32, window: Window | int, source_side: float) -> F32:
    """Displacement field (n, n, 2) in unit coordinates -> cv2.remap map (height, width, 2).

    The map takes each pixel of ``window`` of a crop to pixels of a ``source_side`` picture, in
    cv2's convention (pixel centers at integers).
    """
    window = Window.full(window) if isinstance(window, int) else window
    big = enlarge(field, window)
    big[..., 0] += (np.arange(window.width, dtype=np.float32) + (window.x + 0.5)) / window.side
    big[..., 1] += ((np.arange(window.height, dtype=np.float32) + (window.y + 0.5)) / window.side)[:, None]
    big *= np.float32(source_side)
    big -= np.float32(0.5)
    return big


def moved(picture: F32, field: F32, window: Window) -> F32:
    """What a picture (h, w[, D]) of ``window`` shows at p + ``field`` (n, n, 2) of p, in unit coordinates."""
    move = enlarge(field, window) * np.float32(window.side)
    x, y = (np.arange(length, dtype=np.float32) for length in (window.width, window.height))
    where = (move[..., 0] + x, move[..., 1] + y[:, None])
    return np.asarray(cv2.remap(picture, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


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
