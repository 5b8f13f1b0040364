"""``faceswap batch`` as it is typed: what is a source, what is a target, what comes out."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

import faceswap_cli
from faceswap_cli import forecast
from faceswap_cli.batch import engine
from faceswap_cli.errors import Interrupted, NoFaceFound
from faceswap_cli.events import Event, Listener, StopRequest
from faceswap_cli.provenance.mark import SOURCE_TYPE
from faceswap_cli.records import Report
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import frame_times
from tests.cli.fakes import Ran, picture, row
from tests.clips import make_clip

Run = Callable[..., Ran]
ROOT = Path(faceswap_cli.__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
FACE, CLIP = EXAMPLES / "source.jpg", EXAMPLES / "target.mp4"
pytestmark = pytest.mark.usefixtures("accepted")
needs_examples = pytest.mark.skipif(not CLIP.is_file(), reason="the examples are not in this installation")


class Swaps:
    """Stands for the swap of one row; keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.identified = 0
        self.options: list[object] = []
        self.faults: dict[str, BaseException] = {}
        self.people: dict[str, int] = {}

    def identify(self, sources: tuple[Path, ...], detect: object) -> object:
        self.identified += 1
        return type("Person", (), {"notes": (), "names": "+".join(path.name for path in sources)})()

    def swap(self, one: object, source: object, listen: Listener, stop: StopRequest) -> Report:
        target, output = one.target.path, one.output  # type: ignore[attr-defined]
        self.calls.append((getattr(source, "names", ""), target.name, str(output)))
        self.options.append(one.options)  # type: ignore[attr-defined]
        listen(Event("progress", {"stage": "render", "done": 1, "total": 1}))
        if target.name in self.faults:
            raise self.faults[target.name]
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(f"made of {target.name}")
        rows = (row(0), row(1, swapped=False))
        return Report(output, 10, 9, 9, self.people.get(target.name, 1), 0, {"render": 0.5}, rows)


@pytest.fixture
def swaps(monkeypatch: pytest.MonkeyPatch) -> Swaps:
    fake = Swaps()
    monkeypatch.setattr(engine, "identify", fake.identify)
    monkeypatch.setattr(engine, "swap_row", fake.swap)
    return fake


@pytest.fixture
def files(machine: Path) -> Path:
    """``in/`` with a clip, two pictures and a damaged clip; two photographs beside it."""
    folder = machine / "in"
    folder.mkdir()
    make_clip(folder / "a.mkv")
    for name in ("b.png", "c.jpg", "../me.jpg", "../you.jpg"):
        picture(folder / name)
    (folder / "d.mp4").write_bytes(b"no clip at all")
    (folder / "notes.txt").write_text("not for us")
    return folder


def test_first_is_the_source_all_others_are_targets(run: Run, swaps: Swaps, files: Path) -> None:
    ran = run("batch", "me.jpg", "in", "you.jpg", "-o", "out")
    names = ["out/a_swapped.mkv", "out/b_swapped.png", "out/c_swapped.jpg", "out/you_swapped.jpg"]
    assert ran.code == 8
    assert ran.out.splitlines() == names
    assert [call[0] for call in swaps.calls] == ["me.jpg"] * 4
    last = ran.err.splitlines()[-1]
    assert last.startswith("faceswap: error: 1 of 5 failed; this one: in/d.mp4")
    assert "faceswap: failed: 4/5 in/d.mp4" in ran.err
    assert "4 done, 1 failed" in ran.err


def test_several_people(run: Run, swaps: Swaps, files: Path) -> None:
    assert run("batch", "-s", "me.jpg", "-s", "you.jpg", "in/b.png", "in/c.jpg", "-o", "out").code == 0
    assert [call[0][:-4] + "+" + call[2] for call in swaps.calls] == [
        "me+out/b_me.png",
        "you+out/b_you.png",
        "me+out/c_me.jpg",
        "you+out/c_you.jpg",
    ]
    swaps.calls.clear()
    assert run("batch", "--pairs", "me.jpg", "you.jpg", "in/b.png", "in/c.jpg", "-o", "p").code == 0
    assert swaps.calls == [("me.jpg", "b.png", "p/b_swapped.png"), ("you.jpg", "c.jpg", "p/c_swapped.jpg")]


def test_patterns_that_no_shell_opened(run: Run, swaps: Swaps, files: Path) -> None:
    assert run("batch", "me.jpg", "in/*.[pj][np]g", "-o", "{source}/{stem}{ext}").code == 0
    assert [call[2] for call in swaps.calls] == ["me/b.png", "me/c.jpg"]


