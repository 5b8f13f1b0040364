"""What a finished job reports: whether anything was swapped, its figures, the time it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceswap_cli.errors import NoFaceFound
from faceswap_cli.keyframes import Keyframes
from faceswap_cli.records import Analysis, Plan, Report, SegmentResult
from faceswap_cli.swap.ledger import COVERED, NOT_AT_ALL, TURNED

if TYPE_CHECKING:
    from faceswap_cli.recipe.record import Recipe

NOTHING_ASKED = "the strength is 0 in every frame with a face; the result equals the target"


@dataclass
class Stopwatch:
    """Wall seconds between laps."""

    def __post_init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def plan_told(job: Plan, made: Recipe) -> dict[str, Any]:
    """What the event ``plan`` holds."""
    changed = {name: value for name, value in made.changed_options().items() if name != "method"}
    settings = {"method": made.method, **changed}
    return {
        "segments": len(job.segments),
        "frames": job.frames,
        "cast": sorted(job.cast),
        "settings": {name: str(v) if isinstance(v, Keyframes) else v for name, v in settings.items()},
    }


def check_swapped(results: Sequence[SegmentResult], target: Path) -> list[str]:
    """Success must not be said of a clip in which nothing changed, unless ``--strength`` asked for that.

    Returns what there is to know then.
    """
    why = {row.reason for done in results for row in done.ledger}
    if any(row.swapped for done in results for row in done.ledger):
        return []
    if TURNED in why and COVERED not in why:
        raise NoFaceFound(
            f"nothing was swapped in {target.name}: the chosen face is turned away throughout; try --face all"
        )
    if NOT_AT_ALL not in why or COVERED in why:
        raise NoFaceFound(
            f"nothing was swapped in {target.name}: the chosen face stayed covered throughout; "
            "try --face all or --no-occlusion"
        )
    return [NOTHING_ASKED]


def report(
    output: Path,
    analysis: Analysis,
    results: Sequence[SegmentResult],
    clock: Stopwatch,
    notes: Sequence[str],
) -> Report:
    """The figures of a finished job."""
    rows = tuple(row for done in results for row in done.ledger)
    swapped = [row for row in rows if row.swapped]
    seconds = dict(clock.seconds)
    for done in results:
        for stage, spent in done.seconds.items():
            seconds[f"render: {stage}"] = seconds.get(f"render: {stage}", 0.0) + spent
    return Report(
        output=output,
        frames=sum(done.frames for done in results),
        frames_with_swap=len({row.pts for row in swapped}),
        faces_swapped=len(swapped),
        people=len(analysis.people),
        damaged_packets=analysis.damaged_packets,
        size_changes=len(analysis.size_changes),
        seconds=seconds,
        ledger=rows,
        notes=tuple(notes),
        shots=analysis.shots,
        segments=tuple(done.segment for done in results),
    )
