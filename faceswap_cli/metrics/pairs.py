"""Result and target in lockstep: frames joined by time, upright RGB, faces found in both.

Two clips of the same content may come in containers with different clocks (Matroska counts
milliseconds), so frames are joined by exact time with half a frame of tolerance; frames that
one side lacks are skipped and counted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice, tee
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli.color import rgb_from_planes
from faceswap_cli.config import DetectOptions
from faceswap_cli.errors import InputError
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.stage import detect_faces
from faceswap_cli.records import U8, Clip, Face, Frame, WithFaces
from faceswap_cli.stream import ordered_map, prefetch
from faceswap_cli.video.picture import read_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames


@dataclass(frozen=True, slots=True, eq=False)
class SeenPair:
    """One frame of both clips, upright, with the faces found in each."""

    seconds: float
    result: U8 = field(repr=False)
    """(H, W, 3) display RGB"""
    target: U8 = field(repr=False)
    result_faces: tuple[Face, ...]
    target_faces: tuple[Face, ...]


@dataclass(slots=True)
class TimeCheck:
    """Filled while pairs are read: do the two clips show the same frames at the same times?"""

    pairs: int = 0
    only_result: int = 0
    only_target: int = 0
    largest_gap: Fraction = Fraction(0)
    """Seconds between frames that were joined"""


def display_rgb(frame: Frame, clip: Clip) -> U8:
    """Decoded frame -> (H, W, 3) uint8 RGB, upright, with square pixels."""
    rgb = rgb_from_planes(frame.planes, clip.color)
    if clip.sample_aspect != 1:
        width = round(clip.width * float(clip.sample_aspect))
        rgb = cv2.resize(rgb, (width, clip.height), interpolation=cv2.INTER_AREA)
    return np.asarray(clip.upright(rgb), np.uint8)


def joined(
    result: Iterator[Frame],
    target: Iterator[Frame],
    tolerance: Fraction,
    check: TimeCheck,
    begin: Fraction = Fraction(0),
) -> Iterator[tuple[Frame, Frame]]:
    """Frames of the same time, in order; what one side lacks is skipped and counted in ``check``.

    ``begin`` is the time in the target at which the clock of the result starts, in seconds.
    """
    ours, theirs = next(result, None), next(target, None)
    while ours is not None and theirs is not None:
        late = begin + ours.pts * ours.time_base - theirs.pts * theirs.time_base
        if abs(late) <= tolerance:
            check.pairs += 1
            check.largest_gap = max(check.largest_gap, abs(late))
            yield ours, theirs
            ours, theirs = next(result, None), next(target, None)
        elif late < 0:
            check.only_result += 1
            ours = next(result, None)
        else:
            check.only_target += 1
            theirs = next(target, None)
    check.only_result += (ours is not None) + sum(1 for _ in result)
    check.only_target += (theirs is not None) + sum(1 for _ in target)


def clip_pairs(
    result: Clip,
    target: Clip,
    detect: DetectOptions,
    check: TimeCheck,
    every: slice,
    workers: int,
    part: tuple[int | None, int | None] = (None, None),
) -> Generator[SeenPair, None, None]:
    """Pairs of two clips; ``every`` chooses among the joined frames (stop and step).

    ``part`` is what the result was made from: first pts and end pts in the clock of the target.
    """
    _same_size(result.display_size, target.display_size, result.path, target.path)
    tolerance = Fraction(1, 2) / target.average_rate if target.average_rate else Fraction(1, 100)
    begin = Fraction(0) if part[0] is None else part[0] * target.time_base
    # Two detectors work at the same time, each on half of the threads.
    detect = replace(detect, workers=max(1, workers // 2))

    def show(pair: tuple[WithFaces[Face], WithFaces[Face]]) -> SeenPair:
        ours, theirs = pair
        seconds = target.seconds(theirs.frame.pts)
        pictures = display_rgb(ours.frame, result), display_rgb(theirs.frame, target)
        return SeenPair(seconds, *pictures, ours.faces, theirs.faces)

    with (
        closing(prefetch(read_frames(result), depth=4)) as ours,
        closing(prefetch(read_frames(target, first_pts=part[0], end_pts=part[1]), depth=4)) as theirs,
    ):
        # tee holds what one detector has taken and the other has not: a few frames.
        both = joined(ours, theirs, tolerance, check, begin)
        first, second = tee(islice(both, 0, every.stop, every.step))
        with (
            closing(detect_faces((pair[0] for pair in first), result, detect)) as found,
            closing(detect_faces((pair[1] for pair in second), target, detect)) as there,
            closing(ordered_map(show, zip(found, there, strict=True), workers)) as seen,
        ):
            yield from seen


def picture_pair(result: Path, target: Path, detect: DetectOptions) -> SeenPair:
    """Two still pictures as one pair."""
    ours, theirs = read_picture(result).rgb, read_picture(target).rgb
    _same_size(ours.shape[1::-1], theirs.shape[1::-1], result, target)
    return SeenPair(0.0, ours, theirs, find_faces(ours, detect), find_faces(theirs, detect))


def open_clips(result: Path, target: Path) -> tuple[Clip, Clip]:
    """Both clips probed; a missing or unreadable one is an ``InputError`` of ``probe``."""
    return probe(result), probe(target)


def _same_size(ours: tuple[int, ...], theirs: tuple[int, ...], result: Path, target: Path) -> None:
    if tuple(ours) != tuple(theirs):
        raise InputError(
            f"{result.name} is {ours[0]}x{ours[1]} but {target.name} is {theirs[0]}x{theirs[1]}; "
            "evaluate needs the result of a swap and the file it was made from"
        )
