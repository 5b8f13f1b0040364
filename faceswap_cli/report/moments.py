"""Which frames are worth showing: a usual one, and the hardest by each kind of difficulty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from faceswap_cli.records import LedgerRow
from faceswap_cli.report.job import Job
from faceswap_cli.report.sightings import Sighting

MOMENTS = 8
APART_S = 0.4
"""Two moments closer than this show the same thing: they become one with both reasons."""

_NOTABLE_COVER = 0.05
_NOTABLE_JITTER = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame to show."""

    pts: int
    time_s: float
    """From the first frame of the target"""
    person: int
    box: tuple[float, float, float, float]
    """Of the face it is about, display pixels"""
    reasons: tuple[str, ...]


def choose(job: Job, seen: Sequence[Sighting]) -> list[Moment]:
    """A usual frame first, then the hardest ones in the order of time; at most ``MOMENTS``."""
    rows = job.swapped
    if not rows:
        return []
    found: list[Moment] = [_moment(_usual(rows), "a usual frame")]
    for row, reason in _hardest(job, rows, seen):
        near = next((k for k, m in enumerate(found) if abs(m.time_s - row.time_s) < APART_S and k), None)
        if near is not None:
            old = found[near]
            found[near] = Moment(old.pts, old.time_s, old.person, old.box, (*old.reasons, reason))
        elif len(found) < MOMENTS:
            found.append(_moment(row, reason))
    return [found[0], *sorted(found[1:], key=lambda moment: moment.pts)]


def _moment(row: LedgerRow, reason: str) -> Moment:
    return Moment(row.pts, row.time_s, row.person, row.box, (reason,))


def _usual(rows: Sequence[LedgerRow]) -> LedgerRow:
    """The frame in the middle of all by identity distance, or by time where none was measured."""
    measured = [row for row in rows if row.identity_distance is not None]
    if not measured:
        return sorted(rows, key=lambda row: row.pts)[len(rows) // 2]
    return sorted(measured, key=lambda row: (row.identity_distance or 0.0, row.pts))[len(measured) // 2]


def _width(row: LedgerRow) -> float:
    return row.box[2] - row.box[0]


def _hardest(job: Job, rows: Sequence[LedgerRow], seen: Sequence[Sighting]) -> list[tuple[LedgerRow, str]]:
    """(row, why) by kind of difficulty, the most instructive kind first."""
    found: list[tuple[LedgerRow, str]] = []

    def worst(score: Callable[[LedgerRow], float], said: Callable[[LedgerRow], str], least: float) -> None:
        row = max(rows, key=lambda row: (score(row), -row.pts))
        if score(row) > least:
            found.append((row, said(row)))

    worst(
        lambda row: row.identity_distance or 0.0,
        lambda row: f"largest identity distance, {row.identity_distance:.2f}",
        0.0,
    )
    worst(lambda row: abs(row.yaw), lambda row: f"turned furthest, {abs(row.yaw):.0f}°", 5.0)
    worst(lambda row: row.occluded, lambda row: f"most covered, {row.occluded:.0%}", _NOTABLE_COVER)
    by_place = {(row.pts, row.person): row for row in rows}
    sharp = [s for s in seen if (s.pts, s.person) in by_place]
    if sharp:
        blurred = min(sharp, key=lambda s: (s.sharpness, s.pts))
        found.append((by_place[blurred.pts, blurred.person], "most blurred in the footage"))
    worst(lambda row: -_width(row), lambda row: f"smallest face, {_width(row):.0f} px wide", -np.inf)
    shaky = [s for s in sharp if s.jitter > _NOTABLE_JITTER]
    if shaky:
        restless = max(shaky, key=lambda s: (s.jitter, -s.pts))
        found.append((by_place[restless.pts, restless.person], f"least steady, {restless.jitter:.2f}x"))
    left = [row for person in job.chosen for row in job.rows(person) if not row.swapped]
    if left:
        row = left[len(left) // 2]
        found.insert(1, (row, f"not swapped: {row.reason or 'unknown'}"))
    return found
