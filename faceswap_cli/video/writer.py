"""Encoding: one segment file, with the clip's own clock, tags and format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import InputError, OutputError
from faceswap_cli.records import Clip, Frame
from faceswap_cli.video.encoders import THREADS, Encoding, cannot_open, encoding_for, usual_priority
from faceswap_cli.video.formats import is_rgb, picture_from_planes
from faceswap_cli.video.opening import clock_of
from faceswap_cli.video.timecode import sane_rate


def write_segment(
    path: Path, clip: Clip, frames: Iterable[Frame], encode: EncodeOptions, *, threads: int = THREADS
) -> int:
    """Encode ``frames`` to ``path`` and return how many there were; no sound.

    Times are kept exactly.  All segments of a clip written with the same options and the same
    number of threads can be joined by packet copy.  The file appears under its name only when it
    is complete.
    """
    encoding = encoding_for(clip, encode)
    with whole_segment(path) as part:
        count = _write(part, clip, frames, encoding, threads)
        if count == 0:
            raise InputError(
                f"{clip.path}: no frame could be read for {path.name}; the file may have changed"
            )
    return count


@contextmanager
def whole_segment(path: Path) -> Iterator[Path]:
    """A part file that becomes ``path`` when the block ends well."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        with explained(path, "copy"):
            os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _finer(time_base: Fraction) -> int:
    """How many ticks of a segment's clock make one of the clip's, so that frames in the clip's first ticks
    have decoding times from 0 on: the container reads others back shifted when the first frame is not at 0.
    """
    return DecodingClock.depth if time_base.denominator * DecodingClock.depth < 2**31 else 1


def segment_container(part: Path, clip: Clip, form: str) -> av.container.OutputContainer:
    """An open segment file; both of its clocks divide the clip's: even a late start is stored exactly."""
    if form == TICKED:
        return av.open(os.path.abspath(part), "w", format=form)
    clock = str(clip.time_base.denominator * _finer(clip.time_base))
    options = {"movie_timescale": clock, "video_track_timescale": clock}
    return av.open(os.path.abspath(part), "w", format=form, options=options)


@contextmanager
def explained(path: Path, encoder: str) -> Iterator[None]:
    """Turn errors of the library and the disk into ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written ({reason}); check free space and permissions") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise cannot_open(encoder, error) from error


def _write(part: Path, clip: Clip, frames: Iterable[Frame], encoding: Encoding, threads: int) -> int:
    count = 0
    with explained(part, encoding.encoder):
        container = segment_container(part, clip, encoding.container)
    try:
        stream = _add_stream(container, clip, encoding, threads)
        decoding = DecodingClock() if encoding.container != TICKED else _Ticks(clip.start_pts)
        for frame in frames:
            picture = picture_from_planes(
                frame.planes, clip, encoding.pixel_format, frame.alpha, narrowed=encoding.narrowed
            )
            _name_color(picture, clip)
            picture.pts, picture.time_base = count, stream.codec_context.time_base
            decoding.pts.append(frame.pts)
            with explained(part, encoding.encoder):
                container.mux(decoding.stamped(_timed(stream.encode(picture), decoding.pts, clip)))
            count += 1
        with explained(part, encoding.encoder):
            if count:
                container.mux(decoding.stamped(_timed(stream.encode(None), decoding.pts, clip)))
            container.close()
    finally:
        with suppress(av.error.FFmpegError, ValueError, OSError):
            container.close()
    return count


def _timed(packets: list[av.Packet[Any]], pts: Sequence[int], clip: Clip) -> list[av.Packet[Any]]:
    """Packets that the encoder numbered, with the times ``pts`` of their frames.

    Encoders count frames at the stated rate: what they write into the stream's own headers about timing
    is then that rate, not the ticks of the container's clock.
    """
    for packet in packets:
        if packet.pts is None:
            raise ValueError("the encoder returned a packet without a time")
        row = round(packet.pts * clock_of(packet) * sane_rate(clip))
        packet.pts, packet.time_base = pts[row], clip.time_base
        packet.duration = pts[row + 1] - pts[row] if row + 1 < len(pts) else 0
    return packets


TICKED = "matroska"
"""Segments of this container count the clip's ticks from its first frame, as if each were a millisecond."""


