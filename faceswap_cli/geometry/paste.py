"""Putting swapped faces back: only where their masks are above zero, in linear light.

Frames are pasted into their decoded planes, so a pixel outside the masks keeps its very
samples: it never passes through R'G'B'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli import color, hdr
from faceswap_cli.geometry import align
from faceswap_cli.records import F32, F64, Bend, ColorTags, Planes, RenderedFace, Samples
from faceswap_cli.tint import tinted

Box = tuple[int, int, int, int]
VISIBLE = 1.0 / 512.0
"""Below this share of the result a pixel counts as untouched."""
STILL_PX = 0.02
"""A bend by less is none."""


def paste_into_planes(planes: Planes, tags: ColorTags, faces: Sequence[RenderedFace]) -> Planes:
    """A new picture with ``faces`` blended in; without faces the picture itself."""
    for face in faces:
        box = _frame_box(face, planes.shape)
        if box is not None:
            if face.bend is not None:
                planes = _bend_planes(planes, face.bend)
            planes = _paste_one(planes, tags, face, box)
    return planes


def paste_into_rgb(rgb: F32, faces: Sequence[RenderedFace]) -> F32:
    """The same for a picture (H, W, 3) of float R'G'B' in [0, 1]; returns a new array."""
    out = rgb.copy()
    for face in faces:
        box = _frame_box(face, (rgb.shape[0], rgb.shape[1]))
        if box is None:
            continue
        if face.bend is not None:
            out = _bent(out, face.bend, _bend_box(face.bend, out.shape), (1, 1))
        x0, y0, x1, y1 = box
        new, mask = _carried(face, box)
        out[y0:y1, x0:x1] = _blended(out[y0:y1, x0:x1], new, mask)
    return out


def pasted_area(face: RenderedFace) -> float:
    """Pixels of the frame that a face replaces, as a soft count."""
    scale = abs(float(np.linalg.det(face.crop.crop_from_frame[:2, :2])))
    return float(face.mask.sum()) / max(scale, 1e-9)


def _frame_box(face: RenderedFace, shape: tuple[int, int]) -> Box | None:
    """Bounds of the mask in the frame, on even coordinates (for chroma), or None when outside."""
    rows = np.flatnonzero(face.mask.max(axis=1) > VISIBLE)
    columns = np.flatnonzero(face.mask.max(axis=0) > VISIBLE)
    if not len(rows):
        return None
    bounds = columns[0] - 1, rows[0] - 1, columns[-1] + 2, rows[-1] + 2
    return box_around(face.crop.crop_from_frame, bounds, shape)


