"""Numbers over time: every spelling, exact values, one line for what is wrong."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceswap_cli.errors import UsageError
from faceswap_cli.keyframes import Keyframes, keyframe_values, level_of, value_at

RAMP = Keyframes([(Fraction(0), 0.0), (Fraction(2), 1.0)])


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (0.5, 0.5),
        (1, 1.0),
        ("0.5", 0.5),
        (" 1e-1 ", 0.1),
        ({"0s": 0, "2s": 1}, RAMP),
        ({"2": 1, "0": 0.0}, RAMP),
        ("0s:0,2s:1", RAMP),
        ("2s:1, 0:0", RAMP),
        ("00:00:00:0,00:00:02.000:1", RAMP),
        ({"1.5s": 0.25}, 0.25),
        ("0s:1,3s:1", 1.0),
        (RAMP, RAMP),
    ],
)
def test_spellings(value: Any, level: float | Keyframes) -> None:
    assert level_of(value, "strength") == level


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("much", ("strength must be a number", "'much'", "0s:0,2s:1")),
        (True, ("strength cannot be True",)),
        ([0, 1], ("strength cannot be",)),
        ("nan", ("strength must be a number",)),
        ("0s:0,oops", ("'oops' is not a keyframe",)),
        (":1", ("is not a keyframe",)),
        ("10f:1", ("'10f' is not a time", "hh:mm:ss.mmm")),
        ("-1s:1", ("is not a time",)),
        ("0:99:00:1", ("minutes and seconds go up to 59",)),
        ("1s:0,1.0s:1", ("two values at 1.0s",)),
        ({"1s": "x"}, ("strength at 1s must be a number",)),
        ({"1s": None}, ("strength at 1s must be a number",)),
        ({}, ("no keyframe",)),
        ("9" * 40 + ":1", ("too long",)),
    ],
)
def test_what_is_wrong_is_told(value: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        level_of(value, "strength")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_values_are_linear_exact_at_keyframes_and_constant_outside() -> None:
    level = level_of("1s:0.1,3s:0.7,4s:0.2", "x")
    at = [value_at(level, Fraction(t)) for t in (0, 1, 2, 3, Fraction(7, 2), 4, 100)]
    assert at[:2] == [0.1, 0.1]
    assert at[2] == pytest.approx(0.4)
    assert at[3] == 0.7
    assert at[4] == pytest.approx(0.45)
    assert at[5:] == [0.2, 0.2]
    assert keyframe_values(level) == (0.1, 0.7, 0.2)
    assert value_at(0.3, Fraction(5)) == 0.3


times = st.decimals(0, 5000, places=6, allow_nan=False).map(Fraction)
points = st.dictionaries(times, st.floats(-5, 5).map(lambda v: v + 0.0), min_size=2, max_size=8)


@given(points)
def test_the_text_is_read_back_exactly(found: dict[Fraction, float]) -> None:
    """It stands in recipes: the same frames have to come out of it."""
    level = Keyframes(found.items())
    read = level_of(str(level), "x")
    if isinstance(read, Keyframes):
        assert read == level
        assert hash(read) == hash(level)
        assert pickle.loads(pickle.dumps(level)) == level
    else:
        assert set(found.values()) == {read}


@given(points, times)
def test_no_value_lies_outside_its_neighbors(found: dict[Fraction, float], time: Fraction) -> None:
    level = Keyframes(found.items())
    assert min(found.values()) <= level.at(time) <= max(found.values())


def test_they_do_not_change() -> None:
    with pytest.raises(AttributeError):
        RAMP.points = ()
