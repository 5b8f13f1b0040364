"""Pixel formats: what frames are handed out in, and how a decoded frame becomes planes."""

from __future__ import annotations

from typing import Any

import av
import numpy as np

from faceswap_cli.color import planes_region_from_rgb, to_samples
from faceswap_cli.records import Clip, ColorTags, Planes, Samples

_CHROMA = {(2, 2): "420", (1, 2): "422", (1, 1): "444"}


def work_depth(bits: int) -> int:
    """8, 10 or 12: the least depth of the encoders that keeps ``bits`` (above 12, as near as possible)."""
    return 8 if bits <= 8 else 10 if bits <= 10 else 12


def work_format(pixel_format: str) -> str:
    """The planar Y'CbCr format for a stored one: same subsampling and depth, no alpha.

    Gray becomes 4:2:0 with neutral chroma; R'G'B' and palettes become 4:4:4; 4:1:1 becomes 4:2:2.
    """
    described = av.VideoFormat(pixel_format)
    depth = work_depth(max(component.bits for component in described.components))
    if is_gray(pixel_format):
        chroma = "420"
    elif described.is_rgb or described.has_palette:
        chroma = "444"
    else:
        across, down = 8 // described.chroma_width(8), 8 // described.chroma_height(8)
        chroma = {(2, 2): "420", (2, 1): "422", (4, 1): "422", (4, 4): "420"}.get((across, down), "444")
    return f"yuv{chroma}p" if depth == 8 else f"yuv{chroma}p{depth}le"


def format_of(planes: Planes) -> str:
    """The pixel format that holds ``planes``."""
    chroma = _CHROMA[planes.chroma_step]
    return f"yuv{chroma}p" if planes.bit_depth == 8 else f"yuv{chroma}p{planes.bit_depth}le"


def format_step(name: str) -> tuple[int, int]:
    """(vertical, horizontal) luma samples per chroma sample of a work format."""
    return (2, 2) if "420" in name else (1, 2) if "422" in name else (1, 1)


def format_depth(name: str) -> int:
    return 10 if "p10" in name else 12 if "p12" in name else 8


def is_gray(pixel_format: str) -> bool:
    return pixel_format.startswith(("gray", "ya8", "ya16", "mono"))


def is_rgb(pixel_format: str) -> bool:
    described = av.VideoFormat(pixel_format)
    return described.is_rgb or described.has_palette


def has_alpha(pixel_format: str) -> bool:
    name = pixel_format
    return name.startswith(("yuva", "ya", "gbrap", "rgba", "bgra", "argb", "abgr", "ayuv", "vuya"))


def planes_from_picture(picture: av.VideoFrame, clip: Clip) -> Planes:
    """Planes of a decoded picture in the clip's work format and size.

    Plain planar pictures are read-only views that keep the decoder's buffer alive: copy to change.
    """
    name = picture.format.name
    same_size = (picture.width, picture.height) == (clip.width, clip.height)
    if not same_size and is_gray(name) and not name.startswith("mono"):
        picture, same_size = picture.reformat(clip.width, clip.height), True
    planar = name.replace("yuvj", "yuv").replace("yuva", "yuv")
    if same_size and planar == clip.work_format:
        return _views(picture, clip)
    if same_size and is_gray(name) and not name.startswith("mono"):
        return _from_gray(picture, clip)
    if is_rgb(name) or name.startswith("mono"):
        return _from_rgb(picture, clip)
    return _views(_reformatted(picture, clip), clip)


def alpha_from_picture(picture: av.VideoFrame, clip: Clip) -> Samples | None:
    """(H, W) opacity in the clip's depth and full range; None when it is not wanted or there is none."""
    name = picture.format.name
    if not clip.alpha or not has_alpha(name):
        return None
    if name.startswith("yuva") and (picture.width, picture.height) == (clip.width, clip.height):
        bits = picture.format.components[3].bits
        samples = view(picture.planes[3], clip.height, clip.width, bits)
    else:
        bits = 16 if picture.format.components[0].bits > 8 else 8
        form = "rgba64le" if bits == 16 else "rgba"
        samples = picture.reformat(clip.width, clip.height, form).to_ndarray()[..., 3]
    return rescaled(samples, bits, clip.bit_depth)


