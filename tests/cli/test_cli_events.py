"""``--events``: every line of a real run is what the documentation says, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import faceswap_cli
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.events import EVENTS, HEAD, SCHEMA, Event
from tests.cli.fakes import FakePipeline, Ran

Run = Callable[..., Ran]
ROOT = Path(faceswap_cli.__file__).resolve().parents[1]
FACE, CLIP = ROOT / "examples" / "source.jpg", ROOT / "examples" / "target.mp4"
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}
OPEN = ("result", "warning")
"""Kinds whose further fields depend on the command."""
pytestmark = pytest.mark.usefixtures("accepted")
with_example = pytest.mark.skipif(not CLIP.is_file(), reason="the examples are not in this installation")


def problems(event: dict[str, Any]) -> list[str]:
    """What is wrong with one event; strict: a field that the table does not name is wrong too."""
    kind = event.get("event", "")
    if kind not in EVENTS:
        return [f"unknown kind {kind!r}"]
    fields = {field.name: field for field in (*HEAD, *EVENTS[kind][1])}
    found = [f"{name} is missing" for name, field in fields.items() if field.always and name not in event]
    for name, value in event.items():
        if name not in fields:
            found += [] if kind in OPEN else [f"{name} is not in the table"]
        elif value is None:
            found += [] if fields[name].kind.endswith("?") else [f"{name} is null"]
        elif isinstance(value, bool) or not isinstance(value, KINDS[fields[name].kind.rstrip("?")]):
            found.append(f"{name} is {value!r}")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(event.get("ts"))):
        found.append("ts has another form")
    return found + ([] if event.get("schema") == SCHEMA else ["schema"])


def kinds(ran: Ran) -> list[str]:
    return [event["event"] for event in ran.events]


def check(ran: Ran) -> None:
    for event in ran.events:
        assert problems(event) == [], event


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"event": "other"}, "unknown kind"),
        ({"done": None}, "done is null"),
        ({"done": "3"}, "done is '3'"),
        ({"done": True}, "done is True"),
        ({"more": 1}, "more is not in the table"),
        ({"schema": 2}, "schema"),
        ({"ts": "today"}, "another form"),
    ],
)
def test_the_check_itself(change: dict[str, Any], said: str) -> None:
    good = {"schema": 1, "event": "progress", "ts": "2026-01-02T03:04:05.678Z"}
    good |= {"stage": "render", "done": 3, "total": 9}
    assert problems(good) == []
    assert said in " ".join(problems({**good, **change}))
    assert "total is missing" in problems({k: v for k, v in good.items() if k != "total"})


@with_example
def test_a_real_video_with_its_report(run: Run, machine: Path) -> None:
    flags = ["--start", "4f", "--end", "12f", "--preset", "ultrafast", "--threads", "2"]
    ran = run("video", FACE, CLIP, "-o", "out.mp4", "--events", "--report", "r.html", *flags)
    assert ran.code == 0, ran.err
    check(ran)
    told = kinds(ran)
    assert told[0] == "start"
    assert told[-1] == "result"
    assert told.count("plan") == told.count("shot") == 1
    shot = next(event for event in ran.events if event["event"] == "shot")
    assert (shot["index"], shot["frames"], shot["people"]) == (0, 8, [0])
    assert shot["start_s"] == pytest.approx(4 / 25, abs=0.002)
    stages = {event["stage"] for event in ran.events if event["event"] == "progress"}
    assert stages >= {"analyse", "render", "assemble", "evaluate"}
    page = Path("r.html").read_text(encoding="utf-8")
    for words in ("Identity distance", "Jitter", "Coverage", "Before and after", "job.measure_identity"):
        assert words in page
    assert "could not be compared" not in page
    assert sorted(path.name for path in machine.iterdir()) == ["out.mp4", "r.html"]


@with_example
def test_a_real_picture_with_its_report(run: Run) -> None:
    ran = run("image", FACE, FACE, "-o", "out.png", "--events", "--threads", "2", "--report", "r.html")
    assert ran.code == 0, ran.err
    check(ran)
    assert (kinds(ran)[0], kinds(ran)[-1]) == ("start", "result")
    assert "Faces in the picture" in Path("r.html").read_text(encoding="utf-8")


def test_the_result_is_the_one_of_json(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    told = run("video", photo, clip, "--json").json
    *_, result = run("video", photo, clip, "--events", "-f").events
    assert {name: value for name, value in result.items() if name not in ("event", "ts")} == told
    assert [call[-1].job.measure_identity for call in pipeline.calls] == [True, True]


def test_an_error_ends_the_story(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    pipeline.error = NoFaceFound("no face")
    ran = run("video", photo, clip, "-o", "out.mp4", "--events")
    check(ran)
    assert kinds(ran)[-1] == "error"
    assert (ran.events[-1]["exit"], ran.events[-1]["code"]) == (3, "no-face")


def test_a_warning_on_its_way(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    pipeline.during = lambda listen, stop: listen(Event("warning", {"message": "blurred"}))
    ran = run("video", photo, clip, "-o", "out.mp4", "--events")
    check(ran)
    assert "warning" in kinds(ran)


@pytest.mark.parametrize(
    ("flags", "word"),
    [(["--compare", "side"], "--compare"), (["--preview", "2", "-o", "sheet.png"], "--preview")],
)
def test_a_report_needs_a_plain_result(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, flags: list[str], word: str
) -> None:
    run("video", photo, clip, "--report", "r.html", *flags).failed(2, word, "--report")
    assert pipeline.calls == []


def test_a_report_never_takes_another_files_place(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path
) -> None:
    run("video", photo, clip, "-o", "out.mp4", "--report", clip).failed(5, "clip.mp4")
    run("video", photo, clip, "-o", "out.mp4", "--report", "out.mp4").failed(5, "out.mp4", "report")
    same = ["--ledger", "x", "--report", "x"]
    run("video", photo, clip, "-o", "out.mp4", *same).failed(5, "ledger")
    Path("r.html").write_text("mine")
    run("video", photo, clip, "-o", "out.mp4", "--report", "r.html").failed(5, "r.html", "--force")
    run("video", photo, clip, "-o", "out.mp4", "--report", "no/r.html").failed(5, "no")
    assert pipeline.calls == []


def test_the_schema_file_accepts_what_the_table_describes() -> None:
    path = ROOT / "docs" / "events.schema.json"
    if not path.is_file():
        pytest.skip("the documentation is not in this installation")
    schema = json.loads(path.read_text(encoding="utf-8"))
    assert [kind["title"] for kind in schema["oneOf"]] == list(EVENTS)
    jsonschema = pytest.importorskip("jsonschema")
    example = {"schema": SCHEMA, "event": "warning", "ts": "2026-01-02T03:04:05.678Z", "message": "m"}
    jsonschema.validate(example, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**example, "message": 3}, schema)
