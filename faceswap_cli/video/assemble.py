"""The output file: segments joined by packet copy, and every other stream carried along.

Video times are those of the segments, to the tick.  Decoding times are computed from them
(one sorted list, moved back by the deepest reordering), so that joints never need repair.
"""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import numpy as np

from faceswap_cli.errors import InputError, OutputError
from faceswap_cli.records import Clip
from faceswap_cli.video.animate import ANIMATIONS, PLAIN, AnimationOptions, Schedule, write_animation
from faceswap_cli.video.animated import plays
from faceswap_cli.video.avc import merged_headers
from faceswap_cli.video.carry import MUXER_OWN, Carried, Window, carried_packets, carry_streams, copy_chapters
from faceswap_cli.video.containers import container_format, muxer_options, part_path
from faceswap_cli.video.kept import container, unturned
from faceswap_cli.video.opening import clock_of, open_input
from faceswap_cli.video.relay import muxer_of, relayed
from faceswap_cli.video.timecode import move_timecode, sane_rate, stated_rate
from faceswap_cli.video.writer import set_color, ticks

_REPEATS_TIMES = ("matroska", "webm")
"""Formats in which packets of a stream may have the same time."""
_FAR_START_S = 60
"""Broadcast clocks start anywhere: a file that begins later than this is moved to begin at 0."""
STATES_RATES = tuple(int(part) for part in av.__version__.split(".")[:2]) >= (18, 1)
"""Older libraries cannot state the rate of a stream without an encoder, which time code tracks need."""


