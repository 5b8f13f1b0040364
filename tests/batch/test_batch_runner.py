"""Rows run on their own: failures, limits, interruptions, sources looked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from faceswap_cli.batch import engine, summary
from faceswap_cli.batch.records import Records
from faceswap_cli.batch.rows import Request, Row, place_of, plan_rows, settle
from faceswap_cli.batch.runner import Handling, Outcome, run_rows
from faceswap_cli.batch.targets import Target
from faceswap_cli.config import DetectOptions, SwapOptions
from faceswap_cli.errors import FaceswapError, InputError, Interrupted, NoFaceFound, QualityGateError
from faceswap_cli.events import Event, Listener, StopRequest

ASKED = ("one.png", "two.png", "three.png", "four.png")


@dataclass
class Work:
    """Stands for the swap itself; everything around it is real."""

    folder: Path
    faults: dict[str, BaseException] = field(default_factory=dict)
    bad_sources: set[str] = field(default_factory=set)
    identified: list[str] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)
    heard: list[Event] = field(default_factory=list)
    stop: StopRequest = field(default_factory=StopRequest)
    stop_after: str = ""
    bar: int = 0

    def identify(self, sources: tuple[Path, ...], detect: DetectOptions) -> Any:
        self.identified.append(sources[0].name)
        if sources[0].name in self.bad_sources:
            raise NoFaceFound(f"no face in {sources[0].name}")
        return type("Person", (), {"notes": (f"{sources[0].name} is dark",)})()

    def swap(self, row: Row, source: Any, listen: Listener, stop: StopRequest) -> Any:
        assert row.output is not None
        self.swapped.append(row.name)
        listen(Event("start", {"target": row.name}))
        if row.name in self.faults:
            raise self.faults[row.name]
        if row.name == self.stop_after:
            self.stop.request(143)
        row.output.parent.mkdir(exist_ok=True)
        row.output.write_text(row.name)
        return len(row.name)

    def rows(self, sources: Sequence[str] = ("me.jpg",), **flags: bool) -> tuple[list[Row], Records]:
        requests = [
            Request((self.folder / source,), self.folder / name, SwapOptions())
            for name in ASKED
            for source in sources
        ]
        looks = {r.target: Target(r.target) for r in requests}
        broken = self.folder / "two.png"
        looks[broken] = Target(broken, problem=InputError("two.png is damaged"))
        rows = plan_rows(requests, looks, place_of(str(self.folder / "out"), several=len(sources) > 1))
        records = Records(self.folder / "out")
        how = {"force": False, "skip_existing": False, **flags}
        return settle(rows, records, [], **how), records

    def run(self, sources: Sequence[str] = ("me.jpg",), *, most: int = 0, **flags: bool) -> list[Outcome]:
        rows, records = self.rows(sources, **flags)
        return list(run_rows(rows, records, self.handling, self.heard.append, self.stop, most))

    @property
    def handling(self) -> Handling:
        def describe(row: Row, report: Any) -> dict[str, Any]:
            return {"frames": report, "frames_with_swap": report}

        def judge(row: Row, told: dict[str, Any]) -> None:
            if told["frames"] < self.bar:
                raise QualityGateError(f"{told['frames']} is too few")

        def known(error: Exception) -> FaceswapError:
            return error if isinstance(error, FaceswapError) else FaceswapError(f"as ours: {error}")

        return Handling(describe, judge, known)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    fake = Work(tmp_path)
    monkeypatch.setattr(engine, "identify", fake.identify)
    monkeypatch.setattr(engine, "swap_row", fake.swap)
    return fake


def statuses(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def test_a_failure_is_an_outcome_like_any_other(work: Work) -> None:
    work.faults["three.png"] = RuntimeError("boom")
    outcomes = work.run()
    assert statuses(outcomes) == ["done", "failed", "failed", "done"]
    assert [str(o.error) for o in outcomes[1:3]] == ["two.png is damaged", "as ours: boom"]
    assert sorted(p.name for p in (work.folder / "out").glob("*.png")) == [
        "four_swapped.png",
        "one_swapped.png",
    ]
    assert summary.counts(outcomes)["failed"] == 2
    assert summary.sentence(outcomes) == "2 done, 2 failed"
    told = summary.entry(outcomes[2])
    assert told["error"] == {"code": "failure", "exit": 1, "message": "as ours: boom"}


def test_results_appear_as_they_are_done(work: Work) -> None:
    rows, records = work.rows()
    running = run_rows(rows, records, work.handling, work.heard.append, work.stop)
    first = next(running)
    assert first.row.output is not None
    assert first.row.output.read_text() == "one.png"
    assert work.swapped == ["one.png"]


def test_the_same_command_does_only_what_is_missing(work: Work) -> None:
    work.faults["three.png"] = NoFaceFound("nobody")
    work.run()
    del work.faults["three.png"]
    work.swapped.clear()
    outcomes = work.run()
    assert statuses(outcomes) == ["kept", "failed", "done", "kept"]
    assert work.swapped == ["three.png"]
    assert outcomes[0].told == {"frames": 7, "frames_with_swap": 7}


def test_a_killed_program_loses_at_most_the_row_in_hand(work: Work) -> None:
    rows, records = work.rows()
    running = run_rows(rows, records, work.handling, work.heard.append, work.stop)
    next(running)
    assert rows[2].output is not None
    records.begin(rows[2].output, rows[2].key)
    rows[2].output.write_text("renamed, then killed")
    del running
    work.bar = 0
    work.swapped.clear()
    rows, records = work.rows()
    assert [row.state for row in rows] == ["kept", "todo", "kept", "todo"]


def test_max_failures(work: Work) -> None:
    work.faults["three.png"] = NoFaceFound("nobody")
    assert statuses(work.run(most=2)) == ["done", "failed", "failed", "not started"]
    assert statuses(work.run(most=1)) == ["kept", "failed", "not started", "not started"]


def test_stop_between_rows_keeps_what_is_done(work: Work) -> None:
    work.stop_after = "three.png"
    with pytest.raises(Interrupted, match=r"four\.png, 4 of 4") as caught:
        work.run()
    assert caught.value.exit_code == 143
    work.stop, work.stop_after = StopRequest(), ""
    assert statuses(work.run()) == ["kept", "failed", "kept", "done"]


def test_stop_inside_a_row(work: Work) -> None:
    work.faults["three.png"] = Interrupted("stopped while rendering", exit_code=130)
    with pytest.raises(Interrupted, match=r"stopped while rendering, at three\.png, 3 of 4"):
        work.run()


def test_a_closed_pipe_is_nobodys_failure(work: Work) -> None:
    work.faults["one.png"] = BrokenPipeError(32, "closed")
    with pytest.raises(BrokenPipeError):
        work.run()


def test_each_source_is_looked_at_once(work: Work) -> None:
    work.bad_sources = {"b.jpg"}
    outcomes = work.run(["a.jpg", "b.jpg"])
    assert work.identified == ["a.jpg", "b.jpg"]
    assert statuses(outcomes) == ["done", "failed", "failed", "failed", "done", "failed", "done", "failed"]
    assert str(outcomes[1].error) == "no face in b.jpg"
    warnings = [event.data["message"] for event in work.heard if event.kind == "warning"]
    assert warnings == ["a.jpg is dark"]


def test_a_source_that_all_share_ends_the_batch(work: Work) -> None:
    work.bad_sources = {"me.jpg"}
    with pytest.raises(NoFaceFound, match=r"no face in me\.jpg"):
        work.run()
    assert work.swapped == []


def test_few_people_are_kept_in_memory(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "KNOWN_PEOPLE", 1)
    people = engine.People(work.identify)
    for name in ("a", "a", "b", "a"):
        people.get((Path(name),), DetectOptions(), lambda event: None)
    assert work.identified == ["a", "b", "a"]


def test_events_say_which_row_they_are_about(work: Work) -> None:
    work.run()
    starts = [(event.data["row"], event.data["target"]) for event in work.heard if event.kind == "start"]
    assert starts == [(1, "one.png"), (3, "three.png"), (4, "four.png")]


def test_gates_judge_kept_results_too(work: Work) -> None:
    work.bar = 8
    outcomes = work.run()
    assert statuses(outcomes) == ["failed", "failed", "done", "done"]
    assert isinstance(outcomes[0].error, QualityGateError)
    assert outcomes[0].told["frames"] == 7
    work.swapped.clear()
    assert statuses(work.run()) == ["failed", "failed", "kept", "kept"]
    assert work.swapped == [], "the result is there; only its judgement fails"


def test_skipped_rows_need_no_source(work: Work) -> None:
    for name in ASKED:
        path = work.folder / "out" / f"{Path(name).stem}_swapped.png"
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    outcomes = work.run(skip_existing=True)
    assert statuses(outcomes) == ["skipped", "failed", "skipped", "skipped"]
    assert work.identified == []


def test_the_table_of_a_long_batch_shows_what_needs_a_look(work: Work) -> None:
    outcomes = work.run()
    assert summary.table(outcomes).row_count == 4
    assert summary.table(outcomes, longest=3).row_count == 1
