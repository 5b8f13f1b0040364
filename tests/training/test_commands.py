"""The command line that training commands share."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import pytest

from faceswap_cli.errors import InputError
from faceswap_cli.training import masking, rims
from faceswap_cli.training.commands import run_command


def test_limits_of_time_and_defaults(tmp_path: Path) -> None:
    given: list[tuple[argparse.Namespace, float]] = []

    def keep(options: argparse.Namespace, limit_s: float) -> None:
        given.append((options, limit_s))

    for text, wanted in (("90s", 90.0), ("25m", 1500.0), ("2h", 7200.0), ("3", 180.0), ("", float("inf"))):
        arguments = ["pool", str(tmp_path / "out"), "--max-time", text]
        assert run_command("m", None, 7, keep, arguments) == 0
        assert given[-1][1] == wanted
    assert (given[0][0].images, given[0][0].seed, given[0][0].start) == (7, 0, None)
    assert (tmp_path / "out").is_dir()


def test_a_limit_that_is_no_time_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = ["pool", str(tmp_path / "out"), "--max-time", "soon"]
    assert run_command("m", None, 7, lambda options, limit_s: None, arguments) == InputError("").exit_code
    assert "--max-time is 'soon'" in caplog.text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", [masking, rims], ids=["masking", "rims"])
def test_a_pool_that_is_missing_is_one_line(
    module: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    found = module.main([str(tmp_path / "none"), str(tmp_path / "out")])  # type: ignore[attr-defined]
    assert found == InputError("").exit_code
    assert "is not a training pool" in caplog.text