def test_manifest(run: Run, swaps: Swaps, files: Path) -> None:
    table = files.parent / "lists" / "jobs.csv"
    table.parent.mkdir()
    table.write_text(
        "source,target,output,face,end\n../me.jpg|../you.jpg,../in/a.mkv,new.mkv,left,5f\n,../in/b.png,,,\n"
    )
    ran = run("batch", "--manifest", table, "-s", "you.jpg", "-o", "out", "--face", "all", "--json")
    told = ran.json
    assert (ran.code, told["done"], told["failed"]) == (0, 2, 0)
    assert swaps.calls == [
        ("me.jpg+you.jpg", "a.mkv", "out/new.mkv"),
        ("you.jpg", "b.png", "out/b_swapped.png"),
    ]
    first, second = swaps.options
    assert (first.track.face, first.range.end) == ("left", "5f")  # type: ignore[attr-defined]
    assert second.track.face == "all"  # type: ignore[attr-defined]
    assert [r["where"] for r in told["rows"]] == ["jobs.csv line 2", "jobs.csv line 3"]
    assert told["rows"][0]["figures"] == {"identity": 0.4, "coverage": 0.5}


def test_json_of_a_batch_with_failures(run: Run, swaps: Swaps, files: Path) -> None:
    swaps.faults["b.png"] = NoFaceFound("no face in b.png; try --min-face 12")
    ran = run("batch", "me.jpg", "in", "-o", "out", "--json")
    told = ran.json
    assert (ran.code, told["exit"], told["error"]["code"]) == (8, 8, "batch")
    assert (told["done"], told["failed"], told["not_started"]) == (2, 2, 0)
    assert [r["status"] for r in told["rows"]] == ["done", "failed", "done", "failed"]
    assert told["rows"][1]["error"] == {
        "code": "no-face",
        "exit": 3,
        "message": "no face in b.png; try --min-face 12",
    }
    assert told["rows"][3]["error"]["exit"] == 4


def test_a_batch_says_where_not_everybody_was_swapped(run: Run, swaps: Swaps, files: Path) -> None:
    swaps.people = {"a.mkv": 3, "b.png": 2}
    command = ("batch", "me.jpg", "in/a.mkv", "in/b.png", "in/c.jpg", "-o", "out")
    ran = run(*command)
    lines = [line for line in ran.err.splitlines() if line.startswith("faceswap: ")]
    assert lines[0].endswith(" s; 1 of 3 people swapped: the largest; see --face and --cast")
    assert lines[1].endswith(" s; 1 of 2 people swapped: the largest; see --face")
    assert lines[2].endswith(" s")
    assert lines[-1] == "faceswap: 3 done; people left as they were in 2, see --face and --cast"
    table = ran.err.splitlines()[-5:-1]
    assert "people" in table[0]
    assert ["1/3" in line for line in table[1:]] == [True, False, False]
    rows = run(*command, "--force", "--json").json["rows"]
    assert [(r["people_swapped"], r["people"]) for r in rows] == [(1, 3), (1, 2), (1, 1)]
    swaps.people = {}
    ran = run(*command, "--force")
    assert "people" not in ran.err


def test_events_of_a_batch(run: Run, swaps: Swaps, files: Path) -> None:
    events = run("batch", "me.jpg", "in/b.png", "in/d.mp4", "-o", "out", "--events").events
    assert all({"schema", "event", "ts"} <= set(event) for event in events)
    about = [(e["event"], e.get("row")) for e in events if e["event"] != "progress"]
    assert about == [("result", 1), ("error", 2), ("result", None), ("error", None)]
    assert [e for e in events if e.get("stage") == "batch"][-1]["done"] == 2
    assert (events[-2]["exit"], events[-1]["exit"]) == (8, 8)
    first = next(e for e in events if e.get("row") == 1 and e["event"] == "result")
    assert (first["command"], first["exit"], first["output"]) == ("batch", 0, "out/b_swapped.png")


