"""Decoded planes on the device, and crops cut out of them: ``colour.warp_rgb`` for many faces at a time.

Where a crop lies is reckoned on the host; what is uploaded per face are the numbers of the rows and columns
under it, mirrored at the picture's border, and one small map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faceswap_cli import colour
from faceswap_cli.records import F64, I64, ColourTags, Planes
from faceswap_cli.resident.lab import mixed
from faceswap_cli.resident.tables import Tables, rounded
from faceswap_cli.resident.warp import affine_places, sample
from faceswap_cli.swap.lane import Lane, Visit

_STEP = 32
"""Sizes of what is cut out are multiples of this: few different shapes."""
_NAMES = ("y", "cb", "cr")
_TAPS = 2
"""Samples beside a place that a cubic looks at"""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Pictures on the device, as decoded: uint8, or int16 above 8 bits."""

    y: Tensor = field(repr=False)
    """(F, H, W)"""
    cb: Tensor = field(repr=False)
    cr: Tensor = field(repr=False)
    bit_depth: int

    @property
    def chroma_step(self) -> tuple[int, int]:
        """As of ``Planes``."""
        down, across = (1 + (a < b) for a, b in zip(self.cb.shape[1:], self.y.shape[1:], strict=True))
        return down, across

    def one(self, k: int) -> Held:
        """The picture ``k`` as a group of its own, not copied."""
        return Held(self.y[k : k + 1], self.cb[k : k + 1], self.cr[k : k + 1], self.bit_depth)


def upload(pictures: Sequence[Planes], lane: Lane, there: Visit) -> Held:
    """Pictures of one shape, up together."""
    y, cb, cr = (
        there.up(_stacked([getattr(picture, name) for picture in pictures], lane)) for name in _NAMES
    )
    return Held(y, cb, cr, pictures[0].bit_depth)


def _stacked(planes: Sequence[np.ndarray], lane: Lane) -> Tensor:
    kind = torch.uint8 if planes[0].dtype == np.uint8 else torch.int16
    out = lane.staging(len(planes), *planes[0].shape, dtype=kind)
    # Bits of samples below 2^15 are the same with and without a sign.
    into = out.numpy().view(planes[0].dtype)
    for row, plane in zip(into, planes, strict=True):
        np.copyto(row, plane)
    return out


def together(pictures: Sequence[Held]) -> Held:
    """Single pictures as one group; a copy, which may be pasted into."""
    y, cb, cr = (torch.cat([getattr(one, name) for one in pictures]) for name in _NAMES)
    return Held(y, cb, cr, pictures[0].bit_depth)


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Where one plane of one crop is taken from."""

    start: tuple[int, int]
    """(x, y) of the part's first sample; it may lie outside of the picture"""
    size: tuple[int, int]
    """(width, height) that are needed, in squares of ``shrink`` samples"""
    shrink: int
    """Side of the squares of samples that are averaged first"""
    places: F64
    """(2, 3) from crop pixels to squares of the part"""


def _span(low: float, high: float) -> tuple[int, int]:
    """First pixel and number of pixels that places from ``low`` to ``high`` touch."""
    first = int(np.floor(low)) - _TAPS
    return first, int(np.ceil(high)) + _TAPS + 1 - first


def cut_of(out_from_plane: F64, side: int, shape: tuple[int, ...]) -> Cut:
    """The cut of a crop of ``side`` from a plane of ``shape``."""
    shrink = max(colour.shrinking(out_from_plane), 1)
    x0, y0 = (0, 0) if shrink == 1 else colour.area_under(out_from_plane, side, shrink, shape)[:2]
    small_from_plane = np.array([[1 / shrink, 0, -x0 / shrink], [0, 1 / shrink, -y0 / shrink], [0, 0, 1.0]])
    matrix = np.vstack([colour.cv_matrix(out_from_plane @ np.linalg.inv(small_from_plane)), [0, 0, 1.0]])
    places = np.linalg.inv(matrix)[:2]
    corners = places @ np.array([[a, b, 1.0] for a in (0, side - 1) for b in (0, side - 1)]).T
    (x, width), (y, height) = (_span(axis.min(), axis.max()) for axis in corners)
    places[:, 2] -= (x, y)
    return Cut((x * shrink + x0, y * shrink + y0), (width, height), shrink, places)