def assemble(
    output: Path,
    clip: Clip,
    segments: Sequence[Path],
    *,
    span: tuple[int | None, int | None] = (None, None),
    metadata: dict[str, str] | None = None,
    animation: AnimationOptions = PLAIN,
    seal: Callable[[Path], None] = lambda finished: None,
) -> list[str]:
    """Join ``segments`` to ``output``; returns notes on what could not be carried over.

    With a ``span``, (first, end) in the clip's time base, sound and subtitles are cut to match and all
    times are moved so that the first becomes 0.  ``metadata`` is added to the container's own; GIF, WebP
    and PNG are written as ``animation`` says.
    The file appears under its name only when it is complete and on disk; before that ``seal`` may
    still change it.
    """
    part = part_path(output)
    try:
        if (muxer := container_format(output)) in ANIMATIONS:
            notes = _animate(part, muxer, clip, segments, animation)
        else:
            notes = _assemble(part, output, clip, segments, span, metadata or {})
        seal(part)
        with open(part, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(part, output)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{output} cannot be written ({reason}); check free space and permissions"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return notes


def _animate(
    part: Path, muxer: str, clip: Clip, segments: Sequence[Path], options: AnimationOptions
) -> list[str]:
    video = _survey(clip, segments)
    often = plays(clip.path) if clip.container in ANIMATIONS else 0
    schedule = Schedule(video.pts, video.end, often)
    write_animation(part, muxer, clip, _decoded(segments, clip), schedule, options)
    return list(clip.notes)


def _decoded(segments: Sequence[Path], clip: Clip) -> Iterator[tuple[int, av.VideoFrame]]:
    """(pts, picture) of segments in which every packet is a whole picture."""
    for path in segments:
        with open_input(path) as container:
            for packet in _filled(container, container.streams.video[0]):
                pts = ticks(packet, container, clip)
                yield from ((pts, picture) for picture in packet.decode())


@dataclass(frozen=True)
class _Video:
    """Presentation times of all segments, sorted, and the deepest reordering among them."""

    pts: np.ndarray[Any, np.dtype[np.int64]]
    delay: int
    end: int
    header: bytes
    """Parameter sets of all segments"""
    template: Path
    """A segment that was encoded again, if there is one"""

    def dts(self, position: int) -> int:
        """Decoding time of the packet at ``position`` in decoding order."""
        if position >= self.delay:
            return int(self.pts[position - self.delay])
        step = max(int(self.pts[1] - self.pts[0]), 1) if len(self.pts) > 1 else 1
        return int(self.pts[0]) - (self.delay - position) * step

    def duration(self, pts: int) -> int:
        row = int(np.searchsorted(self.pts, pts, side="right"))
        return int(self.pts[row]) - pts if row < len(self.pts) else max(self.end - pts, 1)


def _survey(clip: Clip, segments: Sequence[Path]) -> _Video:
    """Read the times of all segments; a decoder must be able to read them as one stream."""
    found: list[int] = []
    headers: dict[bytes, Path] = {}
    for path in segments:
        with open_input(path) as container:
            stream = container.streams.video[0]
            headers.setdefault(stream.codec_context.extradata or b"", path)
            found += [ticks(packet, container, clip) for packet in _filled(container, stream)]
    header = _one_header(headers)
    if not found:
        raise InputError(f"{clip.path}: there are no frames to write")
    pts = np.sort(np.asarray(found, dtype=np.int64))
    if len(pts) > 1 and not (np.diff(pts) > 0).all():
        raise OutputError(
            f"{clip.path}: two segments hold the same frame; remove the job folder and start again"
        )
    behind = np.arange(len(found)) - np.searchsorted(pts, found)
    last = int(pts[-1] - pts[-2]) if len(pts) > 1 else max(round(1 / (sane_rate(clip) * clip.time_base)), 1)
    end = clip.start_pts + round(clip.duration_s / clip.time_base)
    end = end if _is_plausible(end - int(pts[-1]), last, clip.container) else int(pts[-1]) + last
    anew = [path for own, path in headers.items() if own != clip.codec_header]
    template = (anew or list(segments))[0]
    return _Video(pts, int(max(behind.max(), 0)), end, header, template)


def _is_plausible(shown: int, step: int, container: str) -> bool:
    """Whether the last frame is shown for ``shown`` ticks, as the clip's duration says."""
    if container in ANIMATIONS:
        return shown > 0  # where a last frame that stays is usual
    if "mov" in container:
        return 0 < shown <= 4 * step
    return step < 2 * shown < 3 * step  # others count the sound too, or up to the last frame only


def _one_header(headers: Mapping[bytes, Path]) -> bytes:
    """The header that serves all segments: encoded ones have one, copied ones may have another."""
    found = list(headers)
    if len(found) == 2 and (both := merged_headers(*found)) is not None:
        return both
    if len(found) > 1:
        path = headers[found[1]]
        raise OutputError(f"{path.name} was encoded with other settings; start again with --restart")
    return found[0] if found else b""


def _filled(container: av.container.InputContainer, stream: Any) -> Iterator[av.Packet[Any]]:
    for packet in container.demux(stream):
        if packet.size:
            yield packet


def _window(clip: Clip, source: av.container.InputContainer, part: tuple[int | None, int | None]) -> Window:
    start, end = (None if pts is None else pts * clip.time_base for pts in part)
    origin = clip.start_pts * clip.time_base
    if start is not None:
        return Window(start, end, start, origin)
    begins = Fraction(source.start_time or 0, av.time_base)
    return Window(None, end, begins if begins > _FAR_START_S else Fraction(0), origin)


def _assemble(
    part: Path,
    output: Path,
    clip: Clip,
    segments: Sequence[Path],
    span: tuple[int | None, int | None],
    metadata: dict[str, str],
) -> list[str]:
    video = _survey(clip, segments)
    muxer = container_format(output)
    with open_input(clip.path) as source, open_input(video.template) as first:
        window = _window(clip, source, span)
        clocks = [clock_of(s) for s in source.streams]
        form, options = relayed(source, muxer)
        options |= muxer_options(muxer, clip, clocks)
        with av.open(os.path.abspath(part), "w", format=form, options=options) as target:
            carried = carry_streams(source, target, clip, first.streams.video[0])
            carried.video.codec_context.framerate = rate = stated_rate(clip, video.pts)
            _dress(clip, source, target, carried, metadata)
            _move_timecodes(target, carried, window, rate)
            if video.header != (first.streams.video[0].codec_context.extradata or b""):
                carried.video.codec_context.extradata = video.header
            _set_tag(carried.video, first.streams.video[0], muxer)
            copy_chapters(source, target, window)
            try:
                target.start_encoding()
            except OSError:
                raise  # the disk's fault, not that of the streams
            except (av.error.FFmpegError, ValueError) as error:
                raise OutputError(
                    f"{output}: the container refuses these streams ({error}); try .mkv"
                ) from error
            others = carried_packets(source, clip, carried, window)
            _mux(target, carried, _video_packets(clip, segments, video, carried.video, window), others)
    return [*clip.notes, *carried.notes, *_lost(muxer, clip, metadata)]


def _dress(
    clip: Clip,
    source: av.container.InputContainer,
    target: av.container.OutputContainer,
    carried: Carried,
    metadata: dict[str, str],
) -> None:
    """Rotation, aspect, codec tag and container metadata."""
    stream = carried.video
    stream.time_base = clip.time_base
    stream.sample_aspect_ratio = clip.sample_aspect
    set_color(stream.codec_context, clip)
    if clip.alpha and stream.codec_context.codec.canonical_name == "vp9":
        stream.metadata["alpha_mode"] = "1"
    if clip.rotation or clip.mirrored:
        stream.set_display_rotation(clip.rotation, hflip=clip.mirrored)
    kept = {k: v for k, v in source.metadata.items() if k.lower() not in MUXER_OWN}
    target.metadata.update({**kept, **metadata})


def _move_timecodes(
    target: av.container.OutputContainer, carried: Carried, window: Window, rate: Fraction
) -> None:
    """Time codes name the first frame: with ``--start`` that is a later one."""
    held = [target.metadata, *(stream.metadata for stream in target.streams)]
    for tags in held:
        for key in [key for key in tags if key.lower() == "timecode"]:
            if window.start is not None:
                tags[key] = move_timecode(tags[key], window.start - window.origin, rate)
            if not STATES_RATES and target.format.name in ("mp4", "mov"):
                del tags[key]
                carried.notes.append("PyAV 18.1 or later is needed to keep the time code; update it")


def _set_tag(stream: Any, segment: av.VideoStream, muxer: str) -> None:
    """The four letters by which QuickTime players know a codec, where the library would choose others."""
    codec = segment.codec_context.codec.canonical_name
    if muxer in ("mp4", "mov") and codec == "hevc":
        stream.codec_context.codec_tag = "hvc1"  # QuickTime plays no other
    elif muxer == "mov" and codec == "prores":
        stream.codec_context.codec_tag = segment.codec_context.codec_tag  # it names the profile


def _lost(muxer: str, clip: Clip, metadata: dict[str, str]) -> list[str]:
    notes = []
    row = container(muxer)
    if (clip.rotation or clip.mirrored) and not (row and row.rotation):
        notes.append(unturned(muxer, clip))
    if muxer in ("avi", "mpegts") and metadata:
        notes.append(f"{muxer} cannot store these metadata entries: {', '.join(sorted(metadata))}")
    return notes


def _video_packets(
    clip: Clip, segments: Sequence[Path], video: _Video, target: Any, window: Window
) -> Iterator[tuple[Fraction, Any, av.Packet[Any]]]:
    """(decoding time in seconds, output stream, packet) of all segments, times in the clip's clock."""
    shift = round(window.shift / clip.time_base)
    position = 0
    for path in segments:
        with open_input(path) as container:
            for packet in _filled(container, container.streams.video[0]):
                pts, dts = ticks(packet, container, clip), video.dts(position)
                packet.duration = video.duration(pts)
                packet.pts, packet.dts = pts - shift, dts - shift
                packet.time_base = clip.time_base
                yield (dts - shift) * clip.time_base, target, packet
                position += 1


def _mux(
    target: av.container.OutputContainer,
    carried: Carried,
    *sources: Iterator[tuple[Fraction, Any, av.Packet[Any]]],
) -> None:
    """Write packets of all sources in the order of their times; decoding times strictly increase.

    Those of sound and subtitles may stay the same where the container allows it: TrueHD has packets of
    less than a tick of Matroska.  Damage in sound or subtitles that the container refuses costs its own
    packet, and a note.
    """
    last: dict[int, int] = {}
    repeats = muxer_of(target) in _REPEATS_TIMES
    refused: Counter[str] = Counter()
    for _, stream, packet in heapq.merge(*sources, key=lambda item: item[0]):
        _rescale(packet, clock_of(stream))
        before = last.get(stream.index)
        if packet.dts is not None:
            if before is not None:
                least = before if repeats and stream is not carried.video else before + 1
                packet.dts = max(packet.dts, least)
            last[stream.index] = packet.dts
            if packet.pts is not None and packet.pts < packet.dts:
                packet.pts = packet.dts
        packet.stream = stream
        try:
            target.mux_one(packet)
        except av.error.InvalidDataError as error:
            if stream is carried.video:
                raise OutputError(
                    f"{target.name}: the container refuses a frame ({error}); try .mkv"
                ) from error
            refused[f"{stream.type} stream {stream.index}"] += 1
    carried.notes.extend(
        f"{count} damaged packet{'s' if count > 1 else ''} of {name} could not be carried over"
        for name, count in refused.items()
    )


def _rescale(packet: av.Packet[Any], clock: Fraction) -> None:
    """Times of ``packet`` in ``clock``, each rounded on its own so that no error adds up."""
    ratio = clock_of(packet) / clock
    if ratio != 1:
        for name in ("pts", "dts", "duration"):
            value = getattr(packet, name)
            if value is not None:
                setattr(packet, name, round(value * ratio))
    packet.time_base = clock