def test_the_same_command_goes_on_and_leaves_nothing(run: Run, swaps: Swaps, files: Path) -> None:
    command = ("batch", "me.jpg", "in", "-o", "out")
    assert run(*command).code == 8
    (files / "d.mp4").unlink()
    make_clip(files / "d.mp4")
    swaps.calls.clear()
    ran = run(*command)
    assert (ran.code, [call[1] for call in swaps.calls]) == (0, ["d.mp4"])
    assert len(ran.out.splitlines()) == 4
    assert "1 done, 3 done before" in ran.err
    assert sorted(p.name for p in Path("out").iterdir()) == [
        "a_swapped.mkv",
        "b_swapped.png",
        "c_swapped.jpg",
        "d_swapped.mp4",
    ]
    run(*command).failed(5, "out/a_swapped.mkv and 3 others exist", "--skip-existing")
    again = run(*command, "--skip-existing")
    assert (again.code, len(again.out.splitlines())) == (0, 4)
    assert [call[1] for call in swaps.calls] == ["d.mp4"]
    assert run(*command, "--force", "-q").out == ""
    assert len(swaps.calls) == 5


def test_results_beside_their_targets(run: Run, swaps: Swaps, files: Path) -> None:
    command = ("batch", "me.jpg", "in", "-o", "in")
    assert run(*command).code == 8
    (files / "d.mp4").unlink()
    swaps.calls.clear()
    ran = run(*command)
    assert (ran.code, swaps.calls) == (0, [])
    assert "results of this batch" in ran.err
    assert not list(files.glob("*_swapped_swapped*"))
    ran = run(*command, "--force")
    assert ran.code == 5
    assert "is an input and is never overwritten" in ran.err.splitlines()[-1]


def test_max_failures_and_gates(run: Run, swaps: Swaps, files: Path) -> None:
    gates = ("--fail-under", "coverage=0.9")
    ran = run("batch", "me.jpg", "in/b.png", "in/c.jpg", "-o", "out", "--max-failures", "1", *gates)
    assert ran.code == 8
    assert "1 of 2 failed and 1 were not started" in ran.err
    assert "coverage >= 0.9 (is 0.500)" in ran.err
    assert Path("out/b_swapped.png").is_file(), "a result that is not good enough is kept"


def test_ledgers(run: Run, swaps: Swaps, files: Path) -> None:
    command = ("batch", "me.jpg", "in/b.png", "in/a.mkv", "--ledger", "l")
    assert run(*command, "-o", "out").code == 0
    assert sorted(p.name for p in Path("l").iterdir()) == ["a_swapped.mkv.jsonl", "b_swapped.png.jsonl"]
    assert json.loads(Path("l/b_swapped.png.jsonl").read_text().splitlines()[0])["swapped"] is True
    run(*command, "-o", "out2").failed(5, "b_swapped.png.jsonl exists")


def test_dry_run_writes_nothing(
    run: Run, swaps: Swaps, files: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"prepare": 2.0, "analyse": 1.0, "render": 9.0, "assemble": 1.0}
    seen = SimpleNamespace(frames=100, seconds=seconds)
    monkeypatch.setattr(forecast, "forecast", lambda sources, target, *rest: seen)
    before = sorted(machine.rglob("*"))
    ran = run("batch", "me.jpg", "in", "-o", "out", "--dry-run")
    assert ran.code == 0
    assert "out/a_swapped.mkv" in ran.out
    assert "d.mp4" in ran.out
    told = run("batch", "me.jpg", "in", "-o", "out", "--dry-run", "--json").json
    assert [r["status"] for r in told["rows"]] == ["not_started"] * 3 + ["failed"]
    clip, *pictures, failed = [r["wall_s"] for r in told["rows"]]
    frames = len(frame_times(probe(files / "a.mkv")))
    assert clip == pytest.approx(2 + 0.1 * frames, abs=0.5)
    assert all(0 < one < 1 for one in pictures)
    assert failed is None
    assert told["seconds"]["total"] == pytest.approx(clip + sum(pictures))
    assert "about 0:0" in ran.err
    assert "for 3 of 4 rows" in ran.err
    assert all(Path(out).parent.name.startswith("faceswap-") for _, _, out in swaps.calls)
    assert sorted(machine.rglob("*")) == before


def test_a_dry_run_without_a_face_says_so(run: Run, swaps: Swaps, files: Path) -> None:
    ran = run("batch", "me.jpg", "in/a.mkv", "-o", "out", "--dry-run")
    assert ran.code == 0
    assert "no estimate: " in ran.err
    assert "for 0 of 1 rows" in ran.err


