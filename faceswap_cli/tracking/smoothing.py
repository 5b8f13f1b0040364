"""Zero-lag smoothing of signals over time, in closed form.

For a measured signal x and a trusted reference motion r, find y near x that moves like r:

    min_y  sum_k w_k |y_k - x_k|^2  +  sum_k b_k |(y_{k+1} - y_k) - (r_{k+1} - r_k)|^2

With u = y - r and d = x - r this is (W + L) u = W d, L the path Laplacian weighted by b: one
tridiagonal solve for all channels, the exact optimum.  b_k = beta * link_k; a link of 0 is a cut,
a weight of 0 a frame that was not measured.  The response to a sine of angular frequency om (per
frame) is 1 / (1 + beta * (2 - 2 cos om)), without any delay.

Betas are for 25 frames per second and scaled by the true spacing of the frames, so that the
response is the same in hertz at every rate, variable ones included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.config import SmoothOptions
from faceswap_cli.faces.landmarks import BROWS, EYES, IRISES, LIPS
from faceswap_cli.geometry.align import (
    SWAP_SCALE,
    square_from_unit,
    unit_from_points,
    unit_from_square,
)
from faceswap_cli.records import F32, F64, MESH_POINTS

TABLE_S = 1 / 25
"""Frame spacing that the betas are for."""
FASTEST_S = 1 / 240
"""Frames nearer than this (a tick apart, in damaged files) are taken to be this far apart."""

BETA_CENTER = 2.0
BETA_SIZE = 10.0
"""Of the logarithm of the crop's size, and of its angle."""
SPIN = (np.radians(1.5), np.radians(3.0))
"""Speeds of a turn per 1/25 s from which it is followed, in part and wholly."""
BETA_LANDMARKS = 0.5
BETA_MOBILE = 0.06
"""Of lips and eyelids: what they do is signal, not noise."""
BETA_BROWS = 0.2
BETA_IRIS = 0.05

_LEAST_WEIGHT = 1e-6
_POINTS_AT_ONCE = 48


def smooth(
    x: NDArray[np.floating],
    weights: NDArray[np.floating],
    beta: float,
    links: NDArray[np.floating] | None = None,
    reference: NDArray[np.floating] | None = None,
) -> F64:
    """(T, ...) measured and weights (T,) in [0, 1] -> (T, ...).

    ``links`` (T - 1,) multiply beta: 1 as in the table, 0 at a cut.
    """
    measured = np.asarray(x, dtype=np.float64)
    count = len(measured)
    if count < 2 or beta <= 0:
        return measured.copy()
    flat = measured.reshape(count, -1)
    motion = (
        np.zeros_like(flat) if reference is None else np.asarray(reference, np.float64).reshape(count, -1)
    )
    strength = beta * (np.ones(count - 1) if links is None else np.asarray(links, dtype=np.float64))
    trust = np.maximum(np.asarray(weights, dtype=np.float64), _LEAST_WEIGHT)
    diagonal = trust.copy()
    diagonal[:-1] += strength
    diagonal[1:] += strength
    solved = _tridiagonal(diagonal, -strength, trust[:, None] * (flat - motion))
    return np.asarray((solved + motion).reshape(measured.shape), dtype=np.float64)


def _tridiagonal(diagonal: F64, beside: F64, right: F64) -> F64:
    """Solution (T, D) of a symmetric system: ``diagonal`` (T,), ``beside`` it (T - 1,), ``right`` (T, D).

    By elimination without exchanges, stable here since diagonals outweigh what is beside them.  The library's
    solver does the same, but takes a third of a second to load.
    """
    pivots = diagonal.copy()
    out = right.copy()
    for k in range(1, len(out)):
        factor = beside[k - 1] / pivots[k - 1]
        pivots[k] -= factor * beside[k - 1]
        out[k] -= factor * out[k - 1]
    out[-1] /= pivots[-1]
    for k in range(len(out) - 2, -1, -1):
        out[k] = (out[k] - beside[k] * out[k + 1]) / pivots[k]
    return out


def links_from_times(times_s: NDArray[np.floating]) -> F64:
    """(T,) seconds -> (T - 1,) factors on beta: (1 / 25 s over the spacing) squared."""
    spacing = np.maximum(np.diff(np.asarray(times_s, dtype=np.float64)), FASTEST_S)
    return np.asarray((TABLE_S / spacing) ** 2, dtype=np.float64)


