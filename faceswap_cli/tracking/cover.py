"""Faces behind other faces: nothing is drawn where another person is in front.

A face that is bridged while another one is found in its place is hidden by it.  Drawing it there
would put its new face on the other person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.records import F32, FaceTrack

Flags = NDArray[np.bool_]
HIDDEN = 0.15
"""Share of a bridged face's bounds that another face covers, from which on it counts as hidden."""


def uncovered(tracks: Sequence[FaceTrack], fade_frames: int) -> tuple[FaceTrack, ...]:
    """``tracks`` with opacity 0 where a bridged face is behind another person's, with ramps around it."""
    bounds = [_bounds(track) for track in tracks]
    return tuple(
        _faded(track, _hidden(k, tracks, bounds), fade_frames) if (track.confidence <= 0).any() else track
        for k, track in enumerate(tracks)
    )


def _bounds(track: FaceTrack) -> F32:
    """(T, 4) x0, y0, x1, y1."""
    points = track.landmarks[..., :2]
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def _hidden(k: int, tracks: Sequence[FaceTrack], bounds: Sequence[F32]) -> Flags:
    """(T,) where the face of track ``k`` is not found but another person's is, in the same place."""
    track = tracks[k]
    hidden = np.zeros(len(track.pts), np.bool_)
    for other, theirs in zip(tracks, bounds, strict=True):
        if other.person == track.person:
            continue
        _, mine, rows = np.intersect1d(track.pts, other.pts, assume_unique=True, return_indices=True)
        behind = (track.confidence[mine] <= 0) & (other.confidence[rows] > 0)
        behind &= _covered(bounds[k][mine], theirs[rows]) > HIDDEN
        hidden[mine[behind]] = True
    return hidden


def _covered(own: F32, other: F32) -> F32:
    """(N, 4), (N, 4) boxes -> (N,) share of ``own`` inside ``other``."""
    sides = np.minimum(own[:, 2:], other[:, 2:]) - np.maximum(own[:, :2], other[:, :2])
    area = np.maximum(np.prod(own[:, 2:] - own[:, :2], axis=1), 1e-6)
    return np.asarray(np.prod(np.maximum(sides, 0), axis=1) / area, np.float32)


def _faded(track: FaceTrack, hidden: Flags, fade_frames: int) -> FaceTrack:
    """Opacity 0 at ``hidden`` rows, rising over ``fade_frames`` rows on both sides."""
    if not hidden.any():
        return track
    places = np.flatnonzero(hidden)
    distance = np.abs(np.arange(len(hidden))[:, None] - places).min(axis=1)
    ramp = np.clip(distance / (fade_frames + 1), 0, 1).astype(np.float32)
    return replace(track, opacity=np.minimum(track.opacity, ramp))
