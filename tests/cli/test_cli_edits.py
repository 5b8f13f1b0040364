"""``--edit`` and the ``[edit]`` table reach the library; what is wrong is told in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from faceswap_cli.batch.manifest import Entry, row_options
from faceswap_cli.config import EditOptions
from faceswap_cli.config_files import resolve
from faceswap_cli.errors import UsageError
from tests.cli.fakes import FakePipeline, Ran

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("accepted")


@pytest.mark.parametrize("command", ["image", "video"])
def test_flag_reaches_the_library(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, command: str
) -> None:
    target = photo if command == "image" else clip
    ran = run(command, photo, target, "-o", f"out{target.suffix}", "--edit", "smile=+0.4,yaw=-10", "--json")
    assert ran.code == 0, ran.err
    assert pipeline.calls[0][4].edit == EditOptions(smile=0.4, yaw=-10.0)


def test_table_and_environment_and_flag(
    run: Run, pipeline: FakePipeline, photo: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "faceswap.toml").write_text("[edit]\nsmile = 0.2\nbrow = 0.5\n")
    monkeypatch.setenv("FACESWAP_EDIT_BROW", "0.6")
    assert run("image", photo, photo, "-o", "out.jpg", "--edit", "smile=0.9").code == 0
    assert pipeline.calls[0][4].edit == EditOptions(smile=0.9, brow=0.6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("beard=1", ("'beard'", "smile (-1 to 1.5)", "roll (-10 to 10)")),
        ("yaw=40", ("edit yaw must be -15 to 15", "--edit")),
        ("smile=much", ("needs a number", "'much'")),
        ("smile=nan", ("edit smile must be",)),
        ("", ("empty",)),
    ],
)
def test_what_is_wrong_is_told_in_one_line(run: Run, photo: Path, text: str, words: tuple[str, ...]) -> None:
    run("image", photo, photo, "-o", "out.jpg", "--edit", text).failed(2, *words)


def test_line_of_a_manifest(machine: Path) -> None:
    base = resolve({"edit": "smile=0.2,brow=0.1"}, environ={}, folder=machine)
    entry = Entry("jobs.csv line 2", ("a.jpg",), "b.jpg", None, {"edit": "smile=0.5"})
    assert row_options(base, entry, machine).edit == EditOptions(smile=0.5, brow=0.1)
    for wrong in ("beard=1", 4):
        with pytest.raises(UsageError, match=r"jobs\.csv line 2: --edit"):
            row_options(base, replace(entry, options={"edit": wrong}), machine)


def test_unknown_key_of_the_table_lists_the_known_ones(run: Run, photo: Path, machine: Path) -> None:
    (machine / "faceswap.toml").write_text("[edit]\nbeard = 0.2\n")
    run("image", photo, photo, "-o", "out.jpg").failed(2, "edit.beard", "edit.smile", "edit.gaze_x")
