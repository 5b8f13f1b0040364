"""Progress as plain values: library code emits, the command line shows.

``kind`` is one of start, plan, progress, warning, shot, result, error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faceswap_cli.errors import Interrupted

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
