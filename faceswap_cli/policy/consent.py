"""``--consent``: a file that records who agreed.  It is read and checked; only its digest goes on.

    [[source]]                     [[target]]
    name = "..."                   name = "..."
    agreed = 2026-05-01            agreed = 2026-05-03
                                   until = 2027-05-03

TOML, the same as JSON (``.json``), or plain text with a line for each person::

    source: NAME, agreed 2026-05-01
    target: NAME, agreed 2026-05-03, until 2027-05-03

Everything else in the file is the user's own.  Names never leave it: messages count people instead.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from faceswap_cli.errors import PolicyError, UsageError
from faceswap_cli.policy.tables import parse_table, read_small, text_of

WHAT = "consent file"
SIDES = {"source": "whose face is used", "target": "who is shown"}
_DAY = r"(\d{4}-\d{2}-\d{2})"
_LINE = re.compile(
    rf"\s*(source|target)\s*:\s*(?P<name>.*?)\s*[,;]\s*agreed\s+(?:on\s+)?(?P<agreed>{_DAY})"
    rf"(?:\s*[,;]?\s*until\s+(?P<until>{_DAY}))?\s*\.?\s*",
    re.IGNORECASE,
)
_STARTS = re.compile(r"\s*(source|target)\s*:", re.IGNORECASE)
_HOW = "give each a name and a date: 'agreed = 2026-05-01', in text 'source: NAME, agreed 2026-05-01'"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What one person agreed to, and when."""

    side: str
    """``source`` or ``target``"""
    name: str = field(repr=False)
    agreed: date
    until: date | None = None
    """The last day it holds; None without an end"""


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent file that was read and holds today."""

    digest: str
    """SHA-256 of the file, hex"""
    agreements: tuple[Agreement, ...] = field(repr=False, default=())


def read_consent(path: Path, today: date | None = None) -> Consent:
    """The agreements in ``path``, all valid ``today``.

    :class:`InputError` for a file that cannot be read, :class:`UsageError` for one that is not well
    formed, :class:`PolicyError` where a person's agreement is missing, not given yet or has ended.
    """
    data = read_small(path, WHAT)
    text = text_of(data, path, WHAT)
    if path.suffix.lower() in (".toml", ".json"):
        found = _of_table(parse_table(text, path, WHAT), path)
    else:
        found = _of_text(text, path)
    _check(found, path, today or date.today())
    return Consent(hashlib.sha256(data).hexdigest(), tuple(found))


def consent_digest(path: Path | None) -> str:
    """The digest of a file that holds today; empty without one."""
    return "" if path is None else read_consent(path).digest


def _of_table(table: dict[str, Any], path: Path) -> list[Agreement]:
    found = []
    for side in SIDES:
        given = table.get(side, [])
        for number, entry in enumerate(given if isinstance(given, list) else [given], start=1):
            where = f"{WHAT} {path}: {side} {number}"
            if not isinstance(entry, dict):
                raise UsageError(f"{where} is not a table; {_HOW}")
            name = entry.get("name")
            if not isinstance(name, str) or not name.strip():
                raise PolicyError(f"{where} has no name; {_HOW}")
            if "agreed" not in entry:
                raise PolicyError(f"{where} does not say when this person agreed; {_HOW}")
            until = entry.get("until")
            agreed = _day(entry["agreed"], where)
            found.append(Agreement(side, name, agreed, None if until is None else _day(until, where)))
    return found


def _of_text(text: str, path: Path) -> list[Agreement]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if _STARTS.match(line) is None:
            continue
        where = f"{WHAT} {path} line {number}"
        known = _LINE.fullmatch(line)
        if known is None or not known["name"]:
            raise PolicyError(f"{where} lacks a name or a date; write 'source: NAME, agreed 2026-05-01'")
        until = None if known["until"] is None else _day(known["until"], where)
        found.append(Agreement(known[1].lower(), known["name"], _day(known["agreed"], where), until))
    return found


def _day(value: Any, where: str) -> date:
    """A TOML date, or a text that begins with one."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise UsageError(f"{where}: {value!r} is not a date; write it as 2026-05-01") from None


def _check(found: Sequence[Agreement], path: Path, today: date) -> None:
    for side, meaning in SIDES.items():
        own = [agreement for agreement in found if agreement.side == side]
        if not own:
            raise PolicyError(f"{WHAT} {path} names no {side} person ({meaning}); {_HOW}")
        for number, agreement in enumerate(own, start=1):
            person = f"{WHAT} {path}: {side} {number}"
            # A day of grace: it may be tomorrow already where the file was written.
            if agreement.agreed > today + timedelta(days=1):
                raise PolicyError(f"{person} agrees only on {agreement.agreed}, a day to come; check it")
            if agreement.until is not None and agreement.until < today:
                raise PolicyError(f"{person}: the agreement ended on {agreement.until}; ask again")
