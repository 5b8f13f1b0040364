"""Progress as plain values: library code emits, the command line shows.

``kind`` is one of start, plan, progress, warning, shot, result, error; :data:`EVENTS` says what
each of them holds when it is written as a line for programs (``--events``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faceswap_cli.errors import Interrupted

if TYPE_CHECKING:
    from faceswap_cli.records import Analysis, Clip

SCHEMA = 1
"""Of the lines for programs.  New fields may come within a schema; one that goes or changes its
meaning makes a new schema."""


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of an event."""

    name: str
    kind: str
    """A JSON type: string, integer, number, array, object or any; with a ``?`` it may be null"""
    meaning: str
    always: bool = True


HEAD = (
    Field("schema", "integer", f"{SCHEMA}; another number means that fields have gone or changed"),
    Field("event", "string", "the kind of event"),
    Field("ts", "string", "time of writing: RFC 3339, UTC, milliseconds"),
    Field("row", "integer", "of `batch`: which row of the batch it belongs to", always=False),
)
"""What every event begins with."""

EVENTS: dict[str, tuple[str, tuple[Field, ...]]] = {
    "start": (
        "the target was opened and can be read",
        (
            Field("target", "string", "the file as given"),
            Field("frames", "integer", "of the whole file; an estimate where the container does not count"),
            Field("seconds", "number", "length of the whole file; 0 for a picture"),
        ),
    ),
    "shot": (
        "frames between two cuts, in order, after the first pass",
        (
            Field("index", "integer", "counts from 0"),
            Field("first_pts", "integer", "time of its first frame in ticks of the file"),
            Field("end_pts", "integer", "the shot ends before this time"),
            Field("start_s", "number", "the same in seconds from the first frame of the target"),
            Field("end_s", "number", "its end in seconds, on the same clock"),
            Field("frames", "integer", "number of frames"),
            Field("people", "array", "numbers of the people seen in it"),
        ),
    ),
    "plan": (
        "the plan of the job",
        (
            Field("segments", "integer", "pieces of work"),
            Field("frames", "integer", "frames that will be written"),
            Field("cast", "array", "numbers of the people that will be swapped"),
            Field(
                "settings",
                "object",
                "method, and settings that shape the pixels and differ "
                "from the default; not with `--dry-run`",
                always=False,
            ),
        ),
    ),
    "progress": (
        "progress of a stage; at most ten a second, always at the end of a stage",
        (
            Field(
                "stage",
                "string",
                "`analyse`, `check`, `render`, `assemble`, `evaluate`; other commands have others",
            ),
            Field("done", "integer", "frames; in other stages jobs, photos, pictures, pairs, steps or MiB"),
            Field("total", "integer", "number expected; an estimate may grow"),
        ),
    ),
    "warning": (
        "a problem that does not stop the job",
        (Field("message", "string", "one line for people"),),
    ),
    "result": (
        "the end of a successful command, or of one row of a batch: what `--json` would print",
        (
            Field("command", "string", "which command"),
            Field("exit", "integer", "the exit code"),
            Field("output", "string?", "the file written; null when it went to stdout", always=False),
        ),
    ),
    "error": (
        "the end of a command that failed, or of one row of a batch",
        (
            Field("code", "string", "the kind of failure; these words do not change"),
            Field("exit", "integer", "the exit code"),
            Field("message", "string", "one line for people: what, which file, what to try"),
            Field(
                "policy",
                "object",
                "what the content classifier found, its confidence, and the time",
                always=False,
            ),
        ),
    ),
}
"""Kind of event -> (when it is written, what it holds besides the head)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; ``data`` holds only JSON-ready values."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]

_UNITS = {
    **{"batch": "jobs", "photos": "photos", "suite": "jobs", "teach": "steps"},
    **{"pairs": "pairs", "pictures": "pictures", "train": "pictures"},
    **dict.fromkeys(("download", "import", "verify"), "MiB"),
}


def unit_of(stage: str) -> str:
    """What ``done`` and ``total`` of a stage count."""
    return _UNITS.get(stage, "frames")


_TITLES = {"analyse": "find faces", "assemble": "join"}


def stage_title(stage: str) -> str:
    """What people read for the name of a stage, which programs get."""
    return _TITLES.get(stage, stage)


def ignore(event: Event) -> None:
    """The listener of callers who do not care."""


def progress(stage: str, done: int, total: int) -> Event:
    """``done`` of ``total`` frames of ``stage`` (``analyse``, ``render``, ``assemble``)."""
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
                    "start_s": round(clip.seconds(shot.first_pts), 6),
                    "end_s": round(clip.seconds(shot.end_pts), 6),
                    "frames": int(inside.sum()),
                    "people": sorted(shown),
                },
            )
        )


class StopRequest:
    """Set by a signal handler, asked by long loops: the current segment is finished.

    Without a lock: a second signal may come while the first is being noted, in the same thread.
    """

    def __init__(self) -> None:
        self._requested = False
        self.exit_code = 130

    def request(self, exit_code: int = 130) -> None:
        self.exit_code = exit_code
        self._requested = True

    @property
    def requested(self) -> bool:
        return self._requested

    def check(self, what: str) -> None:
        """Raise :class:`Interrupted` when a stop was asked for."""
        if self._requested:
            raise Interrupted(f"stopped while {what}", exit_code=self.exit_code)


NEVER = StopRequest()
"""The stop request of callers that cannot be interrupted; nobody sets it."""
