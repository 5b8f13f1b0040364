"""Running the rows of a batch one after the other, each on its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faceswap_cli.batch import engine
from faceswap_cli.batch.records import Records
from faceswap_cli.batch.rows import Row
from faceswap_cli.errors import FaceswapError, Interrupted
from faceswap_cli.events import Event, Listener, StopRequest

if TYPE_CHECKING:
    from faceswap_cli.records import Report, SourceIdentity

NOT_STARTED = "not started"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of a row."""

    row: Row
    status: str
    """``done``, ``kept``, ``skipped``, ``failed`` or ``not started``"""
    told: dict[str, Any] = field(default_factory=dict)
    """Figures of the result, ready for JSON"""
    error: FaceswapError | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Handling:
    """What the caller does with reports and errors."""

    describe: Callable[[Row, Report], dict[str, Any]]
    """Figures of a new result, ready for JSON; they are kept with its record"""
    judge: Callable[[Row, dict[str, Any]], None]
    """Raises ``QualityGateError`` for a result that is not good enough; also asked of kept results"""
    known: Callable[[Exception], FaceswapError]
    """Any error as one of ours"""


def run_rows(
    rows: Sequence[Row],
    records: Records,
    handling: Handling,
    listen: Listener,
    stop: StopRequest,
    max_failures: int = 0,
) -> Generator[Outcome, None, None]:
    """Each row's outcome as soon as it is there, in order.

    A row that fails is an outcome like any other.  After ``max_failures`` of them (0: never) the
    rest is not started.  :class:`Interrupted` when a stop was asked for; a source that all rows
    share and that cannot be used raises its own error, since nothing can be done at all.
    """
    people = engine.People(engine.identify)
    shared = len({row.sources for row in rows}) == 1 and rows[0].options.track.cast is None
    failures = 0
    for row in rows:
        if max_failures and failures >= max_failures:
            yield Outcome(row, NOT_STARTED)
            continue
        started = time.perf_counter()
        try:
            stop.check("between two jobs")
            status, told, error = _one(row, people, records, handling, _about(row, listen), stop, shared)
        except Interrupted as stopped:
            place = f"{stopped}, at {row.name}, {row.index} of {len(rows)}"
            raise Interrupted(place, exit_code=stopped.exit_code) from stopped
        except _NoSource as error_of_all:
            raise error_of_all.error from error_of_all
        failures += error is not None
        yield Outcome(row, status, told, error, time.perf_counter() - started)


def _one(
    row: Row,
    people: engine.People,
    records: Records,
    handling: Handling,
    listen: Listener,
    stop: StopRequest,
    shared: bool,
) -> tuple[str, dict[str, Any], FaceswapError | None]:
    """Status, figures and error of one row; nothing that goes wrong in it gets out."""
    told: dict[str, Any] = {}
    try:
        if row.target.problem is not None or row.output is None:
            raise row.target.problem or FaceswapError(f"{row.name} has no output")
        if row.state == "skipped":
            return "skipped", told, None
        if row.state == "kept":
            told.update(records.done(row.output, row.key) or {})
        else:
            source = _person(row, people, listen, shared)
            records.begin(row.output, row.key)
            report = engine.swap_row(row, source, listen, stop)
            told.update(handling.describe(row, report))
            del report  # hours of ledger
            records.finish(row.output, row.key, told)
        handling.judge(row, told)
    except (Interrupted, BrokenPipeError, _NoSource):
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, it is this row's and no other's
        return "failed", told, handling.known(error)
    return ("kept" if row.state == "kept" else "done"), told, None


class _NoSource(Exception):
    """The one source of all rows cannot be used."""

    def __init__(self, error: FaceswapError) -> None:
        super().__init__(str(error))
        self.error = error


def _person(row: Row, people: engine.People, listen: Listener, shared: bool) -> SourceIdentity | None:
    if row.options.track.cast is not None:
        return None
    try:
        return people.get(row.sources, row.options.detect, listen)
    except FaceswapError as error:
        if shared:
            raise _NoSource(error) from error
        raise


def _about(row: Row, listen: Listener) -> Listener:
    """A listener that says with every event which row it is about."""

    def tell(event: Event) -> None:
        listen(Event(event.kind, {"row": row.index, **event.data}))

    return tell
