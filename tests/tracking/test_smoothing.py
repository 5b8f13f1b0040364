"""The closed-form smoother against a dense solve and its promised frequency response."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceswap_cli.config import SmoothOptions
from faceswap_cli.faces.landmarks import IRISES, LIPS, STABLE
from faceswap_cli.geometry.align import unit_from_points
from faceswap_cli.tracking import smoothing
from faceswap_cli.tracking.smoothing import links_from_times, smooth, smooth_face, strength_factor
from tests.faces.meshes import face


def dense(x: np.ndarray, weights: np.ndarray, b: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The same least squares, written out."""
    steps = np.diff(np.eye(len(x)), axis=0)
    trust = np.diag(np.maximum(weights, 1e-6))
    laplacian = steps.T @ np.diag(b) @ steps
    return reference + np.linalg.solve(trust + laplacian, trust @ (x - reference))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.floats(0.01, 50), st.integers(0, 2**32 - 1))
def test_equals_the_dense_solution(count: int, beta: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, reference = rng.normal(size=(2, count, 3))
    weights = rng.uniform(0, 1, count) * (rng.uniform(size=count) > 0.2)
    links = rng.uniform(0, 2, count - 1) * (rng.uniform(size=count - 1) > 0.1)
    weights[0] = max(weights[0], 0.1)
    found = smooth(x, weights, beta, links, reference)
    np.testing.assert_allclose(found, dense(x, weights, beta * links, reference), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("beta", [0.5, 2.0, 10.0])
@pytest.mark.parametrize("period", [4, 8.7, 25])
def test_response_to_a_sine_is_as_promised_and_has_no_lag(beta: float, period: float) -> None:
    k = np.arange(2000)
    omega = 2 * np.pi / period
    found = smooth(np.sin(omega * k), np.ones(2000), beta)[500:1500]
    gain = 1 / (1 + beta * (2 - 2 * np.cos(omega)))
    np.testing.assert_allclose(found, gain * np.sin(omega * k[500:1500]), atol=1e-6)


def test_half_amplitude_period_of_the_table() -> None:
    omega = 2 * np.pi / 8.7
    assert 1 / (1 + 2 * (2 - 2 * np.cos(omega))) == pytest.approx(0.5, abs=0.01)


def test_a_missing_frame_is_bridged_and_a_cut_is_not_crossed() -> None:
    x = np.array([0.0, 1, 99, 3, 4, 50, 50, 50])
    links = np.ones(7)
    links[4] = 0
    found = smooth(x, np.array([1, 1, 0, 1, 1, 1, 1, 1.0]), 0.01, links)
    assert found[2] == pytest.approx(2, abs=0.02)
    np.testing.assert_allclose(found[5:], 50, atol=1e-9)
    assert found[4] == pytest.approx(4, abs=0.02)


def test_a_reference_is_followed() -> None:
    rng = np.random.default_rng(3)
    motion = np.cumsum(rng.normal(size=200))
    found = smooth(motion + 5 + rng.normal(0, 1, 200), np.ones(200), 1e6, reference=motion)
    assert np.ptp(found - motion) < 0.01  # a constant offset is left


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60])
def test_the_same_response_in_hertz_at_every_rate(fps: int) -> None:
    links = links_from_times(np.arange(10) / fps)
    np.testing.assert_allclose(links, (fps / 25) ** 2)
    hertz, beta = 3.0, 2.0
    gain = 1 / (1 + beta * links[0] * (2 - 2 * np.cos(2 * np.pi * hertz / fps)))
    assert gain == pytest.approx(1 / (1 + beta * (2 * np.pi * hertz / 25) ** 2), rel=0.05)


def test_variable_rates_scale_every_link_by_itself() -> None:
    np.testing.assert_allclose(links_from_times(np.array([0, 0.04, 0.12])), [1, 0.25])
    assert links_from_times(np.array([0, 1e-6]))[0] == pytest.approx((240 / 25) ** 2)


def test_strength() -> None:
    assert [strength_factor(s) for s in (0, 0.5, 1)] == [0, 1, 8]


