"""What a reader wants to know first, in one sentence: did it work, and where to look."""

from __future__ import annotations

from dataclasses import dataclass

from faceswap_cli.report.job import Job

_COVERED, _STEADY = 0.95, 1.5
"""Share of the frames, and jitter over the footage's, from which on a result is called good"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one result."""

    word: str
    """``Good``, ``Check it`` or ``Not measured``"""
    reasons: tuple[str, ...]
    """Clauses that make a sentence"""


def verdict(job: Job) -> Verdict:
    """From coverage, likeness and steadiness; it cannot see what a careful viewer sees."""
    figures = job.evaluation.figures if job.evaluation else {}
    good: list[str] = []
    bad: list[str] = []

    def say(ok: bool, yes: str, no: str) -> None:
        (good if ok else bad).append(yes if ok else no)

    wanted = {row.pts for row in job.report.ledger if row.person in job.chosen}
    share = job.report.frames_with_swap / len(wanted) if wanted else 0.0
    if job.command == "video":
        said = f"{job.report.frames_with_swap} of {len(wanted)} frames with a chosen person were swapped"
        say(share >= _COVERED, said, f"only {said}")
    if "likeness_gain" in figures:
        say(
            figures["likeness_gain"] > 0,
            "the result looks more like the source than like the person who was there",
            "the result still looks more like the person who was there than like the source",
        )
    if "jitter" in figures:
        say(
            figures["jitter"] <= _STEADY,
            "the face is as steady as the footage",
            f"the face is {figures['jitter']:.1f} times as restless as the footage",
        )
    if not figures:
        return Verdict("Not measured", tuple(bad + good))
    return Verdict("Check it" if bad else "Good", tuple(bad + good))
