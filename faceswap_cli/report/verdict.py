"""What a reader wants to know first, in one sentence: did it work, and where to look."""

from __future__ import annotations

from dataclasses import replace

from faceswap_cli.metrics.verdict import Verdict, judge_each
from faceswap_cli.report.job import Job


def verdict(job: Job) -> Verdict:
    """By the limits of ``metrics.verdict``; it cannot see what a careful viewer sees."""
    swapped, wanted = job.report.frames_with_swap, len(job.wanted)
    counted = job.command == "video" and wanted
    found = Verdict()
    if job.evaluation is not None:
        coverage = {"coverage": swapped / wanted} if counted else {}
        people = {one.name: one.figures for one in job.evaluation.people}
        found = judge_each({**job.evaluation.figures, **coverage}, people)
    if not counted:
        return found
    said = f"{swapped} of {wanted} frames with a chosen person were swapped"
    return replace(found, reasons=(*found.reasons, said))
