"""What ``faceswap batch`` shows, writes and returns while its rows are run and after."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceswap_cli.batch import summary
from faceswap_cli.batch.records import Records
from faceswap_cli.batch.rows import Row
from faceswap_cli.batch.runner import NOT_STARTED, Handling, Outcome, run_rows
from faceswap_cli.batch.times import expected_seconds
from faceswap_cli.cli import ledger
from faceswap_cli.cli.gates import Gate, check_gates, figures_for, people_of, unknown
from faceswap_cli.cli.printing import clock, console, json_ready, plain_path
from faceswap_cli.cli.session import Session
from faceswap_cli.errors import BatchFailure, OutputError, UsageError
from faceswap_cli.events import Event, progress
from faceswap_cli.plain import one_line

if TYPE_CHECKING:
    from faceswap_cli.records import Report


def show_plan(session: Session, rows: Sequence[Row]) -> None:
    """``--dry-run``: the rows as they would be run, and about how long; nothing is written."""
    seconds = expected_seconds(rows, session.listen, session.stop)
    outcomes = [_foreseen(row, seconds.get(row.index, 0.0)) for row in rows]
    total = sum(seconds.values())
    entries = [{**summary.entry(outcome), "wall_s": outcome.seconds or None} for outcome in outcomes]
    session.result(
        {"command": "batch", "exit": 0, "dry_run": True, "seconds": {"total": total}, "rows": entries}
    )
    if session.for_people:
        console().print(summary.table(outcomes, longest=len(outcomes)), markup=False)
        session.say(
            f"faceswap: about {clock(total)} for {len(seconds)} of {len(rows)} rows; nothing was written"
        )


def _foreseen(row: Row, seconds: float) -> Outcome:
    if row.output is None:
        return Outcome(row, "failed", error=row.target.problem)
    return Outcome(row, NOT_STARTED if row.state == "todo" else row.state, seconds=seconds)


def run(
    session: Session, rows: Sequence[Row], records: Records, handling: Handling, max_failures: int
) -> None:
    """All rows, each reported as it ends; :class:`BatchFailure` when some failed."""
    outcomes: list[Outcome] = []
    invocation = session.invocation
    session.listen(progress("batch", 0, len(rows)))
    running = run_rows(rows, records, handling, session.listen, session.stop, max_failures)
    with closing(running):
        for outcome in running:
            outcomes.append(outcome)
            _tell(session, outcome, len(rows))
            session.listen(progress("batch", len(outcomes), len(rows)))
            invocation.partial = _result(outcomes)
    if records.trouble:
        session.warn(
            f"no record could be kept in {records.folder} ({records.trouble}); to resume this batch "
            "use --skip-existing"
        )
    _conclude(session, outcomes, records)


def _conclude(session: Session, outcomes: Sequence[Outcome], records: Records) -> None:
    failed = [(outcome.row.name, outcome.error) for outcome in outcomes if outcome.error is not None]
    if not failed:
        records.forget([outcome.row.output for outcome in outcomes if outcome.row.output is not None])
    session.pause()
    if session.for_people and not session.flags.quiet and len(outcomes) > 1:
        console(stderr=True).print(summary.table(outcomes), markup=False)
    session.say(f"faceswap: {summary.sentence(outcomes)}")
    if not failed:
        session.result(_result(outcomes))
        return
    if session.flags.events:
        session.listen(Event("result", _result(outcomes, BatchFailure.exit_code)))
    name, error = failed[0]
    rest = sum(outcome.status == NOT_STARTED for outcome in outcomes)
    text = f"{len(failed)} of {len(outcomes)} failed" + (f" and {rest} were not started" if rest else "")
    reason = one_line(str(error))
    told = reason if name in reason else f"{name}: {reason}"
    raise BatchFailure(f"{text}; {'this one' if len(failed) == 1 else 'the first one'}: {told}")


def _result(outcomes: Sequence[Outcome], code: int = 0) -> dict[str, Any]:
    entries = [summary.entry(outcome) for outcome in outcomes]
    return {"command": "batch", "exit": code, **summary.counts(outcomes), "rows": entries}


def _tell(session: Session, outcome: Outcome, total: int) -> None:
    """One finished row: its path on stdout, a line on stderr, or an event."""
    row, error = outcome.row, outcome.error
    session.pause()
    if error is not None:
        reason, name = one_line(str(error)), one_line(row.name)
        named = reason if name in reason else f"{name}: {reason}"
        sys.stderr.write(f"faceswap: failed: {row.index}/{total} {named}\n")
        sys.stderr.flush()
    if session.flags.events and outcome.status != NOT_STARTED:
        about = {"command": "batch", "exit": 0} if error is None else summary.error_entry(error)
        session.listen(Event("result" if error is None else "error", {**summary.entry(outcome), **about}))
    if error is not None or outcome.status == NOT_STARTED:
        return
    if session.for_people and not session.flags.quiet and row.output is not None:
        plain_path(row.output)
    if outcome.status == "done":
        clip = f", {outcome.told['frames_with_swap']} of {outcome.told['frames']} frames"
        others = summary.others(outcome)
        session.say(
            f"faceswap: {row.index}/{total} {row.name} with {row.source}"
            f"{clip if row.target.kind == 'video' else ''}, {outcome.seconds:.1f} s"
            f"{f'; {others}' if others else ''}"
        )


def ledger_files(folder: Path | None, rows: Sequence[Row], *, force: bool) -> Mapping[int, Path]:
    """The ledger of each row, by index; :class:`OutputError` when one is there already."""
    if folder is None:
        return {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {folder} cannot be made ({error.strerror}); choose another --ledger"
        ) from error
    todo = [row for row in rows if row.state == "todo" and row.output is not None]
    files = {row.index: folder / f"{row.output.name}.jsonl" for row in todo if row.output is not None}
    for index, path in files.items():
        if path in [other for number, other in files.items() if number < index]:
            raise UsageError(f"{path} would be the ledger of two results; give them different names")
        if path.exists() and not force:
            raise OutputError(f"{path} exists; use --force to replace it, or another --ledger")
    return files


def handling_of(gates: tuple[Gate, ...], ledgers: Mapping[int, Path]) -> Handling:
    """Figures and ledger of each new result, gates of each result, errors as ours."""
    from faceswap_cli.cli import as_known

    def describe(row: Row, report: Report) -> dict[str, Any]:
        if row.index in ledgers:
            ledger.write_ledger(ledgers[row.index], report.ledger, report.consent)
        found: dict[str, Any] = json_ready(_figures(row, report))
        return found

    def judge(row: Row, told: dict[str, Any]) -> None:
        found: dict[str, Any] = {}
        if unknown(gates, told.get("figures", {})):
            found = _measured(row)
            told |= {"verdict": found["verdict"], "evaluation": found}
        values = figures_for(gates, told.get("figures", {}), lambda: found["figures"])
        told["figures"] = {**told.get("figures", {}), **values}
        people = people_of(told.get("by_person", ()), found.get("people", ()))
        check_gates(gates, values, people, found.get("verdict"))

    return Handling(describe, judge, as_known)


def _figures(row: Row, report: Report) -> dict[str, Any]:
    from faceswap_cli.swap import method_name

    return {
        "method": method_name(row.options.method),
        **summary.figures(row, report),
        "figures": {"identity": ledger.identity(report.ledger), "coverage": ledger.coverage(report.ledger)},
        "by_person": ledger.by_person(report.ledger),
        "tracks": ledger.summary(report.ledger),
        "consent_sha256": report.consent or None,
    }


def _measured(row: Row) -> dict[str, Any]:
    from faceswap_cli.metrics.evaluate import EvaluateOptions, evaluate

    assert row.output is not None, "a result is judged"
    options = EvaluateOptions(cast=row.options.track.cast)
    return evaluate(row.output, list(row.sources), row.target.path, options=options).as_dict()
