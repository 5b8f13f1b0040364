"""What moves that should not: jitter of landmarks, warping error, flicker of the face and of its skin.

Each figure is the result's own value over the target's, so a shaking hand or a noisy camera
counts for both sides and 1.0 means "as steady as the footage".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as index
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry.align import FFHQ_SCALE, apply, scaled, unit_from_points
from faceswap_cli.geometry.masks import sample
from faceswap_cli.metrics.meshes import SURFACE, eye_distance
from faceswap_cli.metrics.preservation import cv2_matrix, hull, luma
from faceswap_cli.records import F32, F64, U8
from faceswap_cli.swap.appearance import lightness

WARP_SIDE = 256
"""Largest side of the square in which the warping error is measured; smaller faces keep their size."""
FLICKER_PERIOD = 6
"""Frames: brightness that swings faster than this counts as flicker."""
FLICKER_MIN_RUN = 2 * FLICKER_PERIOD
SKIN_SIDE, SKIN_BLUR = 64, 0.04
"""Skin flicker is measured on crops of this side, after a blur of this share of it."""
_CLEAR_OF = 0.1
"""Skin points keep this distance from features and outline, in eye distances of the mean face."""


def jitter(points: F32) -> tuple[float, int]:
    """(T, 478, 3) of one unbroken run -> (sum of squares, count) of second differences.

    Of the surface points in the picture, in units of the run's mean eye distance.
    """
    if len(points) < 3:
        return 0.0, 0
    xy = points[:, SURFACE, :2].astype(np.float64)
    second = (xy[2:] - 2 * xy[1:-1] + xy[:-2]) / float(eye_distance(points).mean())
    return float((second**2).sum()), int(second.shape[0] * second.shape[1])


def rms_ratio(parts: Iterable[tuple[tuple[float, int], tuple[float, int]]]) -> float:
    """Pooled (sum of squares, count) of result and target, run by run -> ratio of the two RMS values."""
    table = np.array([[*result, *target] for result, target in parts], dtype=np.float64)
    sums = table.reshape(-1, 4).sum(axis=0)
    if sums[1] == 0 or sums[2] <= 0:
        return float("nan")
    return float(np.sqrt(sums[0] / sums[1]) / np.sqrt(sums[2] / sums[3])) if sums[3] else float("nan")


def flicker(series: F64) -> tuple[float, int]:
    """(T,) mean luma of a face over one unbroken run -> (energy, count) of its fast part.

    The straight line through the run is removed, the rest is weighted with a Hann window
    (no ringing from the ends), and the energy of periods below six frames is summed.
    """
    length = len(series)
    if length < FLICKER_MIN_RUN:
        return 0.0, 0
    times = np.arange(length)
    rest = series - np.polyval(np.polyfit(times, series, 1), times)
    spectrum = np.abs(np.fft.rfft(rest * np.hanning(length))) ** 2
    return float(spectrum[np.fft.rfftfreq(length) > 1 / FLICKER_PERIOD].sum()), length


@lru_cache(maxsize=1)
def skin_points() -> tuple[int, ...]:
    """Points of the mesh that lie on skin: clear of brows, eyes, nostrils, lips and the outline."""
    mean = index.topology().mean_shape[:, :2]
    edges = mean[[*index.OVAL, *(point for ring in index.FEATURE_RINGS for point in ring), *index.LIPS_INNER]]
    away = np.linalg.norm(mean[:, None] - edges[None], axis=-1).min(axis=1)
    inner_mouth = np.linalg.norm(mean - mean[list(index.LIPS_INNER)].mean(axis=0), axis=1) < 2 * _CLEAR_OF
    return tuple(np.flatnonzero((away > _CLEAR_OF) & ~inner_mouth).tolist())


def skin_levels(rgb: U8, points: F32) -> F32:
    """Picture (H, W, 3) and mesh (478, 3) in its pixels -> (K,) low-passed L* at the skin points."""
    unit = unit_from_points(points, FFHQ_SCALE)
    luma = lightness(cut(rgb, scaled(unit, SKIN_SIDE), SKIN_SIDE))
    smooth = cv2.GaussianBlur(luma, (0, 0), SKIN_BLUR * SKIN_SIDE, borderType=cv2.BORDER_REPLICATE)
    return sample(np.asarray(smooth, np.float32), apply(unit, points[list(skin_points())]))


def skin_flicker(levels: F64) -> tuple[float, int]:
    """(T, K) of one unbroken run -> (sum of squares, count) of second differences over time."""
    second = np.diff(levels, n=2, axis=0)
    return float((second**2).sum()), int(second.size)


@lru_cache(maxsize=8)
def _grid(side: int) -> F32:
    x, y = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    return np.stack([x, y], axis=-1)


def _flow(start: U8, end: U8) -> F32:
    """Dense motion start -> end, (S, S, 2) px: what lies at p in ``start`` lies at p + flow in ``end``."""
    estimator: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(estimator.calc(start, end, None), dtype=np.float32)


def _pull(picture: F32, flow: F32) -> F32:
    """picture(p + flow(p))"""
    maps = _grid(flow.shape[0]) + flow
    return np.asarray(cv2.remap(picture, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def warp_errors(
    result: tuple[U8, U8], target: tuple[U8, U8], points: F32
) -> tuple[tuple[float, float], float]:
    """Squared error after motion compensation: E_warp = sum O |y(t+1) - W(y(t))|^2 / sum O.

    ``result`` and ``target`` are (frame before, frame) RGB, ``points`` the target's mesh in the
    frame.  The motion W is measured on the *target* and used for both (DIS flow from the frame
    to the one before); O is the face's hull where that flow is confirmed by its inverse.
    Returns ((sum for the result, sum for the target), pixels), on luma in 0 to 255.
    """
    unit = unit_from_points(points, FFHQ_SCALE)
    side = int(np.clip(round(1.0 / np.hypot(unit[0, 0], unit[0, 1])), 32, WARP_SIDE))
    matrix = cv2_matrix(scaled(unit, side))
    crops = [
        luma(cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
        for rgb in (*result, *target)
    ]
    before, after = crops[2].astype(np.uint8), crops[3].astype(np.uint8)
    back, forth = _flow(after, before), _flow(before, after)
    loop = ((back + _pull(forth, back)) ** 2).sum(axis=-1)
    # The usual forward-backward test (method: section 4.4), in crop pixels.
    sure = loop < 0.01 * ((back**2).sum(axis=-1) + (_pull(forth, back) ** 2).sum(axis=-1)) + 0.5
    at = (points[:, :2] @ scaled(unit, side)[:2, :2].T + scaled(unit, side)[:2, 2]).astype(np.float32)
    inside = sure & (hull(at, (side, side)) > 0)
    errors = [
        float(((now - _pull(past, back)) ** 2)[inside].sum())
        for past, now in ((crops[0], crops[1]), (crops[2], crops[3]))
    ]
    return (errors[0], errors[1]), float(np.count_nonzero(inside))
