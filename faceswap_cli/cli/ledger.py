"""What happened to every face, as JSON Lines, and in short."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceswap_cli.cli.printing import json_ready
from faceswap_cli.errors import OutputError

if TYPE_CHECKING:
    from faceswap_cli.records import LedgerRow


def write_ledger(path: Path, rows: Sequence[LedgerRow], consent: str = "") -> None:
    """One JSON object a line, in the order of the frames; appears whole or not at all.

    ``consent`` is the digest of the consent file; each line names it, so that a part of a ledger does.
    """
    more = {"consent_sha256": consent} if consent else {}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps({**json_ready(row), **more}, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"ledger {path} cannot be written ({error.strerror or error})") from error


def summary(rows: Sequence[LedgerRow]) -> list[dict[str, Any]]:
    """One entry a track: person, frames, swapped frames, why not, mean identity distance."""
    tracks: dict[int, list[LedgerRow]] = {}
    for row in rows:
        tracks.setdefault(row.track, []).append(row)
    return [_track(track, own) for track, own in sorted(tracks.items())]


def _track(track: int, rows: list[LedgerRow]) -> dict[str, Any]:
    distances = [row.identity_distance for row in rows if row.identity_distance is not None]
    return {
        "track": track,
        "person": rows[0].person,
        "face": str(rows[0].person + 1),
        "first_s": min(row.time_s for row in rows),
        "last_s": max(row.time_s for row in rows),
        "frames": len(rows),
        "swapped": sum(row.swapped for row in rows),
        "reasons": dict(Counter(row.reason for row in rows if not row.swapped)),
        "identity_distance": sum(distances) / len(distances) if distances else None,
    }


def coverage(rows: Sequence[LedgerRow]) -> float | None:
    """See :func:`faceswap_cli.swap.ledger.coverage`, which takes a while to import."""
    from faceswap_cli.swap.ledger import coverage

    return coverage(rows)


def by_person(rows: Sequence[LedgerRow]) -> list[dict[str, Any]]:
    """Both figures of each person who was swapped; empty where that is one person."""
    chosen = sorted({row.person for row in rows if row.swapped})
    own = {person: [row for row in rows if row.person == person] for person in chosen}
    return [
        {
            "person": person,
            "face": str(person + 1),
            "identity": identity(mine),
            "coverage": coverage(mine),
        }
        for person, mine in (own.items() if len(own) > 1 else ())
    ]


def identity(rows: Sequence[LedgerRow]) -> float | None:
    """Mean identity distance over the swapped faces that were measured."""
    found = [row.identity_distance for row in rows if row.swapped and row.identity_distance is not None]
    return sum(found) / len(found) if found else None
