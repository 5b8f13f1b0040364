"""What is seen while a command works."""

from __future__ import annotations

import io
import json

import pytest

from faceswap_cli.cli.display import EventLines, Live, Plain, Silent, build_display
from faceswap_cli.cli.printing import clock, json_ready, timestamp
from faceswap_cli.events import Event, progress


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(*steps: tuple[float, Event]) -> Plain:
    """A plain display that was shown an event at each time, in seconds; its clock stands at the last."""
    moment = [0.0]
    display = Plain(now=lambda: moment[0])
    for moment[0], event in steps:
        display.show(event)
    return display


def test_plain_says_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    shown(*((float(second), progress("render", second * 2, 100)) for second in range(35)))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "render: 20/100 frames, 2.0 fps, 0:40 left",
        "render: 40/100 frames, 2.0 fps, 0:30 left",
        "render: 60/100 frames, 2.0 fps, 0:20 left",
    ]


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("pairs", "pairs: 64/256 pairs, 4.0 pairs/s, 0:48 left"),
        ("train", "train: 64/256 pictures, 4.0 pictures/s, 0:48 left"),
        ("batch", "batch: 64/256 jobs, 240.0 jobs/min, 0:48 left"),
        ("download", "download: 64/256 MiB, 4.0 MiB/s, 0:48 left"),
        ("teach", "teach: 64/256 steps, 4.0 steps/s, 0:48 left"),
        ("analyse", "find faces: 64/256 frames, 4.0 fps, 0:48 left"),
    ],
)
def test_a_stage_counts_in_its_own_unit(capsys: pytest.CaptureFixture[str], stage: str, line: str) -> None:
    shown((0.0, progress(stage, 0, 256)), (16.0, progress(stage, 64, 256)))
    assert capsys.readouterr().err.splitlines() == [line]


def test_plain_names_the_row_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    shown(
        *(
            (start + second, Event("progress", {**progress("render", second, 24).data, "row": row}))
            for start, row in ((0.0, 1), (20.0, 2))
            for second in (0, 12)
        )
    )
    assert capsys.readouterr().err.splitlines() == [
        "row 1, render: 12/24 frames, 1.0 fps, 0:12 left",
        "row 2, render: 12/24 frames, 1.0 fps, 0:12 left",
    ]


def test_plain_says_nothing_of_a_stage_before_its_first_frame(capsys: pytest.CaptureFixture[str]) -> None:
    display = shown((0.0, progress("render", 1, 38)), (20.0, progress("assemble", 0, 38)))
    assert capsys.readouterr().err == ""
    display.show(progress("assemble", 38, 38))
    assert capsys.readouterr().err.startswith("join: 38/38 frames")


def test_plain_starts_its_clock_again_with_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    shown(
        (0.0, progress("analyse", 1, 10)),
        (100.0, progress("render", 0, 10)),
        (111.0, progress("render", 5, 10)),
    )
    assert capsys.readouterr().err.splitlines()[-1].startswith("render: 5/10 frames, 0.5 fps")


@pytest.mark.parametrize(
    ("wanted", "terminal", "term", "quiet", "kind"),
    [
        ("auto", True, "xterm", False, Live),
        ("auto", True, "dumb", False, Plain),
        ("auto", False, "xterm", False, Plain),
        ("plain", True, "xterm", False, Plain),
        ("none", True, "xterm", False, Silent),
        ("auto", True, "xterm", True, Silent),
    ],
)
def test_choice(
    monkeypatch: pytest.MonkeyPatch, wanted: str, terminal: bool, term: str, quiet: bool, kind: type
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("sys.stderr", _Screen() if terminal else io.StringIO())
    assert type(build_display(wanted, quiet=quiet)) is kind


def test_live_shows_stage_and_frames_and_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = _Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    display = Live()
    display.show(progress("analyse", 3, 10))
    display.say("a line with [brackets]")
    display.close()
    display.close()
    shown = screen.getvalue()
    assert "find faces" in shown
    assert "3/10" in shown
    assert "a line with [brackets]" in shown
    assert shown.rindex("\x1b[?25h") > shown.index("\x1b[?25l"), "the cursor comes back"


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    from faceswap_cli.cli.printing import console

    def painted(**variables: str) -> bool:
        for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        screen = _Screen() if variables.get("FORCE_COLOR") is None else io.StringIO()
        monkeypatch.setattr("sys.stdout", screen)
        console().print("word", style="red")
        return "\x1b[31m" in screen.getvalue()

    assert painted(TERM="xterm")
    assert not painted(TERM="xterm", NO_COLOR="1")
    assert not painted(TERM="dumb")
    assert painted(TERM="xterm", FORCE_COLOR="1")


def test_events_are_thinned_but_the_end_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = EventLines()
    for done in range(1, 501):
        lines.show(progress("render", done, 500))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) < 20
    assert told[-1]["done"] == 500


def test_json_ready_knows_what_json_does_not() -> None:
    from fractions import Fraction
    from pathlib import Path

    import numpy as np

    data = {"a": float("nan"), "b": Path("x"), "c": Fraction(30000, 1001), 4: np.float32(0.5), "d": np.eye(2)}
    assert json_ready(data) == {"a": None, "b": "x", "c": "30000/1001", "4": 0.5, "d": [[1, 0], [0, 1]]}
    assert json_ready(np.float64("inf")) is None


def test_times() -> None:
    assert [clock(s) for s in (0, 75, 3700)] == ["0:00", "1:15", "1:01:40"]
    assert timestamp(0.5) == "1970-01-01T00:00:00.500Z"
