"""Everything of the input that is not the swapped video: sound, subtitles, attachments, chapters."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
from av.stream import Disposition

from faceswap_cli.records import Clip
from faceswap_cli.video.clock import unroll
from faceswap_cli.video.opening import clock_of, exact, open_input
from faceswap_cli.video.relay import RELAY, muxer_of, survives
from faceswap_cli.video.sound import Converter, converter

MUXER_OWN = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
"""Container metadata that a new file makes for itself."""
_STALE = ("_statistics", "number_of_", "bps", "duration", "encoder", "alpha_mode")
"""Beginnings of stream metadata keys that describe the old encoding."""


@dataclass
class Carried:
    """Streams of the output, by the index of the input stream they come from."""

    streams: dict[int, Any] = field(default_factory=dict)
    converted: dict[int, Converter] = field(default_factory=dict)
    """Sound that is encoded again because the container cannot hold it as it is"""
    video: Any = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Window:
    """The part of the input that is carried, in exact seconds, and the shift of all times."""

    start: Fraction | None
    end: Fraction | None
    shift: Fraction
    """Taken off every time."""
    origin: Fraction = Fraction(0)
    """Time of the input's first frame."""


def carry_streams(
    source: av.container.InputContainer,
    target: av.container.OutputContainer,
    clip: Clip,
    video: av.VideoStream,
) -> Carried:
    """Create the streams of ``target`` in the order of ``source``; the main video from ``video``."""
    carried = Carried()
    for stream in list(source.streams):
        if stream.index == clip.video_stream:
            carried.video = target.add_stream_from_template(video, opaque=True)
            _describe(stream, carried.video)
        elif _is_made_anew(stream, source, clip, muxer_of(target)):
            continue
        else:
            _carry(stream, target, carried)
    _carry_reel(source, target, carried)
    return carried


def lost_streams(
    source: av.container.InputContainer, target: av.container.OutputContainer, clip: Clip
) -> list[str]:
    """One line for each stream that ``target``, which is never written, would not hold as it is."""
    carried = Carried()
    for stream in list(source.streams):
        others = stream.index != clip.video_stream
        if others and not _is_made_anew(stream, source, clip, muxer_of(target)):
            _carry(stream, target, carried)
    _carry_reel(source, target, carried)
    return carried.notes


def _carry_reel(
    source: av.container.InputContainer, target: av.container.OutputContainer, carried: Carried
) -> None:
    """The name of the reel: new time code tracks take it from the video, in QuickTime only."""
    muxer = muxer_of(target)
    reels = [
        s.metadata["reel_name"] for s in source.streams if s.type == "data" and "reel_name" in s.metadata
    ]
    for reel in reels:
        if muxer not in ("mov", "matroska"):
            carried.notes.append(f"the reel name {reel} does not fit {muxer}; use .mov to keep it")
        elif carried.video is not None:
            carried.video.metadata["reel_name"] = reel


def _carry(stream: Any, target: av.container.OutputContainer, carried: Carried) -> None:
    muxer = muxer_of(target)
    kind = stream.type or "data"
    if kind == "attachment" or _is_cover(stream):
        if "matroska" in muxer:
            _attach(stream, target, carried)
            return
        if kind != "attachment" and muxer in ("mp4", "mov"):
            # The library writes either free metadata keys or covers; the keys hold the provenance mark.
            carried.notes.append(
                f"the cover picture does not fit {muxer} beside the metadata; use .mkv to keep it"
            )
            return
        if kind == "attachment":
            carried.notes.append(f"attachment {_name_of(stream)} does not fit {muxer}; use .mkv to keep it")
            return
    passes = _fits(muxer, stream) or (target.format.name == RELAY and kind == "audio" and survives(stream))
    if not passes:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
        codec = "time code" if "timecode" in stream.metadata else codec
        if kind == "audio" and (made := converter(stream, target)) is not None:
            _describe(stream, made.new)
            carried.converted[stream.index] = made
            carried.notes.append(
                f"audio stream {stream.index} ({codec}) does not fit {muxer}: "
                f"encoded again as {made.new.codec_context.codec.canonical_name}"
            )
            return
        carried.notes.append(
            f"{kind} stream {stream.index} ({codec}) does not fit {muxer}{_elsewhere(muxer, stream)}"
        )
        return
    new = target.add_stream_from_template(stream, opaque=True)
    _describe(stream, new)
    carried.streams[stream.index] = new


def _elsewhere(muxer: str, stream: Any) -> str:
    """The advice at the end of a message: only a container that does hold the stream."""
    fits = "matroska" not in muxer and _fits("matroska", stream)
    return "; use .mkv to keep it" if fits else " and is left out"


def _is_made_anew(stream: Any, source: av.container.InputContainer, clip: Clip, muxer: str) -> bool:
    """Chapter and time code tracks of QuickTime files are written again by the library."""
    if stream.type != "data" or "mov" not in clip.container:
        return False
    is_chapters = bool(source.chapters()) and stream.metadata.get("handler_name", "") in (
        "SubtitleHandler",
        "",
    )
    # Matroska keeps the time code as a tag of the video.
    is_timecode = "timecode" in stream.metadata and muxer in ("mp4", "mov", "matroska", "webm")
    return is_chapters or is_timecode


