"""Decoding: frames in presentation order with exact, strictly increasing times.

Damage is met packet by packet: a decode iterator of the library is dead once it raises, a
packet's own ``decode`` is not.  Frame threads report an error late and can lose good frames
around it, so after the first damage reading continues with slice threads from the last frame.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.container

from faceswap_cli.errors import InputError
from faceswap_cli.records import I64, Clip, Frame
from faceswap_cli.video.alpha import alpha_decoder
from faceswap_cli.video.animated import WEBP, webp_pictures
from faceswap_cli.video.clock import unroll
from faceswap_cli.video.deinterlace import LEAD, deinterlaced
from faceswap_cli.video.formats import alpha_from_picture, planes_from_picture
from faceswap_cli.video.opening import open_input

_SEEKABLE = ("mov", "matroska", "avi", "mpegts", "flv", "asf", "ogg", "nut", "mxf")
"""Containers whose packets carry their own times.  In the others (MPEG program streams, raw
streams) the library counts them from the last one known, so that a seek would change them."""
_PREROLLS_S = (0.0, 2.0, 10.0, 60.0)
"""How much earlier to seek when the keyframe reached lies too late; then from the beginning."""
_FROM_THE_BEGINNING = len(_PREROLLS_S)


@dataclass
class Damage:
    """Counts packets that could not be decoded, or only in part; shared by the reads of one clip."""

    packets: int = 0
    seen: set[tuple[str, int]] = field(default_factory=set, repr=False)
    """Places in the file of packets and times of pictures that were counted, so that none counts twice."""

    def add(self, packet: Any) -> None:
        """A packet that could not be decoded."""
        self._add("packet", packet.pos if packet.pos is not None else packet.dts)

    def add_concealed(self, pictures: Iterable[av.VideoFrame]) -> bool:
        """Count the ``pictures`` in which the decoder has filled damaged parts; whether there are any."""
        concealed = [picture for picture in pictures if picture.is_corrupt]
        for picture in concealed:
            self._add("picture", picture.pts)
        return bool(concealed)

    def _add(self, kind: str, place: int | None) -> None:
        if place is None or (kind, place) not in self.seen:
            self.packets += 1
        if place is not None:
            self.seen.add((kind, place))


class _Damaged(Exception):
    """Frame threads met damage."""


class _TooLate(Exception):
    """A seek landed behind the frame that was wanted."""


def read_frames(
    clip: Clip,
    *,
    first_pts: int | None = None,
    end_pts: int | None = None,
    damage: Damage | None = None,
    threads: int = 0,
    first_index: int = 0,
    known: I64 | None = None,
) -> Generator[Frame, None, None]:
    """Frames with ``first_pts <= pts < end_pts`` in presentation order.

    Times are those of the file.  A missing one is taken from the packet or the frame before;
    one that does not increase becomes the previous one plus a tick.  ``index`` counts from
    ``first_index`` at the first frame handed out.  ``threads`` 0 leaves their number to the
    library.  ``known`` are the times found in an earlier reading: where seeking leads to others (some
    damaged headers do that), reading begins at the file's beginning.  Closing the generator closes the file.
    """
    index = first_index
    expected = _Expected(known, first_pts)
    pictures = _pictures(clip, first_pts, damage if damage is not None else Damage(), threads, expected)
    try:
        for pts, picture in pictures:
            if end_pts is not None and pts >= end_pts:
                return
            if first_pts is None or pts >= first_pts:
                planes, alpha = planes_from_picture(picture, clip), alpha_from_picture(picture, clip)
                stored = picture.width, picture.height
                scaled_from = None if stored == (clip.width, clip.height) else stored
                yield Frame(index, pts, clip.time_base, planes, alpha, scaled_from=scaled_from)
                index += 1
    finally:
        pictures.close()


def _pictures(
    clip: Clip, first_pts: int | None, damage: Damage, threads: int, expected: _Expected
) -> Generator[tuple[int, av.VideoFrame], None, None]:
    """(pts, picture), deinterlaced where the clip is to be."""
    if clip.container == WEBP:
        yield from webp_pictures(clip)
        return
    if not clip.deinterlace:
        yield from _continued(clip, first_pts, damage, threads, expected)
        return
    step = round(1 / ((clip.average_rate or Fraction(25)) * clip.time_base))
    lead = None if first_pts is None else first_pts - LEAD * step
    with closing(_continued(clip, lead, damage, threads, expected)) as woven:
        yield from deinterlaced(woven, clip)


class _Expected:
    """The times of an earlier reading, from ``first_pts`` on."""

    def __init__(self, known: I64 | None, first_pts: int | None) -> None:
        self._first = first_pts if first_pts is not None else 0
        # Read from the beginning, a file needs no comparison.
        self._left = [] if known is None or first_pts is None else known[known >= first_pts].tolist()[::-1]

    def take(self, pts: int) -> bool:
        """False when another time was to come."""
        if not self._left or pts < self._first:
            return True
        if pts != self._left[-1]:
            return False
        self._left.pop()
        return True

    @property
    def all_taken(self) -> bool:
        return not self._left


def _continued(
    clip: Clip, first_pts: int | None, damage: Damage, threads: int, expected: _Expected
) -> Generator[tuple[int, av.VideoFrame], None, None]:
    """(pts, picture), strictly increasing; starts again where a seek or frame threads failed."""
    careful, attempt = False, 0
    wanted, last = first_pts, None
    while True:
        run = _Run(clip, wanted, attempt, careful, threads)
        pictures = run.pictures(damage)
        # A new start must come by the frame handed out last: an index that leads elsewhere gives other times.
        met = last is None or attempt >= _FROM_THE_BEGINNING
        try:
            for pts, picture in pictures:
                if last is not None and pts <= last:
                    met = met or pts == last
                    continue
                if not (met and expected.take(pts)) and attempt < _FROM_THE_BEGINNING:
                    break
                last = pts
                yield pts, picture
            else:
                if expected.all_taken or attempt >= _FROM_THE_BEGINNING:
                    return
            attempt = _FROM_THE_BEGINNING
        except _Damaged:
            careful = True
            wanted = last if last is not None else first_pts
        except _TooLate:
            attempt += 1
        finally:
            pictures.close()


@dataclass
class _Tally:
    """What one run has met so far."""

    ignore_errors: bool
    """After a seek, until the first keyframe: what lies before it cannot be decoded."""
    skip: int = 0
    """Packets to skip before decoding."""
    packets: int = 0
    pictures: int = 0
    ignored: int = 0


@dataclass
class _Run:
    """One opening of the file: seek, then decode until the end."""

    clip: Clip
    wanted: int | None
    attempt: int
    careful: bool
    threads: int
    keys: set[int] = field(default_factory=set)
    """Times of key frames, where the decoder does not mark their pictures."""

    def pictures(self, damage: Damage) -> Generator[tuple[int, av.VideoFrame], None, None]:
        with open_input(self.clip.path, self.clip.max_pixels) as container:
            stream = _stream_of(container, self.clip)
            stream.thread_type = "SLICE" if self.careful else "AUTO"
            stream.codec_context.thread_count = self.threads
            skip = self._go_back(container, stream)
            anchored = skip is None
            tally = _Tally(ignore_errors=not anchored, skip=skip or 0)
            previous: int | None = None
            for picture in self._decoded(container, stream, tally, damage):
                pts = picture.pts if picture.pts is not None else picture.dts
                if not anchored:
                    anchored = self._is_anchor(picture, pts)
                    tally.ignore_errors = not anchored
                    if anchored and tally.ignored and not self.careful:
                        raise _Damaged
                previous = self._repaired(pts, previous)
                yield previous, picture
            if not anchored:
                raise _TooLate
            if tally.pictures < tally.packets and not self.careful:
                raise _Damaged  # draining frame threads stops at the first error: look at the tail again

    def _go_back(self, container: av.container.InputContainer, stream: av.VideoStream) -> int | None:
        """Seek to a keyframe before the wanted frame; None when reading from the beginning.

        Returns the number of packets still to be skipped.
        """
        if self.wanted is None or self.attempt >= _FROM_THE_BEGINNING:
            return None
        target = self.wanted - round(_PREROLLS_S[self.attempt] / self.clip.time_base)
        if target <= self.clip.start_pts:
            return None
        if self.clip.restarts or not self.clip.container.startswith(_SEEKABLE):
            return _keyframe_before(self.clip, target)
        try:
            container.seek(target, stream=stream, backward=True)
        except (av.error.FFmpegError, OSError) as error:
            raise _TooLate from error
        return 0

    def _is_anchor(self, picture: av.VideoFrame, pts: int | None) -> bool:
        """After a seek: decoding is sound from a keyframe on that is not after the wanted frame.

        Pictures before the first keyframe lack their references (open groups of pictures).
        """
        assert self.wanted is not None
        is_key = bool(picture.key_frame) or pts in self.keys
        if pts is None or pts > self.wanted or (pts == self.wanted and not is_key):
            raise _TooLate
        return is_key

    def _repaired(self, pts: int | None, previous: int | None) -> int:
        step = max(round(1 / (self.clip.average_rate * self.clip.time_base)), 1)
        if pts is None:
            return self.clip.start_pts if previous is None else previous + step
        return pts if previous is None or pts > previous else previous + 1

    def _decoded(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        tally: _Tally,
        damage: Damage,
    ) -> Iterator[av.VideoFrame]:
        other = alpha_decoder(stream, self.clip, self.threads)
        for packet in _packets(container, stream, self.clip, damage):
            if tally.skip > 0:
                tally.skip -= 1
                continue
            tally.packets += packet.size > 0
            try:
                decoded = packet.decode() if other is None else other.decode(packet if packet.size else None)
                if other is not None and packet.is_keyframe and packet.pts is not None:
                    self.keys.add(packet.pts)
            except av.error.EOFError:
                continue
            except av.error.MemoryError:
                raise
            except (av.error.FFmpegError, ValueError) as error:
                if tally.ignore_errors:
                    tally.ignored += 1
                elif not self.careful:
                    raise _Damaged from error
                else:
                    damage.add(packet)
                continue
            tally.pictures += len(decoded)
            if not tally.ignore_errors and damage.add_concealed(decoded) and not self.careful:
                raise _Damaged  # what frame threads fill in differs from one reading to the next
            yield from decoded


def _stream_of(container: av.container.InputContainer, clip: Clip) -> av.VideoStream:
    streams = container.streams
    stream = streams[clip.video_stream] if clip.video_stream < len(streams) else None
    if not isinstance(stream, av.VideoStream):
        raise InputError(f"{clip.path} changed while it was in use; start again")
    return stream


def _keyframe_before(clip: Clip, target: int) -> int:
    """Number of the last keyframe packet shown at or before ``target``; reads packets, decodes none."""
    found = 0
    with open_input(clip.path) as container, suppress(av.error.FFmpegError):
        packets = unroll(container.demux(_stream_of(container, clip)), clip)
        for number, packet in enumerate(packets):
            if packet.is_keyframe and packet.pts is not None and packet.pts <= target:
                found = number
    return found


def _packets(
    container: av.container.InputContainer, stream: av.VideoStream, clip: Clip, damage: Damage
) -> Iterator[av.Packet[av.VideoStream]]:
    """Packets of ``stream``; a file that breaks off counts as one damaged packet."""
    try:
        yield from unroll(container.demux(stream), clip)
    except av.error.FFmpegError as error:
        _no_damage(error, container.name)
        damage.packets += 1
        yield from _flush(stream)


def _no_damage(error: Exception, name: str) -> None:
    """A disk that fails, or a lack of memory, must not look like a file that ends early."""
    if getattr(error, "errno", None) in (errno.EIO, errno.ENOMEM, errno.ESTALE):
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name} cannot be read any further ({reason}); check the disk") from error


def _flush(stream: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
    """The empty packet that makes the decoder hand out what it still holds."""
    packet: Any = av.Packet()
    packet.stream = stream
    yield packet