def rescaled(samples: Samples, bits: int, wanted: int) -> Samples:
    """Full-range samples of one depth in another, rounded; there and back again is exact from 8 bits on."""
    if bits == wanted:
        return np.array(samples)
    top, wanted_top = (1 << bits) - 1, (1 << wanted) - 1
    scaled = (samples.astype(np.uint32) * wanted_top + top // 2) // top
    return scaled.astype(np.uint8 if wanted == 8 else np.uint16)


def _reformatted(picture: av.VideoFrame, clip: Clip) -> av.VideoFrame:
    tags = {"src_color_range": picture.color_range, "dst_color_range": picture.color_range}
    kept: dict[str, Any] = tags if picture.color_range else {}
    return picture.reformat(clip.width, clip.height, clip.work_format, **kept)


def view(plane: av.video.plane.VideoPlane, height: int, width: int, depth: int) -> Samples:
    """(height, width) of a library plane, without its padding; shares memory."""
    dtype = np.dtype(np.uint8 if depth == 8 else "<u2")
    samples: Samples = np.frombuffer(plane, dtype=dtype)  # type: ignore[call-overload]
    return samples.reshape(-1, plane.line_size // dtype.itemsize)[:height, :width]


def _views(picture: av.VideoFrame, clip: Clip) -> Planes:
    depth = clip.bit_depth
    down, across = format_step(clip.work_format)
    sizes = [(clip.height, clip.width)] + [(-(-clip.height // down), -(-clip.width // across))] * 2
    parts = [view(plane, *size, depth) for plane, size in zip(picture.planes, sizes, strict=False)]
    for part in parts:
        part.flags.writeable = False
    return Planes(parts[0], parts[1], parts[2], depth)


def _from_gray(picture: av.VideoFrame, clip: Clip) -> Planes:
    bits = picture.format.components[0].bits
    form = "gray" if bits <= 8 else "gray16le"
    if picture.format.name in ("gray", "gray16le"):
        samples: Samples = picture.to_ndarray()
    elif picture.format.name.startswith("ya"):
        samples = picture.reformat(format=form).to_ndarray()
    else:
        samples = np.array(view(picture.planes[0], picture.height, picture.width, bits))
    bits = 16 if samples.dtype != np.uint8 and picture.format.name.startswith("ya") else bits
    shift = bits - clip.bit_depth
    luma = (samples >> shift if shift >= 0 else samples << -shift).astype(
        np.uint8 if clip.bit_depth == 8 else np.uint16
    )
    size = (-(-clip.height // 2), -(-clip.width // 2))
    neutral = np.full(size, 1 << (clip.bit_depth - 1), dtype=luma.dtype)
    return Planes(luma, neutral, neutral, bit_depth=clip.bit_depth)


def _from_rgb(picture: av.VideoFrame, clip: Clip) -> Planes:
    deep = max(component.bits for component in picture.format.components) > 8
    form = "rgb48le" if deep else "rgb24"
    rgb = picture.reformat(clip.width, clip.height, form).to_ndarray()
    if deep:
        rgb = rgb.astype(np.float32) / np.float32(65535)
    tags = ColorTags(matrix=clip.color.matrix, full_range=clip.color.full_range)
    return planes_region_from_rgb(rgb, tags, clip.bit_depth, format_step(clip.work_format))


def picture_from_planes(
    planes: Planes, clip: Clip, pixel_format: str, alpha: Samples | None = None, *, narrowed: bool = False
) -> av.VideoFrame:
    """A library picture with a copy of ``planes``, converted to ``pixel_format`` if that differs.

    Where ``pixel_format`` has an alpha channel and there is no ``alpha``, the picture is opaque.  With
    ``narrowed`` full-range samples become limited ones.
    """
    if narrowed:
        # The library has no 4:2:0 of 12 bits with alpha.
        depth = 10 if planes.chroma_step == (2, 2) else format_depth(pixel_format)
        alpha = None if alpha is None else rescaled(alpha, planes.bit_depth, depth)
        planes = _narrowed(planes, depth)
    height, width = planes.shape
    name = format_of(planes)
    parts = [planes.y, planes.cb, planes.cr]
    if has_alpha(pixel_format):
        name = name.replace("yuv", "yuva")
        opaque = np.full((height, width), (1 << planes.bit_depth) - 1, planes.y.dtype)
        parts.append(opaque if alpha is None else alpha)
    picture = av.VideoFrame(width, height, name)
    for plane, part in zip(picture.planes, parts, strict=False):
        view(plane, part.shape[0], part.shape[1], planes.bit_depth)[:] = part
    if name != pixel_format:
        picture = picture.reformat(format=pixel_format, src_color_range=1, dst_color_range=1)
    return picture


def _narrowed(planes: Planes, bit_depth: int) -> Planes:
    """Full-range ``planes`` as limited ones of ``bit_depth``: 8-bit luma 0 to 255 becomes 16 to 235."""
    unit, top = 1 << (bit_depth - 8), (1 << planes.bit_depth) - 1
    neutral = 1 << (planes.bit_depth - 1)
    luma = planes.y.astype(np.float32) * (219 * unit / top) + 16 * unit
    cb, cr = (
        to_samples((plane.astype(np.float32) - neutral) * (224 * unit / top) + 128 * unit, bit_depth)
        for plane in (planes.cb, planes.cr)
    )
    return Planes(to_samples(luma, bit_depth), cb, cr, bit_depth)
