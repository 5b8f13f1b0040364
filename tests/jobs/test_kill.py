"""Killed without warning, at any moment: the same command finishes, and nothing shows."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.jobs.example import EXAMPLES, ROOT, frames_digest, small_example
from tests.jobs.test_executor import processes_with

FRAMES, SEGMENTS = 40, 20
SEGMENT_S = FRAMES / 25 / SEGMENTS


@dataclass(frozen=True)
class Bench:
    """A clip, and one way to run the command on it."""

    clip: Path
    folder: Path
    ending: str = ".mp4"

    @property
    def output(self) -> Path:
        return self.folder / f"out{self.ending}"

    def run(self, moment: str, jobs: int, *more: str) -> subprocess.CompletedProcess[str]:
        script = Path(__file__).with_name("command.py")
        flags = ["-o", str(self.output), "--segment", str(SEGMENT_S), "--jobs", str(jobs)]
        command = [sys.executable, str(script), str(self.folder), moment, "video"]
        inputs = [str(EXAMPLES / "source.jpg"), str(self.clip)]
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FACESWAP_")},
            "PYTHONPATH": str(ROOT),
            "FACESWAP_ACCEPT_TERMS": "1",
            "XDG_DATA_HOME": str(self.clip.parent / "data"),
            "XDG_CONFIG_HOME": str(self.clip.parent / "config"),
            "MARK": str(self.folder),
        }
        return subprocess.run(
            [*command, *inputs, *flags, "--preset", "ultrafast", "--smooth", "0", *more],
            env=environment,
            capture_output=True,
            text=True,
        )

    def wait_for_orphans(self) -> None:
        give_up = time.monotonic() + 30
        while left := processes_with(f"MARK={self.folder}"):
            assert time.monotonic() < give_up, f"still running: {left}"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    small_example(path, FRAMES, audio=1)
    return path


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """(digest of the frames, number of moments) of a run that nobody disturbs."""
    bench = Bench(clip, tmp_path_factory.mktemp("whole"))
    ran = bench.run("count", 1)
    assert ran.returncode == 0, ran.stderr
    moments = int(ran.stderr.split()[-1])
    assert moments > 4 * SEGMENTS
    return frames_digest(bench.folder / "out.mp4"), moments


def killed_and_finished(bench: Bench, moment: str, jobs: int, expected: str) -> None:
    """Kill a run at ``moment``; the next one must finish, unless the first had already ended."""
    first = bench.run(moment, jobs)
    assert first.returncode in (-9, 0), first.stderr
    bench.wait_for_orphans()
    output = bench.folder / "out.mp4"
    if first.returncode == -9:
        again = bench.run("none", jobs)
        # In the instant between the removal of the lock and of the folder only "it exists" can be said.
        ended = output.exists() and again.returncode == 5 and "exists" in again.stderr
        assert again.returncode == 0 or ended, again.stderr
        assert "starting over" not in again.stderr
    assert frames_digest(output) == expected
    assert [path.name for path in bench.folder.iterdir()] == ["out.mp4"]
    assert not processes_with(f"MARK={bench.folder}")


def test_a_run_killed_in_every_stage_is_finished_by_the_same_command(
    clip: Path, whole: tuple[str, int], tmp_path: Path
) -> None:
    """One job, killed while it analyses, renders in workers and in process, and around its rename."""
    expected, moments = whole
    bench = Bench(clip, tmp_path)
    done = []
    for moment, jobs in (
        ("12", 1),
        (str(moments // 3), 2),
        ("40", 1),
        ("before=out.mp4", 1),
        ("after=out.mp4", 1),
    ):
        assert bench.run(moment, jobs).returncode == -9
        bench.wait_for_orphans()
        done.append(len(list(tmp_path.glob(".out.mp4.faceswap/segment_*.json"))))
    assert done == sorted(done)
    assert 0 == done[0] < done[1] < done[3] == SEGMENTS
    ran = bench.run("none", 1)
    assert ran.returncode == 0, ran.stderr
    assert frames_digest(tmp_path / "out.mp4") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_twenty_random_moments(number: int, clip: Path, whole: tuple[str, int], tmp_path: Path) -> None:
    """By steps in the job folder (every stage has some) and, each third time, by the clock."""
    expected, moments = whole
    dice = random.Random(number)
    jobs = 2 if number % 2 else 1
    if number % 3 == 2:
        moment = f"{dice.uniform(1.0, 12.0):.2f}s"
    else:
        moment = str(1 + round((moments - 1) * (number + dice.random()) / 20))
    killed_and_finished(Bench(clip, tmp_path), moment, jobs, expected)


@pytest.mark.slow
def test_every_last_step(clip: Path, whole: tuple[str, int], tmp_path: Path) -> None:
    """Around the rename of the result and while the job folder is cleared, step by step."""
    expected, moments = whole
    for back in (0, 1, 2, 3, 4, 20, 40, 45, 46, 47, 48, 49, 50, 51, 52):
        folder = tmp_path / str(back)
        folder.mkdir()
        killed_and_finished(Bench(clip, folder), str(moments - back), 1, expected)
