"""What a job will take: arithmetic, the dry run that writes nothing, and the truth."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import JobOptions, RangeOptions, SwapOptions, TrackOptions
from faceswap_cli.errors import NoFaceFound, UsageError
from faceswap_cli.forecast import forecast
from faceswap_cli.jobs import samples
from faceswap_cli.jobs.estimate import (
    Load,
    Tried,
    bytes_of_video,
    choose_trials,
    makespan,
    seconds_each,
    with_total,
)
from faceswap_cli.metrics.memory import MemoryWatch
from faceswap_cli.pipeline import swap_video
from faceswap_cli.records import Segment
from faceswap_cli.tracking.analyse import expected_frames
from faceswap_cli.video.probe import probe
from faceswap_cli.video.sizes import packet_sizes
from tests.clips import make_clip

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SOURCE, TARGET = EXAMPLES / "source.jpg", EXAMPLES / "target.mp4"


def load(
    index: int, frames: int = 100, *, touched: bool = True, mpx: float = 10.0, put_in: int = 1000
) -> Load:
    return Load(Segment(index, index * 100, index * 100 + 100, 8, frames, touched), mpx, put_in)


def test_trials_are_spread_and_of_every_kind() -> None:
    loads = [load(k, touched=k < 40, mpx=10.0 * (k < 40)) for k in range(60)]
    chosen = [one.segment.index for one in choose_trials(loads, 4)]
    assert chosen == [5, 15, 25, 35, 50]
    few = choose_trials(loads[:2], 4)
    assert [one.segment.index for one in few] == [0, 1]


def test_time_follows_frames_and_the_size_of_faces() -> None:
    def cost(one: Load) -> float:
        return (
            0.02 * one.segment.frames + 0.3 * one.crop_mpx
            if one.segment.touched
            else 0.01 * one.segment.frames
        )

    loads = [
        load(k, frames=50 + 10 * (k % 5), touched=k % 4 > 0, mpx=(2.0 + k) * (k % 4 > 0)) for k in range(20)
    ]
    tried = [Tried(one, cost(one), 1) for one in choose_trials(loads, 4)]
    found = seconds_each(loads, tried)
    assert found == pytest.approx([cost(one) for one in loads], rel=1e-6)


def test_a_kind_that_was_not_tried_is_guessed_from_the_others() -> None:
    tried = [Tried(load(0), 5.0, 500)]
    assert seconds_each([load(3, touched=False)], tried) == pytest.approx([5.0])
    assert bytes_of_video([load(3, touched=False, put_in=3000)], tried) == 1500
    assert seconds_each([load(0)], []) == [0.0]


def test_workers_take_the_next_segment_when_free() -> None:
    assert makespan([4, 1, 1, 1, 1], 2) == 4
    assert makespan([1, 1, 1, 1, 4], 2) == 6
    assert makespan([1.5, 2.5], 1) == 4
    assert makespan([], 3) == 0


def test_bytes_follow_the_input() -> None:
    loads = [load(k, put_in=1000 * (k + 1)) for k in range(4)]
    tried = [Tried(loads[0], 1, 800), Tried(loads[2], 1, 2400)]
    assert bytes_of_video(loads, tried) == 800 + 1600 + 2400 + 3200


def test_the_total_is_the_sum() -> None:
    assert with_total({"analyse": 1.0, "render": 2.0}) == {"analyse": 1.0, "render": 2.0, "total": 3.0}


def test_packets_are_counted_by_stream(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    times = make_clip(path, audio=1, frames=20, start_offset=512)
    clip = probe(path)
    found = packet_sizes(clip)
    assert found.keys.tolist() == [times[0]]
    part = found.within(times[5], times[15])
    assert (part.pts.tolist(), part.keys.tolist()) == (times[5:15], [])
    assert part.others == pytest.approx(found.others / 2, abs=1)
    assert found.on_its_own(times[0], times[5]) == found.between(times[0], times[5])
    assert found.on_its_own(times[5], times[6]) == found.between(
        times[0], times[1]
    )  # as large as a key frame
    assert found.pts.tolist() == times
    assert found.others > 0
    whole = int(found.sizes.sum())
    assert 0.5 * path.stat().st_size < whole + found.others < path.stat().st_size
    parts = found.between(times[0], times[7]) + found.between(times[7], times[-1] + 1)
    assert parts == whole
    assert found.between(times[-1] + 1, times[-1] + 10**6) == 0


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    shutil.copyfile(TARGET, target)
    before = target.stat().st_mtime_ns
    options = SwapOptions(method="mesh", range=RangeOptions(end="12f"), job=JobOptions(workers=1))
    found = forecast([SOURCE], target, options)
    assert (found.frames, found.shots, len(found.people)) == (12, 1, 1)
    assert found.people[0].source == "source"
    assert found.segments >= found.swapped_segments >= 1
    assert found.frames_seen == 12
    assert found.frames_tried == 12
    assert found.vram_mb == 0.0
    assert found.ram_mb is None or 100 < found.ram_mb < 4000
    assert found.seconds["render"] > 0.1
    assert found.seconds["total"] == pytest.approx(
        sum(value for name, value in found.seconds.items() if name != "total"), abs=0.05
    )
    assert found.disk_bytes > found.output_bytes > 0
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert target.stat().st_mtime_ns == before


def test_windows_begin_at_key_frames() -> None:
    pts = np.arange(0, 12000, 10)
    found = samples.windows(pts, pts[::50])
    assert len(found) == samples.WINDOWS
    assert all(first % 500 == 0 and end - first == 10 * samples.WINDOW_FRAMES for first, end in found)
    assert samples.windows(pts[: 2 * samples.WINDOWS * samples.WINDOW_FRAMES], pts) == []


def test_windows_are_spread_where_key_frames_are_few() -> None:
    pts = np.arange(1000)
    found = samples.windows(pts, pts[:1])
    assert len(found) == samples.WINDOWS
    assert np.ptp(np.diff([first for first, _ in found])) <= 1


def test_an_excerpt_lies_within_what_is_known() -> None:
    times = np.arange(100)
    whole = Segment(3, 10, 90, 8, 80, True)
    part = samples.excerpt(whole, times, times, np.array([40, 60]), 8, 7)
    assert (part.index, part.first_pts, part.end_pts, part.frames, part.halo) == (7, 60, 68, 8, 1)
    known = np.array([12, 13, 50, 51, 52, 53, 54, 85])  # the rest was not looked at
    part = samples.excerpt(whole, known, times, np.array([12]), 4, 7)
    assert (part.first_pts, part.end_pts, part.frames, part.halo) == (50, 54, 4, 0)
    part = samples.excerpt(whole, known, times, np.array([12]), 5, 7)  # what follows 54 must not be read
    assert (part.first_pts, part.end_pts, part.frames) == (50, 54, 4)
    part = samples.excerpt(whole, known[:2], times, np.array([], int), 4, 7)
    assert (part.first_pts, part.frames) == (12, 2)


def test_few_frames_are_rendered() -> None:
    assert 2 * samples.frames_each(2, networks=True) == 8
    assert samples.frames_each(64, networks=True) == 2
    assert samples.frames_each(2, networks=False) == 16


def test_a_dry_run_of_a_long_clip_reads_parts_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "WINDOWS", 2)
    monkeypatch.setattr(samples, "WINDOW_FRAMES", 3)
    options = SwapOptions(method="mesh", range=RangeOptions(end="24f"), job=JobOptions(workers=1))
    found = forecast([SOURCE], TARGET, options)
    assert (found.frames, found.frames_seen, found.people[0].frames) == (24, 6, 24)
    assert found.frames_tried <= 6


def test_progress_counts_the_frames_between_start_and_end(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    times = make_clip(path, frames=20, start_offset=512)
    clip = probe(path)
    assert expected_frames(clip, None, None) == clip.frames == 20
    assert expected_frames(clip, times[5], None) == 15
    assert expected_frames(clip, None, times[5]) == 5
    assert expected_frames(clip, times[5], times[15]) == 10


def test_a_dry_run_fails_as_the_job_would(tmp_path: Path) -> None:
    options = SwapOptions(range=RangeOptions(end="10f"), track=TrackOptions(face="3"))
    with pytest.raises(NoFaceFound, match="--face 3"):
        forecast([SOURCE], TARGET, options)
    with pytest.raises(UsageError, match="--cluster"):
        forecast([SOURCE], TARGET, SwapOptions(job=JobOptions(cluster="auto")))


@pytest.mark.slow
def test_the_estimate_comes_true(tmp_path: Path) -> None:
    """Time, memory and size within 25 % of a real run right after; the best of three for the time.

    What else runs on the machine between the two changes the time, not the estimate.
    """
    options = SwapOptions(method="mesh", job=JobOptions(workers=2))
    ratios = []
    for attempt in range(3):
        found = forecast([SOURCE], TARGET, options)
        output = tmp_path / f"out{attempt}.mp4"
        started = time.perf_counter()
        with MemoryWatch(every_s=0.2) as memory:
            report = swap_video([SOURCE], TARGET, output, options)
        ratios.append(found.seconds["total"] / (time.perf_counter() - started))
        assert report.frames == found.frames
        assert found.output_bytes == pytest.approx(output.stat().st_size, rel=0.25)
        if found.ram_mb is not None and memory.peak_mb is not None:
            assert found.ram_mb == pytest.approx(memory.peak_mb, rel=0.25)
        if 0.75 < ratios[-1] < 1.25:
            return
    pytest.fail(f"estimated time over true time: {ratios}")
