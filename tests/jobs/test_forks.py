"""Worker processes that begin with the libraries loaded."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from faceswap_cli import devices
from faceswap_cli.config import JobOptions, SwapOptions
from faceswap_cli.events import StopRequest
from faceswap_cli.jobs import executor, forks
from faceswap_cli.records import Segment, SegmentResult
from tests.jobs.test_executor import SEGMENTS, work

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are copies on Linux only")


def begun(segment: Segment, scene: object, path: Path, options: SwapOptions, tell: object) -> SegmentResult:
    """Tells of the worker: its parent, its environment, and what was loaded before it began."""
    loaded = float("faceswap_cli.pipeline" in sys.modules and "faceswap_cli.jobs.copied" in sys.modules)
    alone = float(all(os.environ.get(name) == value for name, value in forks.WORKER_ENVIRONMENT.items()))
    spent = sum(os.times()[:2])
    found = {"parent": float(os.getppid()), "loaded": loaded, "alone": alone, "cpu": spent}
    return SegmentResult(segment, path, 1, 1, seconds=found)


def test_workers_are_copies_of_one_process_that_has_loaded_everything(tmp_path: Path) -> None:
    forks.end()
    forks.load_ahead(networks=False)
    server = forks._server()
    done = list(executor.Processes(2).run(work(tmp_path, begun), SEGMENTS, lambda n: None, StopRequest()))
    assert {result.seconds["parent"] for result in done} == {float(server or 0)}
    assert all(result.seconds["loaded"] and result.seconds["alone"] for result in done)
    assert len(list(Path(f"/proc/{server}/task").iterdir())) == 1  # a copy would wait for the others
    forks.end()
    assert forks._server() is None


def with_network(
    segment: Segment, scene: object, path: Path, options: SwapOptions, tell: object
) -> SegmentResult:
    """Tells whether the network was there when the worker began, and how many threads it has."""
    from faceswap_cli.swap.fslsd256_weights import ready_net

    found = {"networks": float(ready_net.cache_info().currsize), "threads": float(threading.active_count())}
    return SegmentResult(segment, path, 1, 1, seconds=found)


def test_workers_with_networks_begin_with_the_network_read(tmp_path: Path) -> None:
    forks.end()
    where = executor.Processes(2, networks=True)
    done = list(where.run(work(tmp_path, with_network), SEGMENTS[:2], lambda n: None, StopRequest()))
    assert all(result.seconds["networks"] == 1 for result in done)
    tasks = Path(f"/proc/{forks._server()}/task")
    assert len(list(tasks.iterdir())) == 1  # a copy would lack the others
    forks.end()


def test_a_signal_to_the_group_leaves_the_server(tmp_path: Path) -> None:
    forks.load_ahead(networks=False)
    list(executor.Processes(2).run(work(tmp_path, begun), SEGMENTS[:2], lambda n: None, StopRequest()))
    server = forks._server()
    assert server is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(server, number)
    time.sleep(0.2)
    assert os.waitpid(server, os.WNOHANG) == (0, 0)
    forks.end()


def test_time_of_workers_counts_when_the_server_has_ended(tmp_path: Path) -> None:
    forks.end()
    before = os.times().children_user
    list(executor.Processes(2).run(work(tmp_path, begun), SEGMENTS[:2], lambda n: None, StopRequest()))
    running = os.times().children_user
    forks.end()
    assert running == before
    assert os.times().children_user > before


@pytest.mark.parametrize(
    ("frames", "job", "wanted"),
    [
        (1000, JobOptions(device="cpu"), True),
        (forks.FEW_FRAMES - 1, JobOptions(device="cpu"), False),
        (1000, JobOptions(device="cpu", workers=1), False),
        (1000, JobOptions(device="cuda:0"), False),
        (1000, JobOptions(device="mps"), False),
    ],
)
def test_only_jobs_that_will_have_workers_load_ahead(frames: int, job: JobOptions, wanted: bool) -> None:
    assert forks.expected(frames, job) is wanted


def test_auto_expects_workers_where_there_is_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(devices, "_NODES", ("/nowhere/at/all",))
    assert forks.expected(1000, JobOptions(device="auto"))
    assert devices.resolve_device("auto").name == "cpu"
    monkeypatch.setattr(devices, "_NODES", ("/",))
    assert not forks.expected(1000, JobOptions(device="auto"))


def test_other_systems_show_no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_NODES", ())
    monkeypatch.setattr(sys, "platform", "darwin")
    assert devices.may_have_accelerator()


def test_elsewhere_each_worker_begins_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    forks.end()
    monkeypatch.setattr(forks, "_COPIES", False)
    forks.load_ahead(networks=True)
    assert forks._server() is None
    assert forks.context(networks=True).get_start_method() == "spawn"
