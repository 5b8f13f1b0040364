"""The same result wherever segments are rendered; stopping; a worker that dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import DeviceError, Interrupted, OutputError
from faceswap_cli.events import StopRequest
from faceswap_cli.jobs import executor
from faceswap_cli.jobs.journal import WORKERS
from faceswap_cli.jobs.locks import try_lock
from faceswap_cli.records import Segment, SegmentResult
from faceswap_cli.swap.engine import build_scene
from tests.swap.test_engine import Probe, make_analysis, make_clip

ROOT = Path(__file__).resolve().parent.parent.parent
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


def wait_for_the_fourth(
    segment: Segment, scene: object, path: Path, options: SwapOptions, tell: Callable
) -> SegmentResult:
    """The first segment lasts until the other worker, alone, has come to the fourth."""
    give_up = time.monotonic() + 60
    while segment.index == 0 and not path.with_name("segment_000003.mp4").exists():
        assert time.monotonic() < give_up
        time.sleep(0.02)
    path.write_text("done")
    return SegmentResult(segment, path, 1, 1)


def together(
    segment: Segment, scene: object, path: Path, options: SwapOptions, tell: Callable
) -> SegmentResult:
    """The second segment ends when the first has begun, and that one when the file ``go`` is there."""
    awaited = path.with_name("begun" if segment.index else "go")
    if segment.index == 0:
        path.with_name("begun").touch()
    give_up = time.monotonic() + 60
    while not awaited.exists():
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return SegmentResult(segment, path, 1, 1)


def fail_first(
    segment: Segment, scene: object, path: Path, options: SwapOptions, tell: Callable
) -> SegmentResult:
    if segment.index == 0:
        raise OutputError("the disk is full")
    time.sleep(0.5)
    return SegmentResult(segment, path, 1, 1)


def forever(
    segment: Segment, scene: object, path: Path, options: SwapOptions, tell: Callable
) -> SegmentResult:
    if segment.index:
        time.sleep(600)
    return SegmentResult(segment, path, 1, 1)


def work(folder: Path, how: executor.RenderSegment) -> executor.Work:
    clip = make_clip()
    scene = build_scene(clip, make_analysis(), Probe(), {0: None}, SwapOptions().smooth)
    return executor.Work(scene, SwapOptions(), folder, how)


@pytest.mark.parametrize("where", [executor.Here(), executor.Processes(3)], ids=["here", "processes"])
def test_every_result_comes_once_and_progress_is_told(where: executor.Executor, tmp_path: Path) -> None:
    told: list[int] = []
    done = list(where.run(work(tmp_path, render), SEGMENTS, told.append, StopRequest()))
    assert sorted(result.segment.index for result in done) == list(range(6))
    assert told == sorted(told)
    assert told[-1] == 6
    assert not (tmp_path / "work.parcel").exists()


def test_a_slow_segment_holds_no_other_back(tmp_path: Path) -> None:
    """What is finished is kept at once: a run that is killed later has lost only what was in hand."""
    job = work(tmp_path, wait_for_the_fourth)
    done = list(executor.Processes(2).run(job, SEGMENTS, lambda n: None, StopRequest()))
    order = [result.segment.index for result in done]
    assert order.index(0) > max(order.index(1), order.index(2))


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
    assert 1 <= len(kept) < 6
    assert sorted(kept) == sorted(int(path.read_text().split()[0]) for path in tmp_path.glob("*.mp4"))


def test_a_failure_keeps_what_the_others_finish(tmp_path: Path) -> None:
    """The first segment fails while another is in hand: that one is still handed out."""
    kept = []
    with pytest.raises(OutputError, match="full"):
        for result in executor.Processes(2).run(
            work(tmp_path, fail_first), SEGMENTS, lambda n: None, StopRequest()
        ):
            kept.append(result.segment.index)
    assert 1 in kept
    assert len(kept) < 5


def test_a_consumer_that_gives_up_ends_the_workers(tmp_path: Path) -> None:
    run = executor.Processes(2).run(work(tmp_path, forever), SEGMENTS, lambda n: None, StopRequest())
    assert next(run).segment.index == 0
    started = time.monotonic()
    run.close()
    assert time.monotonic() - started < 20
    assert not multiprocessing.active_children()


def test_workers_that_hang_end_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "STUCK_S", 5.0)
    kept = []
    with pytest.raises(DeviceError, match="--jobs 1"):
        for result in executor.Processes(2).run(
            work(tmp_path, forever), SEGMENTS, lambda n: None, StopRequest()
        ):
            kept.append(result.segment.index)
    assert kept == [0]
    assert not multiprocessing.active_children()


def test_signals_to_the_whole_group_leave_the_segment_in_hand(tmp_path: Path) -> None:
    """What a service manager does: every process gets the signal, the parent decides."""
    stop, kept = StopRequest(), []
    with pytest.raises(Interrupted):
        for result in executor.Processes(2).run(work(tmp_path, together), SEGMENTS, lambda n: None, stop):
            kept.append(result.segment.index)
            if len(kept) == 1:
                stop.request(143)
                for child in multiprocessing.active_children():
                    os.kill(child.pid or 0, signal.SIGTERM)
                (tmp_path / "go").touch()
    assert kept == [1, 0]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_no_worker_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from faceswap_cli.events import StopRequest\n"
        "from faceswap_cli.jobs import executor\n"
        "from tests.jobs import test_executor as t\n"
        "if __name__ == '__main__':\n"
        "    job = t.work(Path(sys.argv[1]), t.forever)\n"
        "    for _ in executor.Processes(2).run(job, t.SEGMENTS, lambda n: None, StopRequest()):\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    mark = f"MARK={tmp_path}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MARK": str(tmp_path)}
    # Orphans would hold a pipe open: what they write goes nowhere.
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, stderr=subprocess.DEVNULL
    )
    assert ran.returncode == -9
    give_up = time.monotonic() + 20
    while left := processes_with(mark):
        assert time.monotonic() < give_up, f"still running: {left}"
        time.sleep(0.1)
    with (tmp_path / WORKERS).open("a") as handle:
        assert try_lock(handle)


def processes_with(mark: str) -> list[int]:
    """Live processes whose environment holds ``mark``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_full_disk_is_told_before_any_worker_starts(tmp_path: Path) -> None:
    (tmp_path / "work.parcel").mkdir()
    with pytest.raises(OutputError, match="run the command again to resume"):
        executor._pack(work(tmp_path, render), tmp_path / "work.parcel")


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
    assert executor.worker_memory_mb(hd, 768) * 2 <= executor.WORKERS_MEMORY_MB
    assert executor.worker_memory_mb(hd, 768) > executor.worker_memory_mb(hd, 384)
    assert executor.worker_memory_mb(replace(hd, width=3840, height=2160, bit_depth=10), 768) > 1400
    assert executor.worker_memory_mb(clip, 64) < 120


def test_allowed_memory_bounds_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 GB in all, unless the user says otherwise; networks may take half of the machine."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(executor, "installed_mb", lambda: 16000)
    hd = replace(make_clip(), width=1920, height=1080)

    def count(method_mb: int, max_ram_mb: int = 0) -> int:
        options = replace(SwapOptions(), job=replace(SwapOptions().job, max_ram_mb=max_ram_mb))
        chosen = executor.choose(hd, 1000, 512, options, light=True, method_mb=method_mb)
        return chosen.count if isinstance(chosen, executor.Processes) else 1

    each = executor.worker_memory_mb(hd, 512)
    assert count(0) == executor.WORKERS_MEMORY_MB // each
    assert count(320) == 8000 // (each + 320)
    assert count(320, 1000) == 1
    assert count(0, 6000) == 5500 // each
