"""Which face belongs to which, through time and between the clips, and whose figures they are."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from faceswap_cli.metrics import figures
from faceswap_cli.metrics.casting import alone
from faceswap_cli.metrics.looks import Look
from faceswap_cli.metrics.observations import FaceRow, FrameRow, collect
from faceswap_cli.metrics.observe import link, matches, observe, observe_all
from faceswap_cli.metrics.pairs import SeenPair, TimeCheck, joined
from faceswap_cli.metrics.preservation import hull
from faceswap_cli.metrics.seam import ARCS, RINGS
from faceswap_cli.metrics.source import Source
from faceswap_cli.records import F32, U8, Frame, Planes
from tests.metrics.synthetic import face, found, row, texture, turned

LEFT, RIGHT = face(40, (50, 100)), face(40, (150, 100))
SOURCE = Source(embedding=np.zeros(128, np.float32))


def by_brightness(rgb: U8, points: F32) -> F32:
    """An embedding that tells a bright face from a dark one: the mean over the face in every entry."""
    means = [rgb[hull(each, rgb.shape[:2]) > 0].mean() / 255 for each in points]  # type: ignore[arg-type]
    return np.repeat(np.array(means, np.float32)[:, None], 128, axis=1)


def pair(result: U8, target: U8, *points: F32, at: float = 0.0) -> SeenPair:
    faces = tuple(found(each) for each in points)
    return SeenPair(at, result, target, faces, faces)


def painted(rgb: U8, points: F32, level: int) -> U8:
    out = rgb.copy()
    out[hull(points, rgb.shape[:2]) > 0] = level  # type: ignore[arg-type]
    return out


def test_the_largest_overlap_wins_and_no_face_is_taken_twice() -> None:
    near = (LEFT + np.array([3, 0, 0], np.float32), LEFT + np.array([8, 0, 0], np.float32))
    assert matches([found(LEFT)], [found(near[1]), found(RIGHT), found(near[0])]) == {0: 2}
    assert matches([found(near[0]), found(LEFT)], [found(LEFT)]) == {1: 0}
    assert matches([found(LEFT)], [found(RIGHT)]) == {}
    assert matches([], [found(LEFT)]) == {}


def test_tracks_follow_a_face_and_start_anew_after_a_jump() -> None:
    blank = np.zeros((200, 200, 3), np.uint8)
    step = np.array([4, 0, 0], np.float32)
    pairs = [pair(blank, blank, *each) for each in ((LEFT, RIGHT), (RIGHT, LEFT + step), (LEFT + 60,), ())]
    seen = list(link(pairs))
    assert [one.tracks for one in seen] == [(0, 1), (1, 0), (2,), ()]
    assert [one.continued for one in seen] == [(False, False), (True, True), (False,), ()]


def test_only_the_swapped_person_is_measured() -> None:
    target = painted(painted(texture(seed=1), LEFT, 100), RIGHT, 200)
    result = painted(target, RIGHT, 40)
    pairs = (pair(result, target, LEFT, RIGHT, at=k / 25) for k in range(3))
    seen = collect(list(observe_all(pairs, by_brightness, alone(SOURCE), workers=2)))
    assert seen.measured.tolist() == [False, True] * 3
    assert figures.METRICS["outside_psnr"].compute(seen) == 100
    # The source is dark (0), the result 40 / 255 in each of 128 entries.
    assert figures.METRICS["identity"].compute(seen) == pytest.approx(40 / 255 * np.sqrt(128), rel=0.02)
    assert figures.METRICS["swap_ratio"].compute(seen) == pytest.approx(160 / 200, rel=0.02)
    assert figures.METRICS["coverage"].compute(seen) == 1


def test_a_face_that_looks_like_the_source_was_changed_however_little() -> None:
    """Two levels are less than coding alone may change."""
    target = painted(texture(), RIGHT, 200)
    result = painted(target, RIGHT, 198)

    def row_for(level: float) -> FaceRow:
        (linked,) = link([pair(result, target, RIGHT)])
        source = Source(embedding=np.full(128, level, np.float32))
        return observe(linked, by_brightness, alone(source)).faces[0]

    assert row_for(198 / 255).changed
    assert not row_for(200.5 / 255).changed


def test_a_result_without_a_face_is_lost_not_skipped() -> None:
    target = painted(texture(), RIGHT, 200)
    hidden = replace(pair(painted(target, RIGHT, 10), target, RIGHT), result_faces=())
    seen = collect([observe(one, by_brightness, alone(SOURCE)) for one in link([hidden])])
    assert figures.METRICS["lost"].compute(seen) == 1
    assert np.isnan(figures.METRICS["identity"].compute(seen))


def frames(*rows: tuple[FaceRow, ...]) -> list[FrameRow]:
    return [FrameRow(k / 25, 1.0, each) for k, each in enumerate(rows)]


def test_identical_clips_have_no_errors_and_ratios_of_one() -> None:
    rng = np.random.default_rng(0)
    each = [(face() + rng.normal(0, 0.3, (478, 3))).astype(np.float32) for _ in range(20)]
    lights = 120 + rng.normal(0, 1, 20)
    skin = np.repeat(rng.normal(60, 1, (20, 1, 5)), 2, axis=1).astype(np.float32)
    look = Look((0.4, 1.0, 1.0), np.ones((2, 3), np.float32), np.ones((2, RINGS, ARCS), np.float32), 1.0)
    rows = [
        (
            row(
                changed=False,
                target_points=points,
                result_points=points,
                to_target=0.0,
                luma=(light, light),
                skin=levels,
                look=look,
            ),
        )
        for points, light, levels in zip(each, lights, skin, strict=True)
    ]
    seen = collect(frames(*rows), alone(Source(shape=turned(face(1.0, (0, 0)), yaw=5))))
    values = {name: metric.compute(seen) for name, metric in figures.METRICS.items()}
    assert not [name for name, value in values.items() if np.isnan(value)]
    zero = ("pose", "expression", "gaze", "coverage", "swap_ratio", "lost", "shape", "outline", "nearest")
    for name in zero:
        assert values[name] == pytest.approx(0, abs=1e-3), name
    ratios = [name for name, metric in figures.METRICS.items() if metric.unit == "x"]
    assert len(ratios) > 10
    for name in (*ratios, "expression_correlation"):
        assert values[name] == pytest.approx(1), name
    assert values["likeness"] == pytest.approx(0.4)
    assert values["likeness_gain"] == pytest.approx(-0.6)


def test_verified_and_coverage_count_frames() -> None:
    far, near = row(to_source=0.7), row(to_source=0.5)
    still = row(changed=False, to_source=0.9)
    seen = collect(frames((near,), (far,), (near,), (still,), ()))
    assert figures.METRICS["verified"].compute(seen) == pytest.approx(2 / 4)
    assert figures.METRICS["coverage"].compute(seen) == pytest.approx(3 / 4)


def test_a_bystander_is_left_out() -> None:
    swapped, bystander = row(0), row(1, changed=False, to_source=5.0)
    seen = collect(frames(*[(swapped, bystander)] * 4))
    assert figures.METRICS["identity"].compute(seen) == pytest.approx(0.4)


def test_runs_end_where_a_face_is_lost() -> None:
    gone = row(result_points=np.full((478, 3), np.nan, np.float32))
    seen = collect(frames((row(),), (row(),), (gone,), (row(),)))
    assert [run.tolist() for run in seen.runs()] == [[0, 1], [3]]


def test_no_rows_give_no_figures() -> None:
    seen = collect(frames((), ()))
    values = {name: metric.compute(seen) for name, metric in figures.METRICS.items()}
    assert values.pop("outside_psnr") == pytest.approx(10 * np.log10(255**2))
    assert all(np.isnan(value) for value in values.values())


def ticks(base: Fraction, *pts: int) -> list[Frame]:
    plane = np.zeros((2, 2), np.uint8)
    return [Frame(k, each, base, Planes(plane, plane, plane)) for k, each in enumerate(pts)]


def test_frames_are_joined_by_time_across_clocks() -> None:
    check = TimeCheck()
    milli = ticks(Fraction(1, 1000), 0, 33, 67, 100)
    exact = ticks(Fraction(1, 30), 0, 1, 2, 3)
    assert len(list(joined(iter(milli), iter(exact), Fraction(1, 60), check))) == 4
    assert (check.only_result, check.only_target) == (0, 0)
    assert Fraction(0) < check.largest_gap <= Fraction(1, 1000)


def test_missing_frames_are_counted_and_the_rest_stays_in_step() -> None:
    check = TimeCheck()
    ours, theirs = ticks(Fraction(1, 25), 0, 2, 3, 4), ticks(Fraction(1, 25), 0, 1, 2, 3)
    pairs = list(joined(iter(ours), iter(theirs), Fraction(1, 50), check))
    assert [(a.pts, b.pts) for a, b in pairs] == [(0, 0), (2, 2), (3, 3)]
    assert (check.only_result, check.only_target) == (1, 1)
