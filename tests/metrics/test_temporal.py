"""Jitter, warping error and flicker answer to what is injected, and to nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from faceswap_cli.metrics import temporal
from faceswap_cli.records import F32, F64, U8
from tests.metrics.synthetic import face, shifted, texture


def walk(frames: int = 60, noise_px: float = 0.0, seed: int = 1) -> F32:
    """(T, 478, 3) a face on a smooth path, with white noise on every point."""
    t = np.arange(frames)
    path = np.stack([20 * np.sin(t / 9), 12 * np.cos(t / 7), 0 * t], axis=1)
    noise = np.random.default_rng(seed).normal(0, noise_px, (frames, 478, 3)) if noise_px else 0.0
    return (face()[None] + path[:, None] + noise).astype(np.float32)


def test_jitter_of_even_motion_is_zero() -> None:
    t = np.arange(10, dtype=np.float32)
    points = face()[None] + t[:, None, None] * np.array([3, -2, 0], np.float32)
    energy, count = temporal.jitter(points)
    assert count == 8 * 468
    assert energy / count < 1e-9


def test_jitter_has_the_variance_of_a_second_difference() -> None:
    still = np.repeat(face()[None], 400, axis=0)
    noisy = still + np.random.default_rng(0).normal(0, 0.2, still.shape).astype(np.float32)
    energy, count = temporal.jitter(noisy)
    # White noise: (1 + 4 + 1) sigma^2 for each of two coordinates; the eyes are 100 px apart.
    assert np.sqrt(energy / count) == pytest.approx(np.sqrt(12) * 0.2 / 100, rel=0.02)


@pytest.mark.parametrize(("ours", "expected"), [(0.3, 1.0), (0.6, 2.0)])
def test_jitter_ratio_follows_the_noise(ours: float, expected: float) -> None:
    t = np.arange(200, dtype=np.float32)[:, None, None] * np.array([0.5, 0, 0], np.float32)
    base = face()[None] + t
    rng = np.random.default_rng(2)
    first = (base + rng.normal(0, ours, base.shape)).astype(np.float32)
    second = (base + rng.normal(0, 0.3, base.shape)).astype(np.float32)
    ratio = temporal.rms_ratio([(temporal.jitter(first), temporal.jitter(second))])
    assert ratio == pytest.approx(expected, rel=0.02)


def test_jitter_of_short_runs_counts_nothing() -> None:
    assert temporal.jitter(walk(2)) == (0.0, 0)
    assert np.isnan(temporal.rms_ratio([]))


def test_a_still_target_gives_no_ratio() -> None:
    still = temporal.jitter(np.repeat(face()[None], 5, axis=0))
    assert np.isnan(temporal.rms_ratio([(temporal.jitter(walk(5, 0.2)), still)]))


def noisy(rgb: U8, sigma: float, seed: int) -> U8:
    noise = np.random.default_rng(seed).normal(0, sigma, rgb.shape[:2])[..., None]
    return np.clip(np.round(rgb + noise), 0, 255).astype(np.uint8)


def test_warp_error_of_identical_clips_is_equal() -> None:
    pair = (texture(), shifted(texture(), 2.5, -1.0))
    (ours, theirs), weight = temporal.warp_errors(pair, pair, face(60))
    assert ours == theirs
    assert weight > 1000


def test_warp_error_is_small_for_a_result_that_moves_along() -> None:
    target = (texture(seed=1), shifted(texture(seed=1), 2, 1))
    along = (texture(seed=2), shifted(texture(seed=2), 2, 1))
    stuck = (texture(seed=2), texture(seed=2))
    moving, weight = temporal.warp_errors(along, target, face(60))
    standing, _ = temporal.warp_errors(stuck, target, face(60))
    assert moving[0] / weight < 30
    assert standing[0] > 10 * moving[0]
    assert standing[1] == moving[1]


def test_warp_error_measures_injected_noise() -> None:
    still = texture(blur=4)
    target = (still, still)
    result = (noisy(still, 6, 1), noisy(still, 6, 2))
    (ours, theirs), weight = temporal.warp_errors(result, target, face(60))
    assert theirs == 0
    # Difference of two noisy frames: 2 sigma^2 = 72, lowered by the bilinear crop, which averages.
    assert 15 < ours / weight < 80


def series(period: float, height: float, frames: int = 60) -> F64:
    return np.asarray(120 + height * np.sin(2 * np.pi * np.arange(frames) / period), dtype=np.float64)


def test_flicker_sees_fast_swings_only() -> None:
    fast, slow = temporal.flicker(series(3.0, 2.0)), temporal.flicker(series(25.0, 2.0))
    assert fast[0] > 1000 * slow[0]


def test_flicker_ratio_is_one_of_amplitude() -> None:
    ratio = temporal.rms_ratio([(temporal.flicker(series(3.0, 4.0)), temporal.flicker(series(3.0, 2.0)))])
    assert ratio == pytest.approx(2)


def test_flicker_ignores_a_steady_change_of_light() -> None:
    ramp = np.linspace(80, 180, 60)
    assert temporal.flicker(ramp)[0] < 1e-9
    assert temporal.flicker(ramp[:11]) == (0.0, 0)