def strength_factor(strength: float) -> float:
    """``SmoothOptions.strength`` -> factor on every beta: 0 is 0, 0.5 is 1, 1 is 8."""
    return (strength / 0.5) ** 3


@dataclass(frozen=True, slots=True, eq=False)
class SmoothTrack:
    """What is left of a track's jitter: little."""

    landmarks: F32
    """(T, 478, 3) display pixels"""
    crop_from_display: F64
    """(T, 3, 3) to the unit square"""


def smooth_face(landmarks: F32, weights: F32, times_s: F64, options: SmoothOptions) -> SmoothTrack:
    """Smooth a track: first its crop, then the mesh within the smoothed crop.

    ``landmarks`` (T, 478, 3) display pixels, ``weights`` (T,) confidences, ``times_s`` (T,).
    """
    factor = strength_factor(options.strength)
    links = links_from_times(times_s)
    crop_from_display = smooth_crop(unit_from_points(landmarks, SWAP_SCALE), weights, links, factor)
    if factor == 0:
        return SmoothTrack(landmarks.astype(np.float32), crop_from_display)
    back = np.asarray(np.linalg.inv(crop_from_display), np.float64)
    steady = np.empty(landmarks.shape, np.float32)
    for beta, rows in _groups():
        # A long track has many frames: in double precision only a few points of it are in memory at a time.
        for few in (rows[k : k + _POINTS_AT_ONCE] for k in range(0, len(rows), _POINTS_AT_ONCE)):
            inside = _placed(crop_from_display, landmarks[:, few])
            steady[:, few] = _placed(back, smooth(inside, weights, factor * beta, links))
    return SmoothTrack(steady, crop_from_display)


def _placed(matrices: F64, points: NDArray[np.floating]) -> F32:
    """(T, 3, 3) similarities on (T, K, 3); depth is scaled alike."""
    xy = points[..., :2] @ matrices[:, :2, :2].transpose(0, 2, 1) + matrices[:, None, :2, 2]
    scale = np.sqrt(np.abs(np.linalg.det(matrices[:, :2, :2])))[:, None, None]
    return np.asarray(np.concatenate([xy, points[..., 2:] * scale], axis=-1), np.float32)


def smooth_crop(unit_from_image: F64, weights: F32, links: F64, factor: float) -> F64:
    """(T, 3, 3) similarities smoothed as center, logarithm of size, and angle."""
    center, axis, half = square_from_unit(unit_from_image)
    angle = np.unwrap(np.arctan2(axis[:, 1], axis[:, 0]))
    # The center moves as far as the face is large: smoothing it in its own unit changes nothing.
    center = smooth(center, weights, factor * BETA_CENTER, links)
    motion = np.stack([np.zeros_like(angle), _spin(angle, weights, links)], axis=1)
    shape = smooth(np.stack([np.log(half), angle], axis=1), weights, factor * BETA_SIZE, links, motion)
    turned = np.stack([np.cos(shape[:, 1]), np.sin(shape[:, 1])], axis=1)
    return unit_from_square(center, turned, np.exp(shape[:, 0]))


def _spin(angle: F64, weights: F32, links: F64) -> F64:
    """(T,) rad: the steady part of a fast turn, of a camera or a tumbling head; 0 for what heads do.

    Without it the crop would lag at both ends of the track, where the smoothing sees one side only.
    """
    if len(angle) < 2:
        return np.zeros_like(angle)
    per_step = np.sqrt(links)
    trust = np.minimum(weights[1:], weights[:-1])
    speed = smooth(np.diff(angle) * per_step, trust, BETA_SIZE, np.minimum(links[1:], links[:-1]))
    share = np.clip((np.abs(speed) - SPIN[0]) / (SPIN[1] - SPIN[0]), 0.0, 1.0)
    return np.concatenate([[0.0], np.cumsum(speed * share / per_step)])


def _groups() -> list[tuple[float, list[int]]]:
    """Mesh points by how much they are smoothed."""
    groups = [(BETA_MOBILE, {*LIPS, *EYES}), (BETA_BROWS, {*BROWS}), (BETA_IRIS, {*IRISES})]
    rest = set(range(MESH_POINTS)).difference(*(points for _, points in groups))
    return [(beta, sorted(points)) for beta, points in [*groups, (BETA_LANDMARKS, rest)]]
