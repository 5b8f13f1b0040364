"""What a job will take, from a few of its frames that were really rendered.  Arithmetic only.

Segments of one kind (swapped, encoded again, copied) cost alike: time follows their frames and the
size of the faces in them, bytes follow the bytes of the input.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from faceswap_cli.records import Segment

ASSEMBLE_BYTES_PER_S = 150e6
"""Joining reads every segment once and the input once, writes, flushes to disk and signs; measured on a
local disk."""
ASSEMBLE_FIXED_S = 0.15
ROW_BYTES = 700
"""Of one line of the ledger in memory."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is known of a segment before it is rendered."""

    segment: Segment
    crop_mpx: float
    """Million pixels of all faces that are swapped in it"""
    input_bytes: int

    @property
    def kind(self) -> str:
        if self.segment.touched:
            return "swapped"
        return "copied" if self.segment.copied else "encoded"


@dataclass(frozen=True, slots=True)
class Tried:
    """Frames that were rendered for the estimate."""

    load: Load
    seconds: float
    output_bytes: int


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """A person in the clip, and the plan for them."""

    person: int
    frames: int
    source: str
    """Name of the person whose face is put in; empty when nothing is."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will take."""

    frames: int
    frames_seen: int
    """In which faces were looked for; what is known of a longer clip is an estimate"""
    shots: int
    people: tuple[PersonPlan, ...]
    segments: int
    swapped_segments: int
    copied_segments: int
    frames_tried: int
    """Rendered for this estimate"""
    workers: int
    seconds: dict[str, float]
    """Of each stage; ``total`` is their sum"""
    ram_mb: float | None
    """Of all processes together; None where it cannot be measured"""
    vram_mb: float
    disk_bytes: int
    """At most in use while the job runs, the result included"""
    output_bytes: int
    notes: tuple[str, ...] = field(default=())


def choose_trials(loads: Sequence[Load], count: int) -> list[Load]:
    """``count`` swapped segments spread over the clip, and one of each other kind."""
    kinds: dict[str, list[Load]] = {}
    for load in loads:
        kinds.setdefault(load.kind, []).append(load)
    chosen = _spread(kinds.pop("swapped", []), count)
    for others in kinds.values():
        chosen += _spread(others, 1)
    return sorted(chosen, key=lambda load: load.segment.index)


def _spread(loads: Sequence[Load], count: int) -> list[Load]:
    if len(loads) <= count:
        return list(loads)
    return [loads[int((k + 0.5) * len(loads) / count)] for k in range(count)]


def seconds_each(loads: Iterable[Load], tried: Sequence[Tried]) -> list[float]:
    """Seconds of one worker for every segment."""
    models = {kind: _model(own) for kind, own in _by_kind(tried).items()}
    known = {one.load.segment.index: one.seconds for one in tried}
    fallback = _model(tried)
    found = []
    for load in loads:
        per_frame, per_mpx = models.get(load.kind, fallback)
        guess = per_frame * load.segment.frames + per_mpx * load.crop_mpx
        found.append(known.get(load.segment.index, guess))
    return found


def _by_kind(tried: Sequence[Tried]) -> dict[str, list[Tried]]:
    found: dict[str, list[Tried]] = {}
    for one in tried:
        found.setdefault(one.load.kind, []).append(one)
    return found


def _model(tried: Sequence[Tried]) -> tuple[float, float]:
    """(seconds a frame, seconds a million crop pixels), neither below 0."""
    from scipy.optimize import nnls

    if not tried:
        return 0.0, 0.0
    work = np.array([[one.load.segment.frames, one.load.crop_mpx] for one in tried], dtype=np.float64)
    spent = np.array([one.seconds for one in tried])
    scale = np.maximum(work.max(axis=0), 1e-9)
    per_frame, per_mpx = nnls(work / scale, spent)[0] / scale
    return float(per_frame), float(per_mpx)


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Wall seconds of ``workers`` that take the segments in order, each as soon as it is free."""
    free = [0.0] * max(workers, 1)
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


def bytes_of_video(loads: Iterable[Load], tried: Sequence[Tried]) -> int:
    """Bytes of all encoded segments: the input's, times what it became in the trial."""
    ratios = {kind: _ratio(own) for kind, own in _by_kind(tried).items()}
    fallback = _ratio(tried)
    known = {one.load.segment.index: one.output_bytes for one in tried}
    return round(
        sum(
            known.get(load.segment.index, load.input_bytes * ratios.get(load.kind, fallback))
            for load in loads
        )
    )


def _ratio(tried: Sequence[Tried]) -> float:
    put_in = sum(one.load.input_bytes for one in tried)
    return sum(one.output_bytes for one in tried) / put_in if put_in else 1.0


def assemble_seconds(input_bytes: int, output_bytes: int) -> float:
    """Of joining the segments and carrying the other streams over."""
    return ASSEMBLE_FIXED_S + (input_bytes + 3 * output_bytes) / ASSEMBLE_BYTES_PER_S


def with_total(seconds: Mapping[str, float]) -> dict[str, float]:
    """Rounded, and their sum as ``total``."""
    return {name: round(value, 2) for name, value in {**seconds, "total": sum(seconds.values())}.items()}
