"""From a finished job to the file of its report."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from faceswap_cli.errors import InputError, NoFaceFound, OutputError
from faceswap_cli.events import Listener, ignore
from faceswap_cli.metrics.evaluate import EvaluateOptions, Evaluation, evaluate
from faceswap_cli.records import Clip
from faceswap_cli.report.draw import draw, readout
from faceswap_cli.report.frames import clip_pairs, picture_pairs, portraits
from faceswap_cli.report.job import Job
from faceswap_cli.report.moments import choose
from faceswap_cli.report.page import Page, render
from faceswap_cli.report.series import charts
from faceswap_cli.report.sightings import Sighting, sightings
from faceswap_cli.video.probe import probe


def write_report(path: Path, job: Job, listen: Listener = ignore) -> Evaluation | None:
    """Measure the result of ``job`` and write its page to ``path``; it appears whole or not at all.

    Returns what was measured, if anything could be.  Takes about as long as ``evaluate``: both files are
    read again.
    """
    job = _measured(job, listen)
    html = build(job)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors="replace") as handle:
            handle.write(html)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(f"report {path} cannot be written ({error.strerror or error})") from error
    return job.evaluation


def build(job: Job) -> str:
    """The page as text; ``job`` is measured already."""
    seen: list[Sighting] = []
    if job.evaluation is not None:
        seen = sightings(job.evaluation.observations, job.report.ledger)
    moments = choose(job, seen)
    # Several photographs of one source show the same person: the first is enough.
    faces = list(portraits(job.sources[:1] if job.one_source else job.sources))
    if job.command == "image":
        pairs = list(picture_pairs(job.target, job.report.output, moments))
        return render(Page(job=job, pairs=pairs, portraits=faces, start_s=0.0, length_s=0.0))
    clip = probe(job.target)
    pairs = list(clip_pairs(job.target, job.report.output, job.options.range, moments))
    start_s, length_s = _span(job, clip)
    found = charts(job, seen, start_s, length_s)
    return render(
        Page(
            job=job,
            pairs=pairs,
            portraits=faces,
            start_s=start_s,
            length_s=length_s,
            charts=[draw(chart, length_s, start_s) for chart in found],
            readout=readout(found, length_s),
            cuts=_cuts(job, clip, start_s),
        )
    )


def _measured(job: Job, listen: Listener) -> Job:
    """``job`` with its evaluation; a result in which nothing can be measured still gets a page."""
    if job.evaluation is not None:
        return job
    options = EvaluateOptions(
        detect=job.options.detect,
        workers=job.options.job.workers,
        range=job.options.range,
        ledger=job.report.ledger,
    )
    try:
        found = evaluate(job.report.output, job.sources, job.target, options=options, listen=listen)
    except (NoFaceFound, InputError) as error:
        return replace(job, notes=(*job.notes, f"result and target could not be compared: {error}"))
    return replace(job, evaluation=found)


def _span(job: Job, clip: Clip) -> tuple[float, float]:
    """(begin, length) of what was worked on, in seconds from the first frame of the target."""
    shots = job.report.shots
    if shots:
        first, end = shots[0].first_pts, shots[-1].end_pts
        return clip.seconds(first), max(float((end - first) * clip.time_base), 1e-3)
    times = [row.time_s for row in job.report.ledger]
    return min(times), max(max(times) - min(times), 1e-3)


def _cuts(job: Job, clip: Clip, start_s: float) -> list[float]:
    """Where a new shot begins, in seconds from the beginning."""
    return [clip.seconds(shot.first_pts) - start_s for shot in job.report.shots[1:]]
