"""``--fail-under``: every figure is known, with its direction, and bounds mean what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faceswap_cli.cli.gates import (
    DIRECTIONS,
    HIGHER,
    LOWER,
    ONE,
    check_gates,
    figures_for,
    parse_gates,
    people_of,
    unknown,
)
from faceswap_cli.errors import QualityGateError, UsageError
from faceswap_cli.metrics.figures import METRICS
from faceswap_cli.metrics.verdict import judge

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def test_gates_are_the_figures_with_their_directions() -> None:
    assert {name: metric.good for name, metric in METRICS.items()} == DIRECTIONS
    assert set(DIRECTIONS.values()) == {LOWER, HIGHER, ONE}


def test_every_figure_is_explained() -> None:
    if not PAGE.is_file():
        pytest.skip("the documentation is not in this installation")
    named = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))
    assert set(METRICS) <= named


@pytest.mark.parametrize(
    ("gate", "met", "missed"),
    [
        ("likeness=0.6", (0.6, 0.9), (0.59, -0.1)),
        ("identity=0.6", (0.6, 0.2), (0.61,)),
        ("seam=1.15", (1.0, 0.8), (1.2,)),
        ("sharpness=1.25", (0.8, 1.0, 1.25), (0.79, 1.26)),
        ("sharpness=0.8", (0.8, 1.0, 1.25), (0.79, 1.26)),
        ("expression_gain=1", (1.0,), (0.99, 1.01)),
    ],
)
def test_bounds(gate: str, met: tuple[float, ...], missed: tuple[float, ...]) -> None:
    (parsed,) = parse_gates(gate)
    assert all(parsed.met(value) for value in met)
    assert not any(parsed.met(value) for value in missed)


def test_a_missed_gate_says_what_was_wanted() -> None:
    gates = parse_gates("sharpness=1.25, likeness=0.7")
    with pytest.raises(QualityGateError, match=r"0\.8 <= sharpness <= 1\.25 \(is 2\.000\); likeness >= 0\.7"):
        check_gates(gates, {"sharpness": 2.0, "likeness": 0.5})


@pytest.mark.parametrize(
    "text", ["beauty=1", "likeness", "likeness=x", "likeness=-1", "sharpness=0", "verdict=1"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-under"):
        parse_gates(text)


def test_only_missing_figures_are_measured() -> None:
    gates = parse_gates("identity=0.6,likeness=0.6")
    values = figures_for(gates, {"identity": 0.3}, lambda: {"identity": 9.0, "likeness": 0.7})
    assert values == {"identity": 0.3, "likeness": 0.7}
    with pytest.raises(QualityGateError, match="likeness could not be measured"):
        figures_for(gates, {"identity": 0.3}, dict)


def test_the_worst_person_decides_and_is_named() -> None:
    gates = parse_gates("likeness=0.6,coverage=0.9")
    figures = {"likeness": 0.7, "coverage": 0.95}
    measured = [
        {"person": 1, "source": "ben.jpg", "figures": {"likeness": 0.92}},
        {"person": 0, "source": "anna.jpg", "figures": {"likeness": 0.48}},
    ]
    ready = [{"person": 0, "coverage": 1.0}, {"person": 1, "coverage": 0.9, "identity": None}]
    people = people_of(ready, measured)
    assert list(people) == ["person 1 (anna.jpg)", "person 2 (ben.jpg)"]
    with pytest.raises(QualityGateError, match=r"likeness >= 0\.6 \(person 1 \(anna\.jpg\): 0\.480\); the"):
        check_gates(gates, figures, people)
    check_gates(parse_gates("likeness=0.45,coverage=0.9"), figures, people)
    with pytest.raises(QualityGateError, match=r"coverage >= 0\.95 \(person 2: 0\.900\)"):
        check_gates(parse_gates("coverage=0.95"), figures, people_of(ready, ()))
    with pytest.raises(QualityGateError, match="of person 1 it could not be measured"):
        check_gates(gates[:1], figures, people_of(ready, ()))


def test_the_verdict_is_a_gate() -> None:
    gates = parse_gates("verdict, coverage=0.5")
    assert unknown(gates, {"coverage": 1.0})
    assert not unknown(gates[1:], {"coverage": 1.0})
    values = figures_for(gates, {"coverage": 1.0}, dict)
    good = judge({"likeness": 0.8}).as_dict()
    check_gates(gates, values, verdict=good)
    poor = judge({"likeness": 0.3}).as_dict()
    with pytest.raises(QualityGateError, match=r"not 'Good' \(Check it: .*likeness 0\.3, at least 0\.5"):
        check_gates(gates, values, verdict=poor)
    with pytest.raises(QualityGateError, match="not 'Good'"):
        check_gates(gates, values)
