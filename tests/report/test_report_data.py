"""Lines over time, jitter by person, and which frames are shown."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceswap_cli.config import EncodeOptions, JobOptions, SwapOptions
from faceswap_cli.report import facts
from faceswap_cli.report.draw import HEIGHT, WIDTH, draw, readout
from faceswap_cli.report.frames import portraits
from faceswap_cli.report.job import Job
from faceswap_cli.report.moments import APART_S, MOMENTS, choose
from faceswap_cli.report.series import PEOPLE, POINTS, Chart, Line, charts, thinned
from faceswap_cli.report.sightings import local_jitter, sightings
from faceswap_cli.report.verdict import verdict
from tests.metrics.synthetic import face
from tests.report.made import evaluation, ledger, made_job

SOURCE = Path(__file__).resolve().parents[2] / "examples" / "source.jpg"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return made_job(tmp_path)


def test_a_short_line_keeps_every_point() -> None:
    line = thinned(3, [(0.2, 2.0), (0.1, 1.0), (0.3, np.nan)], 1.0)
    assert (line.seconds.tolist(), line.values.tolist(), line.pooled) == ([0.1, 0.2], [1.0, 2.0], False)


def test_a_long_line_is_pooled_and_keeps_mean_and_extremes() -> None:
    times = np.arange(20_000) / 25
    values = np.sin(times)
    values[777] = 9.0
    line = thinned(0, zip(times, values, strict=True), times[-1])
    assert len(line.values) <= POINTS
    assert line.high.max() == 9.0
    assert line.low.min() == pytest.approx(-1.0, abs=1e-3)
    assert line.values.mean() == pytest.approx(values.mean(), abs=1e-3)
    assert (np.diff(line.seconds) > 0).all()
    assert ((line.low <= line.values) & (line.values <= line.high)).all()


def test_a_line_breaks_where_nobody_was_there() -> None:
    times = [*np.arange(10) / 25, *(np.arange(10) / 25 + 3)]
    line = thinned(0, [(t, 1.0) for t in times], 4.0)
    assert [(piece.start, piece.stop) for piece in line.pieces()] == [(0, 10), (10, 20)]
    assert thinned(0, [], 4.0).pieces() == []


def test_jitter_compares_result_and_target() -> None:
    rng = np.random.default_rng(0)
    steady = np.stack([face(40) + np.float32(k) for k in range(60)]).astype(np.float32)
    target = steady + rng.normal(0, 0.3, steady.shape).astype(np.float32)
    restless = steady + rng.normal(0, 0.6, steady.shape).astype(np.float32)
    assert local_jitter(target, target) == pytest.approx(np.ones(60))
    assert local_jitter(restless, target) == pytest.approx(2 * np.ones(60), rel=0.1)
    assert np.isnan(local_jitter(restless, np.repeat(steady[:1], 60, axis=0))).all()
    assert np.isnan(local_jitter(target[:2], target[:2])).all()


def test_jitter_tells_when_it_happens() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat(face(40)[None], 120, axis=0) + rng.normal(0, 0.3, (120, 478, 3)).astype(np.float32)
    result = target.copy()
    result[80:100] += rng.normal(0, 2.0, (20, 478, 3)).astype(np.float32)
    ratio = local_jitter(result, target)
    assert ratio[:50] == pytest.approx(np.ones(50), rel=0.02)
    assert 85 <= ratio.argmax() <= 95


def test_sightings_carry_the_names_of_the_ledger() -> None:
    rows = [dataclasses.replace(one, person=5 + one.person) for one in ledger(20, 2)]
    seen = sightings(evaluation(rows).observations, rows)
    assert len(seen) == 40
    assert {s.person for s in seen} == {5, 6}
    places = {(one.pts, one.person) for one in rows}
    assert {(s.pts, s.person) for s in seen} == places
    assert 1.0 < np.nanmedian([s.jitter for s in seen]) < 2.0


def test_sightings_know_nothing_of_faces_that_were_left() -> None:
    rows = ledger(20, 1, left_out=range(20))
    assert sightings(evaluation(rows).observations, rows) == []


def test_charts_have_a_line_for_every_person(job: Job) -> None:
    assert job.evaluation is not None
    seen = sightings(job.evaluation.observations, job.report.ledger)
    found = {chart.name: chart for chart in charts(job, seen, 0.0, 1.2)}
    assert list(found) == ["identity", "jitter", "coverage", "occlusion"]
    for chart in found.values():
        assert [line.person for line in chart.lines] == [0, 1]
        assert all(len(line.values) == 30 for line in chart.lines)
        assert all(line.high.max() <= chart.top for line in chart.lines)
    assert found["coverage"].lines[0].values.tolist() == [1.0] * 30


def test_likeness_over_time_comes_first(job: Job) -> None:
    assert job.evaluation is not None
    seen = job.evaluation.observations
    rows = np.arange(0, len(seen.frame), 3)
    likeness = np.stack([0.5 + 0.01 * seen.track[rows], rows * 0.0, rows * 0.0], axis=1)
    looks = dataclasses.replace(seen.looks, row=rows, likeness=likeness)
    looked = sightings(dataclasses.replace(seen, looks=looks), job.report.ledger)
    first = charts(job, looked, 0.0, 1.2)[0]
    assert (first.name, first.limit) == ("likeness", 0.5)
    assert sum(len(line.values) for line in first.lines) == len(rows)
    assert {round(float(one), 2) for line in first.lines for one in line.values} == {0.5, 0.51}


def test_what_was_not_measured_has_no_chart(tmp_path: Path) -> None:
    job = made_job(tmp_path, measured=False)
    bare = tuple(dataclasses.replace(one, identity_distance=None) for one in job.report.ledger)
    job = dataclasses.replace(job, report=dataclasses.replace(job.report, ledger=bare))
    assert [chart.name for chart in charts(job, [], 0.0, 1.2)] == ["coverage", "occlusion"]


def test_coverage_falls_where_faces_were_left(tmp_path: Path) -> None:
    job = made_job(tmp_path, people=1, left_out=range(10, 20), measured=False)
    coverage = next(chart for chart in charts(job, [], 0.0, 1.2) if chart.name == "coverage")
    assert coverage.lines[0].values.tolist() == [1.0] * 10 + [0.0] * 10 + [1.0] * 10


def test_a_crowd_is_bounded(job: Job) -> None:
    rows = tuple(dataclasses.replace(job.report.ledger[0], person=k, pts=k) for k in range(40))
    crowd = dataclasses.replace(job, report=dataclasses.replace(job.report, ledger=rows))
    assert all(len(chart.lines) == PEOPLE for chart in charts(crowd, [], 0.0, 1.2))


def test_a_chart_is_drawn_to_scale() -> None:
    values = np.array([0.0, 0.4, 0.8])
    line = Line(0, np.array([0.0, 1.0, 2.0]), values, values, values)
    chart = Chart("identity", "t", "m", (line,), 0.8, limit=0.6)
    drawn = draw(chart, 2.0)
    middle, edge = f"{WIDTH / 2:.1f},{HEIGHT / 2:.1f}", f"{WIDTH:.1f},0.0"
    assert drawn.lines[0].path == f"M0.0,{HEIGHT:.1f} {middle} {edge}"
    assert drawn.ticks == ("0.8", "0.4", "0")
    assert drawn.limit_y == HEIGHT * 0.25
    assert drawn.times[0] == "0:00.0"
    assert drawn.times[-1] == "0:02.0"
    assert drawn.lines[0].worst == "highest 0.80"
    told = readout([chart], 2.0)["charts"]["identity"]["lines"]
    assert told == [{"label": "Person 1", "t": [0, 1, 2], "v": [0, 0.4, 0.8]}]


def test_hardest_moments_are_the_hardest(job: Job) -> None:
    assert job.evaluation is not None
    seen = sightings(job.evaluation.observations, job.report.ledger)
    moments = choose(job, seen)
    said = "; ".join(reason for moment in moments for reason in moment.reasons)
    for reason in ("usual", "identity distance, 0.55", "turned furthest, 22°", "most covered, 8%"):
        assert reason in said
    for reason in ("blurred", "smallest face, 26 px", "least steady"):
        assert reason in said
    assert moments[0].reasons == ("a usual frame",)
    times = [moment.time_s for moment in moments[1:]]
    assert times == sorted(times)
    assert all(b - a >= APART_S for a, b in pairwise(times))
    assert len(moments) <= MOMENTS


def test_the_blurred_moment_is_where_the_footage_is_blurred(tmp_path: Path) -> None:
    job = made_job(tmp_path, people=1)
    assert job.evaluation is not None
    moments = choose(job, sightings(job.evaluation.observations, job.report.ledger))
    blurred = next(m for m in moments if any("blurred" in reason for reason in m.reasons))
    assert abs(blurred.time_s - 7 / 25) < APART_S


def test_a_frame_that_was_left_is_shown(tmp_path: Path) -> None:
    moments = choose(made_job(tmp_path, left_out=(12, 13), measured=False), [])
    assert any(reason == "not swapped: covered" for m in moments for reason in m.reasons)


def test_nothing_swapped_shows_nothing(tmp_path: Path) -> None:
    assert choose(made_job(tmp_path, left_out=range(30), measured=False), []) == []


def test_the_verdict(tmp_path: Path) -> None:
    job = made_job(tmp_path)
    found = verdict(job)
    assert found.word == "Good"
    assert found.reasons == (
        "all 4 figures with a limit keep it",
        "closest is likeness to the source rather than to the target (likeness_gain 0.06, at least 0)",
        "30 of 30 frames with a chosen person were swapped",
    )
    assert job.evaluation is not None
    worse = replace(job.evaluation, figures={"likeness_gain": -0.1, "jitter": 2.04})
    found = verdict(replace(job, evaluation=worse))
    assert found.sentence == (
        "Check it: the face is more restless than the footage (jitter 2.04, at most 1.5); "
        "also outside their limits: likeness_gain -0.1 (at least 0); try --smooth 0.7; "
        "30 of 30 frames with a chosen person were swapped"
    )
    unmeasured = verdict(replace(job, evaluation=None))
    assert (unmeasured.word, unmeasured.reasons) == ("Not measured", found.reasons[-1:])


def test_frames_that_were_missed_lead_the_verdict(tmp_path: Path) -> None:
    found = verdict(made_job(tmp_path, left_out=range(3)))
    assert (found.word, found.figure) == ("Check it", "coverage")
    assert found.reasons[0] == "the original face shows in some frames (coverage 0.9, at least 0.95)"
    assert found.reasons[-1] == "27 of 30 frames with a chosen person were swapped"


def test_portraits_are_of_sources_that_can_be_seen(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    folder.mkdir()
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    shutil.copyfile(SOURCE, folder / "b.jpg")
    found = list(portraits([folder, tmp_path / "gone.jpg", tmp_path / "ben.faceid", SOURCE]))
    assert [one.name for one in found] == ["anna", "source.jpg"]
    assert found[0].face.width == found[0].face.height


def test_people_are_told_with_reasons(tmp_path: Path) -> None:
    found = facts.people(made_job(tmp_path, left_out=(3, 4), measured=False))
    assert [(person.label, person.frames, person.swapped) for person in found] == [
        ("Person 1", 30, 28),
        ("Person 2", 30, 28),
    ]
    assert found[0].reasons == "covered (2)"
    assert found[1].worst_identity == "0.545 at 0:01.2"


def test_coverage_is_never_rounded_up_to_all(tmp_path: Path) -> None:
    job = made_job(tmp_path, people=1, measured=False)
    rows = ledger(3000, 1, left_out=(5,))
    report = dataclasses.replace(job.report, ledger=tuple(rows), frames_with_swap=2999)
    shown = {item.name: item.value for item in facts.headlines(dataclasses.replace(job, report=report))}
    assert shown["Coverage"] == "99.9%"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00.0"), (75.25, "1:15.2"), (3725.96, "1:02:06.0")])
def test_clock(seconds: float, text: str) -> None:
    assert facts.clock(seconds) == text


def test_settings_say_what_is_not_set_and_which_flag_sets_them() -> None:
    options = SwapOptions(job=JobOptions(measure_identity=True), encode=EncodeOptions(crf=20))
    found = {item.name: item for item in facts.settings(options)}
    assert (found["mark.consent"].value, found["mark.consent"].flag) == ("not set", "--consent")
    assert (found["encode.crf"].value, found["encode.crf"].changed) == ("20.0", True)
    assert found["paste.mask_regions"].value == "none"
    assert [name for name, item in found.items() if item.changed] == ["encode.crf"], (
        "the report asks for the rest"
    )


def test_stages_have_names_for_people(tmp_path: Path) -> None:
    names = [name for name, _ in facts.stages(made_job(tmp_path, measured=False))]
    assert names == ["find faces", "render", "render: paste"]
