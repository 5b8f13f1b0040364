"""Dense fields from mesh points, batched in torch: warps, visibility, low-frequency light.

Convention: points are unit-square crop coordinates [0, 1]^2; a field (N, D, n, n) holds the
value at the centers ((i + 0.5) / n).  Displacements known at mesh points are spread by
multilevel B-splines (Lee, Wolberg, Shin 1997), each level fitting what coarser ones left over:
the same scheme as ``geometry.warp``, here for whole batches and on any device.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = (2, 4, 8, 16, 32, 64)
"""Cells per side of the control lattices, coarse to fine."""
FIELD_SIDE = 64
ANCHORS = 16
"""Fixed points along each border of the crop that are not moved."""
GAINS = (0.5, 1.6)
"""How far the contrast of the warped source may be changed with its brightness."""
LIGHT_CELLS = 8
"""Cells per side of the light map: 32 px of a 256 px crop, too coarse to carry an identity."""


def _basis(t: Tensor) -> Tensor:
    """(...,) in [0, 1) -> (..., 4): uniform cubic B-spline weights."""
    t2, t3 = t * t, t * t * t
    return torch.stack(
        [(1 - t) ** 3 / 6, (3 * t3 - 6 * t2 + 4) / 6, (-3 * t3 + 3 * t2 + 3 * t + 1) / 6, t3 / 6], dim=-1
    )


@lru_cache(maxsize=32)
def _sampling(cells: int, side: int, device: torch.device) -> Tensor:
    """(side, cells + 3): rows evaluate a lattice axis at the centers of ``side`` samples."""
    where = (torch.arange(side, dtype=torch.float32) + 0.5) / side * cells
    cell = where.long().clamp_max(cells - 1)
    matrix = torch.zeros(side, cells + 3)
    columns = cell[:, None] + torch.arange(4)
    matrix.scatter_(1, columns, _basis(where - cell))
    return matrix.to(device)


def _lattice_weights(points: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """(N, P, 2) -> lattice index and weight, both (N, P, 16); the lattice has side cells + 3."""
    scaled = points.clamp(0.0, 1.0 - 1e-6) * cells
    cell = scaled.long()
    basis = _basis(scaled - cell)
    weights = (basis[..., 1, :, None] * basis[..., 0, None, :]).flatten(-2)
    steps = torch.arange(4, device=points.device)
    rows = (cell[..., 1, None, None] + steps[:, None]) * (cells + 3)
    return (rows + cell[..., 0, None, None] + steps[None, :]).flatten(-2), weights


@torch.no_grad()
def scatter(
    points: Tensor,
    values: Tensor,
    levels: tuple[int, ...] = LEVELS,
    side: int = FIELD_SIDE,
    trust: Tensor | None = None,
) -> Tensor:
    """Spread ``values`` (N, P, D) known at ``points`` (N, P, 2) -> (N, D, side, side).

    ``trust`` (N, P): how much a point counts where several compete.
    """
    n, _, d = values.shape
    left = values.clone()
    field = values.new_zeros(n, d, side, side)
    for cells in levels:
        index, basis = _lattice_weights(points, cells)
        square = basis.square()
        share = square if trust is None else square * trust[..., None]
        pull = share * basis / square.sum(-1, keepdim=True)
        flat = index.flatten(1)
        size = (cells + 3) ** 2
        below = values.new_zeros(n, size).scatter_add_(1, flat, share.flatten(1)).clamp_min(1e-6)
        above = values.new_zeros(n, size, d).scatter_add_(
            1, flat[..., None].expand(-1, -1, d), (pull[..., None] * left[:, :, None]).flatten(1, 2)
        )
        lattice = above / below[..., None]
        rows = _sampling(cells, side, values.device)
        grid = lattice.reshape(n, cells + 3, cells + 3, d)
        field += torch.einsum("ia,nabd,jb->ndij", rows, grid, rows)
        near = lattice.gather(1, flat[..., None].expand(-1, -1, d)).reshape(n, -1, 16, d)
        left = left - (basis[..., None] * near).sum(2)
    return field


def _anchors(device: torch.device) -> Tensor:
    """(4 * ANCHORS, 2) points along the border of the unit square."""
    t = (torch.arange(ANCHORS, device=device) + 0.5) / ANCHORS
    zero, one = torch.zeros_like(t), torch.ones_like(t)
    sides = [torch.stack(pair, -1) for pair in ((t, zero), (t, one), (zero, t), (one, t))]
    return torch.cat(sides)


def displacement(source: Tensor, target: Tensor, side: int = FIELD_SIDE) -> Tensor:
    """Where each point of the target crop lies in the source crop, minus itself: (N, 2, side, side).

    ``source`` and ``target`` (N, P, >= 2): the same mesh points in both crops.
    """
    fixed = _anchors(target.device).expand(len(target), -1, -1)
    points = torch.cat([target[..., :2], fixed], dim=1)
    moves = torch.cat([source[..., :2] - target[..., :2], torch.zeros_like(fixed)], dim=1)
    return scatter(points, moves, side=side)


def sampling_grid(field: Tensor, side: int) -> Tensor:
    """Displacement (N, 2, n, n) -> absolute grid (N, side, side, 2) for ``grid_sample``, in [-1, 1]."""
    if field.shape[-1] != side:
        field = enlarged(field, side)
    axis = (torch.arange(side, device=field.device, dtype=field.dtype) + 0.5) / side
    x = field[:, 0] + axis[None, None, :]
    y = field[:, 1] + axis[None, :, None]
    return torch.stack([x, y], dim=-1) * 2 - 1


def warp(picture: Tensor, field: Tensor) -> Tensor:
    """Sample ``picture`` (N, C, S, S) where the displacement ``field`` points; edges are repeated."""
    grid = sampling_grid(field.float(), picture.shape[-1])
    return F.grid_sample(picture.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


@torch.no_grad()
def vertex_facing(points: Tensor, triangles: Tensor) -> Tensor:
    """(N, P, 3) mesh, z growing away from the viewer -> (N, V): cosine to the view axis, 1 faces it.

    ``triangles`` (T, 3) are wound so that a frontal face gives positive values; V = highest index + 1.
    """
    a, b, c = (points[:, triangles[:, k]] for k in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    total = points.new_zeros(len(points), int(triangles.max()) + 1, 3)
    for k in range(3):
        total.index_add_(1, triangles[:, k], normal)
    length: Tensor = total.norm(dim=-1)
    out: Tensor = total[..., 2] / length.clamp_min(1e-9)
    return out


@torch.no_grad()
def visibility(source: Tensor, target: Tensor, triangles: Tensor, side: int = FIELD_SIDE) -> Tensor:
    """How well the source shows what the target shows, (N, 1, side, side) in [0, 1].

    A part that the source sees at a grazing angle (cosine under 0.35) cannot be carried over;
    parts that the target turns away do not matter.  ``source`` and ``target`` (N, 478, 3).
    """
    return spread_shown(shown(source, triangles), target, side)


@torch.no_grad()
def shown(source: Tensor, triangles: Tensor) -> Tensor:
    """(N, V) in [0, 1]: how well each point of ``source`` (N, 478, 3) is seen."""
    return (vertex_facing(source, triangles) / 0.35).clamp(0, 1)


@torch.no_grad()
def spread_shown(facing: Tensor, target: Tensor, side: int = FIELD_SIDE) -> Tensor:
    """What :func:`shown` says of a source, where ``target`` (N, 478, >= 2) has its points."""
    fixed = _anchors(target.device).expand(len(target), -1, -1)
    points = torch.cat([target[:, : facing.shape[1], :2], fixed], dim=1)
    values = torch.cat([facing, facing.new_ones(fixed.shape[:2])], dim=1)
    return scatter(points, values[..., None], levels=LEVELS[:-1], side=side).clamp(0, 1)


@lru_cache(maxsize=32)
def _enlarging(cells: int, side: int) -> Tensor:
    """(side, cells): rows enlarge one axis linearly, centers kept."""
    one = F.interpolate(torch.eye(cells)[None], size=side, mode="linear", align_corners=False)
    return one[0].t().contiguous()


def enlarged(maps: Tensor, side: int) -> Tensor:
    """(N, C, n, n) -> (N, C, side, side), bilinear."""
    if torch.is_grad_enabled() or maps.device.type != "cpu" or maps.dtype != torch.float32:
        return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)
    # Two products of matrices take a sixth of the time of the library's loop over pixels.
    rows = _enlarging(maps.shape[-1], side)
    with torch.autocast("cpu", enabled=False):
        return rows @ maps @ rows.t()


def light_map(picture: Tensor, weight: Tensor, cells: int = LIGHT_CELLS) -> Tensor:
    """Weighted mean color per cell, (N, 3, cells, cells); empty cells take the weighted mean of all.

    ``picture`` (N, 3, S, S), ``weight`` (N, 1, S, S) >= 0.
    """
    size = picture.shape[-1] // cells
    amount = F.avg_pool2d(weight, size)
    color = F.avg_pool2d(picture * weight, size)
    mean = color.sum((2, 3), keepdim=True) / amount.sum((2, 3), keepdim=True).clamp_min(1e-4)
    # A cell that is hardly covered leans on the mean of the face.
    return (color + 0.05 * mean) / (amount + 0.05)


def relight(warped: Tensor, weight: Tensor, light: Tensor) -> Tensor:
    """The warped source (N, 3, S, S) in [-1, 1] under the target's low-frequency ``light`` map.

    Contrast follows brightness, but only so far: what a gain of :data:`GAINS` cannot reach is added
    evenly, or deep shadows of the source would be torn up into blotches.
    """
    own, wanted = light_map((warped + 1) / 2, weight), (light + 1) / 2
    gain = ((wanted + 0.04) / (own + 0.04)).clamp(*GAINS)
    maps = enlarged(torch.cat([gain, wanted - own * gain], dim=1), warped.shape[-1])
    gain, rest = maps.chunk(2, dim=1)
    return (((warped + 1) / 2 * gain + rest) * 2 - 1).clamp(-1.2, 1.2)
