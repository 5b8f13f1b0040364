"""``inspect --cast`` and ``video --cast``, ``--dry-run``: flags, files, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faceswap_cli.cli import main
from tests.cast.people_on_stage import COLLINS, make_stage, side_by_side
from tests.cast.test_cast_file import fill
from tests.clips import make_clip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stage(tmp_path_factory.mktemp("stage") / "stage.mp4", side_by_side, 6)


@pytest.fixture(autouse=True)
def _machine(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESWAP_ACCEPT_TERMS", "1")
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(part) for part in argv])
    out, err = capsys.readouterr()
    return code, out, err


def refused(told: tuple[int, str, str], code: int, *words: str) -> None:
    lines = told[2].splitlines()
    assert told[0] == code, lines
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]


def test_from_inspect_to_plan(stage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "inspect", stage, "--cast", "cast.toml", "--json")
    told = json.loads(out)["cast"]
    assert code == 0
    assert [one["name"] for one in told["people"]] == ["A", "B"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cast.png", "cast.toml"]
    cast = tmp_path / "cast.toml"
    refused(run(capsys, "video", "--cast", cast, stage), 2, "cast.toml assigns no source")
    fill(cast, "B", f'source = "{COLLINS.as_posix()}"')
    before = cast.read_bytes()
    code, out, _ = run(capsys, "video", "--cast", cast, stage, "--dry-run", "--json", "--method", "mesh")
    plan = json.loads(out)
    assert code == 0
    assert [(one["face"], one["source"]) for one in plan["people"]] == [("1", ""), ("2", "source")]
    assert plan["frames"] == 6
    assert plan["dry_run"] is True
    assert not Path(plan["output"]).exists()
    assert cast.read_bytes() == before
    refused(
        run(capsys, "inspect", stage, "--cast", cast),
        5,
        "cast.toml exists; use --force to replace it, or give another name",
    )


def test_the_plan_in_words(stage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "video", COLLINS, stage, "-o", "o.mp4", "--dry-run", "--method", "mesh")
    assert code == 0
    lines = dict(line.rstrip().split("   ", 1) for line in out.splitlines() if "   " in line.rstrip())
    assert lines["frames"].strip() == "6"
    assert "on cpu" in lines["time"]
    assert lines["disk"].strip().endswith("while it runs")
    assert not Path("o.mp4").exists()


def test_what_is_refused(stage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(run(capsys, "video", COLLINS, stage, "--cast", "none.toml"), 2, "give only the target")
    refused(run(capsys, "video", stage, "--cast", "none.toml"), 4, "none.toml does not exist")
    refused(run(capsys, "video", stage, "--cast", "c.toml", "--face", "2"), 2, "leave out --face")
    refused(run(capsys, "video", COLLINS, stage, "--dry-run", "--preview", "3"), 2, "--preview")
    refused(run(capsys, "inspect", stage, "--cast", "cast.txt"), 2, "cast.toml")
    refused(run(capsys, "inspect", stage, "--cast", "c.toml", "--quick"), 2, "--cast needs the people")
    refused(run(capsys, "inspect", stage, "--cast", "c.toml", "--sheet", "c.png"), 2, "leave out --sheet")
    refused(run(capsys, "inspect", COLLINS, "--cast", "c.toml"), 2, "--cast is for videos")
    (tmp_path / "bad.toml").write_text("schema = 1\n[people.A]\nsorce = 'x'\n[recognise.A]\nfaces = []\n")
    refused(run(capsys, "video", stage, "--cast", "bad.toml"), 2, "people.A.sorce", "known: source, keep")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]


def test_nobody_to_cast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_clip(tmp_path / "empty.mp4")
    refused(run(capsys, "inspect", "empty.mp4", "--cast", "c.toml"), 3, "no people to cast")
    assert [path.name for path in tmp_path.iterdir()] == ["empty.mp4"]