@pytest.mark.parametrize(
    ("argv", "code", "word"),
    [
        ([], 2, "SRC TARGETS"),
        (["me.jpg", "-o", "out"], 2, "SRC TARGETS"),
        (["me.jpg", "in"], 2, "-o is needed"),
        (["me.jpg", "in", "-o", "-"], 2, "stdout"),
        (["me.jpg", "-", "-o", "out"], 2, "stdin"),
        (["me.jpg", "in", "-o", "out.mp4"], 2, "one file"),
        (["me.jpg", "in/b.png", "in/c.jpg", "-o", "x{}.png"], 2, "template"),
        (["me.jpg", "in/b.png", "you.jpg", "-o", "out/{source}.png"], 2, "written twice"),
        (["me.jpg", "in", "-o", "{who}"], 2, "{who}"),
        (["me.jpg", "in", "-o", "out", "-f", "--skip-existing"], 2, "exclude"),
        (["me.jpg", "in", "-o", "out", "--max-failures", "-1"], 2, "--max-failures"),
        (["me.jpg", "in", "-o", "out", "--preview", "3"], 2, "--preview"),
        (["me.jpg", "in", "-o", "out", "--manifest", "j.csv"], 2, "me.jpg"),
        (["--manifest", "j.csv", "-s", "a", "-s", "b"], 2, "not several"),
        (["--manifest", "gone.csv"], 4, "gone.csv"),
        (["--pairs", "me.jpg", "you.jpg", "in/b.png", "-o", "out"], 2, "do not split"),
        (["--pairs", "-s", "me.jpg", "in/b.png", "in/c.jpg", "-o", "out"], 2, "not 1 and 2"),
        (["me.jpg", "nothing/*.mp4", "-o", "out"], 4, "nothing/*.mp4"),
        (["gone.jpg", "in/b.png", "-o", "out"], 4, "gone.jpg"),
        (["me.jpg", "in/b.png", "-o", "out", "--ref", "gone.jpg"], 4, "gone.jpg"),
        (["me.jpg", "in/b.png", "-o", "out", "--device", "abacus"], 2, "abacus"),
    ],
)
def test_bad_commands_before_any_work(
    run: Run,
    files: Path,
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    code: int,
    word: str,
) -> None:
    def never(*given: object) -> Report:
        raise AssertionError("no work may start")

    monkeypatch.setattr(engine, "swap_row", never)
    (machine / "j.csv").write_text("source,target\nme.jpg,in/b.png\n")
    before = sorted(machine.rglob("*"))
    run("batch", *argv).failed(code, word)
    assert sorted(machine.rglob("*")) == before


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("me.jpg,in/b.png,../x.png,", "outside"),
        ("me.jpg,in/b.png,,somebody", "face"),
        (",in/b.png,,", "source is missing"),
    ],
)
def test_bad_lines_of_a_manifest(run: Run, swaps: Swaps, files: Path, line: str, word: str) -> None:
    (files.parent / "j.csv").write_text(f"source,target,output,face\nme.jpg,in/b.png,ok.png,\n{line}\n")
    run("batch", "--manifest", "j.csv").failed(2, "j.csv line 3", word)
    assert swaps.calls == []


def _cast(path: Path) -> Path:
    """A cast file for one person, who gets the face of ``me.jpg``."""
    faces = base64.b64encode(np.ones(128, np.float16).tobytes()).decode()
    text = f'schema = 1\n[people.A]\nsource = "me.jpg"\n[recognise.A]\nfaces = ["{faces}"]\n'
    path.write_text(text)
    return path


def test_a_cast_file_names_the_sources(run: Run, swaps: Swaps, files: Path, machine: Path) -> None:
    cast = _cast(machine / "cast.toml")
    command = ("batch", "--cast", cast, "in/a.mkv", "in/b.png", "-o", "out/{source}_{stem}{ext}")
    ran = run(*command, "--json")
    assert ran.code == 8
    assert swaps.calls == [("", "a.mkv", "out/cast_a.mkv")]
    assert swaps.identified == 0
    assert "cast file is for clips" in ran.json["rows"][1]["error"]["message"]
    assert run(*command, "--json").json["kept"] == 1
    picture(machine / "me.jpg").touch()
    run(*command).failed(5, "out/cast_a.mkv exists")  # another photograph: another job
    run("batch", "--cast", cast, "-s", "you.jpg", "in", "-o", "x").failed(2, "--cast names the sources")
    run("batch", "--cast", "gone.toml", "in", "-o", "x").failed(4, "gone.toml")


