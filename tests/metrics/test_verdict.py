"""Every figure that a viewer would notice can decide, and the documentation has the same limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faceswap_cli.metrics.figures import METRICS, TRAINING_NETWORK
from faceswap_cli.metrics.verdict import LIMITS, judge, judge_each

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
FINE = {name: limit.best for name, limit in LIMITS.items()}


@pytest.mark.parametrize("name", LIMITS)
def test_any_figure_beyond_its_limit_decides(name: str) -> None:
    limit = LIMITS[name]
    step = (limit.bound - limit.best) / 100
    within, beyond = judge({**FINE, name: limit.bound - step}), judge({**FINE, name: limit.bound + step})
    assert (within.word, within.figure) == ("Good", name)
    assert (beyond.word, beyond.figure) == ("Check it", name)
    assert beyond.sentence.startswith(f"Check it: {limit.worry} ({name} ")
    assert f", {limit})" in beyond.sentence
    assert f"{limit.bound:g}" in str(limit)
    advice = (f"try {limit.remedy}",) if limit.remedy else ()
    assert beyond.reasons[1:] == advice, "nothing else is wrong"


@pytest.mark.parametrize("name", LIMITS)
def test_limits_point_the_way_their_figures_do(name: str) -> None:
    limit, good = LIMITS[name], METRICS[name].good
    assert METRICS[name].note != TRAINING_NETWORK
    assert (limit.bound < limit.best) == (good == "higher")
    assert good == "one" or not limit.ratio


def test_better_than_untouched_is_fine() -> None:
    assert judge({"jitter": 0.4, "seam": 0.7, "likeness": 0.99}).word == "Good"


def test_a_limit_says_which_side_is_good() -> None:
    assert [str(LIMITS[name]) for name in ("likeness", "pose", "sharpness")] == [
        "at least 0.5",
        "at most 3",
        "0.5 to 2",
    ]


def test_half_as_sharp_is_as_bad_as_twice() -> None:
    soft, sharp = judge({"sharpness": 0.45}), judge({"sharpness": 1 / 0.45})
    assert soft.load == pytest.approx(sharp.load)
    assert (soft.word, sharp.word) == ("Check it", "Check it")


def test_the_farthest_beyond_its_limit_comes_first_and_the_others_are_named() -> None:
    found = judge({**FINE, "seam": 1.9, "jitter": 3.0, "flicker": 1.6, "shape": -9.0})
    assert found.reasons[0] == "the face is more restless than the footage (jitter 3, at most 1.5)"
    others = "flicker 1.6 (at most 1.5), seam 1.9 (at most 1.75)"
    assert found.reasons[1:] == (f"also outside their limits: {others}", "try --smooth 0.7")
    assert found.as_dict() == {"word": "Check it", "figure": "jitter", "sentence": found.sentence}


def test_a_mean_does_not_hide_the_person_who_failed() -> None:
    people = {"person 1 (a.jpg)": FINE, "person 2 (b.jpg)": {**FINE, "lost": 0.5}}
    found = judge_each(FINE, people)
    assert found.sentence.startswith("Check it: person 2 (b.jpg): some faces are ruined (lost 0.5")
    assert judge_each({**FINE, "lost": 0.5}, {}).word == "Check it"


def test_without_figures_there_is_no_verdict() -> None:
    assert judge({"shape": 0.3}).sentence == "Not measured"


def test_the_documentation_has_the_same_limits() -> None:
    if not PAGE.is_file():
        pytest.skip("the documentation is not in this installation")
    text = PAGE.read_text(encoding="utf-8").partition("## The verdict")[2]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (.+?) \| (.+?) \|$", text, re.M)
    expected = [
        (
            name,
            f"{limit.best:g}",
            f"{1 / limit.bound:g} to {limit.bound:g}" if limit.ratio else f"{limit.bound:g}",
            limit.worry,
        )
        for name, limit in LIMITS.items()
    ]
    assert rows == expected
