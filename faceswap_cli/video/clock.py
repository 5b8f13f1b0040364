"""Clocks that start again inside a file: recordings that were joined byte by byte.

Transport and program streams allow it.  :func:`find_restarts` looks through the packets once; all readers
pass packets through :func:`unroll` and see one clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import av.container
import numpy as np

from faceswap_cli.records import Clip
from faceswap_cli.video.opening import clock_of, open_input

_JOINABLE = ("mpegts", "mpeg")
"""Formats in which a file may be several recordings, one behind the other."""
_JITTER_S = 0.05
_INTERLEAVED = 4 << 20
"""Sound may lie this many bytes before the pictures it belongs to."""

Restarts = tuple[tuple[int, int], ...]


def may_restart(container: str) -> bool:
    """Whether files of this format have to be looked through for restarts."""
    return container in _JOINABLE


def find_restarts(path: Path, stream: int) -> tuple[Restarts, int]:
    """(place in the file, ticks to add from there on) for each restart of stream number ``stream``.

    And the length of the stream on the one clock, in ticks: what the container says is that of one recording.
    """
    known = path.stat()
    return _find_restarts(str(path), stream, (known.st_size, known.st_mtime_ns))


@lru_cache(maxsize=16)
def _find_restarts(name: str, stream: int, state: tuple[int, int]) -> tuple[Restarts, int]:
    times: list[tuple[int, int, int]] = []
    with open_input(Path(name)) as container, suppress(av.error.FFmpegError):
        for packet in container.demux(container.streams[stream]):
            if packet.dts is not None and packet.pos is not None:
                times.append((packet.pos, packet.dts, packet.dts if packet.pts is None else packet.pts))
    restarts = restart_offsets(times)
    return restarts, _length(times, restarts) if restarts else 0


def _length(times: Sequence[tuple[int, int, int]], restarts: Restarts) -> int:
    """From the first picture to the end of the last, ``restarts`` unrolled."""
    place, _, pts = np.array(times, dtype=np.int64).T
    begins, offsets = np.array([(0, 0), *restarts], dtype=np.int64).T
    shown = np.sort(pts + offsets[np.searchsorted(begins, place, side="right") - 1])
    return int(shown[-1] - shown[0] + np.median(np.diff(shown)))


def restart_offsets(times: Sequence[tuple[int, int, int]]) -> Restarts:
    """From (place, decoding time, presentation time) of packets in file order.

    A single packet out of order is damage, not a restart.
    """
    if len(times) < 2:
        return ()
    place, dts, pts = np.array(times, dtype=np.int64).T
    steps = np.diff(dts)
    step = int(np.median(steps[steps > 0])) if (steps > 0).any() else 1
    found: list[tuple[int, int]] = []
    offset, begin = 0, 0
    for row in np.flatnonzero(steps < 0) + 1:
        if row + 1 < len(dts) and dts[row + 1] > dts[row - 1]:
            continue
        if row - begin == 1 and begin:
            continue  # the packet before was the one out of order
        new = slice(row, row + 16)
        offset += int(pts[begin:row].max()) + step - int(pts[new].min())
        found.append((int(place[row]), offset))
        begin = int(row)
    return tuple(found)


def unroll(packets: Iterable[av.Packet[Any]], clip: Clip) -> Iterator[av.Packet[Any]]:
    """``packets`` of any streams of ``clip``, read from the beginning, with times that never start again."""
    if not clip.restarts:
        yield from packets
        return
    last: dict[int, float] = {}
    part: dict[int, int] = {}
    for packet in packets:
        index, clock = packet.stream.index, clock_of(packet)
        number = part.get(index, 0)
        if packet.pos is not None:
            reached = sum(place <= packet.pos for place, _ in clip.restarts)
            number = max(number, reached)
            if packet.dts is not None:
                now = float(packet.dts * clock)
                near = sum(place <= packet.pos + _INTERLEAVED for place, _ in clip.restarts)
                if number < near and last.get(index, now) - now > _JITTER_S and index != clip.video_stream:
                    number += 1
                last[index] = now
            part[index] = number
        if number:
            offset = round(clip.restarts[number - 1][1] * clip.time_base / clock)
            packet.pts = None if packet.pts is None else packet.pts + offset
            packet.dts = None if packet.dts is None else packet.dts + offset
        yield packet
