"""Edits that users teach themselves (``faceswap train --attribute``), as settings spell them.

``beard:1f3a9c2e41d0=0.7,makeup=0.3``: a name, the beginning of its file's digest where that was looked up,
and the amount.  So code that compares or stores settings can distinguish two attributes of one name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from faceswap_cli.errors import UsageError

RANGE = (-1.5, 1.5)
"""Range of every edit of this kind; 1 is the step from the pictures without it to those with it."""
DIGEST = 12
"""Letters of a file's digest that stand in settings."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,23}")
_PINNED = re.compile(rf"[a-z][a-z0-9_]{{0,23}}(:[0-9a-f]{{{DIGEST}}})?")
_MOST = 16


def is_name(text: str) -> bool:
    """Could an attribute be called so?"""
    return _NAME.fullmatch(text) is not None


def parsed(text: str) -> dict[str, float]:
    """Name, with its digest where one is given -> amount; :class:`UsageError` for anything else."""
    found: dict[str, float] = {}
    pieces = [piece.strip() for piece in text.split(",")] if text.strip() else []
    if len(pieces) > _MOST:
        raise UsageError(f"edit own names {len(pieces)} attributes; at most {_MOST} are taken")
    for piece in pieces:
        key, _, number = piece.partition("=")
        if not _PINNED.fullmatch(key):
            raise UsageError(f"edit own must be like beard=0.7,makeup=0.3, not {text[:60]!r}")
        name = plain(key)
        if name in map(plain, found):
            raise UsageError(f"edit own names {name} twice")
        found[key] = _amount(name, number)
    return found


def _amount(name: str, number: str) -> float:
    low, high = RANGE
    try:
        amount = float(number)
    except ValueError:
        raise UsageError(f"edit {name} needs a number, as in {name}=0.4, not {number[:40]!r}") from None
    if not (math.isfinite(amount) and low <= amount <= high):
        raise UsageError(f"edit {name} must be {low:g} to {high:g}, not {amount:g}")
    return amount


def plain(key: str) -> str:
    """``beard:1f3a9c2e41d0`` -> ``beard``."""
    return key.partition(":")[0]


def spelled(changes: Mapping[str, float]) -> str:
    """Inverse of :func:`parsed`: the one spelling, in the order of the names."""
    return ",".join(f"{key}={_short(changes[key])}" for key in sorted(changes))


def _short(amount: float) -> str:
    text = f"{amount:g}"
    return text if float(text) == amount else repr(amount)


def merged(before: str, after: str) -> str:
    """What ``after`` says of an attribute wins, as it does for every other edit."""
    new = parsed(after)
    named = {plain(key) for key in new}
    kept = {key: amount for key, amount in parsed(before).items() if plain(key) not in named}
    return spelled({**kept, **new})
