"""Rendering does not depend on how the work is cut: segments, threads, halos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceswap_cli.config import JobOptions, SmoothOptions, SwapOptions
from faceswap_cli.faces.landmarks import topology
from faceswap_cli.jobs.plan import plan, with_halo
from faceswap_cli.records import (
    Analysis,
    Clip,
    ColorTags,
    FaceTrack,
    Frame,
    Person,
    Planes,
    RenderedFace,
    Shot,
)
from faceswap_cli.swap.engine import StageClock, build_scene, noise_seed, render_frames
from faceswap_cli.swap.kernel import smoothing_kernel
from faceswap_cli.swap.method import CodeSmoothing
from faceswap_cli.tracking.smoothing import smooth

LENGTH = 40


class Probe:
    """A method whose result shows its smoothed code and seed, so that any dependence shows."""

    name = "probe"
    crop_scale = 0.9
    light = True
    memory_mb = 0
    inputs_digest = ""
    smoothing = CodeSmoothing(6.0)

    def crop_side(self, face_px: float) -> int:
        return 32

    def prepare(self, source: object) -> None:
        return None

    def encode(self, prepared: None, crop: object) -> np.ndarray:
        return np.array([crop.rgb.mean(), crop.rgb[8, 8, 0]], np.float32)  # type: ignore[attr-defined]

    def render(self, prepared: None, crop: object, code: np.ndarray, seed: int) -> RenderedFace:
        noise = np.random.default_rng(seed).integers(0, 20, (32, 32, 3))
        rgb = (noise + code.sum() % 200).astype(np.uint8)
        mask = np.zeros((32, 32), np.float32)
        mask[6:26, 6:26] = crop.opacity  # type: ignore[attr-defined]
        return RenderedFace(crop, rgb, mask)  # type: ignore[arg-type]


def make_clip() -> Clip:
    return Clip(
        path=Path("x.mp4"), container="mp4", codec="h264", width=64, height=48, pixel_format="yuv420p",
        work_format="yuv420p", bit_depth=8, time_base=Fraction(1, 1000), start_pts=0,
        average_rate=Fraction(25), frames=LENGTH, duration_s=LENGTH / 25, rotation=0,
        sample_aspect=Fraction(1), color=ColorTags(), streams=(), video_stream=0,
    )  # fmt: skip


def make_analysis() -> Analysis:
    pts = np.arange(LENGTH, dtype=np.int64) * 40
    cut = 25 * 40
    shots = (Shot(0, cut), Shot(cut, LENGTH * 40))
    tracks = []
    for number, shot in enumerate(shots):
        own = pts[(pts >= shot.first_pts) & (pts < shot.end_pts)][2:]
        points = np.tile(topology().mean_shape * 8 + np.array([36, 24, 0], np.float32), (len(own), 1, 1))
        matrix = np.tile(np.array([[0.04, 0, -0.6], [0, 0.04, -0.4], [0, 0, 1.0]]), (len(own), 1, 1))
        ones = np.ones(len(own), np.float32)
        tracks.append(FaceTrack(number, 0, own, points, matrix, ones, ones, np.zeros(128, np.float32)))
    person = Person(0, (0, 1), LENGTH - 4, 20.0, 32.0, np.zeros(128, np.float32))
    return Analysis(pts, shots, tuple(tracks), (person,))


def frames(first: int, end: int) -> Iterator[Frame]:
    for index in range(LENGTH):
        if first <= index * 40 < end:
            rng = np.random.default_rng(index)
            y = rng.integers(30, 200, (48, 64)).astype(np.uint8)
            c = rng.integers(100, 150, (2, 24, 32)).astype(np.uint8)
            yield Frame(index, index * 40, Fraction(1, 1000), Planes(y, c[0], c[1]))


def run(segment_s: float, workers: int, strength: float = 0.5) -> list[np.ndarray]:
    clip, analysis = make_clip(), make_analysis()
    scene = build_scene(clip, analysis, Probe(), {0: None}, SmoothOptions(strength=strength, code_radius=5))
    job = plan(clip, analysis, {0: 0}, JobOptions(segment_s=segment_s), scene.smooth)
    assert job.frames == LENGTH
    out = []
    for segment in job.segments:
        first, end = with_halo(segment, analysis) if segment.touched else (segment.first_pts, segment.end_pts)
        source = frames(first, end)
        for item in render_frames(source, scene, segment.first_pts, segment.end_pts, workers, StageClock()):
            planes = item.frame.planes
            out.append(np.concatenate([planes.y.ravel(), planes.cb.ravel(), planes.cr.ravel()]))
    return out


@pytest.fixture(scope="module")
def reference() -> list[np.ndarray]:
    return run(100.0, 1)


@pytest.mark.parametrize(("segment_s", "workers"), [(0.2, 1), (0.5, 3), (0.04, 2), (100.0, 4)])
def test_pixels_do_not_depend_on_segments_or_threads(
    reference: list[np.ndarray], segment_s: float, workers: int
) -> None:
    found = run(segment_s, workers)
    assert len(found) == len(reference)
    for k, (a, b) in enumerate(zip(found, reference, strict=True)):
        np.testing.assert_array_equal(a, b, err_msg=f"frame {k}")


def in_ticks(ticks: int, start: int) -> list[np.ndarray]:
    """The picture of each frame where a frame lasts ``ticks`` and the first is at ``start``."""
    clock = Fraction(40, 1000 * ticks)
    clip = replace(make_clip(), time_base=clock, start_pts=start)
    analysis = make_analysis()

    def moved(pts: Any) -> Any:
        return pts // 40 * ticks + start

    shots = tuple(Shot(moved(shot.first_pts), moved(shot.end_pts)) for shot in analysis.shots)
    tracks = tuple(replace(track, pts=moved(track.pts)) for track in analysis.tracks)
    analysis = replace(analysis, pts=moved(analysis.pts), shots=shots, tracks=tracks)
    scene = build_scene(clip, analysis, Probe(), {0: None}, SmoothOptions(code_radius=5))
    source = (replace(f, pts=f.index * ticks + start, time_base=clock) for f in frames(0, LENGTH * 40))
    end = LENGTH * ticks + start
    return [item.frame.planes.y for item in render_frames(source, scene, start, end, 1, StageClock())]


def test_the_same_frames_on_another_clock_get_the_same_pixels() -> None:
    for one, other in zip(in_ticks(40, 0), in_ticks(512, 1024), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rounded_times_of_matroska_give_the_same_noise() -> None:
    exact = replace(make_clip(), time_base=Fraction(1, 30000))
    rounded = replace(make_clip(), time_base=Fraction(1, 1000))
    seeds = [noise_seed(0, 1001 * k, exact, 0) for k in range(200)]
    assert seeds == [noise_seed(0, (1001 * k + 15) // 30, rounded, 0) for k in range(200)]
    assert len({*seeds, noise_seed(0, 0, exact, 1), noise_seed(1, 0, exact, 0)}) == 202


def test_smoothing_changes_pixels_so_the_test_above_can_fail(reference: list[np.ndarray]) -> None:
    plain = run(100.0, 1, strength=0.0)
    assert any((a != b).any() for a, b in zip(plain, reference, strict=True))


def test_frames_without_a_track_are_untouched(reference: list[np.ndarray]) -> None:
    originals = list(frames(0, LENGTH * 40))
    for index in (0, 1, 25, 26):
        planes = originals[index].planes
        expected = np.concatenate([planes.y.ravel(), planes.cb.ravel(), planes.cr.ravel()])
        np.testing.assert_array_equal(reference[index], expected)


def test_pixels_outside_the_mask_keep_their_samples(reference: list[np.ndarray]) -> None:
    y = reference[10][: 48 * 64].reshape(48, 64)
    original = next(frames(400, 401)).planes.y
    changed = y != original
    assert changed.any()
    assert not changed[:10].any()
    assert not changed[:, :15].any()


@pytest.mark.parametrize("beta", [0.0, 0.5, 6.0, 25.0])
def test_kernel_equals_the_closed_form_far_from_the_ends(beta: float) -> None:
    impulse = np.zeros((201, 1))
    impulse[100] = 1.0
    exact = smooth(impulse, np.ones(201), beta, np.ones(200))[:, 0] if beta else impulse[:, 0]
    kernel = smoothing_kernel(beta, 100)
    np.testing.assert_allclose(kernel, exact, atol=1e-6)


def test_segments_end_at_cuts_and_cover_everything() -> None:
    clip, analysis = make_clip(), make_analysis()
    job = plan(clip, analysis, {0: 0}, JobOptions(segment_s=0.3), SwapOptions().smooth)
    edges = [(s.first_pts, s.end_pts) for s in job.segments]
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    assert any(end == 25 * 40 for _, end in edges)
    unchosen = plan(clip, analysis, {}, JobOptions(), SwapOptions().smooth)
    assert not any(s.touched for s in unchosen.segments)


def test_crop_side_is_constant_over_a_track() -> None:
    analysis = make_analysis()
    track = analysis.tracks[0]
    grown = track.crop_from_display.copy()
    grown[:, :2] *= np.linspace(0.5, 1.5, len(grown))[:, None, None]
    scene = build_scene(
        make_clip(), replace(analysis, tracks=(replace(track, crop_from_display=grown),)), Probe(), {0: None},
        SmoothOptions(),
    )  # fmt: skip
    assert scene.sides == {0: 32}
