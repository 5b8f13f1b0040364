"""Progress as plain values: library code emits, the command line shows.

``kind`` is one of start, plan, progress, warning, shot, result, error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faceswap_cli.errors import Interrupted

if TYPE_CHECKING:
    from faceswap_cli.records import Analysis, Clip

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; ``data`` holds only JSON-ready values."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of callers who do not care."""


def progress(stage: str, done: int, total: int) -> Event:
    """``done`` of ``total`` frames of ``stage`` (analyse, render, assemble)."""
    return Event("progress", {"stage": stage, "done": done, "total": total})


def tell_shots(clip: Clip, analysis: Analysis, listen: Listener) -> None:
    """One ``shot`` event for every shot that pass 1 found, with the people seen in it."""
    for index, shot in enumerate(analysis.shots):
        inside = (analysis.pts >= shot.first_pts) & (analysis.pts < shot.end_pts)
        shown = {t.person for t in analysis.tracks if shot.first_pts <= int(t.pts[0]) < shot.end_pts}
        listen(
            Event(
                "shot",
                {
                    "index": index,
                    "first_pts": shot.first_pts,
                    "end_pts": shot.end_pts,
                    "start_s": round(float(shot.first_pts * clip.time_base), 6),
                    "end_s": round(float(shot.end_pts * clip.time_base), 6),
                    "frames": int(inside.sum()),
                    "people": sorted(shown),
                },
            )
        )


class StopRequest:
    """Set by a signal handler, asked by long loops: ``soft`` finishes the segment in hand."""

    def __init__(self) -> None:
        self._soft = threading.Event()
        self.exit_code = 130

    def request(self, exit_code: int = 130) -> None:
        self.exit_code = exit_code
        self._soft.set()

    @property
    def requested(self) -> bool:
        return self._soft.is_set()

    def check(self, what: str) -> None:
        """Raise :class:`Interrupted` when a stop was asked for."""
        if self._soft.is_set():
            raise Interrupted(f"stopped while {what}", exit_code=self.exit_code)


NEVER = StopRequest()
"""The stop request of callers that cannot be interrupted; nobody sets it."""
