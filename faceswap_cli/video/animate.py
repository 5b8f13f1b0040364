"""Writing GIF, animated WebP and animated PNG: the one format for each, encoded from finished frames.

A job's segments hold these frames without loss; here they are turned upright, made R'G'B' and encoded in
one go.  The mark and the recipe lie in an XMP packet, as in still pictures.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.filter
import numpy as np

from faceswap_cli.color import rgb_from_planes
from faceswap_cli.records import I64, U8, Clip, Samples
from faceswap_cli.video.formats import alpha_from_picture, planes_from_picture, rescaled

ANIMATIONS = ("gif", "webp", "apng")
"""Containers that hold an animated picture, as the library names them."""
JOINED = "ffv1"
"""Encoder of the segments."""
EXACT = "yuv444p12le"
"""Work format of R'G'B' input: 8 bits come back to the bit."""
GIF_RATE = 50
"""GIF files count hundredths of a second, and players slow down frames shorter than two of them."""
_MS = Fraction(1, 1000)
_COLORS = 256
_SEEN = 128
"""Alpha from which a pixel of a GIF is opaque."""
_BYTES = np.array([1 << 16, 1 << 8, 1], np.uint32)
_XMP_IN_GIF = b"\x21\xff\x0bXMP DataXMP"
_MAGIC_TRAILER = bytes([1, *range(255, -1, -1), 0])
"""Lets readers that take the packet for sub-blocks find its end (XMP specification, part 3)."""


@dataclass(frozen=True)
class _Kind:
    """How one container is written."""

    encoder: str
    opaque: str
    """Pixel format of frames without an alpha channel"""
    transparent: str
    loops: str
    """The muxer's option for how often it plays"""
    clock: Fraction | None = None
    """None: that of the clip"""
    least: int = 1
    """Ticks for which a frame is shown at least"""
    options: tuple[tuple[str, str], ...] = ()


