"""The terms are asked for once, and never silently passed over."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from faceswap_cli.cli.terms import accepted as is_accepted
from faceswap_cli.cli.terms import record_path
from tests.cli.fakes import FakePipeline, Ran

Run = Callable[..., Ran]


def test_not_accepted_without_a_terminal_is_9(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path
) -> None:
    ran = run("video", photo, clip, "--json")
    ran.failed(9, "--accept-terms", "FACESWAP_ACCEPT_TERMS=1")
    assert ran.json["error"]["code"] == "policy"
    assert pipeline.calls == []
    assert not record_path().exists()


def test_the_flag_is_remembered(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    assert run("video", photo, clip, "--accept-terms").code == 0
    assert json.loads(record_path().read_text())["version"] == 1
    assert run("image", photo, photo).code == 0


def test_the_variable_counts_when_it_says_yes(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESWAP_ACCEPT_TERMS", "0")
    run("video", photo, clip).failed(9)
    monkeypatch.setenv("FACESWAP_ACCEPT_TERMS", "1")
    assert run("video", photo, clip).code == 0
    assert not is_accepted(), "the variable is for this run"
    assert run("video", photo, clip, "--accept-terms", "-f").code == 0
    assert is_accepted()


def test_a_data_folder_that_cannot_be_written_is_no_obstacle(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceswap_cli.policy.terms.record_path", lambda: Path("/proc/self/x/terms.json"))
    assert run("video", photo, clip, "--accept-terms").code == 0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": "x"}', '{"version": 0}', '{"version": 1e999}', "[" * 100_000],
    ids=["empty", "cut", "list", "text", "zero", "endless", "deep"],
)
def test_a_damaged_record_does_not_count(text: str) -> None:
    record_path().parent.mkdir(parents=True)
    record_path().write_text(text)
    assert not is_accepted()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 9), ("\n", 9), ("", 9)])
def test_a_terminal_is_asked(
    run: Run,
    pipeline: FakePipeline,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    screen = _Terminal()
    monkeypatch.setattr("sys.stdin", _Terminal(answer))
    monkeypatch.setattr("sys.stderr", screen)
    assert run("image", photo, photo, "--progress", "none").code == code
    assert "Do you accept?" in screen.getvalue()
    assert "consent" in screen.getvalue()
    assert is_accepted() == (code == 0)


def test_terms_command(run: Run) -> None:
    ran = run("terms")
    assert ran.code == 0
    assert "Not accepted yet" in ran.out
    assert not record_path().exists()
    assert run("terms", "--accept-terms", "--json").json["accepted"] is True
    assert is_accepted()
