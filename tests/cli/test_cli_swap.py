"""``image`` and ``video`` around the library call: arguments in, files and words out."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer.main

from faceswap_cli.cli import app
from faceswap_cli.cli.swap import Order, _sentence
from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import InputError, Interrupted, NoFaceFound, WeightsError
from faceswap_cli.events import Event
from faceswap_cli.metrics.evaluate import Evaluation
from faceswap_cli.provenance.mark import container_metadata
from faceswap_cli.records import Report
from tests.cli.fakes import FakePipeline, Ran, picture, row
from tests.clips import make_clip
from tests.report.made import evaluation

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("accepted")


def test_video_prints_the_path_and_nothing_else_on_stdout(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path
) -> None:
    ran = run("video", photo, clip)
    out = clip.with_name("clip_swapped.mp4")
    assert (ran.code, ran.out) == (0, f"{out}\n")
    assert out.is_file()
    assert "swapped 10 faces in 10 of 10 frames" in ran.err
    kind, sources, target, written, _ = pipeline.calls[0]
    assert (kind, sources, target, written) == ("video", (photo,), clip, out)


def test_several_sources_come_before_the_target(
    run: Run, pipeline: FakePipeline, machine: Path, clip: Path
) -> None:
    folder = machine / "photos"
    folder.mkdir()
    first, second = picture(folder / "1.jpg"), picture(machine / "2.jpg")
    assert run("video", first, second, folder, clip).code == 0
    assert pipeline.calls[0][1:3] == ((first, second, folder), clip)


def test_flags_reach_the_options(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    flags = "--face left --smooth 0.8 --method mesh --device cpu --start 1.5 --end 00:00:02 --codec ffv1"
    flags += " --crf 12 --preset fast --lossless --segment 2 --threads 3 --min-face 40 --feather 0.1"
    flags += " --glasses remove --occlusion-mask me.jpg --mask-regions nose,mouth"
    flags += " --no-occlusion --label --compare side --seed 9 --batch 2 --max-faces 3"
    assert run("video", *flags.split(), "--ref", photo, photo, clip, "-o", "o.mkv").code == 0
    options = pipeline.calls[0][4]
    assert (options.track.face, options.track.reference, options.smooth.strength) == ("left", photo, 0.8)
    assert (options.method, options.job.device, options.job.workers) == ("mesh", "cpu", 3)
    assert (options.range.start, options.range.end) == ("1.5", "00:00:02")
    encode = options.encode
    assert (encode.codec, encode.crf, encode.preset, encode.lossless) == ("ffv1", 12.0, "fast", True)
    assert (options.detect.min_face_px, options.detect.max_faces, options.detect.workers) == (40, 3, 3)
    assert (options.paste.feather, options.paste.occlusion) == (0.1, False)
    assert (options.paste.glasses, options.paste.mask_regions) == ("remove", "nose,mouth")
    assert options.paste.occlusion_mask == Path("me.jpg")
    assert (options.mark.label, options.mark.compare) == (True, "side")
    assert (options.job.seed, options.job.batch, options.job.segment_s) == (9, 2, 2.0)


def test_auto_device_is_settled_before_the_work(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path
) -> None:
    ran = run("video", "-v", photo, clip)
    assert pipeline.calls[0][4].job.device != "auto"
    assert "chosen by auto" in ran.err


@pytest.mark.parametrize("name", ["with space.jpg", "портрет_é.jpg", "100%.jpg", "a:b.jpg", "[bold]x.jpg"])
def test_names_that_other_programs_stumble_over(
    run: Run, pipeline: FakePipeline, machine: Path, name: str
) -> None:
    target = picture(machine / name)
    ran = run("image", picture(machine / "src ü.jpg"), target)
    assert ran.code == 0
    assert ran.out == f"{target.with_name(target.stem + '_swapped.jpg')}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text exist on Linux only")
def test_a_name_that_is_no_text_is_printed_byte_for_byte(
    pipeline: FakePipeline, machine: Path, photo: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    from faceswap_cli.cli import main

    target = picture(Path(os.fsdecode(os.fsencode(machine) + b"/caf\xe9.jpg")))
    assert main(["image", str(photo), str(target)]) == 0
    assert capsysbinary.readouterr().out == os.fsencode(machine) + b"/caf\xe9_swapped.jpg\n"


def test_leading_dash(run: Run, pipeline: FakePipeline, machine: Path, photo: Path) -> None:
    picture(machine / "-x.jpg")
    ran = run("image", "-o", "out.png", "--", photo, "-x.jpg")
    assert (ran.code, ran.out) == (0, "out.png\n")
    run("image", photo, "-x.jpg").failed(2, "-x")


def test_json_is_exactly_one_object(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    pipeline.rows = (row(0), row(1, swapped=False), row(2, distance=None))
    pipeline.notes = ("a subtitle did not fit",)
    ran = run("video", photo, clip, "--json")
    told = ran.json
    assert told["exit"] == 0
    assert told["output"] == str(clip.with_name("clip_swapped.mp4"))
    assert told["notes"] == ["a subtitle did not fit"]
    assert told["tracks"][0]["reasons"] == {"lost": 1}
    assert told["figures"] == {"identity": 0.4, "coverage": pytest.approx(2 / 3)}


def test_events_are_lines_with_schema_event_and_time(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path
) -> None:
    pipeline.during = lambda listen, stop: listen(Event("warning", {"message": "dark"}))
    events = run("video", photo, clip, "--events").events
    assert all({"schema", "event", "ts"} <= set(event) for event in events)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "progress"
    assert kinds[-1] == "result"
    assert "warning" in kinds
    assert [e["done"] for e in events if e["event"] == "progress"][-1] == 10


@pytest.mark.parametrize("mode", ["--json", "--events"])
def test_errors_carry_code_and_exit(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, mode: str
) -> None:
    pipeline.error = NoFaceFound("no face in clip.mp4; try --min-face 12")
    ran = run("video", photo, clip, mode)
    ran.failed(3, "no face in clip.mp4")
    told = ran.json["error"] if mode == "--json" else ran.events[-1]
    assert (told["code"], told["exit"]) == ("no-face", 3)
    assert told["message"] == "no face in clip.mp4; try --min-face 12"


def test_usage_errors_are_told_to_programs_too(run: Run) -> None:
    ran = run("video", "--nonsense", "--json")
    ran.failed(2, "--nonsense")
    assert ran.json["error"]["exit"] == 2
    assert run("video", "--nonsense", "--events").events[-1]["event"] == "error"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WeightsError("missing"), 6),
        (InputError("bad"), 4),
        (OSError(28, "No space left on device"), 5),
        (MemoryError(), 7),
        (ValueError("two\nlines"), 1),
    ],
)
def test_every_error_is_one_line(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, error: Exception, code: int
) -> None:
    pipeline.error = error
    run("video", photo, clip).failed(code)


def test_traceback_only_with_vv(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    pipeline.error = ValueError("boom")
    assert "Traceback" not in run("video", "-v", photo, clip).err
    ran = run("video", "-vv", photo, clip)
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1].startswith("faceswap: error: unexpected failure (ValueError: boom)")


def test_quiet_says_errors_only(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    pipeline.notes = ("something",)
    ran = run("video", "-q", photo, clip)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    run("video", "-q", photo, clip).failed(5, "exists")


def test_log_file_has_everything(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    pipeline.error = ValueError("boom")
    run("video", "-q", photo, clip, "--log-file", "run.log").failed(1)
    text = Path("run.log").read_text()
    assert "Traceback" in text
    assert "INFO" in text
    run("video", photo, clip, "--log-file", "no/run.log").failed(5, "no/run.log")


def test_existing_output(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    out = clip.with_name("clip_swapped.mp4")
    out.write_text("old")
    run("video", photo, clip).failed(5, "--force", "--skip-existing")
    ran = run("video", photo, clip, "--skip-existing")
    assert (ran.code, ran.out) == (0, f"{out}\n")
    assert "nothing to do" in ran.err
    assert run("video", photo, clip, "--skip-existing", "--json").json["skipped"] is True
    assert pipeline.calls == []
    assert run("video", photo, clip, "--force").code == 0
    assert out.read_text() == "made of clip.mp4"
    run("video", photo, clip, "--force", "--skip-existing").failed(2)


def test_inputs_are_never_written_over(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    before = photo.read_bytes(), clip.read_bytes()
    run("video", photo, clip, "-o", clip, "--force").failed(5, "never overwritten")
    run("image", photo, photo, "-o", photo, "--force").failed(5, "never overwritten")
    folder = photo.parent / "all"
    folder.mkdir()
    inside = picture(folder / "x.jpg")
    run("image", folder, photo, "-o", inside, "--force").failed(5, "never overwritten")
    run("video", photo, clip, "-o", "o.mp4", "--ledger", clip, "--force").failed(5, "never overwritten")
    run("video", photo, clip, "-o", "o.mp4", "--ledger", "o.mp4").failed(5, "ledger")
    assert (photo.read_bytes(), clip.read_bytes()) == before
    assert pipeline.calls == []


def test_bad_input_before_any_work(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    empty, text = photo.with_name("empty.mp4"), photo.with_name("text.mp4")
    empty.write_bytes(b"")
    text.write_text("this is not a film")
    run("video", photo, empty).failed(4, "empty.mp4", "0 bytes")
    run("video", photo, text).failed(4, "text.mp4")
    run("video", photo, "gone.mp4").failed(4, "gone.mp4")
    run("video", "gone.jpg", clip).failed(4, "gone.jpg")
    run("video", photo, photo.parent).failed(4, "folder")
    run("image", photo, photo.parent).failed(4, "folder")
    run("video", photo, photo).failed(4, "faceswap image")
    run("image", photo, clip).failed(4, "faceswap video")
    run("video", photo, clip, "--ref", "gone.jpg").failed(4, "gone.jpg")
    run("video", photo, clip, "-o", "none/out.mp4").failed(5, "none")
    assert pipeline.calls == []
    assert sorted(p.name for p in photo.parent.iterdir()) == ["clip.mp4", "empty.mp4", "me.jpg", "text.mp4"]


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--face", "nobody"], "face"),
        (["--smooth", "2"], "smooth"),
        (["--crf", "x"], "--crf"),
        (["--device", "tpu"], "auto, cpu"),
        (["--fail-under", "beauty=1"], "likeness, likeness_gain, nearest"),
        (["--fail-under", "identity"], "identity=0.6"),
        (["--preview", "0"], "--preview"),
        (["--compare", "up"], "side or wipe"),
        (["--json", "--events"], "exclude"),
        (["-q", "-v"], "exclude"),
        (["--progress", "fancy"], "plain"),
        (["--codec", "nosuch"], "nosuch"),
        (["-o", "x.ts"], "ffmpeg -i x.mkv -c copy x.ts"),
        (["-o", "x.gif", "--codec", "libx264"], ".gif"),
        (["-o", "{who}.mp4"], "{who}"),
        (["-o", "x.webm", "--codec", "libx264"], "webm"),
    ],
)
def test_usage_errors(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, flags: list[str], word: str
) -> None:
    run("video", photo, clip, *flags).failed(2, word)
    assert pipeline.calls == []


def test_too_few_files(run: Run, photo: Path) -> None:
    run("video").failed(2)
    run("video", photo).failed(2, "two files")
    run("video", photo, "").failed(2, "empty")


def test_a_named_device_that_is_not_there_is_7(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run("video", photo, clip, "--device", "cuda").failed(7, "cuda", "--device cpu")
    run("video", photo, clip, "--device", "CUDA:3").failed(7, "cuda:3")
    assert pipeline.calls == []


def test_full_disk_is_seen_before_the_start(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(1, 1, 1 << 20))
    run("video", photo, clip).failed(5, "1 MiB free")
    assert pipeline.calls == []


def test_ledger_has_a_line_for_every_face(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, machine: Path
) -> None:
    pipeline.rows = (row(0), row(1, swapped=False))
    assert run("video", photo, clip, "--ledger", "l.jsonl").code == 0
    lines = [json.loads(line) for line in (machine / "l.jsonl").read_text().splitlines()]
    assert [line["swapped"] for line in lines] == [True, False]
    assert {"pts", "track", "person", "swapped", "reason", "box", "yaw", "pitch", "roll"} <= set(lines[0])
    assert {"identity_distance", "occluded", "mask_area"} <= set(lines[0])
    run("video", photo, clip, "--ledger", "l.jsonl", "-o", "b.mp4").failed(5, "l.jsonl", "exists")
    assert not list(machine.glob(".*"))


def test_gates(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    pipeline.rows = (row(0, distance=0.5), row(1, swapped=False), row(1, person=7, swapped=False))
    ran = run("video", photo, clip, "--fail-under", "identity=0.6,coverage=0.5", "--force")
    assert ran.code == 0
    ran = run("video", photo, clip, "--fail-under", "identity=0.4, coverage=0.9", "--force", "--json")
    ran.failed(10, "identity <= 0.4 (is 0.500)", "coverage >= 0.9 (is 0.500)")
    told = ran.json
    assert told["error"]["code"] == "quality"
    assert told["output"].endswith("clip_swapped.mp4")
    assert Path(told["output"]).is_file()
    assert ran.out.count("\n") == 1


def test_gate_that_needs_measuring(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measured(session: object, order: Order, report: Report) -> Evaluation:
        asked.append(order.given.target)
        return evaluation(report.ledger)

    monkeypatch.setattr("faceswap_cli.cli.swap._evaluated", measured)
    run("video", photo, clip, "--fail-under", "jitter=1.1", "-q").failed(10, "jitter <= 1.1 (is 1.200)")
    assert asked == [clip]
    assert run("video", photo, clip, "-f", "--fail-under", "identity=0.6").code == 0
    assert len(asked) == 1
    good = run("video", photo, clip, "-f", "--fail-under", "verdict", "--json").json
    assert good["verdict"]["word"] == good["evaluation"]["verdict"]["word"] == "Good"
    assert good["evaluation"]["figures"]["likeness"] == 0.64
    assert good["figures"] == {"identity": pytest.approx(0.4), "coverage": 1.0}


def test_preview_writes_a_sheet(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    ran = run("video", photo, clip, "--preview", "6")
    assert ran.out == f"{clip.with_name('clip_preview.png')}\n"
    assert pipeline.calls[0][0] == "preview 6"
    run("video", photo, clip, "--preview", "6", "-o", "x.mp4").failed(2, ".png")


class _Pipe(io.TextIOWrapper):
    """stdin or stdout as a pipe, or as a terminal."""

    def __init__(self, data: bytes = b"", *, tty: bool = False) -> None:
        self.raw_bytes = io.BytesIO(data)
        self.tty = tty
        super().__init__(self.raw_bytes)

    def isatty(self) -> bool:
        return self.tty


def test_image_from_stdin_to_stdout(
    run: Run, pipeline: FakePipeline, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _Pipe(photo.read_bytes()))
    ran = run("image", photo, "-")
    assert (ran.code, ran.out) == (0, "made of stdin.jpg")
    spooled = pipeline.calls[0][2]
    assert spooled.suffix == ".jpg"
    assert not spooled.parent.exists()


def test_video_on_stdin_and_stdout_is_matroska(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _Pipe(clip.read_bytes()))
    ran = run("video", photo, "-", "-o", "-")
    assert (ran.code, ran.out) == (0, "made of stdin.mp4")
    assert pipeline.calls[0][3].suffix == ".mkv"
    assert not pipeline.calls[0][3].parent.exists()


def test_what_stdin_and_stdout_refuse(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("image", "-", "-").failed(2, "only once")
    run("video", photo, clip, "-o", "-", "--json").failed(2, "stdout")
    monkeypatch.setattr("sys.stdin", _Pipe(b""))
    run("image", photo, "-", "-o", "x.png").failed(4, "stdin is empty")
    monkeypatch.setattr("sys.stdin", _Pipe(tty=True))
    run("image", photo, "-", "-o", "x.png").failed(2, "terminal")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("sys.stdin", _Pipe(clip.read_bytes()))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(1, 1, 1 << 20))
    run("video", photo, "-", "-o", "x.mp4").failed(5, "stdin")
    assert pipeline.calls == []


def test_stdout_terminal_is_refused(
    run: Run, pipeline: FakePipeline, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", _Pipe(tty=True))
    run("image", photo, photo, "-o", "-").failed(2, "terminal")


def test_closed_pipe_ends_quietly(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    pipeline.error = BrokenPipeError(32, "Broken pipe")
    ran = run("video", photo, clip)
    assert (ran.code, ran.err) == (0, f"faceswap: {photo.name} into {clip.name}\n")


def test_interrupted_job_says_how_to_go_on(
    run: Run, pipeline: FakePipeline, machine: Path, clip: Path
) -> None:
    source = picture(machine / "my photo.jpg")
    pipeline.error = Interrupted("stopped after 3 of 9 segments", exit_code=143)
    run("video", source, clip, "--seed", "4").failed(
        143, "3 of 9", f"faceswap video '{source}' {clip} --seed 4"
    )


def test_source_and_target_by_name(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    for argv in (
        ("-s", photo, "-t", clip),
        ("--source", photo, clip),
        (photo, "--target", clip),
        ("-s", photo, "-s", photo, "-t", clip),
    ):
        ran = run("video", *argv, "-f")
        assert ran.code == 0, ran.err
        assert ran.out == f"{clip.with_name('clip_swapped.mp4')}\n"
    run("video", "-s", photo).failed(2, "the target is missing")
    run("video", "-s", photo, clip, "-t", clip).failed(2, "the source is given twice")
    run("video", "-s", photo, photo, clip).failed(2, "only the target")
    run("video").failed(2, "give two files")
    run("video", "--cast", "c.toml").failed(2, "the target is missing")


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (("me.jpg", "clip.mp4"), "try: faceswap video me.jpg clip.mp4"),
        (("swap", "me.jpg", "group.png"), "try: faceswap image me.jpg group.png"),
        (("swap",), "try: faceswap video me.jpg clip.mp4"),
        (("@anna", "clip.mp4"), "try: faceswap video @anna clip.mp4"),
        (("enrol", "anna"), "try: faceswap enroll"),
        (("insepct", "clip.mp4"), "try: faceswap inspect"),
        (("xyzzy",), "see: faceswap --help"),
    ],
)
def test_a_wrong_command_is_answered_with_the_right_one(run: Run, argv: tuple[str, ...], meant: str) -> None:
    run(*argv).failed(2, "is not a command", meant)


@pytest.mark.parametrize("command", ["", "video", "batch", "evaluate", "enroll", "weights", "train"])
def test_help_shows_words_not_types(run: Run, command: str) -> None:
    text = run(*command.split(), "--help").out
    assert "--help" in text
    assert "<" not in text, "as in <bool>"
    assert command != "video" or {"FILE", "TIME", "keep|remove"} <= set(text.split())
    assert command != "video" or " TEXT " not in text, "a word that says more"


def test_the_line_of_usage_names_the_arguments_once(run: Run) -> None:
    assert "faceswap video [OPTIONS] SRC... TARGET\n" in re.sub(" +\n", "\n", run("video", "--help").out)


@pytest.mark.parametrize("name", ["image", "video", "batch", "inspect"])
def test_every_option_says_what_happens_without_it(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    known = ("Default:", "Required", "needed", "-vv", "Show this message")
    silent = [
        option.name
        for option in command.params
        if option.param_type_name == "option" and not any(word in (option.help or "") for word in known)
    ]
    assert silent == []


def test_help_and_version(run: Run) -> None:
    assert run("help", "video").out == run("video", "--help").out
    assert run("help").out == run("--help").out
    assert run("-V").out == run("--version").out
    text = run("--help").out
    places = [text.index(panel) for panel in (" Swap ", " People ", " Check ", " Set up ")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "; 1 of 3 people swapped: the largest; see --face and --cast"),
        (("--face", "left"), "; 1 of 3 people swapped: the leftmost"),
        (("--face", "2"), "; 1 of 3 people swapped: --face 2"),
        (("--face", "all"), "; 1 of 3 people swapped"),
        (("--ref", "me.jpg"), "; 1 of 3 people swapped: like me.jpg"),
    ],
)
def test_the_last_line_says_when_others_were_left_alone(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, argv: tuple[str, ...], said: str
) -> None:
    pipeline.people = 3
    pipeline.rows = (row(0), row(1), row(1, swapped=False, person=1))
    ran = run("video", *argv, photo, clip)
    assert ran.err.splitlines()[-1] == "faceswap: swapped 10 faces in 10 of 10 frames, 0.5 s" + said
    told = run("video", *argv, photo, clip, "--force", "--json").json
    assert (told["people"], told["people_swapped"]) == (3, 1)


@pytest.mark.parametrize(
    "argv",
    [
        ("video", "--cast", "new.toml", "clip.mp4"),
        ("batch", "--cast", "new.toml", "clip.mp4", "-o", "out"),
        ("evaluate", "clip.mp4", "--cast", "new.toml", "-t", "clip.mp4"),
    ],
)
def test_a_cast_file_that_is_missing_names_the_command_that_makes_it(
    run: Run, accepted: None, clip: Path, argv: tuple[str, ...]
) -> None:
    run(*argv).failed(4, "make it with: faceswap inspect CLIP --cast new.toml")


def test_a_picture_takes_no_cast(run: Run, pipeline: FakePipeline, photo: Path) -> None:
    pipeline.people, pipeline.rows = 2, (row(0), row(0, swapped=False, person=1))
    ran = run("image", photo, picture(photo.with_name("group.png")))
    assert ran.err.splitlines()[-1].endswith("; 1 of 2 people swapped: the largest; see --face")


def test_nothing_is_said_where_everybody_was_swapped(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path
) -> None:
    pipeline.people, pipeline.rows = 2, (row(0), row(0, person=1))
    assert "people" not in run("video", photo, clip).err


def test_a_name_that_is_nearly_there_is_suggested(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, machine: Path
) -> None:
    (machine / "photos").mkdir()
    picture(machine / "photos" / "ben.jpg")
    run("video", "photos/ben", clip).failed(4, "photos/ben does not exist; did you mean photos/ben.jpg?")
    run("video", "photos/bne.jpg", clip).failed(4, "did you mean photos/ben.jpg?")
    run("video", "photos/x.png", clip).failed(4, "check the spelling")


def test_options_that_do_nothing_are_named(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    ran = run("video", photo, clip, "--appear-from", "7")
    assert (ran.code, ran.err.count("warning")) == (0, 1)
    assert "--appear-from is for --profile 1024 and does nothing here" in ran.err
    ran = run("video", photo, clip, "-f", "--profile", "256", "--method", "mesh")
    assert "--profile is for --method fslsd and does nothing with mesh" in ran.err
    assert "warning" not in run("video", photo, clip, "-f", "--profile", "1024", "--appear-from", "7").err


def test_an_enrolled_person_is_called_by_name(
    run: Run, pipeline: FakePipeline, clip: Path, machine: Path
) -> None:
    people = machine / "people"
    people.mkdir()
    (people / "anna.faceid").write_bytes(b"x")
    os.environ["FACESWAP_PEOPLE"] = str(people)
    try:
        assert "faceswap: @anna into clip.mp4" in run("video", "@anna", clip).err
    finally:
        del os.environ["FACESWAP_PEOPLE"]


def test_one_face_is_singular(run: Run, pipeline: FakePipeline, photo: Path, clip: Path) -> None:
    report = Report(Path("x"), 1, 1, 1, 1, 0, {"render": 0.5}, (row(0),))
    order = Order("image", None, None, SwapOptions(), (), to_stdout=False)  # type: ignore[arg-type]
    assert _sentence(order, report) == "faceswap: swapped 1 face, 0.5 s"
    assert (
        _sentence(replace(order, command="video"), report)
        == "faceswap: swapped 1 face in 1 of 1 frame, 0.5 s"
    )


def test_arguments_in_the_wrong_order(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, machine: Path
) -> None:
    run("video", clip, photo).failed(4, "SOURCE TARGET; did you mean: faceswap video", f"{photo.name} ")
    run("image", clip, photo).failed(4, "is a video; a source is a photograph")
    (machine / "clips").mkdir()
    (machine / "clips" / "a.mp4").write_bytes(clip.read_bytes())
    run("batch", "clips", photo, "-o", "out").failed(4, "source comes first", f"{photo.name} clips -o FOLDER")


def test_result_and_target_exchanged(run: Run, machine: Path, clip: Path, photo: Path) -> None:
    make_clip(machine / "made.mp4", metadata=container_metadata(), frames=3)
    assert "are they exchanged?" in run("evaluate", clip, "-s", photo, "-t", "made.mp4").err
    assert "are they exchanged?" not in run("evaluate", "made.mp4", "-s", photo, "-t", clip).err