def box_around(crop_from_frame: F64, bounds: tuple[float, ...], shape: tuple[int, int]) -> Box | None:
    """The part of the frame inside ``bounds`` (x0, y0, x1, y1) of a crop, on even coordinates."""
    corners = np.array([[a, b] for a in bounds[0::2] for b in bounds[1::2]], dtype=np.float64)
    points = align.apply(np.linalg.inv(crop_from_frame), corners)
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    height, width = shape
    x0, y0 = (max(int(v) // 2 * 2, 0) for v in low)
    x1, y1 = min(int(high[0] + 1) // 2 * 2, width), min(int(high[1] + 1) // 2 * 2, height)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _carried(face: RenderedFace, box: Box) -> tuple[F32, F32]:
    """Rendered face and its mask in the pixels of ``box``: (h, w, 3) in [0, 1], (h, w)."""
    x0, y0, x1, y1 = box
    matrix = crop_from_box(face.crop.crop_from_frame, x0, y0)
    size = (x1 - x0, y1 - y0)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    rgb = cv2.warpAffine(face.rgb, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(face.mask, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    mask[mask < VISIBLE] = 0.0
    return rgb.astype(np.float32) / np.float32(255), mask


def crop_from_box(crop_from_frame: F64, x: int, y: int) -> F64:
    """(2, 3), centers at integers: from a box that begins at (x, y) of the frame to the crop."""
    offset = np.array([[1, 0, x + 0.5], [0, 1, y + 0.5], [0, 0, 1.0]])
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
    return np.asarray((half @ crop_from_frame @ offset)[:2])


def _blended(old: F32, new: F32, mask: F32) -> F32:
    """Blend in linear light; where ``mask`` is 0 the old values stay, where it is 1 the new ones come."""
    whole, soft = mask >= 1.0, mask > 0.0
    out = old.copy()
    cv2.copyTo(new, whole.view(np.uint8), out)
    # Rows of a table are picked and put back several times as fast by number as by a mask.
    edge = np.flatnonzero(soft & ~whole)
    if len(edge):
        before, after = (x.reshape(-1, 3).take(edge, axis=0) for x in (old, new))
        share = mask.ravel().take(edge)[:, None]
        light = color.linear_from_gamma(np.clip(before, 0.0, 1.0))
        light += (color.linear_from_gamma(after) - light) * share
        out.reshape(-1, 3)[edge] = color.gamma_from_linear(light)
    return out


def _blended_hdr(old: F32, new: F32, mask: F32, tags: ColorTags) -> F32:
    """The same where ``old`` holds PQ or HLG samples and ``new`` is SDR."""
    light = hdr.light_from_code(old, tags)
    light += (hdr.highlights(light, hdr.light_from_sdr(new, tags)) - light) * mask[..., None]
    return np.where(mask[..., None] > 0, hdr.code_from_light(light, tags), old)


def _paste_one(planes: Planes, tags: ColorTags, face: RenderedFace, box: Box) -> Planes:
    x0, y0 = box[:2]
    new, mask = _carried(face, box)
    old = color.rgb_float_from_planes(planes, tags, box)
    mixed = _blended_hdr(old, new, mask, tags) if hdr.is_hdr(tags) else _blended(old, new, mask)
    region = color.planes_region_from_rgb(mixed, tags, planes.bit_depth, planes.chroma_step)
    region = tinted(region, tags)
    down, across = planes.chroma_step
    soft = _chroma_mask(mask, region.cb.shape)
    small = (x0 // across, y0 // down)
    return Planes(
        y=_replaced(planes.y, region.y, mask > 0.0, (x0, y0)),
        cb=_replaced(planes.cb, region.cb, soft, small),
        cr=_replaced(planes.cr, region.cr, soft, small),
        bit_depth=planes.bit_depth,
    )


def _bend_planes(planes: Planes, bend: Bend) -> Planes:
    box = _bend_box(bend, planes.shape)
    step = planes.chroma_step
    y = _bent(planes.y, bend, box, (1, 1))
    cb, cr = (_bent(plane, bend, box, step) for plane in (planes.cb, planes.cr))
    return Planes(y=y, cb=cb, cr=cr, bit_depth=planes.bit_depth)


def _bend_box(bend: Bend, shape: tuple[int, ...]) -> Box:
    """What of the frame the field moves, on even coordinates."""
    moved = np.abs(bend.move).max(axis=2) * bend.side > STILL_PX
    rows, columns = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    scale = bend.side / bend.move.shape[0]
    bounds = ((columns[0] - 1), (rows[0] - 1), (columns[-1] + 2), (rows[-1] + 2))
    found = box_around(bend.square_from_frame, tuple(v * scale for v in bounds), (shape[0], shape[1]))
    return (0, 0, 0, 0) if found is None else found


def _bent(plane: NDArray[Any], bend: Bend, box: Box, step: tuple[int, int]) -> NDArray[Any]:
    """A copy of ``plane`` (h, w[, D]) with ``box`` (luma samples) bent; samples that do not move stay.

    ``step``: (vertical, horizontal) luma samples a sample of the plane.
    """
    down, across = step
    x0, y0 = box[0] // across, box[1] // down
    width, height = -(-box[2] // across) - x0, -(-box[3] // down) - y0
    width, height = min(width, plane.shape[1] - x0), min(height, plane.shape[0] - y0)
    if width <= 0 or height <= 0:
        return plane
    n = bend.move.shape[0]
    luma_from_sample = np.array([[across, 0, x0 * across], [0, down, y0 * down], [0, 0, 1.0]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    field_from_sample = (
        np.diag([n / bend.side, n / bend.side, 1.0]) @ bend.square_from_frame @ luma_from_sample
    )
    matrix = (np.linalg.inv(half) @ field_from_sample @ half)[:2]
    # Moves are in sides of the square: turn them into samples of the plane.
    linear = np.linalg.inv(bend.square_from_frame)[:2, :2] * bend.side / np.array([[across], [down]])
    field = np.asarray(bend.move @ linear.T, np.float32)
    places = cv2.warpAffine(field, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    # Only what moved samples are taken from: remap needs sizes of 15 bits.
    margin = int(np.ceil(np.abs(field).max())) + 3
    top, left = max(y0 - margin, 0), max(x0 - margin, 0)
    places[..., 0] += np.arange(x0 - left, x0 - left + width, dtype=np.float32)
    places[..., 1] += np.arange(y0 - top, y0 - top + height, dtype=np.float32)[:, None]
    around = plane[top : y0 + height + margin, left : x0 + width + margin]
    # At whole positions the cubic gives the samples themselves: what does not move stays.
    out = plane.copy()
    out[y0 : y0 + height, x0 : x0 + width] = cv2.remap(
        around, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return out


def _chroma_mask(mask: F32, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Chroma samples of which any luma pixel changes."""
    if mask.shape == shape:
        return mask > 0.0
    down, across = round(mask.shape[0] / shape[0]), round(mask.shape[1] / shape[1])
    inside = np.zeros((shape[0] * down, shape[1] * across), np.bool_)
    inside[: mask.shape[0], : mask.shape[1]] = (mask > 0.0)[: inside.shape[0], : inside.shape[1]]
    parts = [inside[row::down, column::across] for row in range(down) for column in range(across)]
    return np.asarray(np.logical_or.reduce(parts))


def _replaced(plane: Samples, region: Samples, chosen: NDArray[np.bool_], corner: tuple[int, int]) -> Samples:
    """A copy of ``plane`` with ``region`` laid over it at ``corner`` (x, y) where ``chosen``."""
    x, y = corner
    out = plane.copy()
    height, width = region.shape
    window = out[y : y + height, x : x + width]
    np.copyto(window, region, where=chosen)
    return out
