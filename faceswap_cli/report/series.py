"""Figures over time, one line per person, thinned so that a page stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from faceswap_cli.metrics.figures import SAME_PERSON
from faceswap_cli.metrics.verdict import LIMITS
from faceswap_cli.records import F64, LedgerRow
from faceswap_cli.report.job import Job
from faceswap_cli.report.sightings import Sighting

POINTS = 400
"""Largest number of points per line; longer clips are pooled, with the range of each pool as a band."""
PEOPLE = 6
"""Largest number of lines per chart: those of the people swapped most often."""
_GAP = 3.0
"""A pause of this many steps between two points breaks the line."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One person in one chart.  Arrays run over its points, in the order of time."""

    person: int
    seconds: F64 = field(repr=False)
    """(P,) from the beginning of the clip"""
    values: F64 = field(repr=False)
    """(P,) means"""
    low: F64 = field(repr=False)
    high: F64 = field(repr=False)
    """(P,) smallest and largest value of each point; equal to ``values`` where nothing was pooled"""

    @property
    def pooled(self) -> bool:
        return bool((self.high > self.low).any())

    def pieces(self) -> list[slice]:
        """Runs of points without a pause in between."""
        if not len(self.seconds):
            return []
        steps = np.diff(self.seconds)
        step = float(np.median(steps)) if len(steps) else 0.0
        cuts = np.flatnonzero(steps > _GAP * max(step, 1e-6)) + 1
        edges = [0, *cuts.tolist(), len(self.seconds)]
        return [slice(a, b) for a, b in pairwise(edges)]


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """One figure over time."""

    name: str
    title: str
    meaning: str
    lines: tuple[Line, ...]
    top: float
    """Upper end of the axis; the lower one is 0."""
    percent: bool = False
    """Values are shares and are shown in per cent."""
    limit: float | None = None
    """A value worth a dashed line."""


def thinned(person: int, samples: Iterable[tuple[float, float]], length_s: float) -> Line:
    """(seconds, value) of one person -> a line of at most ``POINTS`` points; NaN values are left out."""
    table = np.array(sorted(samples), dtype=np.float64).reshape(-1, 2)
    table = table[~np.isnan(table[:, 1])]
    seconds, values = table[:, 0], table[:, 1]
    if len(seconds) <= POINTS:
        return Line(person, seconds, values, values, values)
    pool = np.minimum((seconds / max(length_s, 1e-6) * POINTS).astype(np.int64), POINTS - 1)
    starts = np.flatnonzero(np.diff(pool, prepend=-1))
    counts = np.diff(starts, append=len(pool))
    return Line(
        person,
        np.add.reduceat(seconds, starts) / counts,
        np.add.reduceat(values, starts) / counts,
        np.minimum.reduceat(values, starts),
        np.maximum.reduceat(values, starts),
    )


_CHARTS: dict[str, tuple[str, str, float | None, float | None, bool]] = {
    "likeness": (
        "Likeness to the source",
        "How much the face looks like the source to a network that nothing is trained with: two strangers "
        "have 0.44, two photographs of one person 0.90. Below 0.5, the dashed line, the verdict says so.",
        None,
        LIMITS["likeness"].bound,
        False,
    ),
    "identity": (
        "Identity distance (training network)",
        "How far the face is from the source person for the network that swaps are trained with. Below "
        "0.6, the dashed line, two photographs count as the same person; lower is nearer.",
        0.8,
        SAME_PERSON,
        False,
    ),
    "jitter": (
        "Jitter",
        "How restless the face is, compared with the footage over one second. At 1, the dashed line, it "
        "is as steady as the footage; lower is steadier.",
        1.5,
        1.0,
        False,
    ),
    "coverage": (
        "Coverage",
        "Share of the frames with this person in which the face was swapped.",
        None,
        None,
        True,
    ),
    "occlusion": (
        "Occlusion",
        "Share of the face that something in front of it hides and that was kept as it was.",
        0.2,
        None,
        True,
    ),
}
"""Name -> (title, meaning, least top of the axis or None where it is always 1, dashed line, per cent?)."""


def charts(job: Job, seen: Sequence[Sighting], start_s: float, length_s: float) -> list[Chart]:
    """Likeness, identity distance, jitter, coverage and covered share; only those that were measured."""
    people = job.chosen[:PEOPLE]

    def of_rows(value: Callable[[LedgerRow], float | None]) -> tuple[Line, ...]:
        lines = []
        for person in people:
            found = ((row.time_s - start_s, value(row)) for row in job.rows(person))
            lines.append(thinned(person, [(t, v) for t, v in found if v is not None], length_s))
        return tuple(lines)

    def of_sightings(value: Callable[[Sighting], float]) -> tuple[Line, ...]:
        return tuple(
            thinned(person, [(s.seconds - start_s, value(s)) for s in seen if s.person == person], length_s)
            for person in people
        )

    lines = {
        "likeness": of_sightings(lambda one: one.likeness),
        "identity": of_rows(lambda row: row.identity_distance if row.swapped else None),
        "jitter": of_sightings(lambda one: one.jitter),
        "coverage": of_rows(lambda row: float(row.swapped)),
        "occlusion": of_rows(lambda row: row.occluded if row.swapped else None),
    }
    found = []
    for name, (title, meaning, least, limit, percent) in _CHARTS.items():
        top = 1.0 if least is None else _top(lines[name], least)
        found.append(Chart(name, title, meaning, lines[name], top, percent, limit))
    return [chart for chart in found if any(len(line.seconds) for line in chart.lines)]


def _top(lines: Sequence[Line], least: float) -> float:
    """A round upper end for the axis: nothing is cut off but single outliers."""
    highs = np.concatenate([line.high for line in lines]) if lines else np.zeros(0)
    if not len(highs):
        return least
    wanted = max(least, min(float(highs.max()), 2.5 * float(np.percentile(highs, 95))))
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(
        next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= wanted - 1e-9)
    )
