"""What became of the frames in which nothing was swapped, in words."""

from __future__ import annotations

from faceswap_cli.records import Plan, Segment

SWAPPED, COPIED, ENCODED = "swapped", "copied", "encoded"


def treatment(segment: Segment) -> str:
    """``swapped``, ``copied`` (packets as they were) or ``encoded`` (untouched, but encoded again)."""
    return SWAPPED if segment.touched else COPIED if segment.copied else ENCODED


def untouched_notes(job: Plan) -> list[str]:
    """One line when whole segments were untouched."""
    frames = dict.fromkeys((SWAPPED, COPIED, ENCODED), 0)
    for segment in job.segments:
        frames[treatment(segment)] += segment.frames
    if frames[COPIED]:
        rest = f", {frames[ENCODED]} encoded again up to the next keyframe" if frames[ENCODED] else ""
        return [f"frames without a swapped face: {frames[COPIED]} copied bit for bit{rest}"]
    if frames[ENCODED] and job.not_copied:
        return [f"frames without a swapped face: {frames[ENCODED]} encoded again: {job.not_copied}"]
    return []
