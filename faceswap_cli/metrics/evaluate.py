"""``faceswap evaluate``: a result against its target and its source, in figures."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from faceswap_cli.config import DetectOptions, RangeOptions, SwapOptions
from faceswap_cli.errors import InputError, NoFaceFound, UsageError
from faceswap_cli.events import Listener, ignore, progress
from faceswap_cli.identity.embed import embed
from faceswap_cli.metrics.figures import METRICS
from faceswap_cli.metrics.observations import FrameRow, Observations, collect
from faceswap_cli.metrics.observe import observe_all
from faceswap_cli.metrics.pairs import SeenPair, TimeCheck, clip_pairs, open_clips, picture_pair
from faceswap_cli.metrics.source import Source, load_source, nobody
from faceswap_cli.recipe.digests import content_digest
from faceswap_cli.recipe.metadata import find_recipe
from faceswap_cli.recipe.record import with_options
from faceswap_cli.records import F32, Clip
from faceswap_cli.video.packets import audio_digests, frame_times
from faceswap_cli.video.picture import is_picture
from faceswap_cli.video.ranges import pts_range


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How a result is looked at."""

    detect: DetectOptions = field(default_factory=DetectOptions)
    workers: int = 0
    """Threads; 0 takes one per core."""
    range: RangeOptions = field(default_factory=RangeOptions)
    """The part of the target that the result was made from; by default as the result's recipe says."""
    gallery: F32 = field(repr=False, compare=False, default_factory=nobody)
    """(G, 1024) codes of other people (``source.portrait_codes``); the source should be nearer than these"""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Figures of one result; the rows they come from are kept for charts."""

    result: Path
    target: Path
    frames: int
    faces: int
    figures: dict[str, float]
    """By the names of ``METRICS``; what cannot be measured (figures over time of a picture) is left out."""
    checks: dict[str, bool]
    """frames, timestamps, audio: equal in result and target?  Empty for pictures."""
    observations: Observations = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: numbers, words and nothing else."""
        return {
            "result": str(self.result),
            "target": str(self.target),
            "frames": self.frames,
            "faces": self.faces,
            "figures": {name: round(value, 5) for name, value in self.figures.items()},
            "checks": dict(self.checks),
        }

    def table(self) -> list[tuple[str, str, str]]:
        """(name, value with unit, meaning) per line, figures first."""
        lines = [
            (METRICS[name].title(name), f"{value:.3g} {METRICS[name].unit}".strip(), METRICS[name].meaning)
            for name, value in self.figures.items()
            if not METRICS[name].detail
        ]
        said = {True: "equal", False: "DIFFERENT"}
        lines += [(name, said[equal], "result against target") for name, equal in self.checks.items()]
        return lines


def evaluate(
    result: Path,
    sources: Sequence[Path],
    target: Path,
    *,
    options: EvaluateOptions | None = None,
    listen: Listener = ignore,
    stride: int = 1,
    max_frames: int | None = None,
) -> Evaluation:
    """Measure ``result``, the swap of ``sources`` (photos of one person) into ``target``.

    Without ``sources`` (several people were put in, say) figures that need a source are left out.
    Two clips or two pictures of the same size.  ``stride`` looks at every n-th frame only (the
    figures over time then compare frames that far apart), ``max_frames`` stops after that many.
    """
    options = options or EvaluateOptions()
    if stride < 1 or (max_frames is not None and max_frames < 1):
        raise UsageError(f"stride and the number of frames must be 1 or more, not {stride} and {max_frames}")
    source = load_source(sources, options.detect, options.gallery)
    if is_picture(result) and is_picture(target):
        stills = [picture_pair(result, target, options.detect)]
        pairs: Generator[SeenPair, None, None] = (still for still in stills)
        rows, checks = list(observe_all(pairs, embed, source, 1)), dict[str, bool]()
    else:
        every = slice(0, max_frames, stride)
        rows, checks = _read_clips(result, target, options, every, source, listen)
    return _evaluation(result, target, rows, checks, source)


def _read_clips(
    result: Path, target: Path, options: EvaluateOptions, every: slice, source: Source, listen: Listener
) -> tuple[list[FrameRow], dict[str, bool]]:
    """Rows of the joined frames, and whether frames, times and sound are equal."""
    ours, theirs = open_clips(result, target)
    check = TimeCheck()
    workers = options.workers or os.cpu_count() or 1
    chosen = options.range if options.range != RangeOptions() else range_in_recipe(ours, target)
    part = pts_range(theirs, chosen)
    pairs = clip_pairs(ours, theirs, options.detect, check, every, workers, part)
    total = math.ceil(min(ours.frames, theirs.frames, every.stop or theirs.frames) / every.step)
    rows: list[FrameRow] = []
    for row in observe_all(pairs, embed, source, workers):
        rows.append(row)
        listen(progress("evaluate", len(rows), max(total, len(rows))))
    if not check.pairs:
        raise InputError(
            f"{result.name} and {target.name} show no frames at the same times; was the range cut?"
        )
    tick = max(ours.time_base, theirs.time_base)
    if every.stop is None or part != (None, None):
        same = check.only_result == check.only_target == 0
        checks = {"frames": same, "timestamps": same and check.largest_gap <= tick}
    else:
        checks = _packet_checks(result, target, tick)
    if part == (None, None):  # the sound of a part is cut: not the same packets
        checks["audio"] = audio_digests(result) == audio_digests(target)
    return rows, checks


def range_in_recipe(result: Clip, target: Path) -> RangeOptions:
    """``--start`` and ``--end`` of the job that made ``result`` from ``target``, if its recipe knows them."""
    with suppress(InputError):  # a recipe that cannot be read says nothing
        made = find_recipe(result.path, result.metadata)
        if made is not None and made.target == content_digest(target):
            return with_options(SwapOptions(), made.options).range
    return RangeOptions()


def _packet_checks(result: Path, target: Path, tick: Fraction) -> dict[str, bool]:
    """The same without decoding, for clips that were read in part: by the times of the packets."""
    ours, theirs = frame_times(result), frame_times(target)
    same = len(ours) == len(theirs)
    close = all(abs(one - other) <= tick for one, other in zip(ours, theirs, strict=False))
    return {"frames": same, "timestamps": same and close}


def _evaluation(
    result: Path, target: Path, rows: Sequence[FrameRow], checks: dict[str, bool], source: Source
) -> Evaluation:
    if not any(row.faces for row in rows):
        raise NoFaceFound(f"no face in {target.name}, so there is nothing to evaluate; try --min-face 12")
    seen = collect(rows, source)
    figures = {name: metric.compute(seen) for name, metric in METRICS.items()}
    return Evaluation(
        result=result,
        target=target,
        frames=len(rows),
        faces=int(seen.measured.sum()),
        figures={name: value for name, value in figures.items() if not math.isnan(value)},
        checks=checks,
        observations=seen,
    )
