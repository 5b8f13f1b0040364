"""``faceswap evaluate``: a result against its target and its source, in figures."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from faceswap_cli.config import DetectOptions, RangeOptions, SwapOptions
from faceswap_cli.errors import InputError, NoFaceFound, UsageError
from faceswap_cli.events import Listener, ignore, progress
from faceswap_cli.identity.embed import embed
from faceswap_cli.metrics.casting import (
    Casting,
    alone,
    casting_by_file,
    casting_by_recipe,
    for_each,
    part_of,
    recipe_for,
    seats_by_recipe,
    seats_of_swapped,
    with_cast,
)
from faceswap_cli.metrics.figures import METRICS
from faceswap_cli.metrics.observations import FrameRow, Observations, collect
from faceswap_cli.metrics.observe import observe_all
from faceswap_cli.metrics.pairs import SeenPair, TimeCheck, clip_pairs, open_clips, picture_pair
from faceswap_cli.metrics.source import load_source, nobody
from faceswap_cli.metrics.verdict import LIMITS, Verdict, judge_each
from faceswap_cli.records import F32, Clip, LedgerRow
from faceswap_cli.swap.ledger import coverage
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
    cast: Path | None = None
    """Who of the target got whose face, instead of photographs"""
    ledger: Sequence[LedgerRow] = field(repr=False, default=())
    """Of the job that made the result, where it is known: saves a first pass that finds who is who"""
    gallery: F32 = field(repr=False, compare=False, default_factory=nobody)
    """(G, 1024) codes of other people (``source.portrait_codes``); the source should be nearer than these"""


@dataclass(frozen=True, slots=True)
class PersonFigures:
    """One person of a result of several sources."""

    person: int
    """As the ledger numbers them, from 0"""
    source: str
    """The photographs whose face was put in"""
    faces: int
    figures: dict[str, float]

    @property
    def name(self) -> str:
        return f"person {self.person + 1} ({self.source})"


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
    people: tuple[PersonFigures, ...] = ()
    """Each person by themselves, where several were swapped"""

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: numbers, words and nothing else."""
        return {
            "result": str(self.result),
            "target": str(self.target),
            "frames": self.frames,
            "faces": self.faces,
            "figures": _rounded(self.figures),
            "checks": dict(self.checks),
            "verdict": self.verdict.as_dict(),
            "people": [
                {
                    "person": one.person,
                    "face": str(one.person + 1),
                    "source": one.source,
                    "faces": one.faces,
                    "figures": _rounded(one.figures),
                }
                for one in self.people
            ],
        }

    def table(self) -> list[tuple[str, str, str, str]]:
        """(name, value with unit, limit, meaning) per line; what has a limit is never left out."""
        lines = []
        for name in self._rows():
            value, metric = _shown(name, self.figures.get(name)), METRICS[name]
            lines.append((metric.title(name), value, _limit(name), metric.meaning))
        said = {True: "equal", False: "DIFFERENT"}
        lines += [(name, said[equal], "", _COMPARED[name]) for name, equal in self.checks.items()]
        return lines

    @property
    def verdict(self) -> Verdict:
        """Good or worth a look, and the figure that decided; of several people the worst one decides."""
        return judge_each(self.figures, {one.name: one.figures for one in self.people})

    def people_table(self) -> list[tuple[str, ...]]:
        """(name, value of each person, ..., limit) per line; empty for one person."""
        return [
            (
                METRICS[name].title(name),
                *(_shown(name, person.figures.get(name)) for person in self.people),
                _limit(name),
            )
            for name in (self._rows() if self.people else ())
        ]

    def _rows(self) -> list[str]:
        shown = (name for name, metric in METRICS.items() if not metric.detail)
        return [name for name in shown if name in self.figures or name in LIMITS]


_COMPARED = {
    "frames": "number of frames, result against target",
    "timestamps": "times of the frames, result against target",
    "audio": "sound, packet by packet; also equal where neither has any",
}


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in figures.items()}


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    missed = name in LIMITS and LIMITS[name].missed(value)
    unit = METRICS[name].unit.replace("share", "")
    return " ".join(filter(None, (f"{value:.3g}", unit, "(missed)" if missed else "")))