_KINDS = {
    "gif": _Kind("gif", "pal8", "pal8", "loop", Fraction(1, 100), least=100 // GIF_RATE),
    "apng": _Kind("apng", "rgb24", "rgba", "plays"),
    "webp": _Kind("libwebp_anim", "bgra", "bgra", "loop", _MS, options=(("quality", "90"),)),
}


@dataclass(frozen=True, slots=True)
class AnimationOptions:
    """What is up to the caller."""

    xmp: bytes = b""
    """Packet with the mark and the recipe; empty for none"""
    lossless: bool = False
    """Of WebP; the other two lose nothing but the colors that GIF has no room for"""


PLAIN = AnimationOptions()


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the frames of an animation are shown."""

    pts: I64
    """(T,) in the clip's clock, sorted"""
    end: int
    """When the last frame ends"""
    plays: int = 0
    """How often it is shown; 0 for ever"""

    def ticks(self, kind: _Kind, clip: Clip) -> tuple[dict[int, int], int]:
        """Time of a frame -> ticks after the first one, and after how many all ends.

        Frames that would be shown too shortly are left out.
        """
        first, scale = int(self.pts[0]), clip.time_base / (kind.clock or clip.time_base)
        shown: dict[int, int] = {}
        before = -kind.least
        for pts in self.pts.tolist():
            tick = round((pts - first) * scale)
            if tick - before >= kind.least:
                shown[pts] = before = tick
        return shown, max(round((self.end - first) * scale), before + kind.least)


def write_animation(
    part: Path,
    muxer: str,
    clip: Clip,
    pictures: Iterable[tuple[int, av.VideoFrame]],
    schedule: Schedule,
    options: AnimationOptions,
) -> None:
    """Write ``pictures``, (pts, decoded frame of a segment of ``clip``), to ``part``."""
    kind = _KINDS[muxer]
    clock = kind.clock or clip.time_base
    shown, end = schedule.ticks(kind, clip)
    last = end - max(shown.values())
    muxing = {kind.loops: _loops(muxer, schedule.plays)}
    if muxer in ("gif", "apng"):
        muxing["final_delay"] = str(last) if muxer == "gif" else _ratio(last * clock)
    with av.open(os.path.abspath(part), "w", format=muxer, options=muxing) as container:
        stream: Any = None
        choose: Callable[[av.VideoFrame], av.VideoFrame] | None = None
        for pts, picture in pictures:
            if pts not in shown:
                continue
            pixels = _pixels(picture, clip)
            if stream is None:
                stream = _stream(container, kind, pixels, clip, clock, lossless=options.lossless)
                choose = _palette(pixels, clock) if muxer == "gif" else None
            few = _indexed(pixels) if muxer == "gif" else None
            frame = few or av.VideoFrame.from_ndarray(pixels, format=_form(pixels))
            frame.pts, frame.time_base = shown[pts], clock
            if choose is not None and few is None:
                frame = choose(frame)
            if frame.format.name != stream.pix_fmt:
                frame = frame.reformat(format=stream.pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if muxer == "webp":
        _set_last_duration(part, last)
    if options.xmp:
        _ADD_XMP[muxer](part, options.xmp)


def upright(samples: Samples, clip: Clip) -> Samples:
    """(H, W) or (H, W, C) as decoded -> as shown: square pixels, turned."""
    if clip.sample_aspect != 1:
        import cv2

        width = max(round(samples.shape[1] * float(clip.sample_aspect)), 1)
        samples = np.asarray(cv2.resize(samples, (width, samples.shape[0]), interpolation=cv2.INTER_AREA))
    return clip.upright(samples)


def _pixels(picture: av.VideoFrame, clip: Clip) -> U8:
    """(H, W, 3 or 4) R'G'B'(A) as shown."""
    rgb = rgb_from_planes(planes_from_picture(picture, clip), clip.color)
    alpha = alpha_from_picture(picture, clip)
    if alpha is not None:
        rgb = np.dstack([rgb, rescaled(alpha, clip.bit_depth, 8)])
    return upright(rgb, clip)


def _loops(muxer: str, plays: int) -> str:
    """GIF files count repetitions, and say nothing (-1) when there are none."""
    return str(plays if muxer != "gif" or plays == 0 else plays - 1 or -1)


def _ratio(seconds: Fraction) -> str:
    small = seconds.limit_denominator(65535)
    return f"{small.numerator}/{small.denominator}"


def _stream(
    container: av.container.OutputContainer,
    kind: _Kind,
    pixels: U8,
    clip: Clip,
    clock: Fraction,
    *,
    lossless: bool,
) -> Any:
    options = {"lossless": "1"} if lossless and kind.encoder == "libwebp_anim" else dict(kind.options)
    stream: Any = container.add_stream(kind.encoder, rate=clip.average_rate, options=options)
    stream.height, stream.width = pixels.shape[:2]
    stream.pix_fmt = kind.transparent if pixels.shape[2] == 4 else kind.opaque
    stream.time_base = stream.codec_context.time_base = clock
    return stream


def _form(pixels: U8) -> str:
    return "rgba" if pixels.shape[2] == 4 else "rgb24"


def _indexed(pixels: U8) -> av.VideoFrame | None:
    """A frame of at most 256 colors with just these in its palette; None for one that has more."""
    opaque = np.ones(pixels.shape[:2], bool) if pixels.shape[2] == 3 else pixels[..., 3] >= _SEEN
    packed = np.zeros(pixels.shape[:2], ">u4")  # alpha, red, green, blue; one entry for all that is not seen
    packed[opaque] = 0xFF000000 | (pixels[opaque][:, :3].astype(np.uint32) @ _BYTES)
    colors, index = np.unique(packed, return_inverse=True)
    if len(colors) > _COLORS:
        return None
    # Padded with a color that is there: the encoder takes an empty entry for transparency, and uses it.
    palette = np.full(_COLORS, colors[-1], ">u4")
    palette[: len(colors)] = colors
    planes: Any = index.reshape(packed.shape).astype(np.uint8), palette.view(np.uint8).reshape(_COLORS, 4)
    return av.VideoFrame.from_ndarray(planes, format="pal8")


def _palette(pixels: U8, clock: Fraction) -> Callable[[av.VideoFrame], av.VideoFrame]:
    """Gives each frame the 256 colors that suit it best."""
    height, width, channels = pixels.shape
    graph = av.filter.Graph()
    form = av.VideoFormat(_form(pixels), width, height)
    source = graph.add_buffer(width=width, height=height, format=form, time_base=clock)
    split = graph.add("split")
    choose = graph.add("palettegen", f"stats_mode=single:reserve_transparent={int(channels == 4)}")
    use, sink = graph.add("paletteuse", "new=1"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(choose, 0, 0)
    split.link_to(use, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()

    def indexed(frame: av.VideoFrame) -> av.VideoFrame:
        source.push(frame)
        found = graph.vpull()
        found.pts, found.time_base = frame.pts, clock
        return found

    return indexed


# What the library leaves out: how long the last frame of WebP is shown, and XMP -----------------------


def _set_last_duration(path: Path, milliseconds: int) -> None:
    with path.open("rb+") as file:
        frames = [place for place, kind in _riff_chunks(file) if kind == b"ANMF"]
        if frames:
            file.seek(frames[-1] + 8 + 12)
            file.write(struct.pack("<I", milliseconds)[:3])


def _add_to_gif(path: Path, xmp: bytes) -> None:
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)  # the trailer
        file.write(_XMP_IN_GIF + xmp + _MAGIC_TRAILER + b";")


def _add_to_apng(path: Path, xmp: bytes) -> None:
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    with path.open("rb+") as file:
        file.seek(-12, os.SEEK_END)  # the empty chunk at the end
        for kind, data in ((b"iTXt", text), (b"IEND", b"")):
            file.write(struct.pack(">I", len(data)) + kind + data)
            file.write(struct.pack(">I", zlib.crc32(kind + data)))


def _add_to_webp(path: Path, xmp: bytes) -> None:
    with path.open("rb+") as file:
        place, kind = next(_riff_chunks(file))
        if kind != b"VP8X":
            return  # a single frame
        file.seek(place + 8)
        flags = file.read(1)[0]
        file.seek(place + 8)
        file.write(bytes([flags | 4]))  # there is XMP
        file.seek(0, os.SEEK_END)
        file.write(b"XMP " + struct.pack("<I", len(xmp)) + xmp + b"\0" * (len(xmp) % 2))
        size = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", size))


def _riff_chunks(file: Any) -> Iterator[tuple[int, bytes]]:
    """(place, type) of every chunk."""
    place = 12
    while True:
        file.seek(place)
        if len(head := file.read(8)) < 8:
            return
        kind, length = struct.unpack("<4sI", head)
        yield place, kind
        place += 8 + length + length % 2


_ADD_XMP = {"gif": _add_to_gif, "apng": _add_to_apng, "webp": _add_to_webp}
