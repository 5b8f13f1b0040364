"""Cutting the work: segments, who is swapped in them, what is copied, halos.  Arithmetic only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from faceswap_cli.config import JobOptions, SmoothOptions
from faceswap_cli.keyframes import Level, keyframe_values, value_at
from faceswap_cli.records import I64, Analysis, Clip, Plan, Segment
from faceswap_cli.video.copying import Cuts

_AT_LEAST, _SHORTEST_S = 8, 1.0
"""A short clip is cut finer, so that several workers have something to do."""


def plan(
    clip: Clip,
    analysis: Analysis,
    cast: dict[int, int],
    job: JobOptions,
    smooth: SmoothOptions,
    find_cuts: Callable[[], Cuts] = Cuts,
    strength: Level = 1.0,
) -> Plan:
    """Segments of about ``job.segment_s`` seconds that end at shot cuts, and runs that are copied.

    The cuts depend on times alone, not on how the work is run: the same clip and options give
    the same segments on any machine.  ``find_cuts`` is asked only when there are untouched frames.
    """
    halo = smooth.code_radius if smooth.strength > 0 else 0
    edges = _edges(clip, analysis, job)
    chosen = [track.pts for track in analysis.tracks if track.person in cast]
    swapped = np.unique(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)
    swapped = _not_at_zero(swapped, clip, strength)
    untouched = ~np.isin(analysis.pts, swapped)
    cuts = find_cuts() if untouched.any() and edges else Cuts()
    copies = list(_copies(analysis.pts, untouched, cuts, edges[-1])) if len(cuts.pts) else []
    for first, end in copies:
        edges = [edge for edge in edges if not first < edge < end]
    begins = {first for first, _ in copies}
    segments: list[Segment] = []
    for first, end in pairwise(sorted({*edges, *(edge for copy in copies for edge in copy)})):
        frames = _count(analysis.pts, first, end)
        if frames:
            touched = _count(swapped, first, end) > 0
            segments.append(Segment(len(segments), first, end, halo, frames, touched, first in begins))
    return Plan(tuple(segments), dict(cast), cuts.reason)


def _not_at_zero(pts: I64, clip: Clip, strength: Level) -> I64:
    """Those of ``pts`` at which a face is swapped at all."""
    if 0.0 not in keyframe_values(strength):
        return pts
    shown = [t for t in pts.tolist() if value_at(strength, (t - clip.start_pts) * clip.time_base) > 0]
    return np.array(shown, np.int64)


def _edges(clip: Clip, analysis: Analysis, job: JobOptions) -> list[int]:
    """Times between which the work is cut, shot by shot."""
    whole = float((analysis.pts[-1] - analysis.pts[0]) * clip.time_base) if len(analysis.pts) else 0.0
    seconds = min(job.segment_s, max(whole / _AT_LEAST, _SHORTEST_S))
    step = max(round(seconds / float(clip.time_base)), 1)
    edges: list[int] = []
    for shot in analysis.shots:
        length = shot.end_pts - shot.first_pts
        pieces = max(round(length / step), 1)
        edges += [shot.first_pts + length * k // pieces for k in range(pieces)]
    if analysis.shots:
        edges.append(analysis.shots[-1].end_pts)
    return edges


def _copies(pts: I64, untouched: np.ndarray, cuts: Cuts, end_pts: int) -> Iterator[tuple[int, int]]:
    """(first, end) of every run of untouched frames, drawn in to where its packets may be cut.

    A run whose packets are not exactly its frames (one was damaged, or left out) is not copied.
    """
    changes = np.flatnonzero(np.diff(np.concatenate([[0], untouched.astype(np.int8), [0]])))
    # Behind the last packet the stream may be cut as well, unless the part that is used ends before it.
    clean = np.append(cuts.clean, end_pts) if pts[-1] == cuts.pts[-1] else cuts.clean
    for start, stop in changes.reshape(-1, 2).tolist():
        limit = int(pts[stop]) if stop < len(pts) else end_pts
        fitting = clean[(clean >= pts[start]) & (clean <= limit)]
        if len(fitting) < 2:
            continue
        first, end = int(fitting[0]), int(fitting[-1])
        if np.array_equal(_within(pts, first, end), _within(cuts.pts, first, end)):
            yield first, end


def with_halo(segment: Segment, analysis: Analysis) -> tuple[int, int]:
    """(first pts, end pts) of ``segment`` widened by its halo, within its shot."""
    shot = next(s for s in analysis.shots if s.first_pts <= segment.first_pts < s.end_pts)
    pts = analysis.pts
    low = int(np.searchsorted(pts, segment.first_pts)) - segment.halo
    high = int(np.searchsorted(pts, segment.end_pts)) + segment.halo
    first = max(int(pts[max(low, 0)]), shot.first_pts)
    end = int(pts[high]) if high < len(pts) else int(pts[-1]) + 1
    return first, min(end, max(shot.end_pts, segment.end_pts))


def frames_within(segment: Segment, analysis: Analysis) -> I64:
    """Times of the frames of ``segment``."""
    return _within(analysis.pts, segment.first_pts, segment.end_pts)


def _within(pts: I64, first: int, end: int) -> I64:
    return pts[np.searchsorted(pts, first) : np.searchsorted(pts, end)]


def _count(pts: I64, first: int, end: int) -> int:
    return len(_within(pts, first, end))
