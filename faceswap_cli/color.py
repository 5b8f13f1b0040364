"""Y'CbCr <-> R'G'B' with the stream's own matrix and range, and crops cut straight from planes.

The conversion is ours because the usual library path darkens by about a level per pass.

Conventions.  Points have pixel centers at integer + 0.5; matrices are 3x3 ``dst_from_src`` in
that convention (OpenCV puts centers at integers: :func:`cv_matrix` converts).  Chroma of
4:2:0 and 4:2:2 is sited left (MPEG-2, H.264 and later default): horizontally on every second
luma sample, vertically midway between two.  R'G'B' is uint8, or float32 in [0, 1].
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.hdr import is_hdr, sdr_from_code
from faceswap_cli.records import F32, F64, U8, ColorTags, Planes, Samples

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in luma samples; x1 and y1 are exclusive."""

_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""H.273 matrix number -> (Kr, Kb)."""


@lru_cache(maxsize=64)
def ycc_from_rgb(matrix: int, full_range: bool, bit_depth: int) -> F64:
    """(3, 4): R'G'B' in [0, 1] (and 1) -> sample values of Y, Cb, Cr (H.273 equations 8.1 to 8.3)."""
    kr, kb = _WEIGHTS.get(matrix, _WEIGHTS[1])
    kg = 1.0 - kr - kb
    rows = np.array(
        [
            [kr, kg, kb],
            [-kr / (2 * (1 - kb)), -kg / (2 * (1 - kb)), 0.5],
            [0.5, -kg / (2 * (1 - kr)), -kb / (2 * (1 - kr))],
        ]
    )
    step = float(1 << (bit_depth - 8))
    top = float((1 << bit_depth) - 1)
    gain = np.array([top, top, top] if full_range else [219 * step, 224 * step, 224 * step])
    offset = np.array([0.0 if full_range else 16 * step, 128 * step, 128 * step])
    return np.concatenate([rows * gain[:, None], offset[:, None]], axis=1)


@lru_cache(maxsize=64)
def rgb_from_ycc(matrix: int, full_range: bool, bit_depth: int) -> F64:
    """(3, 4): sample values of Y, Cb, Cr (and 1) -> R'G'B' in [0, 1]; inverse of :func:`ycc_from_rgb`."""
    forward = ycc_from_rgb(matrix, full_range, bit_depth)
    back = np.linalg.inv(forward[:, :3])
    return np.concatenate([back, (-back @ forward[:, 3])[:, None]], axis=1)


def _rgb8(ycc: NDArray[Any], tags: ColorTags, bit_depth: int) -> U8:
    """(H, W, 3) sample values -> uint8 R'G'B', rounded and clipped; PQ and HLG become SDR."""
    import cv2

    if is_hdr(tags):
        code = cv2.transform(
            ycc.astype(np.float32, copy=False), rgb_from_ycc(tags.matrix, tags.full_range, bit_depth)
        )
        return sdr_from_code(np.asarray(code), tags)
    matrix = rgb_from_ycc(tags.matrix, tags.full_range, bit_depth) * 255.0
    if ycc.dtype != np.uint8:
        ycc = ycc.astype(np.float32, copy=False)
        rgb = cv2.transform(ycc, matrix)
        return np.asarray(cv2.convertScaleAbs(np.maximum(rgb, 0.0)), dtype=np.uint8)
    return np.asarray(cv2.transform(ycc, matrix), dtype=np.uint8)


