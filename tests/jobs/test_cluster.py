"""Rendering on a Ray cluster: what a node answers, and whole jobs on a local cluster of several nodes."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from faceswap_cli.config import JobOptions, SwapOptions
from faceswap_cli.errors import DeviceError, InputError, Interrupted, UsageError, WeightsError
from faceswap_cli.events import StopRequest
from faceswap_cli.jobs import cluster, cluster_nodes, cluster_worker
from faceswap_cli.jobs.cluster import Cluster, Share, share_of
from faceswap_cli.jobs.executor import Freight, RenderSegment, Work
from faceswap_cli.records import Segment, SegmentResult
from tests.jobs import cluster_scene as scenes
from tests.jobs.cluster_scene import SEGMENTS, Place

ROOT = Path(__file__).resolve().parents[2]
ONE = Share(1, 0, 50)

# Ray leaves files open when it starts its nodes.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def work(folder: Path, render: RenderSegment, *files: Path) -> Work:
    freight = Freight(files, (), scenes.move, scenes.number, scenes.join)
    return Work(Place(files[0] if files else None), SwapOptions(), folder, render, freight)


def run(
    address: str, order: Work, share: Share = ONE, segments: tuple[Segment, ...] = SEGMENTS
) -> list[SegmentResult]:
    told: list[int] = []
    found = list(Cluster(address, share).run(order, segments, told.append, StopRequest()))
    assert told == sorted(told)
    assert told[-1] == sum(result.frames for result in found)
    return sorted(found, key=lambda result: result.segment.index)


@pytest.mark.parametrize("name", ["auto", "10.0.0.7:6379", "head.example:6379", "[fd00::1]:6379"])
def test_names_of_a_cluster(name: str) -> None:
    assert JobOptions(cluster=name).cluster == name


@pytest.mark.parametrize("name", ["", "local", "ray://head:10001", "head", "head:port", "a b:1"])
def test_other_names_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        JobOptions(cluster=name)


def test_what_a_segment_takes() -> None:
    job = JobOptions(cluster="auto")
    assert share_of(job, 300, light=True) == Share(1, 0, 300)
    assert share_of(replace(job, device="cuda"), 300, light=True) == Share(1, 0, 300)
    assert share_of(replace(job, device="cuda"), 300, light=False) == Share(1, 1, 300)
    assert share_of(replace(job, device="cpu", workers=2), 300, light=False) == Share(2, 0, 300)
    assert Share(1, 0, 300).fits({"CPU": 4.0, "memory": 1e9}) == 3
    assert Share(2, 0, 300).fits({"CPU": 5.0, "memory": 1e10}) == 2
    assert Share(1, 1, 300).fits({"CPU": 8.0, "memory": 1e10}) == 0


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"faceswap-cli\[ray\]"):
        cluster.settle_device(JobOptions(cluster="auto"))


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_devices_that_ray_cannot_hand_out(device: str) -> None:
    with pytest.raises(UsageError, match="--device"):
        cluster.settle_device(JobOptions(cluster="auto", device=device))


def test_versions_are_compared() -> None:
    mine = cluster_worker.kit()
    assert cluster_worker.difference(mine, dict(mine)) == ""
    assert "av 1.2" in cluster_worker.difference(mine, {**mine, "av": "1.2"})
    assert "other files" in cluster_worker.difference(mine, {**mine, "modules": "0"})
    assert "numpy none" in cluster_worker.difference(mine, {k: v for k, v in mine.items() if k != "numpy"})


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(bytes(range(256)) * 20000)
    mark = cluster_worker.mark_file(path)
    assert cluster_worker._same(mark)
    os.utime(path, (1, 1))
    assert cluster_worker._same(mark)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert not cluster_worker._same(mark)
    path.unlink()
    assert not cluster_worker._same(mark)


def test_a_run_that_is_gone_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_worker.tempfile, "gettempdir", lambda: str(tmp_path))
    gone, _ = cluster_worker._hold("gone")
    living, folder = cluster_worker._hold("living")
    gone.close()
    cluster_worker._sweep()
    assert [path.name for path in folder.parent.iterdir()] == ["living"]
    assert folder.parent.stat().st_mode & 0o077 == 0
    living.close()


class Heavy:
    """A method with networks: it cannot be pickled, and its digest is that of the weights it finds."""

    name = "heavy"
    light = False

    def __init__(self, device: str, digest: str) -> None:
        self.device, self.inputs_digest, self.networks = device, digest, lambda: None


def test_a_method_with_networks_is_built_where_it_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceswap_cli.swap import METHODS, portable
    from faceswap_cli.swap.engine import build_scene
    from faceswap_cli.video.user_mask import UserMask
    from tests.swap.test_engine import Probe, make_analysis, make_clip

    there = tmp_path / "there"
    weights = (tmp_path / "a.safetensors", tmp_path / "a.json")
    monkeypatch.setattr(portable, "_installed_files", lambda: weights)
    monkeypatch.setitem(
        METHODS, "heavy", lambda job, paste: Heavy(job.device, os.environ["FACESWAP_WEIGHTS"])
    )
    scene = build_scene(make_clip(), make_analysis(), Probe(), {0: None}, SwapOptions().smooth)
    mask = UserMask(tmp_path / "mask.mp4", replace(make_clip(), path=tmp_path / "mask.mp4"))
    scene = replace(scene, method=Heavy("cpu", str(there)), mask=mask)  # type: ignore[arg-type]
    sent = portable.packed(Work(scene, SwapOptions(method="heavy"), tmp_path, scenes.render))
    freight = sent.freight
    assert freight is not None
    assert (freight.files, freight.weights) == ((scene.clip.path.absolute(), mask.path), weights)
    arrived = pickle.loads(pickle.dumps(sent.scene))
    places = {path: there / path.name for path in freight.files}
    monkeypatch.setenv("FACESWAP_WEIGHTS", "elsewhere")
    with pytest.raises(WeightsError, match="differ"):
        freight.unpack(arrived, places, JobOptions())
    places.update((path, there / path.name) for path in weights)
    found = freight.unpack(arrived, places, JobOptions(device="cuda"))
    assert found.method.device == "cuda"
    assert found.clip.path == there / scene.clip.path.name
    assert found.mask.path == found.mask.clip.path == there / "mask.mp4"


def test_landmarks_go_with_their_segments() -> None:
    from faceswap_cli.jobs.plan import with_halo
    from faceswap_cli.swap.portable import tracks_of
    from tests.swap.test_engine import make_analysis

    analysis = make_analysis()
    first, end = analysis.shots[0].first_pts, analysis.shots[0].end_pts
    middle = (first + end) // 2
    segment = Segment(0, middle, middle + 1, 2, 1, True)
    low, high = with_halo(segment, analysis)
    (cut,) = tracks_of(analysis, segment)
    whole = analysis.tracks[0]
    assert cut.pts.tolist() == [pts for pts in whole.pts.tolist() if low <= pts < high]
    assert 0 < len(cut.pts) < len(whole.pts)
    for pts in cut.pts.tolist():
        one, other = cut.at(pts), whole.at(pts)
        assert (cut.landmarks[one] == whole.landmarks[other]).all()
        assert (cut.crop_from_display[one] == whole.crop_from_display[other]).all()


def test_who_needs_more_than_a_core() -> None:
    from faceswap_cli.swap.portable import is_light

    here, there = JobOptions(device="cuda"), JobOptions(device="cuda", cluster="auto")
    networks = SimpleNamespace(name="fslsd", light=True)
    cores: Any = SimpleNamespace(name="mesh", light=True)
    assert [is_light(networks, job) for job in (here, there)] == [True, False]  # type: ignore[arg-type]
    assert [is_light(cores, job) for job in (here, there)] == [True, True]


# From here on with Ray.


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A head without cores, two nodes of one core; one of them says that it has a GPU.

    They have their own copy of the program, as other machines do, and start in another folder, so
    that /proc/self/cwd is not the same place for them.
    """
    pytest.importorskip("ray", reason="needs the extra ray")
    folder = tmp_path_factory.mktemp("nodes")
    cluster_worker.kit()
    shutil.copytree(ROOT / "faceswap_cli", folder / "faceswap_cli", ignore=shutil.ignore_patterns("*.pyc"))
    (folder / "weights").symlink_to(ROOT / "weights")
    (folder / "tests" / "jobs").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "jobs" / "cluster_scene.py", folder / "tests" / "jobs")
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("PYTHONPATH", str(folder))
    patch.chdir(folder)
    from ray.cluster_utils import Cluster as Local

    small = {"object_store_memory": 80_000_000}
    local = Local(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    try:
        for gpus in (0, 1):
            local.add_node(num_cpus=1, num_gpus=gpus, **small)
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        # One connection for all tests: the programs of the nodes start once.
        with cluster_nodes.connected(local.address):
            assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
            yield local.address
    finally:
        local.shutdown()
        patch.undo()


@pytest.fixture
def unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder under a path that means another folder in every other process."""
    if not Path("/proc/self/cwd").exists():
        pytest.skip("needs /proc")
    monkeypatch.chdir(tmp_path)
    return Path("/proc/self/cwd")


def test_segments_run_on_all_nodes_into_the_shared_folder(nodes: str, tmp_path: Path) -> None:
    found = run(nodes, work(tmp_path, scenes.render))
    assert [result.segment for result in found] == list(SEGMENTS)
    assert {result.path.parent for result in found} == {tmp_path}
    assert len({result.seconds["pid"] for result in found}) == 2
    assert [result.path.read_text() for result in found] == [f"{k} 1 cpu None" for k in range(6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [result.path.name for result in found]


def test_what_a_node_does_not_see_travels(nodes: str, unseen: Path, tmp_path: Path) -> None:
    clip = unseen / "clip.bin"
    clip.write_bytes(b"abc" * 1000)
    (tmp_path / "job").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "CHUNK", 1024)
        found = run(nodes, work(unseen / "job", scenes.render, clip))
    assert [result.path.read_text() for result in found] == [f"{k} 1 cpu 3000" for k in range(6)]
    assert {result.path.parent for result in found} == {unseen / "job"}
    kept = {Path(result.ledger[0]) for result in found}  # type: ignore[arg-type]
    assert all("faceswap-node" in str(path) for path in kept)
    assert not any(path.exists() for path in kept)


def test_weights_are_sent_to_a_node_that_lacks_them(nodes: str, unseen: Path, tmp_path: Path) -> None:
    clip, weights = unseen / "clip.bin", unseen / "net.bin"
    clip.write_bytes(b"abc")
    weights.write_bytes(b"net")
    order = work(tmp_path, scenes.render, clip)
    freight = Freight((clip,), (weights,), scenes.move_with_weights, scenes.number, scenes.join)
    order = replace(order, freight=freight)
    found = run(nodes, order)
    assert [result.path.read_text() for result in found] == [f"{k} 1 cpu 3" for k in range(6)]


def test_a_gpu_is_asked_of_ray(nodes: str, tmp_path: Path) -> None:
    found = run(nodes, work(tmp_path, scenes.render), share=Share(1, 1, 50))
    assert {result.path.read_text().split()[2] for result in found} == {"cuda"}
    assert len({result.seconds["pid"] for result in found}) == 1


def test_device_of_the_cluster(nodes: str) -> None:
    assert cluster.settle_device(JobOptions(cluster=nodes)).device == "cuda"
    assert cluster.settle_device(JobOptions(cluster=nodes, device="cpu")).device == "cpu"


def test_more_than_any_node_has_is_told(nodes: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="2 cores"):
        run(nodes, work(tmp_path, scenes.render), share=Share(2, 0, 50))


def test_our_errors_come_back_as_themselves(nodes: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is odd") as caught:
        run(nodes, work(tmp_path, scenes.refuse))
    assert caught.value.exit_code == 4
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run(nodes, work(tmp_path, scenes.stumble))
    assert not list(tmp_path.iterdir())


def test_a_lost_worker_is_replaced(nodes: str, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.write_bytes(b"x")
    (tmp_path / "job").mkdir()
    found = run(nodes, work(tmp_path / "job", scenes.die_once, clip), segments=SEGMENTS[:2])
    assert len(found) == 2
    assert len(list(tmp_path.glob("died_*"))) == 2


def test_a_segment_that_always_kills_its_worker(nodes: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="lost 4 times"):
        run(nodes, work(tmp_path, scenes.die), segments=SEGMENTS[:1])


def test_stop_keeps_what_is_in_hand(nodes: str, tmp_path: Path) -> None:
    stop, kept = StopRequest(), []
    with pytest.raises(Interrupted) as caught:
        for result in Cluster(nodes, ONE).run(
            work(tmp_path, scenes.take_time), SEGMENTS, lambda frames: None, stop
        ):
            kept.append(result.segment.index)
            stop.request(143)
    assert caught.value.exit_code == 143
    assert 1 <= len(kept) <= 4
    assert all((tmp_path / f"segment_{index:06d}.mp4").exists() for index in kept)


def test_other_versions_are_told_before_the_work(nodes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {**cluster_worker.kit(), "av": "1.2.3"}
    monkeypatch.setattr(cluster_worker, "kit", lambda: mine)
    with pytest.raises(DeviceError, match=r"av .*this machine 1\.2\.3; install the same") as caught:
        cluster.settle_device(JobOptions(cluster=nodes))
    assert caught.value.exit_code == 7


def test_an_address_where_nothing_answers() -> None:
    started = time.monotonic()
    with pytest.raises(DeviceError, match="nothing answers at 127"):
        cluster_nodes._check_port("127.0.0.1:1")
    assert time.monotonic() - started < 10


def test_what_ray_logs_is_not_shown(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("ray")
    loud = logging.StreamHandler()
    logger.addHandler(loud)
    try:
        with cluster_nodes._own_logging(), caplog.at_level(logging.DEBUG, "faceswap_cli"):
            cluster_nodes._talk_to_the_log()
            logging.getLogger("ray.some.module").warning("a node has gone")
        assert loud in logger.handlers
    finally:
        logger.removeHandler(loud)
    assert "ray: a node has gone" in caplog.text
    assert capfd.readouterr() == ("", "")