def ticks(packet: av.Packet[Any], container: av.container.InputContainer, clip: Clip) -> int:
    """Presentation time of a segment's packet in the clip's own clock."""
    assert packet.pts is not None
    if TICKED in container.format.name:
        return packet.pts + clip.start_pts
    return round(packet.pts * clock_of(packet) / clip.time_base)


class DecodingClock:
    """Decoding times by our own count: those of x265 are not set when a segment has one or two frames.

    Packet i is decoded when frame i - 16 is shown: no codec holds a frame back for longer, so
    that never is after its own time.  ``assemble`` finds the true depth.  The packets come back in
    the clock of the segment.
    """

    depth = 16

    def __init__(self, pts: Sequence[int] = ()) -> None:
        self.pts = list(pts)
        self.packets = 0

    def stamped(self, packets: list[av.Packet[Any]]) -> list[av.Packet[Any]]:
        for packet in packets:
            row, clock = self.packets - self.depth, clock_of(packet)
            finer = _finer(clock)
            if packet.pts is not None:
                packet.pts *= finer
            packet.dts = self.pts[max(row, 0)] * finer + min(row, 0)
            packet.duration = (packet.duration or 0) * finer
            packet.time_base = clock / finer
            self.packets += 1
        return packets


class _Ticks(DecodingClock):
    """The times of a container whose clock is fixed, for codecs that show packets in the order they come."""

    def __init__(self, start_pts: int) -> None:
        super().__init__()
        self._start = start_pts

    def stamped(self, packets: list[av.Packet[Any]]) -> list[av.Packet[Any]]:
        for packet in packets:
            packet.pts = packet.dts = (packet.pts or 0) - self._start
            packet.time_base = Fraction(1, 1000)
        return packets


def _add_stream(
    container: av.container.OutputContainer, clip: Clip, encoding: Encoding, threads: int
) -> av.VideoStream:
    """A stream whose encoder is open; that it does not open is the fault of settings or machine."""
    try:
        stream = _new_stream(container, clip, encoding, threads)
        with usual_priority():
            stream.codec_context.open()
    except (av.error.FFmpegError, ValueError) as error:
        raise cannot_open(encoding.encoder, error) from error
    return stream


def _new_stream(
    container: av.container.OutputContainer, clip: Clip, encoding: Encoding, threads: int
) -> av.VideoStream:
    stream = container.add_stream(encoding.encoder, rate=sane_rate(clip), options=encoding.options)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height = clip.width, clip.height
    stream.pix_fmt = encoding.pixel_format
    context = stream.codec_context
    stream.time_base, context.time_base = clip.time_base, 1 / sane_rate(clip)
    context.sample_aspect_ratio = clip.sample_aspect
    context.thread_count = threads
    context.thread_type = "AUTO"  # the default, slices only, costs x264 compression
    set_color(context, clip)
    return stream


def _name_color(picture: av.VideoFrame, clip: Clip) -> None:
    """The tags of the stream on a picture: ProRes writes those into the header of each frame."""
    color = clip.color
    picture.color_primaries, picture.color_trc = color.primaries, color.transfer
    picture.colorspace = color.matrix if _is_named(clip) else 2


def _is_named(clip: Clip) -> bool:
    return clip.color.tagged or is_rgb(clip.pixel_format)


def set_color(context: av.VideoCodecContext, clip: Clip) -> None:
    """Write the tags that the clip had: what it left unnamed stays unnamed, except for R'G'B' input."""
    color = clip.color
    named = _is_named(clip)
    context.color_primaries, context.color_trc = color.primaries, color.transfer
    context.colorspace = color.matrix if named else 2
    context.color_range = 2 if color.full_range else 1 if named else 0
