"""SMPTE time codes (``hh:mm:ss:ff``) and the frame rate a stream states."""

from __future__ import annotations

import re
from fractions import Fraction

from faceswap_cli.records import I64, Clip

_FORM = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d{2,3})")
_USUAL = tuple(
    Fraction(n, d) for n in (24, 25, 30, 48, 50, 60, 120, 15, 12) for d in (1, Fraction(1001, 1000))
)
_NEAR = 0.002
"""Rates this near to each other, as a share, are one rate stored in a coarse clock."""


def stated_rate(clip: Clip, pts: I64) -> Fraction:
    """Frames per second that the stream states: the clip's, unless its frames ``pts`` (N,) disagree.

    Containers without a stated rate, and coarse clocks, make the library guess.
    """
    usual = sane_rate(clip)
    if len(pts) < 2:
        return usual
    seen = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * clip.time_base)
    if abs(seen / usual - 1) < 0.05:
        return usual
    near = min(_USUAL, key=lambda rate: abs(seen / rate - 1))
    return near if abs(seen / near - 1) < _NEAR else seen.limit_denominator(1001)


def sane_rate(clip: Clip) -> Fraction:
    """The clip's average rate, 25 where it is nonsense."""
    rate = clip.average_rate
    return rate.limit_denominator(1001) if 1 <= rate <= 960 else Fraction(25)


def move_timecode(code: str, seconds: Fraction, rate: Fraction) -> str:
    """``code`` later by ``seconds``, in whole frames of ``rate``; drop-frame codes (``;``) stay drop-frame.

    A code that is not understood stays as it is.
    """
    found = _FORM.fullmatch(code.strip())
    base = round(rate)
    if found is None or base < 1:
        return code
    hours, minutes, second = (int(found[k]) for k in (1, 2, 3))
    drop = found[4] in ";." and base % 30 == 0
    count = ((hours * 60 + minutes) * 60 + second) * base + int(found[5])
    skipped = base // 15  # two numbers a minute at 30, four at 60, none every tenth minute
    whole = hours * 60 + minutes
    count -= skipped * (whole - whole // 10) if drop else 0
    count += round(seconds * rate)
    if drop:
        tens, rest = divmod(count, base * 600 - 9 * skipped)
        count += 9 * skipped * tens
        count += skipped * max((rest - skipped) // (base * 60 - skipped), 0)
    frames = count % base
    clock = count // base
    return f"{clock // 3600 % 24:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}{found[4]}{frames:02d}"
