"""Taught edits wherever ``--edit`` is taken, and ``train --attribute`` as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from faceswap_cli.batch.manifest import Entry, row_options
from faceswap_cli.config import EditOptions, SwapOptions
from faceswap_cli.config_files import resolve
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.own_edits import merged, parsed, plain, spelled
from faceswap_cli.recipe.record import with_options
from faceswap_cli.user_files import pinned
from tests.cli.fakes import FakePipeline, Ran
from tests.training.taught_edits import installed

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("accepted")


@pytest.fixture
def beard(machine: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A taught edit, as settings name it."""
    monkeypatch.setenv("FACESWAP_WEIGHTS", str(machine / "weights"))
    installed("beard")
    installed("makeup")
    return pinned("beard")


@pytest.mark.parametrize("command", ["image", "video"])
def test_a_taught_edit_reaches_the_library(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, beard: str, command: str
) -> None:
    target = photo if command == "image" else clip
    ran = run(command, photo, target, "-o", f"out{target.suffix}", "--edit", "beard=+0.7,smile=0.2", "--json")
    assert ran.code == 0, ran.err
    edits = pipeline.calls[0][4].edit
    assert edits == EditOptions(smile=0.2, own=f"{beard}=0.7")
    assert edits.appearance == ((beard, 0.7),)
    assert edits.any


def test_table_and_flag_go_together(
    run: Run, pipeline: FakePipeline, photo: Path, machine: Path, beard: str
) -> None:
    (machine / "faceswap.toml").write_text("[edit]\nsmile = 0.1\nbeard = 0.2\nmakeup = 0.5\n")
    assert run("image", photo, photo, "-o", "out.jpg", "--edit", "beard=0.9").code == 0
    found = pipeline.calls[0][4].edit
    assert found == EditOptions(smile=0.1, own=f"{beard}=0.9,{pinned('makeup')}=0.5")
    (machine / "faceswap.toml").write_text("[edit]\nbeard = true\n")
    run("image", photo, photo, "-o", "x.jpg").failed(2, "edit.beard", "must be a number")


def test_a_line_of_a_manifest(machine: Path, beard: str) -> None:
    base = resolve({"edit": "beard=0.2,makeup=0.3"}, environ={}, folder=machine)
    entry = Entry("jobs.csv line 2", ("a.jpg",), "b.jpg", None, {"edit": "beard=-0.5"})
    assert row_options(base, entry, machine).edit.own == f"{beard}=-0.5,{pinned('makeup')}=0.3"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hat=1", ("'hat'", "smile (-1 to 1.5)", "beard (-1.5 to 1.5)")),
        ("beard=2", ("edit beard must be -1.5 to 1.5, not 2", "--edit")),
        ("beard=nan", ("edit beard must be",)),
        ("beard=much", ("needs a number", "'much'")),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    run: Run, photo: Path, beard: str, text: str, words: tuple[str, ...]
) -> None:
    run("image", photo, photo, "-o", "out.jpg", "--edit", text).failed(2, *words)


def test_a_recipe_takes_a_change_of_one_of_them(beard: str) -> None:
    from faceswap_cli.config_files import over

    options = with_options(SwapOptions(), {"edit.own": over("edit.own", f"{beard}=0.5,hat=1", "hat=0.2")})
    assert dict(options.edit.appearance) == {beard: 0.5, "hat": 0.2}


@pytest.mark.parametrize(
    "text",
    ["beard", "beard=", "beard=1,beard=0.5", "Beard=1", "beard:12=1", "../x=1", "beard=1;rm=1", "a=1," * 20],
)
def test_settings_of_strangers_are_checked(text: str) -> None:
    with pytest.raises(UsageError, match="edit"):
        EditOptions(own=text)


@given(
    some.dictionaries(
        some.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), some.floats(-1.5, 1.5), max_size=6
    )
)
def test_spelling_comes_back(changes: dict[str, float]) -> None:
    assert parsed(spelled(changes)) == changes
    assert merged(spelled(changes), spelled(dict.fromkeys(changes, 0.25))) == spelled(
        dict.fromkeys(changes, 0.25)
    )
    assert merged(spelled(changes), "") == spelled(changes)
    assert all(plain(f"{name}:0123456789ab") == name for name in changes)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--attribute", "smile", "a", "b"), ("is a word of --edit already",)),
        (("--attribute", "Beard!", "a", "b"), ("is not a name",)),
        (("--attribute", "beard", "a", "b", "c"), ("two folders", "one CSV")),
        (("--attribute", "beard", "a", "b", "--prepare"), ("leave them out",)),
        (("--attribute", "beard", "a", "b", "--max-time", "5m"), ("leave them out",)),
        (("a", "b"), ("one RECIPE.toml",)),
        (("a.toml", "--force"), ("--attribute NAME",)),
    ],
)
def test_train_is_told_what_is_missing(run: Run, argv: tuple[str, ...], words: tuple[str, ...]) -> None:
    run("train", *argv).failed(2, *words)


def test_train_tells_what_was_learned(run: Run, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faceswap_cli.training import own_attribute
    from tests.training.taught_edits import labelled

    monkeypatch.setenv("FACESWAP_WEIGHTS", str(machine / "weights"))
    monkeypatch.setattr(own_attribute, "read_labelled", lambda given, tell: labelled())
    monkeypatch.setattr(own_attribute.taught_net, "__defaults__", (0, 60))
    told = run("train", "--attribute", "beard", "with", "without", "--json").json
    assert (told["attribute"], told["measure"], told["people"]) == ("beard", "accuracy", 160)
    assert told["held_out"] >= told["needed"]
    assert Path(told["output"]).is_file()
    run("train", "--attribute", "beard", "with", "without").failed(5, "--force replaces it")
    shown = run("train", "--attribute", "beard", "with", "without", "--force")
    assert "use it as --edit beard=+0.7" in shown.out

    def nothing(given: object, tell: object) -> object:
        raise InputError("with is no folder")

    monkeypatch.setattr(own_attribute, "read_labelled", nothing)
    run("train", "--attribute", "hat", "with", "without").failed(4, "with is no folder")
