"""What a batch reports at its end: counts, one entry a row, a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faceswap_cli.batch.runner import Outcome
from faceswap_cli.chosen import some_swapped
from faceswap_cli.errors import FaceswapError
from faceswap_cli.plain import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from faceswap_cli.batch.rows import Row
    from faceswap_cli.records import Report

STATUSES = ("done", "kept", "skipped", "failed", "not started")
LONGEST_TABLE = 40
"""Rows; of a longer batch only those are shown that are not done."""


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many rows ended in which way; JSON names."""
    found = Counter(outcome.status for outcome in outcomes)
    return {status.replace(" ", "_"): found[status] for status in STATUSES}


def entry(outcome: Outcome) -> dict[str, Any]:
    """One row for JSON and events."""
    error = outcome.error
    row = outcome.row
    return {
        "row": row.index,
        "where": row.where or None,
        "sources": row.sources,
        "target": row.target.path,
        "output": row.output,
        "kind": row.target.kind,
        "status": outcome.status.replace(" ", "_"),
        "wall_s": outcome.seconds,
        **outcome.told,
        "error": None if error is None else error_entry(error),
    }


def figures(row: Row, report: Report) -> dict[str, Any]:
    """What is reported of a new result of ``row``, ready for JSON."""
    return {
        "device": row.options.job.device,
        "frames": report.frames,
        "frames_with_swap": report.frames_with_swap,
        "faces_swapped": report.faces_swapped,
        "people": report.people,
        "people_swapped": report.people_swapped,
        "damaged_packets": report.damaged_packets,
        "size_changes": report.size_changes,
        "seconds": dict(report.seconds),
        "notes": list(report.notes),
    }


def error_entry(error: FaceswapError) -> dict[str, Any]:
    """Code, exit code and message for JSON and events."""
    more = getattr(error, "details", {})
    return {"code": error.code, "exit": error.exit_code, "message": one_line(str(error)), **more}


def sentence(outcomes: Sequence[Outcome]) -> str:
    """``9 done, 1 failed``, and in how many not everybody was swapped."""
    found = counts(outcomes)
    words = {"kept": "done before", "skipped": "already there"}
    parts = [f"{n} {words.get(name, name.replace('_', ' '))}" for name, n in found.items() if n]
    some = [text for outcome in outcomes if (text := others(outcome))]
    hint = max((text.partition("; ")[2] for text in some), key=len, default="")
    said = f"; people left as they were in {len(some)}" if some else ""
    return ", ".join(parts) + said + (f", {hint}" if hint else "")


def others(outcome: Outcome) -> str:
    """Who of a target was swapped, where that is not everybody; else empty."""
    row, told = outcome.row, outcome.told
    # Records of an earlier version do not hold the number.
    swapped, people = told.get("people_swapped", 0), told.get("people", 0)
    return some_swapped(swapped, people, row.options.track, still=row.target.clip is None)


def table(outcomes: Sequence[Outcome], *, longest: int = LONGEST_TABLE) -> Table:
    """Every row, or of a batch of more than ``longest`` what needs a look."""
    from rich.table import Table
    from rich.text import Text

    shown = [o for o in outcomes if o.status in ("failed", "not started")]
    if len(outcomes) <= longest:
        shown = list(outcomes)
    grid = Table(box=None, pad_edge=False, show_edge=False)
    for heading, right in (("row", True), ("target", False), ("source", False), ("status", False)):
        grid.add_column(heading, justify="right" if right else "left", no_wrap=right)
    grid.add_column("frames", justify="right", no_wrap=True)
    with_others = any(map(others, shown))
    if with_others:
        grid.add_column("people", justify="right", no_wrap=True)
    grid.add_column("seconds", justify="right", no_wrap=True)
    grid.add_column("result, or why not", overflow="fold")
    for outcome in shown:
        row, told = outcome.row, outcome.told
        frames = f"{told['frames_with_swap']}/{told['frames']}" if "frames" in told else ""
        spent = f"{outcome.seconds:.1f}" if outcome.seconds and outcome.status != "kept" else ""
        last = str(outcome.error or row.output)
        people = f"{told.get('people_swapped', '-')}/{told['people']}" if "people" in told else ""
        cells = [str(row.index), row.name, row.source, outcome.status, frames]
        cells += [people] * with_others + [spent, last]
        grid.add_row(*(Text(one_line(cell)) for cell in cells), style="red" if outcome.error else None)
    return grid
