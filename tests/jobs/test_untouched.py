"""Frames without a swapped face stay as they are; streams and times survive resume and jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, JobOptions, RangeOptions, SmoothOptions, SwapOptions
from faceswap_cli.errors import Interrupted
from faceswap_cli.events import Event, StopRequest
from faceswap_cli.jobs import executor
from faceswap_cli.jobs.files import read_object
from faceswap_cli.jobs.plan import plan
from faceswap_cli.jobs.seal import folder_of
from faceswap_cli.jobs.untouched import treatment
from faceswap_cli.pipeline import swap_video
from faceswap_cli.records import Plan, Report
from faceswap_cli.video.copying import Cuts
from faceswap_cli.video.probe import probe
from tests.jobs.example import EXAMPLES, frames_digest, small_example
from tests.swap.test_engine import LENGTH, make_analysis, make_clip
from tests.video.test_assemble import chapters_of
from tests.video.test_roundtrip import assert_same_frames, frames_of, packets_of

GROUPS = {"g": "6", "keyint_min": "6", "bf": "2", "sc_threshold": "0"}
FRAMES, FACE = 24, range(8, 15)
OPTIONS = SwapOptions(
    smooth=SmoothOptions(code_radius=2),
    encode=EncodeOptions(crf=30, preset="ultrafast"),
    job=JobOptions(segment_s=0.2, workers=1),
)


def swap(target: Path, output: Path, options: SwapOptions = OPTIONS, **given: Any) -> Report:
    return swap_video([EXAMPLES / "source.jpg"], target, output, options, **given)


def with_jobs(count: int) -> SwapOptions:
    return replace(OPTIONS, job=replace(OPTIONS.job, workers=count))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face in the middle; a keyframe every six frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    small_example(path, FRAMES, face=FACE, audio=1, options=GROUPS, vfr=True, start_offset=700)
    return path


@pytest.fixture(scope="module")
def swapped(clip: Path) -> tuple[Path, Report]:
    output = clip.with_name("out.mp4")
    return output, swap(clip, output)


def test_whole_groups_without_a_face_are_copied(clip: Path, swapped: tuple[Path, Report]) -> None:
    output, report = swapped
    before, after = frames_of(probe(clip)), frames_of(probe(output))
    assert [f.pts * f.time_base for f in after] == [f.pts * f.time_base for f in before]
    assert_same_frames(before[:6] + before[18:], after[:6] + after[18:])
    (source,), (result,) = packets_of(clip, "video"), packets_of(output, "video")
    assert [data for _, data in source[:6]] == [data for _, data in result[:6]]
    assert [data for _, data in source[18:]] == [data for _, data in result[18:]]
    assert not {data for _, data in source[6:18]} & {data for _, data in result[6:18]}
    assert any("without a swapped face: 12 copied" in note for note in report.notes)
    treated = [treatment(segment) for segment in report.segments for _ in range(segment.frames)]
    assert treated[:6] == treated[18:] == ["copied"] * 6
    assert set(treated[8:15]) == {"swapped"}
    assert report.frames == FRAMES


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_the_number_of_jobs_does_not_show(
    count: int, clip: Path, swapped: tuple[Path, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "FEW_FRAMES", 1)
    report = swap(clip, tmp_path / "out.mp4", with_jobs(count))
    assert frames_digest(tmp_path / "out.mp4") == frames_digest(swapped[0])
    assert report.ledger == swapped[1].ledger


def test_a_part_of_the_clip_is_copied_in_step(clip: Path, tmp_path: Path) -> None:
    """From frame 3 on: no keyframe lies between it and the face, only the end can be copied."""
    report = swap(clip, tmp_path / "out.mp4", replace(OPTIONS, range=RangeOptions(start="3f")))
    before, after = frames_of(probe(clip))[3:], frames_of(probe(tmp_path / "out.mp4"))
    shift = before[0].pts * before[0].time_base
    assert [f.pts * f.time_base + shift for f in after] == [f.pts * f.time_base for f in before]
    treated = [treatment(segment) for segment in report.segments for _ in range(segment.frames)]
    assert treated[:3] == ["encoded"] * 3
    assert treated[15:] == ["copied"] * 6
    for a, b in zip(after[15:], before[15:], strict=True):
        np.testing.assert_array_equal(a.planes.y, b.planes.y)


def test_a_kept_folder_tells_how_and_serves_other_options(clip: Path, tmp_path: Path) -> None:
    keep = replace(OPTIONS, job=replace(OPTIONS.job, keep=True))
    output, told = tmp_path / "out.mp4", []
    report = swap(clip, output, keep)
    folder = folder_of(output)
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("segment_")) == [
        *("analysis.json", "analysis.npz", "found.npz", "job.json", "ledger.jsonl", "lock", "recipe.json"),
    ]
    recipe = read_object(folder / "recipe.json")
    assert recipe["target"] == str(clip.resolve())
    assert recipe["options"]["encode"]["crf"] == 30
    assert [segment["how"] for segment in recipe["segments"]] == [treatment(s) for s in report.segments]
    rows = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert [row["pts"] for row in rows] == [row.pts for row in report.ledger]
    coarser = replace(keep, encode=replace(keep.encode, crf=40))
    swap(clip, output, coarser, listen=told.append)
    (warning,) = [
        e.data["message"] for e in told if e.kind == "warning" and "encode.crf" in e.data["message"]
    ]
    assert "encode.crf" in warning
    assert sum(e.kind == "progress" and e.data["stage"] == "analyse" for e in told) == 1


def stopped_then_finished(target: Path, output: Path, options: SwapOptions) -> list[str]:
    """Interrupted after some segments and run again; the stages that the second run worked in."""
    stop = StopRequest()

    def after_some(event: Event) -> None:
        if event.kind == "progress" and event.data["stage"] == "render" and event.data["done"] > 4:
            stop.request()

    with pytest.raises(Interrupted):
        swap(target, output, options, listen=after_some, stop=stop)
    told: list[Event] = []
    swap(target, output, with_jobs(2), listen=told.append)
    return [f"{e.data['stage']} {e.data['done']}" for e in told if e.kind == "progress"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("film.mkv", {"audio": 2, "subtitles": True, "chapters": True}),
        ("phone.mp4", {"audio": 1, "vfr": True, "rotation": 90, "start_offset": 123}),
    ],
)
def test_every_stream_survives_resume_and_jobs(
    name: str, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "FEW_FRAMES", 1)
    target, output = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
    small_example(target, 18, face=range(10), options=GROUPS, **given)
    stages = stopped_then_finished(target, output, OPTIONS)
    assert [stage for stage in stages if stage.startswith("analyse")] == ["analyse 18"]
    assert stages[1].startswith("render") and int(stages[1].split()[1]) > 4  # noqa: PT018
    clip, made = probe(target), probe(output)
    before, after = frames_of(clip), frames_of(made)
    assert [f.pts * f.time_base for f in after] == [f.pts * f.time_base for f in before]
    assert_same_frames(before[12:], after[12:])
    assert made.rotation == clip.rotation
    assert [(s.kind, s.codec, s.language) for s in made.streams] == [
        (s.kind, s.codec, s.language) for s in clip.streams
    ]
    for kind in ("audio", "subtitle"):
        for a, b in zip(packets_of(target, kind), packets_of(output, kind), strict=True):
            assert [data for _, data in a] == [data for _, data in b]
            assert all(abs(x - y) <= Fraction(1, 44100) for (x, _), (y, _) in zip(a, b, strict=True))
    assert chapters_of(output) == chapters_of(target)
    assert not list(tmp_path.glob(".*"))


def planned(cuts: Cuts, chosen: dict[int, int] | None = None) -> Plan:
    options = SwapOptions()
    cast = {0: 0} if chosen is None else chosen
    return plan(make_clip(), make_analysis(), cast, options.job, options.smooth, lambda: cuts)


PTS = np.arange(LENGTH, dtype=np.int64) * 40


def test_copies_lie_between_clean_cuts() -> None:
    """The analysis shows faces at 2..24 and 27..39 of 40 frames: frames 0, 1, 25 and 26 are untouched."""
    job = planned(Cuts(PTS, PTS))
    copies = [(s.first_pts, s.end_pts) for s in job.segments if s.copied]
    assert copies == [(0, 80), (1000, 1080)]
    assert sum(segment.frames for segment in job.segments) == LENGTH
    assert [segment.index for segment in job.segments] == list(range(len(job.segments)))
    assert not any(segment.copied and segment.touched for segment in job.segments)
    assert not any(s.copied for s in planned(Cuts(PTS, PTS[[0, 25]])).segments)
    assert not any(s.copied for s in planned(Cuts(reason="no")).segments)
    assert planned(Cuts(reason="no")).not_copied == "no"


def test_what_the_packets_do_not_hold_is_not_copied() -> None:
    """A packet more or less than the frames that were seen: damage, or a frame that is not shown."""
    assert [s.copied for s in planned(Cuts(PTS, PTS), {}).segments] == [True]
    missing = np.delete(PTS, 10)
    assert not any(s.copied for s in planned(Cuts(missing, missing), {}).segments)
    more = np.append(PTS, LENGTH * 40)
    (first, *rest) = planned(Cuts(more, PTS), {}).segments
    assert (first.first_pts, first.end_pts, first.copied) == (0, PTS[-1], True)
    assert not any(segment.copied for segment in rest)
