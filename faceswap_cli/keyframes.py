"""Numbers that may change over time: ``1``, or ``0s:0,2s:1``.

Times are exact seconds from the clip's first frame, values are linear between them, and constant before
the first and behind the last.  In TOML and JSON the same is a table: ``{"0s" = 0, "2s" = 1}``.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from faceswap_cli.errors import UsageError

_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]*)?)")
_FRAME = re.compile(r"([0-9]+)f")
_FORMS = "use seconds (12.5) or hh:mm:ss.mmm (00:00:12.500)"
_CLIP_FORMS = "use seconds (12.5), hh:mm:ss.mmm (00:00:12.500) or a frame number (300f)"
_HINT = "give a number, or keyframes as in 0s:0,2s:1"
_LONGEST_TIME, _MOST_POINTS = 32, 10_000
_EXACT = Context(prec=80)


def seconds_of(text: str, flag: str = "time", forms: str = _FORMS) -> Fraction:
    """Exact seconds of ``12.5``, ``12.5s`` or ``hh:mm:ss.mmm``; ``forms`` ends the message about others."""
    plain = text.removesuffix("s")
    if _SECONDS.fullmatch(plain):
        return Fraction(plain)
    clock = _CLOCK.fullmatch(plain)
    if clock is None:
        raise UsageError(f"{flag} {text!r} is not a time; {forms}")
    hours, minutes, seconds = int(clock[1] or 0), int(clock[2]), Fraction(clock[3])
    if minutes >= 60 or seconds >= 60:
        raise UsageError(f"{flag} {text!r}: minutes and seconds go up to 59; {forms}")
    return hours * 3600 + minutes * 60 + seconds


def place_of(text: str, flag: str) -> Fraction | int:
    """What ``--start`` and ``--end`` take: exact seconds or, as an integer, a frame number (``300f``)."""
    if len(text) > _LONGEST_TIME:
        raise UsageError(f"{flag} {text[:_LONGEST_TIME]}... is too long; {_CLIP_FORMS}")
    frame = _FRAME.fullmatch(text.strip())
    return int(frame[1]) if frame else seconds_of(text.strip(), flag, _CLIP_FORMS)


class Keyframes:
    """Values at two or more times, in order.  Its text is its one spelling: it stands in keys and recipes."""

    __slots__ = ("points",)
    points: tuple[tuple[Fraction, float], ...]

    def __init__(self, points: Iterable[tuple[Fraction, float]]) -> None:
        object.__setattr__(self, "points", tuple(sorted(points)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Keyframes do not change")

    def __reduce__(self) -> tuple[type[Keyframes], tuple[Any]]:
        return Keyframes, (self.points,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyframes) and self.points == other.points

    def __hash__(self) -> int:
        return hash(self.points)

    def __str__(self) -> str:
        return ",".join(f"{_decimal(seconds)}s:{_short(value)}" for seconds, value in self.points)

    __repr__ = __str__

    def at(self, seconds: Fraction) -> float:
        """The value at ``seconds``; exactly that of a keyframe at its time."""
        row = bisect_left(self.points, seconds, key=lambda point: point[0])
        if row == 0 or row == len(self.points):
            return self.points[max(row - 1, 0)][1]
        (start, before), (end, after) = self.points[row - 1 : row + 1]
        share = (seconds - start) / (end - start)
        return float(Fraction(before) + (Fraction(after) - Fraction(before)) * share)

    def values(self) -> tuple[float, ...]:
        """Of the keyframes; all others lie between two of them."""
        return tuple(value for _, value in self.points)


Level = float | Keyframes
"""A number for the whole clip, or one that changes over time."""


def value_at(level: Level, seconds: Fraction = Fraction(0)) -> float:
    """The value of ``level`` at ``seconds`` from the clip's first frame."""
    return level.at(seconds) if isinstance(level, Keyframes) else level


def keyframe_values(level: Level) -> tuple[float, ...]:
    """The values between which ``level`` moves."""
    return level.values() if isinstance(level, Keyframes) else (level,)


def level_of(value: Any, name: str) -> Level:
    """A number, ``0s:0,2s:1`` or a table of times and values; :class:`UsageError` names ``name``."""
    if isinstance(value, Keyframes):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(value, name)
    if isinstance(value, Mapping):
        return _keyframes(value.items(), name)
    if isinstance(value, str):
        return _keyframes(_pairs(value, name), name) if ":" in value else _number(value, name)
    raise UsageError(f"{name} cannot be {value!r}; {_HINT}")


def _pairs(text: str, name: str) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        time, colon, value = part.rpartition(":")
        if not colon or not time.strip():
            raise UsageError(f"{name}: {part.strip()!r} is not a keyframe; {_HINT}")
        yield time, value


def _keyframes(pairs: Iterable[tuple[Any, Any]], name: str) -> Level:
    found: dict[Fraction, float] = {}
    for time, value in pairs:
        text = str(time).strip()[: _LONGEST_TIME + 1]
        if len(text) > _LONGEST_TIME:
            raise UsageError(f"{name}: the time {text}... is too long; {_FORMS}")
        seconds = seconds_of(text, f"{name}: time")
        if seconds in found:
            raise UsageError(f"{name}: there are two values at {text}")
        found[seconds] = _number(value, f"{name} at {text}")
    if not found:
        raise UsageError(f"{name} has no keyframe; {_HINT}")
    if len(found) > _MOST_POINTS:
        raise UsageError(f"{name} has {len(found)} keyframes; at most {_MOST_POINTS} are read")
    values = set(found.values())
    return values.pop() if len(values) == 1 else Keyframes(found.items())


def _number(value: Any, name: str) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{name} must be a number, not {value!r}; {_HINT}") from None
    if not math.isfinite(number):
        raise UsageError(f"{name} must be a number, not {value!r}")
    return number


def _decimal(seconds: Fraction) -> str:
    """Decimal digits, exactly: for parsing times."""
    return f"{_EXACT.divide(Decimal(seconds.numerator), Decimal(seconds.denominator)):f}"


def _short(value: float) -> str:
    text = f"{value:g}"
    return text if float(text) == value else repr(value)
