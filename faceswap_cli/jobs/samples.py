"""Which frames of a clip a dry run looks at, and which it renders.  Arithmetic only.

Samples begin at key frames where there are enough: reading from elsewhere decodes what is before them, and
the bytes of a few frames compare with the output's only if both begin with a key frame.
"""

from __future__ import annotations

import numpy as np

from faceswap_cli.records import I64, Segment

WINDOWS, WINDOW_FRAMES = 12, 16
"""Parts of a long clip in which faces are looked for, and their length"""
TRIAL_FRAMES, QUICK_TRIAL_FRAMES = 8, 32
"""Rendered for an estimate by all workers together, with networks and without; at least two by each"""


def windows(pts: I64, keys: I64) -> list[tuple[int, int]]:
    """(first pts, end pts) of parts spread over the frames ``pts`` (N,); empty when they are few.

    ``keys`` are the times of key frames.
    """
    if len(pts) <= 2 * WINDOWS * WINDOW_FRAMES:
        return []
    spread = pts[((np.arange(WINDOWS) + 0.5) * len(pts) / WINDOWS).astype(int)]
    inside = keys[(keys >= pts[0]) & (keys <= pts[-WINDOW_FRAMES])]
    if len(inside):
        nearest = inside[np.clip(np.searchsorted(inside, spread, side="right") - 1, 0, None)]
        spread = nearest if len(np.unique(nearest)) == WINDOWS else spread
    found: list[tuple[int, int]] = []
    for first in np.searchsorted(pts, spread).tolist():
        row = min(first, len(pts) - WINDOW_FRAMES)
        end = int(pts[row + WINDOW_FRAMES]) if row + WINDOW_FRAMES < len(pts) else int(pts[-1]) + 1
        if not found or pts[row] >= found[-1][1]:
            found.append((int(pts[row]), end))
    return found


def excerpt(segment: Segment, pts: I64, times: I64, keys: I64, frames: int, index: int) -> Segment:
    """At most ``frames`` frames of ``segment`` that follow each other, from a key frame if there is one.

    ``pts`` are the times of the frames that are known, ``times`` those of all frames.  Where all are known
    the halo shrinks as the segment does; elsewhere it would reach into the unknown, and there is none.
    """
    low, high = np.searchsorted(pts, [segment.first_pts, segment.end_pts]).tolist()
    # Behind the last known frame is the next one of all, which nothing may read.
    place = np.append(np.searchsorted(times, pts), np.searchsorted(times, pts[-1]) + 1)
    for count in range(min(frames, high - low), 0, -1):
        rows = np.arange(low, high - count + 1)
        rows = rows[place[rows + count] - place[rows] == count]
        at_keys = rows[np.isin(pts[rows], keys)]
        rows = at_keys if len(at_keys) else rows
        if len(rows):
            break
    else:
        rows, count = np.array([max(low - 1, 0)]), 1  # the last frame of a known part: take the one before
    row = int(rows[len(rows) // 2]) if np.isin(pts[rows], keys).all() else int(rows[0])
    end = min(int(pts[row + count]), segment.end_pts) if row + count < len(pts) else segment.end_pts
    halo = round(segment.halo * count / (high - low)) if len(pts) == len(times) else 0
    return Segment(index, int(pts[row]), end, halo, count, segment.touched)


def frames_each(count: int, *, networks: bool) -> int:
    """Frames of each of ``count`` trials."""
    return max((TRIAL_FRAMES if networks else QUICK_TRIAL_FRAMES) // max(count, 1), 2)