def test_lines_with_a_cast_file_need_no_source(run: Run, swaps: Swaps, files: Path, machine: Path) -> None:
    _cast(machine / "cast.toml")
    (machine / "j.csv").write_text("source,target,cast\n,in/a.mkv,cast.toml\nyou.jpg,in/b.png,\n")
    assert run("batch", "--manifest", "j.csv", "-o", "out").code == 0
    assert [call[:2] for call in swaps.calls] == [("", "a.mkv"), ("you.jpg", "b.png")]
    (machine / "j.csv").write_text("source,target,cast\nyou.jpg,in/a.mkv,cast.toml\n")
    run("batch", "--manifest", "j.csv", "-o", "x").failed(2, "j.csv line 2", "cast")


def test_restart_begins_anew(run: Run, swaps: Swaps, files: Path) -> None:
    command = ("batch", "me.jpg", "in", "-o", "out")
    assert run(*command).code == 8
    assert len(swaps.calls) == 3
    assert run(*command, "--restart").code == 8
    assert len(swaps.calls) == 6
    Path("out/b_swapped.png").write_text("edited by hand")
    run(*command, "--restart").failed(5, "out/b_swapped.png exists")


def test_terms_come_before_any_file_is_read(
    run: Run, swaps: Swaps, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACESWAP_ACCEPT_TERMS")
    run("batch", "me.jpg", "in", "-o", "out").failed(9, "--accept-terms")
    assert swaps.calls == []


def test_interrupted_batch_says_how_to_go_on(run: Run, swaps: Swaps, files: Path) -> None:
    swaps.faults["c.jpg"] = Interrupted("stopped while rendering", exit_code=130)
    ran = run("batch", "me.jpg", "in", "-o", "out", "--json")
    assert ran.code == 130
    assert "at c.jpg, 3 of 4; to resume: faceswap batch me.jpg in -o out --json" in ran.err
    assert ran.json["done"] == 2


@needs_examples
def test_ten_with_one_damaged(run: Run, machine: Path) -> None:
    """The real thing: nine results, exit 8, the tenth named with its reason."""
    folder = machine / "ten"
    folder.mkdir()
    for number in range(3):
        Image.open(FACE).save(folder / f"picture{number}.jpg", quality=90)
    for number in range(6):
        _short(folder / f"clip{number}.mp4", 1 + number % 2)
    (folder / "damaged.mp4").write_bytes(CLIP.read_bytes()[:4000])
    command = ("batch", FACE, folder, "-o", "out", "--preset", "ultrafast", "--threads", "1")
    ran = run(*command)
    assert ran.code == 8
    assert len(ran.out.splitlines()) == 9
    assert "1 of 10 failed; this one: " in ran.err.splitlines()[-1]
    assert "damaged.mp4" in ran.err.splitlines()[-1]
    made = sorted(path for path in Path("out").iterdir() if path.is_file())
    assert len(made) == 9
    for path in made:
        assert SOURCE_TYPE.encode() in path.read_bytes()
    before = [path.stat().st_mtime_ns for path in made]
    again = run(*command, "--json")
    assert (again.code, again.json["kept"], again.json["failed"]) == (8, 9, 1)
    assert [path.stat().st_mtime_ns for path in made] == before


def _short(path: Path, frames: int) -> None:
    """The first frames of the example."""
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as copy:
        stream = copy.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 384, 512, "yuv420p"
        for frame, _ in zip(source.decode(video=0), range(frames), strict=False):
            copy.mux(stream.encode(frame.reformat(format="yuv420p")))
        copy.mux(stream.encode(None))


@needs_examples
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_and_then_the_same_command(run: Run, machine: Path) -> None:
    for name in ("a", "b", "c"):
        shutil.copy(FACE, machine / f"{name}.jpg")
    _short(machine / "z.mp4", 15)
    command = [
        sys.executable,
        "-m",
        "faceswap_cli",
        "batch",
        str(FACE),
        "a.jpg",
        "z.mp4",
        "c.jpg",
        "-o",
        "out",
    ]
    command += ["--preset", "ultrafast", "--threads", "1", "--segment", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FACESWAP_ACCEPT_TERMS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "out/a_swapped.jpg\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "to resume: faceswap batch" in err.splitlines()[-1]
    assert out == ""
    ended = run(*command[3:], "--json")
    assert (ended.code, ended.json["kept"], ended.json["done"]) == (0, 1, 2)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "a_swapped.jpg",
        "c_swapped.jpg",
        "z_swapped.mp4",
    ]