def _is_cover(stream: Any) -> bool:
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _name_of(stream: Any) -> str:
    return str(stream.metadata.get("filename") or f"stream {stream.index}")


def _attach(stream: Any, target: av.container.OutputContainer, carried: Carried) -> None:
    """Attachments have no packets; a cover picture of MP4 becomes one in Matroska."""
    mime = stream.metadata.get("mimetype", "application/octet-stream")
    if stream.type == "attachment":
        target.add_attachment(_name_of(stream), mime, bytes(stream.data))
        return
    data = _cover_bytes(stream)
    codec = stream.codec_context.codec.canonical_name
    suffix, mime = ("png", "image/png") if codec == "png" else ("jpg", "image/jpeg")
    if data:
        target.add_attachment(stream.metadata.get("filename", f"cover.{suffix}"), mime, data)
    else:
        carried.notes.append(f"cover picture {stream.index} is empty")


def _cover_bytes(stream: Any) -> bytes:
    with open_input(Path(stream.container.name)) as again:
        for packet in again.demux(again.streams[stream.index]):
            if packet.size:
                return bytes(packet)
    return b""


def _fits(muxer: str, stream: Any) -> bool:
    """Whether the container takes this stream: found by writing a header to memory."""
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True


def _describe(old: Any, new: Any) -> None:
    """Language, title, handler and disposition."""
    is_video = old.type == "video"
    # Cleared and filled: the library's attribute is a dictionary that cannot be set.
    new.metadata.clear()
    new.metadata.update(
        (key, value)
        for key, value in old.metadata.items()
        if not (is_video and key.lower().startswith(_STALE)) and not key.lower().startswith("_statistics")
    )
    # QuickTime calls a track's title its name when read, and wants the title when written.
    if "name" in new.metadata:
        new.metadata.setdefault("title", new.metadata.pop("name"))
    new.disposition = int(old.disposition)


def copy_chapters(
    source: av.container.InputContainer, target: av.container.OutputContainer, window: Window
) -> None:
    """Chapters, clipped to the window and moved with it."""
    kept = []
    for chapter in source.chapters():
        clock = exact(chapter["time_base"]) or Fraction(1, 1000)
        start, end = chapter["start"] * clock, chapter["end"] * clock
        start = start if window.start is None else max(start, window.start)
        end = end if window.end is None else min(end, window.end)
        if end > start:
            moved = {
                "start": round((start - window.shift) / clock),
                "end": round((end - window.shift) / clock),
            }
            kept.append({**chapter, **moved, "time_base": clock})
    if kept:
        target.set_chapters(kept)  # type: ignore[arg-type]


def carried_packets(
    source: av.container.InputContainer, clip: Clip, carried: Carried, window: Window
) -> Iterator[tuple[Fraction, Any, av.Packet[Any]]]:
    """(time in seconds, output stream, packet) of all carried streams, times moved, in file order."""
    kept = carried.streams.keys() | carried.converted.keys()
    wanted = [stream for stream in source.streams if stream.index in kept]
    if not wanted:
        return
    try:
        for packet in unroll(source.demux(wanted), clip):
            if packet.size and _is_cover(packet.stream):
                packet.pts = packet.dts = 0  # covers stand outside time
                yield Fraction(0), carried.streams[packet.stream.index], packet
                continue
            if packet.size == 0 or (packet.pts is None and packet.dts is None):
                continue
            if cut(packet, window, is_subtitle=packet.stream.type == "subtitle"):
                if (made := carried.converted.get(packet.stream.index)) is not None:
                    yield from _timed(made, made.convert(packet))
                else:
                    yield _time(packet), carried.streams[packet.stream.index], packet
    except av.error.FFmpegError as error:
        carried.notes.append(f"sound and subtitles end early: the input breaks off ({error.strerror})")
    for made in carried.converted.values():
        yield from _timed(made, made.convert(None))


def _time(packet: av.Packet[Any]) -> Fraction:
    return Fraction((packet.dts if packet.dts is not None else packet.pts or 0) * clock_of(packet))


def _timed(
    made: Converter, packets: Iterator[av.Packet[Any]]
) -> Iterator[tuple[Fraction, Any, av.Packet[Any]]]:
    for packet in packets:
        yield _time(packet), made.new, packet


def cut(packet: av.Packet[Any], window: Window, *, is_subtitle: bool) -> bool:
    """Whether ``packet`` lies in the window; its times are moved.

    A packet of sound is kept when it begins in the window.  A subtitle that has begun before is
    kept and shortened.
    """
    clock = clock_of(packet)
    start_tick = packet.pts if packet.pts is not None else packet.dts
    assert start_tick is not None
    start = start_tick * clock
    if window.end is not None and start >= window.end:
        return False
    if window.start is not None and start < window.start:
        end = start + (packet.duration or 0) * clock
        if not is_subtitle or end <= window.start:
            return False
        packet.pts = packet.dts = round(window.start / clock)
        packet.duration = round((end - window.start) / clock)
    if is_subtitle and window.end is not None and packet.duration and packet.pts is not None:
        packet.duration = min(packet.duration, round(window.end / clock) - packet.pts)
    shift = round(window.shift / clock)
    packet.pts = None if packet.pts is None else packet.pts - shift
    packet.dts = None if packet.dts is None else packet.dts - shift
    return True
