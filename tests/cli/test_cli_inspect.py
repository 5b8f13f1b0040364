"""``inspect`` and ``doctor`` on real files and a real machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.inspection import contact_sheet, timing_of
from faceswap_cli.provenance.mark import SOURCE_TYPE, container_metadata
from tests.cli.fakes import Ran, picture
from tests.clips import make_clip

Run = Callable[..., Ran]


def test_quick_look_at_a_video(run: Run, machine: Path) -> None:
    clip = machine / "a b.mkv"
    make_clip(clip, fps=Fraction(30000, 1001), audio=1, rotation=0, sar=Fraction(4, 3), frames=15)
    told = run("inspect", clip, "--quick", "--json").json
    assert told["kind"] == "video"
    assert told["average_rate"] == "30000/1001"
    assert told["timing"]["variable"] is False
    assert told["sample_aspect"] == "4/3"
    assert {stream["kind"] for stream in told["streams"]} == {"video", "audio"}
    assert told["mark"] is None
    ran = run("inspect", clip, "--quick")
    assert (ran.code, ran.err) == (0, "")
    assert "30000/1001" in ran.out
    assert "29.97 (30000/1001) frames per second" in ran.out
    assert "Matroska or WebM" in ran.out
    assert "unmarked" in ran.out


def test_variable_rate_rotation_and_mark_are_seen(run: Run, machine: Path) -> None:
    clip = machine / "v.mp4"
    make_clip(clip, vfr=True, rotation=90, metadata=container_metadata())
    told = run("inspect", clip, "--quick", "--json").json
    assert told["timing"]["variable"] is True
    assert told["rotation"] == 90
    assert told["mark"]["source_type"] == SOURCE_TYPE
    assert told["mark"]["synthetic"] is True


def test_rounding_to_the_time_base_is_not_a_variable_rate() -> None:
    exact = np.round(np.arange(100) * 1000 / 29.97).astype(np.int64)
    rate, base = Fraction(2997, 100), Fraction(1, 1000)
    assert not timing_of(exact, base, rate, exact=True).variable
    exact[50:] += 20
    found = timing_of(exact, base, rate, exact=True)
    assert found.variable
    assert found.longest_s == pytest.approx(0.053, abs=0.002)


def test_picture(run: Run, machine: Path) -> None:
    told = run("inspect", picture(machine / "p.png"), "--json").json
    assert (told["kind"], told["width"], told["height"], told["faces"]) == ("picture", 64, 48, [])
    assert "0" in run("inspect", machine / "p.png").out


def test_what_inspect_refuses(run: Run, machine: Path, clip: Path) -> None:
    run("inspect", "gone.mp4").failed(4, "gone.mp4")
    (machine / "text.mp4").write_text("no film")
    run("inspect", "text.mp4").failed(4, "text.mp4")
    run("inspect", clip, "--sheet", "s.jpg").failed(2, "s.png")
    run("inspect", clip, "--sheet", "s.png", "--quick").failed(2, "--quick")
    (machine / "s.png").write_text("old")
    run("inspect", clip, "--sheet", "s.png").failed(5, "exists")


def test_people_of_a_clip_without_faces(run: Run, machine: Path, clip: Path) -> None:
    told = run("inspect", clip, "--json", "--sheet", "s.png").json
    assert told["people"] == []
    assert len(told["shots"]) >= 1
    assert told["timing"]["frames"] == 12
    assert (machine / "s.png").is_file()


@pytest.fixture
def faces() -> Path:
    root = Path(os.environ.get("FACESWAP_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    path = root / "data" / "clips" / "derived_two_faces.mp4"
    if not path.is_file():
        pytest.skip("needs the shared clips (FACESWAP_SHARED)")
    return path


@pytest.mark.slow
def test_contact_sheet_shows_every_person(run: Run, faces: Path) -> None:
    from faceswap_cli.config import SwapOptions
    from faceswap_cli.inspection import TILE_PX, TILES_PER_PERSON, inspect_video

    found = inspect_video(faces, SwapOptions())
    assert found.analysis is not None
    assert len(found.analysis.people) == 2
    told = run("inspect", faces, "--json").json["people"]
    assert [person["face"] for person in told] == ["1", "2"]
    assert told[0]["mean_x"] < told[1]["mean_x"]
    sheet = contact_sheet(found.clip, found.analysis)
    assert sheet.shape == (2 * TILE_PX, TILES_PER_PERSON * TILE_PX, 3)
    tiles = sheet.reshape(2, TILE_PX, TILES_PER_PERSON, TILE_PX, 3)
    assert (tiles.astype(float).std(axis=(1, 3, 4)) > 10).all(), "no tile is empty"


def test_doctor_finds_this_machine_fit(run: Run) -> None:
    ran = run("doctor", "--json")
    told = ran.json
    checks = {check["name"]: check for check in told["checks"]}
    assert ran.code == told["exit"] == 0, [c for c in told["checks"] if c["status"] == "fail"]
    assert checks["encoder libx264"]["status"] == "ok"
    assert checks["device cpu"]["status"] == "ok"
    assert checks["terms"]["status"] == "warn"
    assert all(check["fix"] for check in told["checks"] if check["status"] != "ok")


def test_doctor_ends_with_the_sum_of_its_checks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from faceswap_cli.doctor import Check

    checks = [Check("python", "ok", "3.11"), Check("terms", "warn", "not accepted yet", "run this")]
    monkeypatch.setattr("faceswap_cli.doctor.run_checks", lambda *_: iter(checks))
    shown = run("doctor").out
    assert shown.splitlines()[-1] == "2 checks: terms warn"
    assert "What an output keeps" not in shown
    assert "What an output keeps" in run("doctor", "-v").out


def test_doctor_tells_what_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from faceswap_cli.weights import registry

    monkeypatch.setattr(registry, "bundled_folder", lambda: Path("/nowhere"))
    monkeypatch.setattr("faceswap_cli.doctor.ENCODERS", {"nosuch": "fail"})
    ran = run("doctor")
    assert ran.code == 6
    lines = ran.out.splitlines()
    assert any(line.startswith("fail") and "face_landmarker.task" in line for line in lines)
    assert any(line.startswith("fail") and "encoder nosuch" in line for line in lines)
    assert all("->" in line for line in lines if line.startswith(("fail", "warn")))