def _chroma_region(plane: Samples, box: Box, step: tuple[int, int], dtype: type = np.float32) -> Samples:
    """Chroma at the luma positions of ``box``, (h, w), interpolated linearly from its siting."""
    import cv2

    x0, y0, x1, y1 = box
    down, across = step
    if (down, across) == (1, 1):
        return plane[y0:y1, x0:x1].astype(dtype, copy=False)
    top, left = max(y0 // down - 2, 0), max(x0 // across - 2, 0)
    part: Samples = plane[top : -(-y1 // down) + 2, left : -(-x1 // across) + 2].astype(dtype)
    # Integer-center coordinates: chroma x of luma x is x / 2 (left), chroma y is y / 2 - 1/4 (midway).
    shift_y = -0.25 if down == 2 else 0.0
    chroma_from_luma = np.array(
        [[1 / across, 0, x0 / across - left], [0, 1 / down, y0 / down + shift_y - top]], dtype=np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (x1 - x0, y1 - y0)
    return np.asarray(
        cv2.warpAffine(part, chroma_from_luma, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    )


def _clipped(planes: Planes, box: Box | None) -> Box:
    height, width = planes.shape
    if box is None:
        return 0, 0, width, height
    x0, y0, x1, y1 = box
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def ycc_region(planes: Planes, box: Box | None = None) -> F32:
    """(h, w, 3) float32 sample values at luma resolution; ``box`` is clipped to the picture."""
    import cv2

    box = _clipped(planes, box)
    x0, y0, x1, y1 = box
    step = planes.chroma_step
    parts = [planes.y[y0:y1, x0:x1].astype(np.float32)]
    parts += [_chroma_region(plane, box, step) for plane in (planes.cb, planes.cr)]
    return np.asarray(cv2.merge(parts), dtype=np.float32)


def rgb_from_planes(planes: Planes, tags: ColorTags, box: Box | None = None) -> U8:
    """(h, w, 3) uint8 R'G'B' of the picture or of ``box`` (clipped to the picture)."""
    import cv2

    box = _clipped(planes, box)
    x0, y0, x1, y1 = box
    step, dtype = planes.chroma_step, planes.y.dtype.type
    parts = [np.ascontiguousarray(planes.y[y0:y1, x0:x1])]
    parts += [_chroma_region(plane, box, step, dtype) for plane in (planes.cb, planes.cr)]
    return _rgb8(cv2.merge(parts), tags, planes.bit_depth)


def rgb_float_from_planes(planes: Planes, tags: ColorTags, box: Box | None = None) -> F32:
    """(h, w, 3) float32 R'G'B', nominally in [0, 1] and not clipped, so that it can be undone exactly."""
    import cv2

    matrix = rgb_from_ycc(tags.matrix, tags.full_range, planes.bit_depth)
    return np.asarray(cv2.transform(ycc_region(planes, box), matrix), dtype=np.float32)


def _halved_across(plane: F32) -> F32:
    """(h, w) -> (h, ceil(w / 2)) at left siting: weights 1/4, 1/2, 1/4 about every second sample."""
    padded = np.pad(plane, ((0, 0), (1, 1)), mode="edge")
    width = plane.shape[1]
    mixed = 0.5 * padded[:, 1 : width + 1 : 2] + 0.25 * padded[:, 0:width:2]
    return np.asarray(mixed + 0.25 * padded[:, 2 : width + 2 : 2], dtype=np.float32)


def _halved_down(plane: F32) -> F32:
    """(h, w) -> (ceil(h / 2), w): mean of two rows; an odd last row stands for itself."""
    if plane.shape[0] % 2:
        plane = np.concatenate([plane, plane[-1:]])
    return np.asarray(0.5 * (plane[0::2] + plane[1::2]), dtype=np.float32)


def planes_region_from_rgb(
    rgb: NDArray[Any], tags: ColorTags, bit_depth: int = 8, chroma_step: tuple[int, int] = (2, 2)
) -> Planes:
    """(h, w, 3) R'G'B', uint8 or float in [0, 1] -> planes of that region.

    For subsampled chroma the region must start at even luma coordinates of its picture.
    """
    import cv2

    matrix = ycc_from_rgb(tags.matrix, tags.full_range, bit_depth)
    if rgb.dtype == np.uint8:
        matrix = matrix * np.array([1 / 255, 1 / 255, 1 / 255, 1.0])
    y, cb, cr = cv2.split(cv2.transform(np.asarray(rgb, dtype=np.float32), matrix))
    down, across = chroma_step
    if across == 2:
        cb, cr = _halved_across(cb), _halved_across(cr)
    if down == 2:
        cb, cr = _halved_down(cb), _halved_down(cr)
    y, cb, cr = (to_samples(plane, bit_depth) for plane in (y, cb, cr))
    return Planes(y, cb, cr, bit_depth)


def to_samples(values: NDArray[Any], bit_depth: int) -> Samples:
    """Float sample values -> uint8 or uint16, rounded and clipped to the bit depth."""
    top = float((1 << bit_depth) - 1)
    rounded = np.clip(values + np.float32(0.5), 0.0, top)
    return rounded.astype(np.uint8 if bit_depth == 8 else np.uint16)


# Linear light ---------------------------------------------------------------------------------


def _srgb_decode(value: F64) -> F64:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


@lru_cache(maxsize=4)
def _linear_table(entries: int) -> F32:
    return _srgb_decode(np.linspace(0.0, 1.0, entries)).astype(np.float32)


@lru_cache(maxsize=1)
def _gamma_table() -> F32:
    linear = np.linspace(0.0, 1.0, 65536)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(
        np.float32
    )


def linear_from_gamma(rgb: NDArray[Any]) -> F32:
    """R'G'B', uint8 or float in [0, 1] -> linear light float32 in [0, 1], by the sRGB curve.

    The same curve serves every transfer: what matters for blending is that it is undone exactly.
    """
    if rgb.dtype == np.uint8:
        return np.asarray(_linear_table(256).take(rgb))
    index = np.clip(rgb * np.float32(65535) + np.float32(0.5), 0, 65535).astype(np.uint16)
    return np.asarray(_linear_table(65536).take(index))


def gamma_from_linear(linear: NDArray[Any]) -> F32:
    """Linear light in [0, 1] -> R'G'B' float32 in [0, 1]; within 0.05 of a level of 255 at black."""
    index = np.clip(linear * np.float32(65535) + np.float32(0.5), 0, 65535).astype(np.uint16)
    return np.asarray(_gamma_table().take(index))


# Cutting out and shrinking --------------------------------------------------------------------


def cv_matrix(dst_from_src: F64) -> F64:
    """Centers at integer + 0.5 -> (2, 3) matrix for OpenCV, centers at integers."""
    to_half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    back = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
    return np.asarray((back @ dst_from_src @ to_half)[:2])


def frame_from_chroma(step: tuple[int, int]) -> F64:
    """(3, 3) chroma plane -> luma plane, centers at integer + 0.5, left siting."""
    down, across = step
    # Left siting: chroma center i + 0.5 lies on luma center 2 i + 0.5.
    return np.array([[across, 0, -0.5 if across == 2 else 0.0], [0, down, 0], [0, 0, 1.0]])


def _warp_plane(plane: Samples, out_from_plane: F64, side: int, flags: int) -> Samples:
    """(side, side) of a plane; averages first where it shrinks by 2 or more; reflects at borders."""
    import cv2

    shrink = shrinking(out_from_plane)
    if shrink >= 2:
        plane, small_from_plane = _area_part(plane, out_from_plane, side, shrink)
        out_from_plane = out_from_plane @ np.linalg.inv(small_from_plane)
    matrix = cv_matrix(out_from_plane)
    warped = cv2.warpAffine(plane, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(warped)


def shrinking(out_from_plane: F64) -> int:
    """Samples of a plane that fall on one of the result, rounded down."""
    return int(1.0 / max(np.sqrt(abs(np.linalg.det(out_from_plane[:2, :2]))), 1e-6))


def area_under(out_from_plane: F64, side: int, shrink: int, shape: tuple[int, ...]) -> Box:
    """The part of a plane of ``shape`` that is shrunk for a crop, with a margin."""
    height, width = shape
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1.0]]).T
    x, y, _ = np.linalg.inv(out_from_plane) @ corners
    margin = 3 * shrink
    x0, x1 = (int(v) for v in np.clip([x.min() - margin, x.max() + margin], 0, width))
    y0, y1 = (int(v) for v in np.clip([y.min() - margin, y.max() + margin], 0, height))
    if x1 - x0 < 2 * shrink or y1 - y0 < 2 * shrink:
        return 0, 0, width, height
    return x0, y0, x1, y1


def _area_part(plane: Samples, out_from_plane: F64, side: int, shrink: int) -> tuple[Samples, F64]:
    """The part of ``plane`` under the crop, shrunk by a whole factor, and its matrix from the plane."""
    import cv2

    x0, y0, x1, y1 = area_under(out_from_plane, side, shrink, plane.shape)
    columns, rows = max((x1 - x0) // shrink, 1), max((y1 - y0) // shrink, 1)
    part = plane[y0 : y0 + rows * shrink, x0 : x0 + columns * shrink]
    scale_x, scale_y = columns / part.shape[1], rows / part.shape[0]
    small = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(small), np.array(
        [[scale_x, 0, -x0 * scale_x], [0, scale_y, -y0 * scale_y], [0, 0, 1.0]]
    )


def warp_rgb(planes: Planes, tags: ColorTags, out_from_frame: NDArray[Any], side: int) -> U8:
    """Cut an aligned crop out of the planes: (side, side, 3) uint8 R'G'B'.

    ``out_from_frame`` (3, 3) maps frame pixels to crop pixels, centers at integer + 0.5.  Each
    plane is warped at its own resolution; outside the picture its mirror image is seen.
    """
    import cv2

    matrix = np.asarray(out_from_frame, dtype=np.float64)
    chroma = matrix @ frame_from_chroma(planes.chroma_step)
    parts = [
        _warp_plane(planes.y, matrix, side, cv2.INTER_CUBIC),
        _warp_plane(planes.cb, chroma, side, cv2.INTER_LINEAR),
        _warp_plane(planes.cr, chroma, side, cv2.INTER_LINEAR),
    ]
    return _rgb8(cv2.merge(parts), tags, planes.bit_depth)


def warp_luma(planes: Planes, tags: ColorTags, out_from_frame: NDArray[Any], side: int) -> F32:
    """The luma of the same crop: (side, side) float32, black 0 and white 255."""
    import cv2

    warped = _warp_plane(planes.y, np.asarray(out_from_frame, np.float64), side, cv2.INTER_CUBIC)
    unit = np.float32(1 << (planes.bit_depth - 8))
    luma = warped.astype(np.float32) / unit
    return luma if tags.full_range else (luma - np.float32(16)) * np.float32(255 / 219)


def downscaled_rgb(planes: Planes, tags: ColorTags, long_side: int) -> tuple[U8, float]:
    """The whole picture, at most ``long_side`` pixels long: (h, w, 3) uint8 and small / frame scale.

    For detection: chroma siting (a quarter of a chroma sample) is left out of account.
    """
    import cv2

    height, width = planes.shape
    scale = min(long_side / max(height, width), 1.0)
    if scale == 1.0:
        return rgb_from_planes(planes, tags), 1.0
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    parts = []
    for plane in (planes.y, planes.cb, planes.cr):
        shrinks = plane.shape[0] >= size[1] and plane.shape[1] >= size[0]
        mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        parts.append(np.asarray(cv2.resize(plane, size, interpolation=mode)))
    return _rgb8(cv2.merge(parts), tags, planes.bit_depth), scale
