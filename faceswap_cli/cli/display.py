"""What is seen while a command works: a live display, plain lines, or nothing."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from faceswap_cli.cli.printing import clock, console, event_line
from faceswap_cli.events import Event, stage_title, unit_of
from faceswap_cli.plain import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_EVERY_S = 10.0
EVENTS_EVERY_S = 0.1


def rate_of(stage: str, per_second: float) -> str:
    """``12.5 fps``, ``3.0 jobs/min``, ``8.1 MiB/s``."""
    unit = unit_of(stage)
    if unit == "jobs":
        return f"{60 * per_second:.1f} jobs/min"
    return f"{per_second:.1f} {'fps' if unit == 'frames' else unit + '/s'}"


class Display(Protocol):
    """Shows events on stderr."""

    def show(self, event: Event) -> None:
        """Take one event; called from any thread."""

    def say(self, line: str) -> None:
        """Print a line without tearing the display."""

    def close(self) -> None:
        """Leave the terminal as it was; may be called twice."""


@dataclass
class Pace:
    """How fast a stage goes."""

    stage: str
    started: float
    row: int | None = None
    """Of a batch"""
    done: int = 0
    total: int = 0

    def line(self, now: float) -> str:
        spent = now - self.started
        rate = self.done / spent if spent > 0 else 0.0
        of = f"/{self.total}" if self.total else ""
        whose = "" if self.row is None else f"row {self.row}, "
        count = f"{self.done}{of} {unit_of(self.stage)}, {rate_of(self.stage, rate)}"
        text = f"{whose}{stage_title(self.stage)}: {count}"
        left = self.total - self.done
        return f"{text}, {clock(left / rate)} left" if rate > 0 and left > 0 else text


class Silent:
    """Nothing but what is said outright."""

    def show(self, event: Event) -> None:
        """Ignored."""

    def say(self, line: str) -> None:
        sys.stderr.write(printable(line) + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Nothing to restore."""


class Plain(Silent):
    """One line every ten seconds, for logs and pipes."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = now()
        self._pace: Pace | None = None
        self._lock = threading.Lock()

    def show(self, event: Event) -> None:
        if event.kind != "progress":
            return
        stage, row, now = str(event.data.get("stage", "")), event.data.get("row"), self._now()
        with self._lock:
            if self._pace is None or (self._pace.stage, self._pace.row) != (stage, row):
                self._pace = Pace(stage, now, row)
            self._pace.done = int(event.data.get("done", 0))
            self._pace.total = int(event.data.get("total", 0))
            due = now - self._last >= PLAIN_EVERY_S and self._pace.done > 0
            if due:
                self._last = now
        if due:
            self.say(self._pace.line(now))


class Live:
    """One bar per stage with frames, rate and time left."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.RLock()

    def _bars(self) -> Progress:
        if self._progress is None:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description:<10}"),
                BarColumn(bar_width=28),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
                console=self._console,
                transient=True,
                redirect_stdout=False,
            )
            self._progress.start()
        return self._progress

    def show(self, event: Event) -> None:
        if event.kind != "progress":
            return
        stage = str(event.data.get("stage", ""))
        done, total = int(event.data.get("done", 0)), max(1, int(event.data.get("total", 0)))
        with self._lock:
            bars = self._bars()
            if stage not in self._tasks:
                self._tasks[stage] = bars.add_task(stage_title(stage), total=total, rate="")
            task = bars.tasks[self._tasks[stage]]
            spent = task.elapsed or 0.0
            rate = rate_of(stage, done / spent) if spent > 0.2 else ""
            bars.update(self._tasks[stage], completed=done, total=max(total, done), rate=rate)

    def say(self, line: str) -> None:
        self._console.print(printable(line), markup=False, soft_wrap=True)

    def close(self) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None
                self._tasks.clear()


DISPLAYS: dict[str, Callable[[], Display]] = {"live": Live, "plain": Plain, "none": Silent}


def build_display(wanted: str, *, quiet: bool) -> Display:
    """``wanted`` is auto, plain or none; auto is live only on a terminal that can redraw."""
    if quiet:
        return DISPLAYS["none"]()
    if wanted == "auto":
        dumb = os.environ.get("TERM", "") in ("dumb", "unknown")
        wanted = "live" if sys.stderr.isatty() and not dumb else "plain"
    return DISPLAYS[wanted]()


@dataclass
class EventLines:
    """Writes events to stdout as NDJSON; progress ten times a second, begin and end of a stage always."""

    _last: float = -1e9
    _stage: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def show(self, event: Event) -> None:
        with self._lock:
            if event.kind == "progress":
                now = time.monotonic()
                finished = event.data.get("done") == event.data.get("total")
                stage = str(event.data.get("stage"))
                if now - self._last < EVENTS_EVERY_S and not finished and stage == self._stage:
                    return
                self._last, self._stage = now, stage
            sys.stdout.write(event_line(event.kind, event.data))
            sys.stdout.flush()
