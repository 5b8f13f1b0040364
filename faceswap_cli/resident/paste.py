"""Faces laid over the planes of their frames, and what has changed brought down: ``geometry.paste``, batched.

Of each face a rectangle of the frame is worked on, as large as the largest of the batch needs; its samples
change only where the mask is above 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faceswap_cli.geometry.paste import VISIBLE, Box, box_around, crop_from_box
from faceswap_cli.records import F64, I64, ColourTags, Planes
from faceswap_cli.resident import lab
from faceswap_cli.resident.planes import Held, numbers, part_of, rgb_of, ycc_of
from faceswap_cli.resident.tables import Tables
from faceswap_cli.resident.warp import affine_places, sample
from faceswap_cli.swap.lane import Visit

_STEP = 64
"""Sizes of the rectangles are multiples of this."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a face goes."""

    picture: int
    """Number of its frame in the group"""
    crop_from_frame: F64
    bounds: tuple[float, ...]
    """x0, y0, x1, y1 of the crop beyond which its mask is 0"""


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Rectangles of planes, equally large."""

    corners: tuple[tuple[int, int], ...]
    """(x, y) in luma samples"""
    y: Tensor
    cb: Tensor
    cr: Tensor

    def brought(self, there: Visit) -> Patches:
        """The same on the host, when the visit is over."""
        return Patches(self.corners, *(there.down(x) for x in (self.y, self.cb, self.cr)))

    def one(self, k: int) -> tuple[tuple[int, int], list[np.ndarray]]:
        """Corner and samples of one of them, on the host."""
        return self.corners[k], [x[k].numpy() for x in (self.y, self.cb, self.cr)]


def layers(pictures: Sequence[int]) -> list[list[int]]:
    """Faces, named by their frame in the order they are pasted -> numbers of faces that may go together.

    At most one of each frame, the first ones first.
    """
    found: list[list[int]] = []
    depth: dict[int, int] = {}
    for k, picture in enumerate(pictures):
        level = depth.get(picture, 0)
        depth[picture] = level + 1
        if level == len(found):
            found.append([])
        found[level].append(k)
    return found


def corners_of(places: Sequence[Place], shape: tuple[int, int]) -> tuple[list[tuple[int, int]], int, int]:
    """Where rectangles begin, and the width and height that hold each of them, in a picture of ``shape``."""
    boxes: list[Box] = [box_around(one.crop_from_frame, one.bounds, shape) or (0, 0, 2, 2) for one in places]
    height, width = (length // 2 * 2 for length in shape)
    across = min(-(-max(box[2] - box[0] for box in boxes) // _STEP) * _STEP, width)
    down = min(-(-max(box[3] - box[1] for box in boxes) // _STEP) * _STEP, height)
    return [(min(box[0], width - across), min(box[1], height - down)) for box in boxes], across, down


def paste(
    held: Held,
    tags: ColourTags,
    places: Sequence[Place],
    faces: tuple[Tensor, Tensor],
    there: Visit,
    tables: Tables,
) -> Patches:
    """Lay ``faces``, pictures (N, 3, S, S) in levels of 255 and masks (N, 1, S, S), over ``held``, in place.

    At most one face of each picture; what its rectangle holds then is returned.
    """
    rgb, mask = faces
    corners, width, height = corners_of(places, (held.y.shape[1], held.y.shape[2]))
    maps = np.stack(
        [crop_from_box(one.crop_from_frame, *at) for one, at in zip(places, corners, strict=True)]
    )
    where = affine_places(there.up(torch.from_numpy(maps.astype(np.float32))), height, width)
    new = sample(rgb, where, "bicubic").round().clamp(0, 255) / 255
    soft = sample(mask, where, "bilinear", "zeros")
    soft = torch.where(soft < VISIBLE, torch.zeros_like(soft), soft)
    index = _Index.of(held, places, corners, (width, height), there)
    old = rgb_of(index.ycc(held), tags, held.bit_depth, tables)
    mixed = ycc_of(_blended(old, new, soft, tables), tags, held.bit_depth, tables)
    return index.replaced(held, _planes(mixed, held), soft > 0, tuple(corners))


def _blended(old: Tensor, new: Tensor, mask: Tensor, tables: Tables) -> Tensor:
    """Blended in linear light; where ``mask`` is 0 the old values stay, where it is 1 the new ones come."""
    before, after = (lab.linear(x.clamp(0.0, 1.0), tables) for x in (old, new))
    between = lab.gamma(before + (after - before) * mask, tables)
    return torch.where(mask >= 1.0, new, torch.where(mask > 0.0, between, old))


def _planes(ycc: Tensor, held: Held) -> list[Tensor]:
    """(N, 3, h, w) sample values -> planes (N, h, w) and twice (N, h / down, w / across), rounded."""
    down, across = held.chroma_step
    chroma = ycc[:, 1:]
    # As colour.planes_region_from_rgb: sited left, and midway between two rows.
    if across == 2:
        beside = functional.pad(chroma, (1, 1, 0, 0), mode="replicate")
        chroma = 0.5 * chroma[..., ::2] + 0.25 * beside[..., :-2:2] + 0.25 * beside[..., 2::2]
    if down == 2:
        chroma = 0.5 * (chroma[..., ::2, :] + chroma[..., 1::2, :])
    top = float((1 << held.bit_depth) - 1)
    parts = [ycc[:, 0], chroma[:, 0], chroma[:, 1]]
    # As colour.to_samples: cut off after adding a half.
    return [(part + 0.5).clamp(0.0, top).to(held.y.dtype) for part in parts]


def _at_luma(chroma: Tensor, step: tuple[int, int]) -> Tensor:
    """(N, h / down + 2, w / across + 2) samples, one more at each end -> (N, h, w) at luma positions."""
    down, across = step
    before, here, after = chroma[:, :-2], chroma[:, 1:-1], chroma[:, 2:]
    rows = here if down == 1 else _woven(0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after, 1)
    here, after = rows[..., 1:-1], rows[..., 2:]
    return here if across == 1 else _woven(here, 0.5 * (here + after), 2)


def _woven(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """Rows or columns of two pictures in turn."""
    return torch.stack([even, odd], dim=axis + 1).flatten(axis, axis + 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """Numbers of the samples of rectangles, on the device."""

    pictures: Tensor
    luma: tuple[Tensor, Tensor]
    chroma: tuple[Tensor, Tensor]
    """Rows (N, h) and columns (N, w)"""
    around: tuple[Tensor, Tensor]
    """Those of chroma with one more at each end, the picture's own at its border"""

    @classmethod
    def of(
        cls,
        held: Held,
        places: Sequence[Place],
        corners: Sequence[tuple[int, int]],
        size: tuple[int, int],
        there: Visit,
    ) -> _Index:
        def up(values: I64) -> Tensor:
            return there.up(torch.from_numpy(values))

        down, across = held.chroma_step
        left, top = [x for x, _ in corners], [y for _, y in corners]
        rows = numbers([y // down - 1 for y in top], size[1] // down + 2)
        columns = numbers([x // across - 1 for x in left], size[0] // across + 2)
        height, width = held.cb.shape[1:]
        return cls(
            up(np.array([one.picture for one in places])),
            (up(numbers(top, size[1])), up(numbers(left, size[0]))),
            (up(rows[:, 1:-1]), up(columns[:, 1:-1])),
            (up(np.clip(rows, 0, height - 1)), up(np.clip(columns, 0, width - 1))),
        )

    def ycc(self, held: Held) -> Tensor:
        """(N, 3, h, w) sample values at luma resolution."""
        parts = [part_of(held.y, self.pictures, *self.luma).float()]
        for plane in (held.cb, held.cr):
            around = part_of(plane, self.pictures, *self.around).float()
            parts.append(_at_luma(around, held.chroma_step))
        return torch.stack(parts, dim=1)

    def replaced(
        self, held: Held, new: Sequence[Tensor], chosen: Tensor, corners: tuple[tuple[int, int], ...]
    ) -> Patches:
        """``new`` samples where luma is ``chosen`` (N, 1, h, w), put into the planes."""
        down, across = held.chroma_step
        any_of = functional.max_pool2d(chosen.float(), (down, across)) > 0 if down * across > 1 else chosen
        found = []
        for plane, samples, which, where in (
            (held.y, new[0], chosen, self.luma),
            (held.cb, new[1], any_of, self.chroma),
            (held.cr, new[2], any_of, self.chroma),
        ):
            patch = torch.where(which[:, 0], samples, part_of(plane, self.pictures, *where))
            rows, columns = where
            plane[self.pictures[:, None, None], rows[:, :, None], columns[:, None, :]] = patch
            found.append(patch)
        return Patches(corners, *found)


def laid_over(planes: Planes, patches: Sequence[tuple[tuple[int, int], list[np.ndarray]]]) -> Planes:
    """A new picture with rectangles of samples (corner; Y, Cb, Cr) laid over it, in order."""
    steps = ((1, 1), planes.chroma_step, planes.chroma_step)
    new = y, cb, cr = planes.y.copy(), planes.cb.copy(), planes.cr.copy()
    for (left, top), parts in patches:
        for out, part, (down, across) in zip(new, parts, steps, strict=True):
            row, column = top // down, left // across
            out[row : row + part.shape[0], column : column + part.shape[1]] = part.view(out.dtype)
    return Planes(y, cb, cr, planes.bit_depth)
