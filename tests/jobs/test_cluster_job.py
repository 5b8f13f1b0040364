"""Whole jobs on a local Ray cluster: the same frames as without one, also when a node is killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faceswap_cli.config import EncodeOptions, JobOptions, SwapOptions
from faceswap_cli.events import Event
from faceswap_cli.jobs import cluster_worker
from faceswap_cli.pipeline import swap_video
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SMALL = {"object_store_memory": 80_000_000}

# Ray leaves files open when it starts its nodes.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def digest(path: Path) -> str:
    """Of all decoded frames and their times."""
    found = hashlib.sha256()
    for frame in read_frames(probe(path)):
        planes = frame.planes
        found.update(str(frame.pts).encode() + planes.y.tobytes() + planes.cb.tobytes() + planes.cr.tobytes())
    return found.hexdigest()


def swap(output: Path, method: str, listen: Any = lambda event: None, **job: Any) -> str:
    options = SwapOptions(
        method=method, encode=EncodeOptions(lossless=True), job=JobOptions(segment_s=0.6, **job)
    )
    report = swap_video([EXAMPLES / "source.jpg"], EXAMPLES / "target.mp4", output, options, listen)
    assert report.frames == report.frames_with_swap == 120
    return digest(output)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program, as other machines have one."""
    folder = tmp_path_factory.mktemp("program")
    cluster_worker.kit()
    shutil.copytree(ROOT / "faceswap_cli", folder / "faceswap_cli", ignore=shutil.ignore_patterns("*.pyc"))
    (folder / "weights").symlink_to(ROOT / "weights")
    return folder


@pytest.fixture
def local(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without cores."""
    pytest.importorskip("ray", reason="needs the extra ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(program))
    monkeypatch.chdir(program)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    yield cluster
    cluster.shutdown()


@pytest.mark.parametrize("method", ["mesh", "fslsd"])
def test_a_node_is_killed_half_way(
    method: str, local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceswap_cli.jobs.plan._SHORTEST_S", 0.3)
    expected = swap(tmp_path / "here.mp4", method, workers=1)
    members = [local.add_node(num_cpus=1, **SMALL) for _ in range(3)]
    told: list[int] = []
    killers: list[threading.Thread] = []

    def kill_one(event: Event) -> None:
        if event.data.get("stage") == "render":
            told.append(event.data["done"])
            if 40 < event.data["done"] < 80 and not killers:
                args = (members.pop(), False)
                killers.append(threading.Thread(target=local.remove_node, args=args))
                killers[0].start()

    found = swap(tmp_path / "there.mp4", method, kill_one, cluster=local.address)
    killers[0].join()
    assert found == expected
    assert told == sorted(told)
    assert told[-1] == 120
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.mp4", "there.mp4"]


def test_command_line_is_clean(local: Any, tmp_path: Path) -> None:
    """Nothing of Ray on the streams; the exit code of a cluster that is not there."""
    local.add_node(num_cpus=2, **SMALL)
    command = [
        sys.executable,
        "-m",
        "faceswap_cli",
        "video",
        "--accept-terms",
        "--progress",
        "none",
        "--json",
    ]
    inputs = [str(EXAMPLES / "source.jpg"), str(EXAMPLES / "target.mp4"), "--end", "60f", "-o"]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}

    def run(name: str, address: str) -> subprocess.CompletedProcess[str]:
        order = [*command, "--cluster", address, *inputs, str(tmp_path / name)]
        return subprocess.run(
            order, capture_output=True, text=True, timeout=300, check=False, env=environment, cwd=ROOT
        )

    done = run("a.mp4", local.address)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["frames"], result["device"]) == (60, "cpu")
    missing = run("b.mp4", "127.0.0.1:1")
    assert missing.returncode == 7
    assert len(missing.stderr.splitlines()) == 1
    assert "nothing answers at 127.0.0.1:1" in missing.stderr
