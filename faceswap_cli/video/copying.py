"""Frames in which nothing is swapped, taken over as they are: packets, bit for bit.

That needs places where a stream may be cut without harm (keyframes that nothing refers across),
and a decoder that reads the old and the new packets as one stream.  Keyframes of VP9 and ProRes
say all there is to know; the parameter sets of two H.264 encoders can stand side by side (``avc``).
Those of HEVC and AV1 cannot: their encoders number all sets alike, a second sample description or
sets between the pictures are what common players fail at.  These frames are encoded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from faceswap_cli.config import EncodeOptions, SwapOptions
from faceswap_cli.errors import InputError
from faceswap_cli.records import I64, Clip
from faceswap_cli.video import avc
from faceswap_cli.video.encoders import ENCODERS, encoding_for
from faceswap_cli.video.opening import open_input
from faceswap_cli.video.writer import (
    DecodingClock,
    explained,
    segment_container,
    whole_segment,
)

_TIMED = ("mov", "matroska")
"""Containers whose packets carry exact times of their own."""
_NO_TIMES = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """Where the packets of a clip may be cut."""

    pts: I64 = field(default_factory=lambda: _NO_TIMES, repr=False)
    """Times of all packets, sorted; empty when nothing can be copied"""
    clean: I64 = field(default_factory=lambda: _NO_TIMES, repr=False)
    """Times at which a copy may begin or end"""
    reason: str = ""
    """Why nothing can be copied"""


def cuts_for(clip: Clip, options: SwapOptions, *, resized: bool = False) -> Cuts:
    """Where the packets of ``clip`` may be cut in a job with ``options``.

    ``resized``: its frame size changes, so that packets would not all have the size of the output.
    """
    if options.mark.label or options.mark.compare:
        return Cuts(reason="every frame is changed by --label or --compare")
    if not options.encode.copy_untouched:
        return Cuts(reason="encode.copy_untouched is off")
    if resized:
        return Cuts(reason="the frame size changes")
    return find_cuts(clip, options.encode)


def find_cuts(clip: Clip, encode: EncodeOptions) -> Cuts:
    """Look through the packets of ``clip``; nothing is decoded."""
    reason = _obstacle(clip, encode)
    if reason:
        return Cuts(reason=reason)
    try:
        times, starts = _scan(clip)
    except (av.error.FFmpegError, OSError):
        return Cuts(reason="the file cannot be read to its end")
    if not times or None in times or len(set(times)) < len(times):
        return Cuts(reason="its packets do not carry times of their own")
    pts = np.asarray(times, dtype=np.int64)
    before = np.concatenate([[np.iinfo(np.int64).min], np.maximum.accumulate(pts)[:-1]])
    after = np.minimum.accumulate(pts[::-1])[::-1]
    clean = pts[np.asarray(starts) & (before < pts) & (after == pts)]
    if len(clean) == 0:
        return Cuts(reason="no keyframe is free of references across it")
    return Cuts(np.sort(pts), clean)


def _obstacle(clip: Clip, encode: EncodeOptions) -> str:
    """Why no packet of ``clip`` can stand beside newly encoded ones; empty when they can."""
    encoding = encoding_for(clip, encode)
    if clip.interlaced:
        return "it is interlaced"
    if not clip.container.startswith(_TIMED):
        return f"{clip.container} files do not time their packets exactly"
    if ENCODERS.get(clip.codec) != encoding.encoder:
        return f"{clip.codec} becomes {encoding.encoder}"
    if clip.pixel_format.replace("yuvj", "yuv") != encoding.pixel_format:
        return f"{clip.pixel_format} becomes {encoding.pixel_format}"
    if clip.codec == "prores":
        return "" if encode.preset is None and not clip.codec_header else "the ProRes profile may differ"
    if clip.codec == "h264":
        header = avc.read_header(clip.codec_header)
        if header is None:
            return "its parameter sets are not in the file's header"
        return "" if avc.is_progressive(header) else "it is interlaced"
    if clip.codec == "vp9" and not clip.codec_header:
        return ""  # every keyframe says all there is to know
    return f"one {clip.codec} stream cannot hold the settings of two encoders"


def _scan(clip: Clip) -> tuple[list[int | None], list[bool]]:
    """(time, may begin a copy) of every packet, in decoding order."""
    header = avc.read_header(clip.codec_header) if clip.codec == "h264" else None
    times: list[int | None] = []
    starts: list[bool] = []
    for packet in _packets(clip):
        times.append(packet.pts)
        starts.append(packet.is_keyframe and (header is None or _begins(bytes(packet), header)))
    return times, starts


def _begins(packet: bytes, header: avc.Header) -> bool:
    """An instantaneous refresh whose parameter sets, if it has any, are those of the file's header."""
    found = avc.units(packet)
    sets = {unit for unit in found if avc.kind(unit) in (avc.SPS, avc.PPS)}
    return any(avc.kind(unit) == avc.IDR for unit in found) and sets <= {*header.sps, *header.pps}


def _packets(clip: Clip) -> Iterator[av.Packet[Any]]:
    with open_input(clip.path) as container:
        for packet in container.demux(container.streams[clip.video_stream]):
            if packet.size:
                yield packet


def copy_segment(path: Path, clip: Clip, pts: I64) -> int:
    """Write the packets of the frames ``pts`` (sorted, whole groups of pictures) to ``path``, unchanged.

    Returns their number.  :class:`InputError` when they are not all there.
    """
    wanted = frozenset(pts.tolist())
    with whole_segment(path) as part:
        # Indexes of some files lead behind the wanted keyframe: then from the beginning.
        if not any(_copy(part, clip, pts, wanted, seek=seek) == len(wanted) for seek in (True, False)):
            raise InputError(f"{clip.path} changed while it was being worked on; start again")
    return len(wanted)


def _copy(part: Path, clip: Clip, pts: I64, wanted: frozenset[int], *, seek: bool) -> int:
    """The number of packets found."""
    form = "mov" if clip.codec == "prores" else "mp4"
    with open_input(clip.path) as source, explained(part, clip.codec):
        stream = source.streams[clip.video_stream]
        if seek:
            source.seek(int(pts[0]), stream=stream, backward=True)
        with segment_container(part, clip, form) as target:
            copy: Any = target.add_stream_from_template(stream, opaque=True)
            copy.time_base = clip.time_base
            if clip.codec == "h264":
                copy.codec_context.codec_tag = "avc1"
            clock = DecodingClock(pts.tolist())
            for packet in _wanted(source, stream, wanted):
                (stamped,) = clock.stamped([packet])
                stamped.stream = copy
                target.mux_one(stamped)
    return clock.packets


def _wanted(source: Any, stream: Any, wanted: frozenset[int]) -> Iterator[av.Packet[Any]]:
    left = len(wanted)
    for packet in source.demux(stream):
        if packet.size and packet.pts in wanted:
            yield packet
            left -= 1
            if left == 0:
                return
