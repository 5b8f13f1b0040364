"""The visible label of ``--label``: a small "AI modified" in the lower left corner.

Coordinates are display pixels until the last step; stored planes of a turned or anamorphic
clip get the label turned and squeezed the other way, so that it reads upright when played.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from faceswap_cli.records import F32, U8, ColorTags, Planes, Samples

TEXT = "AI modified"
HEIGHT_SHARE = 0.032
"""Height of the label as a share of the picture's shorter side."""
MIN_HEIGHT_PX = 12
_PAD_OPACITY = 0.55
_SUPERSAMPLE = 4


@lru_cache(maxsize=8)
def label_bitmap(height: int) -> F32:
    """(height, w) in [0, 1]: coverage of the letters, with a margin around them."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=height * _SUPERSAMPLE * 0.68)
    left, top, right, bottom = font.getbbox(TEXT)
    margin = height * _SUPERSAMPLE * 0.28
    size = (int(right - left + 2 * margin), height * _SUPERSAMPLE)
    canvas = Image.new("L", size, 0)
    origin = (margin - left, (size[1] - (bottom - top)) / 2 - top)
    ImageDraw.Draw(canvas).text(origin, TEXT, fill=255, font=font)
    small = canvas.resize((max(1, size[0] // _SUPERSAMPLE), height), Image.Resampling.BOX)
    bitmap = np.asarray(small, dtype=np.float32) / 255.0
    bitmap.setflags(write=False)
    return bitmap


def label_alpha(height: int, width: int) -> tuple[F32, F32]:
    """(H, W) letters and (H, W) letters with their dark pad, for an upright picture of that size."""
    letters, pad = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    bitmap = label_bitmap(max(MIN_HEIGHT_PX, round(min(height, width) * HEIGHT_SHARE)))
    rows, columns = min(bitmap.shape[0], height), min(bitmap.shape[1], width)
    gap = min(max(2, bitmap.shape[0] // 2), height - rows, width - columns)
    place = np.s_[height - gap - rows : height - gap, gap : gap + columns]
    letters[place] = bitmap[:rows, :columns]
    pad[place] = np.maximum(_PAD_OPACITY, bitmap[:rows, :columns])
    return letters, pad


def draw_label(rgb: U8) -> U8:
    """(H, W, 3) uint8 -> the same with the label: white letters on a dark pad."""
    letters, pad = label_alpha(*rgb.shape[:2])
    mixed = rgb * (1 - pad[..., None]) + 255.0 * letters[..., None]
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def label_planes(
    planes: Planes,
    tags: ColorTags,
    rotation: int = 0,
    sample_aspect: float = 1.0,
    *,
    mirrored: bool = False,
) -> Planes:
    """The label in decoded planes; ``rotation``, ``sample_aspect`` and ``mirrored`` are those of the clip.

    Only samples under the label change.
    """
    letters, pad, row, column = _stored_alpha(planes.shape, rotation % 360, round(sample_aspect, 4), mirrored)
    top, unit = (1 << planes.bit_depth) - 1, 1 << (planes.bit_depth - 8)
    black, white = (0, top) if tags.full_range else (16 * unit, 235 * unit)
    luma = _blend(planes.y, pad, letters * white + (pad - letters) * black, row, column)
    down, across = planes.chroma_step
    soft = pad[::down, ::across]
    gray = soft * float(1 << (planes.bit_depth - 1))
    cb, cr = (_blend(c, soft, gray, row // down, column // across) for c in (planes.cb, planes.cr))
    return Planes(luma, cb, cr, planes.bit_depth)


@lru_cache(maxsize=4)
def _stored_alpha(
    shape: tuple[int, int], rotation: int, aspect: float, mirrored: bool
) -> tuple[F32, F32, int, int]:
    """Letters and pad cut to their bounds in stored pixels, and the first row and column (both even).

    The inverse of ``Clip.display_from_frame``: display turns the frame counter-clockwise by
    ``rotation``, so storage turns it back.
    """
    height, width = shape
    upright = (height, max(1, round(width * aspect)))
    if rotation % 180:
        upright = (round(width * aspect), height)
    shown = [alpha[:, ::-1] if mirrored else alpha for alpha in label_alpha(*upright)]
    turned = [np.rot90(alpha, k=-(rotation // 90)) for alpha in shown]
    across = turned[0].shape[1]
    columns = np.minimum((np.arange(width) + 0.5) * across / width, across - 1).astype(int)
    letters, pad = (alpha[:, columns] for alpha in turned)
    rows, cells = np.flatnonzero(pad.any(axis=1)), np.flatnonzero(pad.any(axis=0))
    row, column = rows[0] // 2 * 2, cells[0] // 2 * 2
    place = np.s_[row : rows[-1] + 1, column : cells[-1] + 1]
    return np.ascontiguousarray(letters[place]), np.ascontiguousarray(pad[place]), int(row), int(column)


def _blend(plane: Samples, alpha: F32, add: F32, row: int, column: int) -> Samples:
    """A copy of ``plane`` with ``plane * (1 - alpha) + add`` from ``row``, ``column`` on."""
    result = plane.copy()
    place = np.s_[row : row + alpha.shape[0], column : column + alpha.shape[1]]
    mixed = plane[place] * (1 - alpha) + add
    result[place] = np.clip(np.rint(mixed), 0, np.iinfo(plane.dtype).max).astype(plane.dtype)
    return result
