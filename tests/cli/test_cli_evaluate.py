"""What ``faceswap evaluate`` prints of a suite, and which methods it takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faceswap_cli.cli.evaluate import _named, _print_suite
from faceswap_cli.errors import UsageError
from faceswap_cli.metrics.suite import SHOWN, Run, Suite
from tests.cli.fakes import Ran


def test_a_suite_prints_figures_as_rows_and_methods_as_columns(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        Run(method, pair, {"likeness": value, "identity": 1 - value, "sharpness_fine": 1.0})
        for method, values in {"fslsd": (0.6, 0.8, 0.7), "naive": (0.5, 0.5, 0.2)}.items()
        for pair, value in zip("abc", values, strict=True)
    ]
    _print_suite(Suite(tuple(runs)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["mean", "(median)", "fslsd", "naive"]
    assert len(lines) == 1 + len(SHOWN)
    assert lines[1].split() == ["likeness", "0.7", "(0.7)", "0.4", "(0.5)"]
    assert any(line.startswith("identity (training network)") for line in lines)
    assert not any("sharpness_fine" in line for line in lines)
    assert max(map(len, lines)) < 80


def test_methods_of_a_suite() -> None:
    assert _named("fslsd, naive,target,naive") == ["fslsd", "naive", "target"]
    for wrong in ("", "best"):
        with pytest.raises(UsageError, match="naive, target"):
            _named(wrong)


def test_a_suite_without_clips_is_refused(run: Callable[..., Ran]) -> None:
    run("evaluate", "--suite", ".").failed(4, "is not a suite")
