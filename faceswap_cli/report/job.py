"""What a report is made of: the finished job, its files, and what was measured on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from faceswap_cli.config import SwapOptions
from faceswap_cli.metrics.evaluate import Evaluation
from faceswap_cli.records import LedgerRow, Report


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A finished swap, as its report sees it."""

    command: str
    """``video`` or ``image``"""
    report: Report
    sources: tuple[Path, ...]
    target: Path
    options: SwapOptions
    method: str
    device: str
    evaluation: Evaluation | None = field(repr=False, default=None)
    """Result against target; None where it could not be measured."""
    notes: tuple[str, ...] = ()
    """What the reader should know besides the notes of ``report``."""

    @property
    def chosen(self) -> tuple[int, ...]:
        """People of whom at least one face was swapped, the most often swapped first."""
        counts: dict[int, int] = {}
        for row in self.report.ledger:
            if row.swapped:
                counts[row.person] = counts.get(row.person, 0) + 1
        return tuple(sorted(counts, key=lambda person: (-counts[person], person)))

    def rows(self, person: int) -> list[LedgerRow]:
        """What happened to one person, in the order of time."""
        return sorted(
            (row for row in self.report.ledger if row.person == person), key=lambda row: (row.pts, row.track)
        )

    @property
    def swapped(self) -> list[LedgerRow]:
        return [row for row in self.report.ledger if row.swapped]