def shaky(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A slow turn and how it was measured."""
    k = np.arange(count)
    true = np.stack([face(300 + 2 * t, 200, 90, yaw=0.5 * t, roll=0.2 * t) for t in k])
    return true, (true + np.random.default_rng(4).normal(0, 0.8, true.shape)).astype(np.float32)


def wobble(track: np.ndarray, rows: tuple[int, ...]) -> float:
    return float(np.abs(np.diff(track[:, list(rows), :2], n=2, axis=0)).mean())


def test_a_shaky_face_gets_steady_and_stays_true() -> None:
    true, measured = shaky()
    found = smooth_face(measured, np.ones(60, np.float32), np.arange(60) / 25, SmoothOptions())
    assert wobble(found.landmarks, STABLE) < 0.5 * wobble(measured, STABLE)
    assert np.abs(found.landmarks - true).mean() < 0.8 * np.abs(measured - true).mean()
    crop, raw = found.crop_from_display, unit_from_points(measured)
    assert (
        np.abs(np.diff(crop, n=2, axis=0)[:, :2, 2]).mean()
        < 0.35 * np.abs(np.diff(raw, n=2, axis=0)[:, :2, 2]).mean()
    )


def test_lips_and_irises_are_hardly_touched() -> None:
    _, measured = shaky()
    found = smooth_face(measured, np.ones(60, np.float32), np.arange(60) / 25, SmoothOptions())
    calm = wobble(found.landmarks, STABLE) / wobble(measured, STABLE)
    assert wobble(found.landmarks, LIPS) / wobble(measured, LIPS) > 1.4 * calm
    assert wobble(found.landmarks, IRISES) / wobble(measured, IRISES) > 1.5 * calm


def test_strength_nought_changes_nothing() -> None:
    _, measured = shaky(12)
    found = smooth_face(measured, np.ones(12, np.float32), np.arange(12) / 25, SmoothOptions(strength=0))
    np.testing.assert_array_equal(found.landmarks, measured)
    np.testing.assert_allclose(found.crop_from_display, unit_from_points(measured), atol=1e-9)


def test_a_full_turn_of_the_head_does_not_unwind() -> None:
    track = np.stack([face(300, 200, 90, roll=angle) for angle in range(0, 400, 10)])
    found = smooth_face(track, np.ones(40, np.float32), np.arange(40) / 25, SmoothOptions())
    assert np.abs(found.landmarks - track)[3:-3].mean() < 3.0


@pytest.mark.parametrize("count", [1, 2])
def test_very_short_tracks(count: int) -> None:
    track = np.stack([face(100, 100)] * count)
    found = smooth_face(track, np.ones(count, np.float32), np.arange(count) / 25, SmoothOptions())
    np.testing.assert_allclose(found.landmarks, track, atol=1e-3)


@pytest.mark.parametrize("count", [2, 3, 200])
def test_elimination_solves_the_system(count: int) -> None:
    random = np.random.default_rng(count)
    beside = -25.0 * random.random(count - 1)
    diagonal = np.maximum(random.random(count), 1e-6)
    diagonal[:-1] -= beside
    diagonal[1:] -= beside
    right = random.standard_normal((count, 5))
    whole = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    found = smoothing._tridiagonal(diagonal, beside, right)
    np.testing.assert_allclose(whole @ found, right, atol=1e-9)


@pytest.mark.parametrize("fps", [25, 50])
def test_a_spin_is_followed_to_the_very_ends(fps: int) -> None:
    """Ten degrees per 1/25 s, with some jitter."""
    times = np.arange(30) / fps
    jitter = np.random.default_rng(0).normal(0, 0.3, 30)
    meshes = np.stack([face(300, 200, 90, roll=250 * t + e) for t, e in zip(times, jitter, strict=True)])
    crops = unit_from_points(meshes)
    steady = smooth_face(meshes, np.ones(30, np.float32), times, SmoothOptions()).crop_from_display
    for one, other in zip(crops, steady, strict=True):
        apart = one[:2, :2] @ np.linalg.inv(other[:2, :2])
        assert abs(np.degrees(np.arctan2(apart[1, 0], apart[0, 0]))) < 2


def test_a_nod_is_smoothed_as_ever() -> None:
    angle = np.radians(1.0) * np.sin(np.arange(40) / 3)
    assert (smoothing._spin(angle, np.ones(40, np.float32), np.ones(39)) == 0).all()
