"""Films and phone clips through the real command, killed on the way and finished by two processes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.clips import make_clip
from tests.jobs.example import frames_digest, small_example
from tests.jobs.intact import differences
from tests.jobs.test_kill import Bench

FRAMES, FACE = 30, range(14)
GROUPS = {"g": "6", "keyint_min": "6", "bf": "2", "sc_threshold": "0"}
CLIPS: dict[str, dict[str, Any]] = {
    "film.mkv": {"audio": 2, "subtitles": True, "chapters": True},
    "phone.mov": {"audio": 1, "vfr": True, "rotation": 90, "start_offset": 123},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_killed_and_finished_by_two_processes(name: str, tmp_path: Path) -> None:
    target = tmp_path / "in" / name
    target.parent.mkdir()
    small_example(target, FRAMES, face=FACE, options=GROUPS, **CLIPS[name])
    ending = target.suffix
    bench, whole = Bench(target, tmp_path / "out", ending), Bench(target, tmp_path / "whole", ending)
    for each in (bench, whole):
        each.folder.mkdir()
    assert whole.run("none", 1).returncode == 0
    assert bench.run("after=segment_000001.json", 1).returncode == -9
    bench.wait_for_orphans()
    assert len(list(bench.folder.glob(".out.*/segment_*.json"))) == 2
    again = bench.run("none", 2)
    assert again.returncode == 0, again.stderr
    assert "starting over" not in again.stderr
    assert frames_digest(bench.output) == frames_digest(whole.output)
    assert list(differences(target, bench.output, slice(18, FRAMES))) == []
    assert [line for line in differences(target, bench.output, slice(0, 14)) if "frame" in line]
    sidecar = [f"out{ending}.c2pa"] if ending == ".mkv" else []
    assert sorted(path.name for path in bench.folder.iterdir()) == [f"out{ending}", *sidecar]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"audio": 1}, "streams"), ({"chapters": False}, "chapters"), ({"start_offset": 40}, "times"),
        ({"fps": Fraction(24)}, "frame times"),
    ],
)  # fmt: skip
def test_the_comparison_sees_what_it_looks_for(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    given = {"audio": 2, "subtitles": True, "chapters": True}
    for name, more in (("a.mkv", {}), ("b.mkv", {}), ("c.mkv", change)):
        make_clip(tmp_path / name, **{**given, **more})
    assert list(differences(tmp_path / "a.mkv", tmp_path / "b.mkv", slice(None))) == []
    assert any(said in line for line in differences(tmp_path / "a.mkv", tmp_path / "c.mkv", slice(None)))
