"""A disk that is too small: wherever it fills up, finished work is kept and a second run resumes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faceswap_cli.cast.file import Entry, Role, write_cast
from faceswap_cli.errors import OutputError
from faceswap_cli.video.picture import Picture, write_picture
from tests.jobs.example import ROOT
from tests.jobs.test_full_disk import room_for

ROOMS_KB = (0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 72, 80, 96, 112, 128, 160, 200, 400)


def small_disk(given: Path, folder: Path, rooms: tuple[int, ...]) -> list[dict[str, Any]]:
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("this user may not mount a small disk")
    shutil.copytree(given, folder / "given", copy_function=shutil.copy2)
    run = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "tests.faults.small_disk", str(folder), *map(str, rooms)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(folder / "home")},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def check(runs: list[dict[str, Any]], whole: str) -> None:
    assert runs[-1]["exit"] == 0, runs[-1]
    assert runs[-1]["digest"] == whole
    assert runs[-1]["names"] == ["in.mp4", "out.mp4"]
    assert len(runs) > 2
    done = 0
    for run in runs[:-1]:
        assert run["exit"] == 5, run
        assert "space" in run["message"], run
        assert "\n" not in run["message"]
        assert run["digest"] == ""
        assert not [name for name in run["names"] if ".part" in name or name == "out.mp4"], run
        assert run["segments"] >= done
        done = run["segments"]
    assert all(run["input kept"] for run in runs)


def test_it_becomes_full_at_many_places(analysed_job: Path, whole: str, tmp_path: Path) -> None:
    check(small_disk(analysed_job, tmp_path, (0, 8, 32, 4000)), whole)


@pytest.mark.slow
def test_it_becomes_full_everywhere(analysed_job: Path, whole: str, tmp_path: Path) -> None:
    runs = small_disk(analysed_job, tmp_path, (*ROOMS_KB, 4000))
    check(runs, whole)
    assert len({run["segments"] for run in runs[:-1]}) > 1


def _picture(path: Path) -> None:
    import numpy as np

    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    write_picture(path.with_suffix(".png"), Picture(rgb=noise))


def _cast(path: Path) -> None:
    import numpy as np

    role = Role("A", (), np.zeros((12, 128), np.float32))
    write_cast(path, "clip.mp4", "sheet.png", [Entry(role, ())])


@pytest.mark.parametrize("write", [_picture, _cast])
def test_small_files_are_whole_or_not_there(write: Any, tmp_path: Path) -> None:
    with room_for(1000), pytest.raises(OutputError, match="cannot be written") as caught:
        write(tmp_path / "a")
    assert caught.value.exit_code == 5
    assert not list(tmp_path.iterdir())
    write(tmp_path / "a")
    assert len(list(tmp_path.iterdir())) == 1