def _limit(name: str) -> str:
    return str(LIMITS[name]) if name in LIMITS else ""


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

    A result of several sources is measured for each person against their own: ``sources`` are the
    photographs of all, or ``options.cast`` is the cast file.  Without either the figures that need
    a source are left out.
    Two clips or two pictures of the same size.  ``stride`` looks at every n-th frame only (the
    figures over time then compare frames that far apart), ``max_frames`` stops after that many.
    """
    options = options or EvaluateOptions()
    if stride < 1 or (max_frames is not None and max_frames < 1):
        raise UsageError(f"stride and the number of frames must be 1 or more, not {stride} and {max_frames}")
    if is_picture(result) and is_picture(target):
        casting = alone(load_source(sources, options.detect, options.gallery))
        casting = for_each(casting, sources, seats_of_swapped(options.ledger))
        stills = [picture_pair(result, target, options.detect)]
        pairs: Generator[SeenPair, None, None] = (still for still in stills)
        rows, checks = list(observe_all(pairs, embed, casting, 1)), dict[str, bool]()
    else:
        every = slice(0, max_frames, stride)
        ours, theirs = clips = open_clips(result, target)
        recipe = recipe_for(ours, target)
        if options.range == RangeOptions():
            options = replace(options, range=part_of(recipe))
        base = SwapOptions(detect=options.detect)
        if options.cast is not None:
            casting = casting_by_file(recipe, clips, with_cast(base, options.cast), listen)
        elif sources and recipe is not None and len(set(recipe.cast.values())) > 1:
            casting = casting_by_recipe(recipe, sources, clips, base, options.ledger, listen)
        else:
            casting = alone(load_source(sources, options.detect, options.gallery))
            seats = seats_of_swapped(options.ledger) or seats_by_recipe(recipe, theirs, base, listen)
            casting = for_each(casting, sources, seats)
        rows, checks = _read_clips(ours, theirs, options, every, casting, listen)
    return _by_ledger(_evaluation(result, target, rows, checks, casting), options.ledger)


def _by_ledger(found: Evaluation, rows: Sequence[LedgerRow]) -> Evaluation:
    """With the coverage that the job itself knows: who was chosen, and where they were not swapped."""

    def known(figures: dict[str, float], own: Iterable[LedgerRow]) -> dict[str, float]:
        share = coverage(own)
        return figures if share is None else {**figures, "coverage": share}

    people = [
        replace(one, figures=known(one.figures, (row for row in rows if row.person == one.person)))
        for one in found.people
    ]
    return replace(found, figures=known(found.figures, rows), people=tuple(people))


def _read_clips(
    ours: Clip, theirs: Clip, options: EvaluateOptions, every: slice, casting: Casting, listen: Listener
) -> tuple[list[FrameRow], dict[str, bool]]:
    """Rows of the joined frames, and whether frames, times and sound are equal."""
    result, target = ours.path, theirs.path
    check = TimeCheck()
    workers = options.workers or os.cpu_count() or 1
    part = pts_range(theirs, options.range)
    pairs = clip_pairs(ours, theirs, options.detect, check, every, workers, part)
    total = math.ceil(min(ours.frames, theirs.frames, every.stop or theirs.frames) / every.step)
    rows: list[FrameRow] = []
    for row in observe_all(pairs, embed, casting, workers):
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


def _packet_checks(result: Path, target: Path, tick: Fraction) -> dict[str, bool]:
    """The same without decoding, for clips that were read in part: by the times of the packets."""
    ours, theirs = frame_times(result), frame_times(target)
    same = len(ours) == len(theirs)
    close = all(abs(one - other) <= tick for one, other in zip(ours, theirs, strict=False))
    return {"frames": same, "timestamps": same and close}


def _evaluation(
    result: Path, target: Path, rows: Sequence[FrameRow], checks: dict[str, bool], casting: Casting
) -> Evaluation:
    if not any(row.faces for row in rows):
        raise NoFaceFound(f"no face in {target.name}, so there is nothing to evaluate; try --min-face 12")
    seen = collect(rows, casting)
    return Evaluation(
        result=result,
        target=target,
        frames=len(rows),
        faces=int(seen.measured.sum()),
        figures=_figures(seen),
        checks=checks,
        observations=seen,
        people=tuple(_people(rows, casting)),
    )


def _figures(seen: Observations) -> dict[str, float]:
    figures = {name: metric.compute(seen) for name, metric in METRICS.items()}
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def _people(rows: Sequence[FrameRow], casting: Casting) -> Iterator[PersonFigures]:
    """The same figures over the faces of one person at a time."""
    for person, name in sorted(casting.names.items()):
        own = [replace(row, faces=tuple(f for f in row.faces if f.person == person)) for row in rows]
        if any(row.faces for row in own):
            seen = collect(own, casting)
            yield PersonFigures(person, name, int(seen.measured.sum()), _figures(seen))
