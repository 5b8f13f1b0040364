"""What the evaluation saw, under the names of the people in the ledger.

The evaluation finds and follows faces in result and target on its own; its rows belong to the
ledger row of the same frame whose box has the nearest middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from faceswap_cli.metrics.meshes import SURFACE, eye_distance
from faceswap_cli.metrics.observations import Observations
from faceswap_cli.records import F32, F64, LedgerRow

JITTER_RADIUS = 12
"""Frames on each side over which jitter is pooled: a second of film in all."""
_STILL = 1e-5
"""Second differences below this share of the eye distance count as standing still: no ratio."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One swapped face in one frame, as the evaluation saw it."""

    pts: int
    seconds: float
    """On the clock of the ledger"""
    person: int
    jitter: float
    """Restless landmarks around this frame, result over target; NaN where it is not known"""
    likeness: float
    """To the source, for a network that nothing is trained with; NaN where it was not measured"""
    sharpness: float
    """Variance of the Laplacian inside the target's face: low where the footage is blurred"""


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Ledger rows by time."""

    rows: dict[int, list[LedgerRow]] = field(default_factory=dict)

    def nearest(self, seconds: float, points: F32) -> LedgerRow | None:
        """The row whose box has the middle nearest to that of ``points`` (478, 3)."""
        here = self.rows.get(_tick(seconds), [])
        middle = (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2
        return min(here, key=lambda row: _apart(row, middle), default=None)


def _tick(seconds: float) -> int:
    """Tenths of a millisecond: the ledger rounds its seconds."""
    return round(seconds * 10_000)


def _apart(row: LedgerRow, middle: F32) -> float:
    x0, y0, x1, y1 = row.box
    return float(np.hypot((x0 + x1) / 2 - middle[0], (y0 + y1) / 2 - middle[1]))


def sightings(seen: Observations, ledger: Sequence[LedgerRow]) -> list[Sighting]:
    """Every swapped face that the evaluation found again, by person, in no particular order."""
    places = _Places()
    for row in ledger:
        if row.swapped:
            places.rows.setdefault(_tick(row.time_s), []).append(row)
    likeness = dict(zip(seen.looks.row.tolist(), seen.looks.likeness[:, 0].tolist(), strict=True))
    found = []
    for run in seen.runs():
        ratios = local_jitter(seen.result_points[run], seen.target_points[run])
        for number, ratio in zip(run, ratios, strict=True):
            seconds = float(seen.seconds[seen.frame[number]])
            own = places.nearest(seconds, seen.target_points[number])
            if own is not None:
                like, sharp = likeness.get(int(number), np.nan), float(seen.detail[number])
                found.append(Sighting(own.pts, own.time_s, own.person, float(ratio), like, sharp))
    return found


def local_jitter(result: F32, target: F32, radius: int = JITTER_RADIUS) -> F64:
    """(T, 478, 3) twice, one unbroken run -> (T,) RMS of second differences, result over target.

    Pooled over ``radius`` frames on each side; NaN in runs that are too short or stand still.
    """
    if len(result) < 3:
        return np.full(len(result), np.nan)
    ours, theirs = (_pooled(_energy(points), radius) for points in (result, target))
    moving = theirs > _STILL**2
    ratio = np.full(len(ours), np.nan)
    ratio[moving] = np.sqrt(ours[moving] / theirs[moving])
    return np.concatenate([ratio[:1], ratio, ratio[-1:]])


def _energy(points: F32) -> F64:
    """(T, 478, 3) -> (T - 2,) mean squared second difference in units of the run's mean eye distance."""
    xy = points[:, SURFACE, :2].astype(np.float64)
    second = (xy[2:] - 2 * xy[1:-1] + xy[:-2]) / float(eye_distance(points).mean())
    return np.asarray((second**2).sum(axis=-1).mean(axis=-1))


def _pooled(energy: F64, radius: int) -> F64:
    """Centered running mean, shorter at the ends."""
    total = np.concatenate([[0.0], np.cumsum(energy)])
    at = np.arange(len(energy))
    low, high = np.maximum(at - radius, 0), np.minimum(at + radius + 1, len(energy))
    return np.asarray((total[high] - total[low]) / (high - low))
