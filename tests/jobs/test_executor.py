"""The same result wherever segments are rendered; stopping; a worker that dies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import DeviceError, Interrupted
from faceswap_cli.events import StopRequest
from faceswap_cli.jobs import executor
from faceswap_cli.records import Segment, SegmentResult
from faceswap_cli.swap.engine import build_scene
from tests.swap.test_engine import Probe, make_analysis, make_clip

SEGMENTS = tuple(Segment(k, k * 40, (k + 1) * 40, 0, 1, True) for k in range(6))


def render(
    segment: Segment, scene: object, path: Path, options: SwapOptions, tell: Callable
) -> SegmentResult:
    """Stands in for rendering: later segments are quicker, so that order has to be made."""
    time.sleep(0.05 * (5 - segment.index))
    tell(1)
    path.write_text(f"{segment.index} {options.job.workers}")
    return SegmentResult(segment, path, 1, 1, seconds={"pid": float(os.getpid())})


def die(segment: Segment, scene: object, path: Path, options: SwapOptions, tell: Callable) -> SegmentResult:
    os._exit(9)


def work(folder: Path, how: executor.RenderSegment) -> executor.Work:
    clip = make_clip()
    scene = build_scene(clip, make_analysis(), Probe(), {0: None}, SwapOptions().smooth)
    return executor.Work(scene, SwapOptions(), folder, how)


@pytest.mark.parametrize("where", [executor.Here(), executor.Processes(3)], ids=["here", "processes"])
def test_results_come_in_order_and_progress_is_told(where: executor.Executor, tmp_path: Path) -> None:
    told: list[int] = []
    done = list(where.run(work(tmp_path, render), SEGMENTS, told.append, StopRequest()))
    assert [result.segment.index for result in done] == list(range(6))
    assert told == sorted(told)
    assert told[-1] == 6
    assert not (tmp_path / "work.parcel").exists()


def test_work_arrives_as_it_was_sent(tmp_path: Path) -> None:
    sent = work(tmp_path, render)
    executor._pack(sent, tmp_path / "parcel")
    found = executor._unpack(tmp_path / "parcel")
    for a, b in zip(sent.scene.analysis.tracks, found.scene.analysis.tracks, strict=True):
        np.testing.assert_array_equal(a.landmarks, b.landmarks)
        np.testing.assert_array_equal(a.crop_from_display, b.crop_from_display)
    assert found.options == sent.options
    assert not found.scene.analysis.tracks[0].landmarks.flags.writeable


def test_processes_are_several_and_single_threaded(tmp_path: Path) -> None:
    done = list(executor.Processes(2).run(work(tmp_path, render), SEGMENTS, lambda n: None, StopRequest()))
    pids = {result.seconds["pid"] for result in done}
    assert float(os.getpid()) not in pids
    assert 1 <= len(pids) <= 2
    assert all(result.path.read_text().endswith(" 1") for result in done)


@pytest.mark.parametrize("where", [executor.Here(), executor.Processes(2)], ids=["here", "processes"])
def test_stop_finishes_what_has_begun(where: executor.Executor, tmp_path: Path) -> None:
    stop = StopRequest()
    kept = []
    with pytest.raises(Interrupted) as caught:
        for result in where.run(work(tmp_path, render), SEGMENTS, lambda n: None, stop):
            kept.append(result.segment.index)
            stop.request(143)
    assert caught.value.exit_code == 143
    assert kept == list(range(len(kept)))
    assert 1 <= len(kept) < 6


def test_a_dead_worker_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="memory"):
        list(executor.Processes(2).run(work(tmp_path, die), SEGMENTS, lambda n: None, StopRequest()))


def test_environment_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    list(executor.Processes(2).run(work(tmp_path, render), SEGMENTS[:2], lambda n: None, StopRequest()))
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_choice_by_length_method_and_memory() -> None:
    clip = make_clip()
    several = replace(SwapOptions(), job=replace(SwapOptions().job, workers=3))
    assert isinstance(executor.choose(clip, 1000, 256, several, light=True), executor.Processes)
    assert isinstance(executor.choose(clip, 10, 256, several, light=True), executor.Here)
    assert isinstance(executor.choose(clip, 1000, 256, several, light=False), executor.Here)
    hd = replace(clip, width=1920, height=1080)
    assert executor.worker_memory_mb(hd, 768) * 3 <= executor.WORKERS_MEMORY_MB
    assert executor.worker_memory_mb(hd, 768) > executor.worker_memory_mb(hd, 384)
    assert executor.worker_memory_mb(replace(hd, width=3840, height=2160, bit_depth=10), 768) > 1400
    assert executor.worker_memory_mb(clip, 64) < 110
