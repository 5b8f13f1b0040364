"""What a report is made of: the finished job, its files, and what was measured on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from faceswap_cli.config import SwapOptions
from faceswap_cli.metrics.evaluate import Evaluation
from faceswap_cli.records import LedgerRow, Report
from faceswap_cli.swap.ledger import NOT_AT_ALL


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A finished swap, as its report sees it."""

    command: str
    """``video`` or ``image``"""
    report: Report
    sources: tuple[Path, ...]
    """Photographs, or folders of them"""
    target: Path
    options: SwapOptions
    method: str
    device: str
    one_source: bool = True
    """False when ``sources`` show several people (a cast)"""
    evaluation: Evaluation | None = field(repr=False, default=None)
    """Result against target; None where it could not be measured."""
    notes: tuple[str, ...] = ()
    """What the reader should know besides the notes of ``report``."""

    @cached_property
    def chosen(self) -> tuple[int, ...]:
        """People with at least one swapped face, the most often swapped first."""
        counts = Counter(row.person for row in self.swapped)
        return tuple(sorted(counts, key=lambda person: (-counts[person], person)))

    @cached_property
    def wanted(self) -> set[int]:
        """Times of the frames that show a chosen person, as ``swap.ledger.coverage`` counts them."""
        rows = (row for row in self.report.ledger if row.person in self.chosen)
        return {row.pts for row in rows if row.reason != NOT_AT_ALL}

    @cached_property
    def swapped(self) -> list[LedgerRow]:
        return [row for row in self.report.ledger if row.swapped]

    @cached_property
    def people(self) -> dict[int, list[LedgerRow]]:
        """What happened to each person, in the order of time."""
        found: dict[int, list[LedgerRow]] = {}
        for row in sorted(self.report.ledger, key=lambda row: (row.pts, row.track)):
            found.setdefault(row.person, []).append(row)
        return found

    def rows(self, person: int) -> list[LedgerRow]:
        return self.people.get(person, [])
