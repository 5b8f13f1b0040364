"""Methods against one another: the same portraits on the same clips, in one run.

A suite is a folder with ``portraits/`` and ``clips/`` (more folders called ``clips`` may lie one level
down).  Clip k gets one portrait, chosen by k alone, so that every method and every later run sees the
same pairs.  Two methods are not of the program: ``naive`` is the baseline of ``metrics.naive``, ``target``
the untouched clip, measured as if it were a swap.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from faceswap_cli.config import EncodeOptions, RangeOptions, SwapOptions
from faceswap_cli.errors import FaceswapError, InputError, NoFaceFound
from faceswap_cli.events import Listener, ignore, progress
from faceswap_cli.metrics.evaluate import EvaluateOptions, evaluate
from faceswap_cli.metrics.figures import METRICS
from faceswap_cli.metrics.source import nobody, portrait_codes
from faceswap_cli.output import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from faceswap_cli.records import F32

UNTOUCHED, NAIVE = "target", "naive"
SHOWN = tuple(name for name, metric in METRICS.items() if not metric.detail)
"""Figures of the table."""
_STRIDE = 7
_CLIPS = (*VIDEO_SUFFIXES, ".mpg", ".mpeg", ".avi", ".ts")


@dataclass(frozen=True, slots=True)
class Pair:
    """One swap of a suite."""

    portrait: Path
    clip: Path

    @property
    def name(self) -> str:
        return f"{self.clip.stem}, {self.portrait.stem}"


@dataclass(frozen=True, slots=True)
class Run:
    """One pair by one method."""

    method: str
    pair: str
    figures: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    """Why there are no figures, in one line."""


@dataclass(frozen=True, slots=True)
class Suite:
    """All runs, and what they say of each method."""

    runs: tuple[Run, ...]

    def compared(self) -> tuple[str, ...]:
        """Pairs that every method finished: means over others would not be comparable."""
        methods = {run.method for run in self.runs}
        done: dict[str, set[str]] = {}
        for run in self.runs:
            if run.figures:
                done.setdefault(run.pair, set()).add(run.method)
        return tuple(pair for pair, by in done.items() if by == methods)

    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """method -> figure -> mean and median over the pairs that all methods finished."""
        pairs = set(self.compared())
        out: dict[str, dict[str, dict[str, float]]] = {}
        for run in self.runs:
            out.setdefault(run.method, {})
        for method, table in out.items():
            rows = [r.figures for r in self.runs if r.method == method and r.pair in pairs]
            for name in METRICS:
                values = [row[name] for row in rows if name in row and np.isfinite(row[name])]
                if values:
                    table[name] = {"mean": float(np.mean(values)), "median": float(np.median(values))}
        return out


def portraits_of(folder: Path) -> list[Path]:
    """All portraits of a suite."""
    return _files(folder / "portraits", PICTURE_SUFFIXES)


def pairs_of(folder: Path, count: int | None = None) -> list[Pair]:
    """The pairs of a suite; ``count`` takes that many clips, evenly spread."""
    portraits = portraits_of(folder)
    clips = [clip for place in _clip_folders(folder) for clip in _files(place, _CLIPS)]
    if not portraits or not clips:
        raise InputError(f"{folder} is not a suite: it needs portraits/ with pictures and clips/ with videos")
    if count is not None and count < len(clips):
        clips = [clips[int(k)] for k in np.linspace(0, len(clips) - 1, count).round()]
    return [Pair(portraits[_STRIDE * k % len(portraits)], clip) for k, clip in enumerate(clips)]


def _clip_folders(folder: Path) -> list[Path]:
    deeper = sorted(p / "clips" for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    return [p for p in (folder / "clips", *deeper) if p.is_dir()]


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in found if p.suffix.lower() in suffixes)


@dataclass(frozen=True, slots=True)
class _Task:
    """One pair by one method, for a process of its own."""

    pair: Pair
    method: str
    options: SwapOptions
    frames: int
    gallery: F32 = field(repr=False)
    """Codes of the other portraits"""


def run_suite(
    pairs: Sequence[Pair],
    methods: Sequence[str],
    options: SwapOptions,
    *,
    portraits: Sequence[Path] = (),
    frames: int = 90,
    jobs: int = 1,
    listen: Listener = ignore,
) -> Suite:
    """Swap and measure the first ``frames`` frames of every pair by every method, ``jobs`` at a time.

    ``portraits`` are the people; the source must be the nearest of them, besides the target's own face.
    """
    codes = portrait_codes(portraits, options.detect)
    tasks = []
    for pair in pairs:
        others = [code for path, code in codes.items() if path != pair.portrait]
        gallery = np.stack(others) if others else nobody()
        tasks += [_Task(pair, method, options, frames, gallery) for method in methods]
    runs = []
    for done, run in enumerate(_results(tasks, jobs), start=1):
        runs.append(run)
        listen(progress("suite", done, len(tasks)))
    return Suite(tuple(runs))


def _results(tasks: Sequence[_Task], jobs: int) -> Iterator[Run]:
    if jobs <= 1:
        yield from map(_one, tasks)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(_one, tasks)


def _one(task: _Task) -> Run:
    pair, method = task.pair, task.method
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = _swapped(pair, method, task.options, task.frames, Path(folder))
            found = evaluate(
                result,
                [pair.portrait],
                pair.clip,
                options=EvaluateOptions(workers=1, gallery=task.gallery),
                max_frames=task.frames,
            )
    except NoFaceFound as error:
        return Run(method, pair.name, problem=f"no face: {error}")
    except FaceswapError as error:
        return Run(method, pair.name, problem=str(error))
    return Run(method, pair.name, dict(found.figures))


def _swapped(pair: Pair, method: str, options: SwapOptions, frames: int, folder: Path) -> Path:
    if method == UNTOUCHED:
        return pair.clip
    output = folder / "result.mp4"
    if method == NAIVE:
        from faceswap_cli.metrics.naive import swap_clip

        swap_clip(pair.portrait, pair.clip, output, frames)
        return output
    from faceswap_cli.pipeline import swap_video

    chosen = replace(
        options,
        method=method,
        range=RangeOptions(end=f"{frames}f"),
        encode=EncodeOptions(),
        job=replace(options.job, workers=1) if options.job.workers == 0 else options.job,
    )
    swap_video([pair.portrait], pair.clip, output, chosen)
    return output


__all__ = ["NAIVE", "SHOWN", "UNTOUCHED", "Pair", "Run", "Suite", "pairs_of", "portraits_of", "run_suite"]