def cuts_of(held: Held, crop_from_frame: F64, side: int) -> tuple[Cut, Cut]:
    """Those of the luma plane and of the chroma planes."""
    chroma = crop_from_frame @ colour.frame_from_chroma(held.chroma_step)
    return cut_of(crop_from_frame, side, held.y.shape[1:]), cut_of(chroma, side, held.cb.shape[1:])


def mirrored(index: I64, size: int) -> I64:
    """Numbers of pixels, those beyond the border of ``size`` pixels mirrored."""
    there = index % (2 * size)
    return np.asarray(np.where(there < size, there, 2 * size - 1 - there), np.int64)


def numbers(starts: Sequence[int], count: int) -> I64:
    """(N, count): so many whole numbers from each start on."""
    return np.asarray(np.array(starts)[:, None] + np.arange(count), np.int64)


def part_of(plane: Tensor, pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(N, h, w): of picture ``pictures[n]`` of ``plane`` (F, H, W) ``rows`` (N, h) and ``columns`` (N, w)."""
    return plane[pictures[:, None, None], rows[:, :, None], columns[:, None, :]]


def _warped(
    planes: Sequence[Tensor], pictures: Tensor, cuts: Sequence[Cut], side: int, mode: str, there: Visit
) -> list[Tensor]:
    """(N, 1, S, S) of each plane, rounded to levels."""
    height, width = planes[0].shape[1:]
    shrink = cuts[0].shrink
    across, down = (-(-max(cut.size[k] for cut in cuts) // _STEP) * _STEP * shrink for k in (0, 1))
    columns = there.up(torch.from_numpy(mirrored(numbers([cut.start[0] for cut in cuts], across), width)))
    rows = there.up(torch.from_numpy(mirrored(numbers([cut.start[1] for cut in cuts], down), height)))
    maps = there.up(torch.from_numpy(np.stack([cut.places for cut in cuts]).astype(np.float32)))
    places, found = affine_places(maps, side, side), []
    for plane in planes:
        part = part_of(plane, pictures, rows, columns)[:, None].float()
        part = part if shrink == 1 else rounded(functional.avg_pool2d(part, shrink), shrink)
        found.append(sample(part, places, mode).round())
    return found


def cut_crops(
    held: Held,
    tags: ColourTags,
    pictures: Sequence[int],
    cuts: Sequence[tuple[Cut, Cut]],
    way: tuple[Visit, Tables, int],
) -> Tensor:
    """Crops (N, 3, S, S) uint8 R'G'B', each of the picture of that number; all shrink alike.

    ``way`` ends with S.
    """
    there, tables, side = way
    of = there.up(torch.tensor(pictures))
    luma = _warped([held.y], of, [cut[0] for cut in cuts], side, "bicubic", there)
    chroma = _warped([held.cb, held.cr], of, [cut[1] for cut in cuts], side, "bilinear", there)
    ycc = torch.cat([*luma, *chroma], dim=1).clamp(0, float((1 << held.bit_depth) - 1))
    return levels(rgb_of(ycc, tags, held.bit_depth, tables) * 255.0)


def rgb_of(ycc: Tensor, tags: ColourTags, bit_depth: int, tables: Tables) -> Tensor:
    """Sample values (N, 3, h, w) -> R'G'B', nominally in [0, 1], not clipped."""
    key = (tags.matrix, tags.full_range, bit_depth)
    return _linear(tables.of(("rgb", *key), lambda: colour.rgb_from_ycc(*key).astype(np.float32)), ycc)


def ycc_of(rgb: Tensor, tags: ColourTags, bit_depth: int, tables: Tables) -> Tensor:
    """Inverse of :func:`rgb_of`."""
    key = (tags.matrix, tags.full_range, bit_depth)
    return _linear(tables.of(("ycc", *key), lambda: colour.ycc_from_rgb(*key).astype(np.float32)), rgb)


def _linear(matrix: Tensor, x: Tensor) -> Tensor:
    return mixed(matrix[:, :3], x) + matrix[:, 3, None, None]


def levels(values: Tensor) -> Tensor:
    """Rounded and clipped to uint8."""
    return values.round().clamp(0, 255).to(torch.uint8)
