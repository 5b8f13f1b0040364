"""What a reader wants to know first, in one sentence: did it work, and where to look."""

from __future__ import annotations

from dataclasses import replace

from faceswap_cli.metrics.verdict import Verdict
from faceswap_cli.report.job import Job


def verdict(job: Job) -> Verdict:
    """By the limits of ``metrics.verdict``; it cannot see what a careful viewer sees."""
    ledger = job.report.ledger
    wanted = {row.pts for row in ledger if row.person in job.chosen} or {row.pts for row in ledger}
    swapped = job.report.frames_with_swap
    coverage = {"coverage": swapped / len(wanted)} if job.command == "video" and wanted else {}
    found = job.evaluation.verdict(coverage) if job.evaluation else Verdict()
    if not coverage:
        return found
    said = f"{swapped} of {len(wanted)} frames with a chosen person were swapped"
    return replace(found, reasons=(*found.reasons, said))
