"""``rerun`` and ``edit`` on the command line, with nothing replaced but the machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from PIL import Image

import faceswap_cli
from faceswap_cli.cli import app
from tests.cli.fakes import Ran
from tests.clips import make_clip
from tests.jobs.example import frames_digest, small_example

Run = Callable[..., Ran]
EXAMPLES = Path(faceswap_cli.__file__).resolve().parents[1] / "examples"
FACE = EXAMPLES / "source.jpg"
pytestmark = [
    pytest.mark.usefixtures("accepted"),
    pytest.mark.skipif(not FACE.is_file(), reason="the examples are not in this installation"),
]
FAST = ("--jobs", "1", "--device", "cpu")
MESH = ("--method", "mesh", *FAST)


@pytest.fixture
def result(run: Run, machine: Path) -> Path:
    """A short clip made with --keep."""
    small_example(machine / "clip.mp4", 8)
    ran = run("video", FACE, "clip.mp4", "-o", "out.mp4", "--keep", "--preset", "ultrafast", *MESH)
    assert ran.code == 0, ran.err
    return machine / "out.mp4"


@pytest.fixture
def picture(run: Run, machine: Path) -> Path:
    assert run("image", FACE, FACE, "-o", "out.jpg", "--feather", "0.1", *MESH).code == 0
    return machine / "out.jpg"


def test_a_clip_is_made_again_and_edited(run: Run, result: Path, machine: Path) -> None:
    shown = run("inspect", "out.mp4", "--quick").out
    assert "recipe" in shown
    assert "mesh of version" in shown
    told = run("inspect", "out.mp4", "--quick", "--json").json["recipe"]
    assert told["options"]["encode.preset"] == "ultrafast"

    ran = run("rerun", "out.mp4", *FAST)  # the files are known from the kept job
    assert (ran.code, ran.out) == (0, "out_rerun.mp4\n"), ran.err
    assert frames_digest(machine / "out_rerun.mp4") == frames_digest(result)

    ran = run("edit", "out.mp4", "--smooth", "0.9", "--json", *FAST)
    assert ran.code == 0, ran.err
    assert ran.json["command"] == "edit"
    assert ran.json["output"] == "out_edit.mp4"
    assert frames_digest(machine / "out_edit.mp4") != frames_digest(result)
    assert (
        run("inspect", "out_edit.mp4", "--quick", "--json").json["recipe"]["options"]["smooth.strength"]
        == 0.9
    )
    assert not (machine / ".out_edit.mp4.faceswap").exists()


def test_a_picture_is_made_again(run: Run, picture: Path, machine: Path) -> None:
    shutil.copy(FACE, machine / "a.jpeg")
    ran = run("rerun", "out.jpg", "--source", "a.jpeg", "--target", "a.jpeg", "-o", "again.jpg", *FAST)
    assert ran.code == 0, ran.err
    with Image.open(picture) as old, Image.open("again.jpg") as new:
        assert np.array_equal(np.asarray(old), np.asarray(new))
    assert "paste.feather 0.1" in run("inspect", "again.jpg").out
    run("edit", "out.jpg").failed(4, "out.jpg is a picture")
    run("rerun", "out.jpg", "--source", FACE).failed(2, "--target")
    (machine / "b.jpg").write_bytes(FACE.read_bytes() + b" ")
    run("rerun", "out.jpg", "-s", FACE, "-t", "b.jpg").failed(4, "b.jpg is not the original target")
    run("rerun", "out.jpg", "-s", "b.jpg", "-t", FACE).failed(4, "b.jpg is not the original source")
    run("rerun", "out.jpg", "-s", FACE, "-t", FACE, "-o", "out.jpg", "-f").failed(5, "never overwritten")


def test_another_version_needs_force(
    run: Run, picture: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faceswap_cli, "__version__", "9.9")
    order = ("rerun", "out.jpg", "-s", FACE, "-t", FACE, "-o", "again.jpg", *FAST)
    run(*order).failed(2, "this is 9.9; install that one, or --force")
    ran = run(*order, "--force")
    assert ran.code == 0
    assert "warning: out.jpg was made by version" in ran.err


def test_what_cannot_be_made_again(run: Run, machine: Path) -> None:
    make_clip(machine / "clip.mp4", frames=3)
    run("rerun", "clip.mp4").failed(4, "clip.mp4 holds no recipe")
    run("edit", "clip.mp4", "--smooth", "0.2").failed(4, "clip.mp4 has no kept job")
    run("rerun", "gone.mp4").failed(4, "gone.mp4 does not exist")
    run("rerun", "clip.mp4", "-o", "-").failed(2, "give its name with -o")
    run("rerun", "clip.mp4", "--smooth", "0.2").failed(2, "--smooth")
    run("edit", "clip.mp4", "--start", "2").failed(2, "--start")


def test_a_folder_of_another_result_is_not_used(run: Run, result: Path, machine: Path) -> None:
    recipe = machine / ".out.mp4.faceswap" / "recipe.json"
    content = json.loads(recipe.read_text())
    content["result"] = content["result"].replace('"job.seed":0', '"job.seed":5')
    recipe.write_text(json.dumps(content))
    run("edit", "out.mp4", "--smooth", "0.2").failed(4, "belongs to an earlier out.mp4")


def test_help_offers_stdout_only_where_it_is_taken() -> None:
    commands: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for name in ("image", "video", "edit", "rerun"):
        (output,) = (one for one in commands[name].params if one.name == "output")
        assert ("'-'" in output.help) == (name in ("image", "video"))
        assert "{stem}" in output.help
