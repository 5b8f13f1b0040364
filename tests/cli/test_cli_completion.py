"""The TAB key in real shells."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faceswap_cli.cli import values
from faceswap_cli.cli.completion import SHELLS
from faceswap_cli.cli.values import VALUES
from faceswap_cli.identity.people import person_path
from faceswap_cli.user_files import taught_path
from tests.cli.fakes import Ran

pty = pytest.importorskip("pty", reason="needs pseudo terminals")
Run = Callable[..., Ran]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
START = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "bind 'set enable-bracketed-paste off'; source ./script",
    ),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -d ./dump; source ./script"),
}


@pytest.fixture
def environment(machine: Path) -> dict[str, str]:
    """``faceswap`` is on the search path."""
    folder = machine / "bin"
    folder.mkdir()
    program = folder / "faceswap"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m faceswap_cli "$@"\n')
    program.chmod(0o755)
    found = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    return {**os.environ, **found, "PS1": "ready> ", "HOME": str(machine)}


class Typed:
    """A shell on a pseudo terminal."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:  # pragma: no cover  the child becomes the shell
            os.execvpe(argv[0], argv, environment)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def wait_for(self, text: str) -> str:
        """All that was shown until ``text`` appears."""
        shown, end = "", time.monotonic() + PATIENCE_S
        while text not in shown:
            ready, _, _ = select.select([self._terminal], [], [], max(end - time.monotonic(), 0))
            assert ready, f"{text!r} did not come; shown: {shown!r}"
            shown += os.read(self._terminal, 4096).decode("utf-8", "replace")
        return shown

    def close(self) -> None:
        os.close(self._terminal)
        os.waitpid(self._pid, 0)


@pytest.mark.parametrize("shell", sorted(START))
def test_a_typed_tab_completes(run: Run, environment: dict[str, str], shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    Path("script").write_text(run("completion", shell).out)
    argv, begin = START[shell]
    typed = Typed(argv, environment)
    try:
        typed.type(f"{begin}; echo set''up\n")
        typed.wait_for("setup\r\n")
        typed.type("faceswap evalu\t")
        typed.wait_for("evaluate")
        typed.type("\x15faceswap video --fail-u\t")
        typed.wait_for("--fail-under")
        typed.type("\x15faceswap video --compare w\t")
        typed.wait_for("wipe")
    finally:
        typed.close()


def test_bash_offers_files_where_nothing_else_fits(run: Run, environment: dict[str, str]) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    Path("script").write_text(run("completion", "bash").out)
    Path("holiday.mp4").touch()
    typed = Typed(START["bash"][0], environment)
    try:
        typed.type(f"{START['bash'][1]}; echo set''up\n")
        typed.wait_for("setup\r\n")
        typed.type("faceswap video holi\t")
        typed.wait_for("holiday.mp4")
    finally:
        typed.close()


def test_fish_completes(run: Run, environment: dict[str, str]) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    Path("script").write_text(run("completion", "fish").out)

    def offered(line: str) -> list[str]:
        script = f'source ./script; complete --do-complete "{line}"'
        ran = subprocess.run(
            ["fish", "--no-config", "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        )
        return [entry.split("\t")[0] for entry in ran.stdout.splitlines()]

    assert offered("faceswap evalu") == ["evaluate"]
    assert offered("faceswap video --compare ") == ["side", "wipe"]
    assert "--report" in offered("faceswap video --re")
    Path("holiday.mp4").touch()
    assert "holiday.mp4" in offered("faceswap video holi")


def test_people_and_edits_are_offered(machine: Path) -> None:
    for name in ("anna", "ben"):
        person_path(name).parent.mkdir(parents=True, exist_ok=True)
        person_path(name).touch()
    assert values.sources("@") == ["@anna", "@ben"]
    assert values.sources("@b") == ["@ben"]
    assert values.sources("clip") == [], "the shell offers files"
    assert values.names("a") == ["anna"]
    taught_path("freckles").parent.mkdir(parents=True)
    taught_path("freckles").touch()
    assert values.edits("s") == ["smile="]
    assert values.edits("smile=+0.4,fre") == ["smile=+0.4,freckles="]


def test_the_shell_is_given_people_and_edits(environment: dict[str, str]) -> None:
    person_path("anna").parent.mkdir(parents=True, exist_ok=True)
    person_path("anna").touch()

    def offered(*words: str) -> list[str]:
        asked = {"_FACESWAP_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(("faceswap", *words))}
        ran = subprocess.run(
            [sys.executable, "-m", "faceswap_cli"],
            env={**environment, **asked, "COMP_CWORD": str(len(words)), "HOME": os.environ["HOME"]},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return ran.stdout.split()

    assert offered("video", "@") == ["@anna"]
    assert offered("batch", "--source", "@a") == ["@anna"]
    assert offered("video", "--edit", "smi") == ["smile="]
    assert offered("enroll", "--remove", "") == ["anna"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_can_be_had_as_json(run: Run, shell: str) -> None:
    told = run("completion", shell, "--json").json
    assert told["script"] == run("completion", shell).out
    assert "faceswap" in told["script"]


def test_an_unknown_shell(run: Run) -> None:
    run("completion", "tcsh").failed(2, "tcsh", "bash, zsh, fish")


def test_offered_values_are_understood() -> None:
    """Every value the TAB key offers is one that the program takes."""
    from faceswap_cli.config import MarkOptions, TrackOptions
    from faceswap_cli.config_files import PROGRESS
    from faceswap_cli.devices import check_device_name
    from faceswap_cli.swap import METHODS
    from faceswap_cli.video.encoders import ENCODERS

    assert set(VALUES["--method"]) == {"auto", *METHODS}
    assert set(VALUES["--progress"]) == set(PROGRESS)
    assert set(VALUES["--codec"]) <= set(ENCODERS.values())
    for name in VALUES["--device"]:
        check_device_name(name)
    for face in VALUES["--face"]:
        TrackOptions(face=face)
    for view in VALUES["--compare"]:
        MarkOptions(compare=view)


def test_every_flag_with_values_exists(run: Run) -> None:
    shown = run("video", "--help").out
    assert [flag for flag in VALUES if flag not in shown] == []
