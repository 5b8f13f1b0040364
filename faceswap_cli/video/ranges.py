"""``--start`` and ``--end``: seconds, ``hh:mm:ss.mmm`` or frame numbers to exact times.

Seconds count from the clip's first frame.  The end is exclusive: the first frame not used.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import av
import numpy as np

from faceswap_cli.config import RangeOptions
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.keyframes import place_of
from faceswap_cli.records import I64, Clip
from faceswap_cli.video.clock import unroll
from faceswap_cli.video.opening import clock_of, open_input

_SHORT_S, _SHORT_SHARE = 0.4, 0.03
"""Pictures that end earlier than the file claims by more than this are missing."""
_HOLE_S, _HOLE_STEPS, _MOST_HOLES, _STEADY_FRAMES = 0.25, 5, 3, 12
"""A hole is longer than this, and than this many frames; clips with more holes or fewer frames are left
out."""


def frame_times(clip: Clip) -> I64:
    """Times of the clip's packets, sorted, without decoding: one per frame of an undamaged clip."""
    try:
        with open_input(clip.path) as container:
            packets = unroll(container.demux(container.streams[clip.video_stream]), clip)
            found = {p.pts if p.pts is not None else p.dts for p in packets if p.size and not p.is_discard}
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(
            f"{clip.path} cannot be read to its end ({error}); leave out --start and --end"
        ) from error
    return np.array(sorted(t for t in found if t is not None), dtype=np.int64)


def pts_range(clip: Clip, options: RangeOptions, pts: I64 | None = None) -> tuple[int | None, int | None]:
    """(start, end): ``start <= pts < end`` in the clip's clock; None where the clip's own limit holds.

    ``pts`` are the times of the clip's frames; without them they are read from the packets.
    ``start`` is the time of a frame.
    """
    if options.start is None and options.end is None:
        return None, None
    pts = frame_times(clip) if pts is None else pts
    if len(pts) == 0:
        raise UsageError(f"{clip.path.name} has no frame times to cut by; leave out --start and --end")
    first = 0 if options.start is None else _row(options.start, "--start", clip, pts)
    end = len(pts) if options.end is None else _row(options.end, "--end", clip, pts)
    if first >= len(pts):
        raise UsageError(
            f"--start {options.start} is after the last frame of {clip.path.name} "
            f"({clip.duration_s:.1f} s, {len(pts)} frames); give an earlier one"
        )
    if end <= first:
        raise UsageError(
            f"no frame lies between --start {options.start} and --end {options.end}; move them apart"
        )
    start_pts = None if options.start is None else int(pts[first])
    return start_pts, None if end >= len(pts) else int(pts[end])


def cut_short(clip: Clip, pts: I64, end_pts: int | None) -> str:
    """A line when the pictures ``pts`` (N,) end long before the time the file claims; empty otherwise."""
    if not len(pts) or end_pts is not None:
        return ""
    step = 1 / (clip.average_rate or Fraction(25))
    read = float(int(pts[-1] - clip.start_pts) * clip.time_base + step)
    missing = clip.duration_s - read
    if missing < max(_SHORT_S, _SHORT_SHARE * clip.duration_s) or _goes_on(clip, int(pts[-1]), missing):
        return ""
    return (
        f"{clip.path.name}: only {read:.1f} of {clip.duration_s:.1f} s ({len(pts)} frames) could be read; "
        "the file is cut off or damaged: copy it again if the rest matters"
    )


def missing_inside(clip: Clip, pts: I64) -> str:
    """A line when a constant rate stops for a while inside the pictures ``pts`` (N,); empty otherwise.

    Some containers (Matroska) hide damage so: the library reads on behind it and reports no error.
    """
    steps = np.diff(pts)
    if len(steps) < _STEADY_FRAMES:
        return ""
    usual = float(np.median(steps))
    holes = np.flatnonzero(steps * float(clip.time_base) > max(_HOLE_S, _HOLE_STEPS * usual * clip.time_base))
    others = np.delete(steps, holes)
    if not 0 < len(holes) <= _MOST_HOLES or (np.abs(others - usual) > 1).any():
        return ""
    first, last = clip.seconds(int(pts[holes[0]])), clip.seconds(int(pts[holes[0] + 1]))
    more = f" and in {len(holes) - 1} more places" if len(holes) > 1 else ""
    return (
        f"{clip.path.name}: no frame between {first:.2f} and {last:.2f} s{more}; "
        "the file may be damaged there: copy it again if they matter"
    )


def _goes_on(clip: Clip, last_pts: int, missing_s: float) -> bool:
    """Whether sound is there after the last picture: then the pictures end early on purpose."""
    last = float(last_pts * clip.time_base)
    with open_input(clip.path) as container, suppress(av.error.FFmpegError, OSError):
        sounds = container.streams.audio
        if sounds:
            container.seek(round(last * av.time_base))
            for packet in container.demux(sounds):
                if packet.pts is not None and packet.pts * clock_of(packet) > last + missing_s / 2:
                    return True
    return False


def _row(text: str, flag: str, clip: Clip, pts: I64) -> int:
    """Number of the first frame at or after ``text``; ``len(pts)`` when there is none."""
    place = place_of(text, flag)
    if isinstance(place, int):
        return min(place, len(pts))
    ticks = int(pts[0]) + place / clip.time_base
    return int(np.searchsorted(pts, -(-ticks.numerator // ticks.denominator), side="left"))
