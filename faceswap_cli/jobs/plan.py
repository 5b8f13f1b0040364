"""Cutting the work: segments, who is swapped in them, halos.  Arithmetic only."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from faceswap_cli.config import JobOptions, SmoothOptions
from faceswap_cli.records import I64, Analysis, Clip, Plan, Segment

_AT_LEAST, _SHORTEST_S = 8, 1.0
"""A short clip is cut finer, so that several workers have something to do."""


def plan(
    clip: Clip, analysis: Analysis, cast: dict[int, int], job: JobOptions, smooth: SmoothOptions
) -> Plan:
    """Segments of about ``job.segment_s`` seconds that end at shot cuts.

    The cuts depend on times alone, not on how the work is run: the same clip and options give
    the same segments on any machine.
    """
    halo = smooth.code_radius if smooth.strength > 0 else 0
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
    chosen = [track.pts for track in analysis.tracks if track.person in cast]
    swapped = np.unique(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)
    segments: list[Segment] = []
    for first, end in pairwise(edges):
        frames = _count(analysis.pts, first, end)
        if frames:
            touched = _count(swapped, first, end) > 0
            segments.append(Segment(len(segments), first, end, halo, frames, touched))
    return Plan(tuple(segments), dict(cast))


def with_halo(segment: Segment, analysis: Analysis) -> tuple[int, int]:
    """(first pts, end pts) of ``segment`` widened by its halo, within its shot."""
    shot = next(s for s in analysis.shots if s.first_pts <= segment.first_pts < s.end_pts)
    pts = analysis.pts
    low = int(np.searchsorted(pts, segment.first_pts)) - segment.halo
    high = int(np.searchsorted(pts, segment.end_pts)) + segment.halo
    first = max(int(pts[max(low, 0)]), shot.first_pts)
    end = int(pts[high]) if high < len(pts) else int(pts[-1]) + 1
    return first, min(end, max(shot.end_pts, segment.end_pts))


def _count(pts: I64, first: int, end: int) -> int:
    return int(np.searchsorted(pts, end) - np.searchsorted(pts, first))
