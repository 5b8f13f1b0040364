"""The commands with nothing replaced, on the bundled example: good input and every kind of bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import faceswap_cli
from faceswap_cli.provenance.mark import SOURCE_TYPE
from tests.cli.fakes import Ran, picture
from tests.clips import make_clip

Run = Callable[..., Ran]
EXAMPLES = Path(faceswap_cli.__file__).resolve().parents[1] / "examples"
FACE, CLIP = EXAMPLES / "source.jpg", EXAMPLES / "target.mp4"
pytestmark = [
    pytest.mark.usefixtures("accepted"),
    pytest.mark.skipif(not CLIP.is_file(), reason="the examples are not in this installation"),
]


def _left(machine: Path) -> list[str]:
    """Names in the working folder, hidden ones too."""
    return sorted(path.name for path in machine.iterdir())


def test_video_end_to_end(run: Run, machine: Path) -> None:
    flags = ["--end", "10f", "--preset", "ultrafast", "--threads", "2", "--ledger", "l.jsonl"]
    ran = run("video", FACE, CLIP, "-o", "out.mp4", "--json", *flags)
    told = ran.json
    assert ran.code == 0, ran.err
    assert (told["frames"], told["frames_with_swap"], told["people"]) == (10, 10, 1)
    assert told["figures"]["coverage"] == 1.0
    assert 0 < told["figures"]["identity"] < 0.6
    assert _left(machine) == ["l.jsonl", "out.mp4"]
    rows = [json.loads(line) for line in Path("l.jsonl").read_text().splitlines()]
    assert [row["swapped"] for row in rows] == [True] * 10
    seen = run("inspect", "out.mp4", "--quick", "--json").json
    assert seen["mark"]["source_type"] == SOURCE_TYPE
    assert {stream["kind"] for stream in seen["streams"]} == {"video", "audio"}


def test_events_tell_the_whole_story(run: Run) -> None:
    flags = ["--end", "3f", "--preset", "ultrafast", "--threads", "2"]
    ran = run("video", FACE, CLIP, "-o", "out.mkv", "--events", *flags)
    assert ran.code == 0
    kinds = [event["event"] for event in ran.events]
    assert (kinds[0], kinds[-1]) == ("start", "result")
    assert "plan" in kinds
    assert {event["stage"] for event in ran.events if event["event"] == "progress"} >= {"analyse", "render"}


def test_image_end_to_end(run: Run, machine: Path) -> None:
    ran = run("image", FACE, FACE, "-o", "out.jpg", "--label", "--threads", "2")
    assert (ran.code, ran.out) == (0, "out.jpg\n")
    assert run("inspect", "out.jpg", "--json").json["mark"]["source_type"] == SOURCE_TYPE
    assert _left(machine) == ["out.jpg"]
    with Image.open("out.jpg") as written, Image.open(FACE) as given:
        assert written.size == given.size


def test_preview_end_to_end(run: Run, machine: Path) -> None:
    ran = run("video", FACE, CLIP, "--preview", "2", "--end", "5f", "-o", "sheet.png", "--threads", "2")
    assert (ran.code, ran.out) == (0, "sheet.png\n")
    assert _left(machine) == ["sheet.png"]
    assert run("inspect", "sheet.png", "--json").json["mark"] is not None


def test_no_face_in_the_source(run: Run, machine: Path) -> None:
    flat = picture(machine / "noise.png")
    run("video", flat, CLIP, "-o", "out.mp4", "--end", "3f").failed(3, "noise.png")
    run("image", flat, FACE, "-o", "out.png").failed(3, "noise.png")
    assert _left(machine) == ["noise.png"]


def test_no_face_in_the_target(run: Run, machine: Path) -> None:
    make_clip(machine / "plain.mp4", size=(96, 64))
    run("video", FACE, "plain.mp4").failed(3, "plain.mp4")
    run("image", FACE, picture(machine / "noise.png")).failed(3, "noise.png")
    assert _left(machine) == ["noise.png", "plain.mp4"]


def test_several_faces_in_the_source(run: Run, machine: Path) -> None:
    with Image.open(FACE) as face:
        half = np.asarray(face.convert("RGB").resize((400, 500)))
    Image.fromarray(np.concatenate([half, half], axis=1)).save("two.png")
    run("image", "two.png", FACE, "-o", "out.png").failed(3, "two.png")
    assert _left(machine) == ["two.png"]


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "audio"])
def test_broken_targets(run: Run, machine: Path, kind: str) -> None:
    path = machine / "bad.mp4"
    whole = CLIP.read_bytes()
    if kind == "audio":
        _audio_only(path)
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 50], "text": b"words " * 99, "empty": b""}[kind])
    run("video", FACE, path).failed(4, "bad.mp4")
    assert _left(machine) == ["bad.mp4"]


def _audio_only(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("kind", ["truncated", "text", "empty"])
def test_broken_sources(run: Run, machine: Path, kind: str) -> None:
    path = machine / "bad.jpg"
    path.write_bytes({"truncated": FACE.read_bytes()[:3000], "text": b"words " * 99, "empty": b""}[kind])
    run("image", path, FACE, "-o", "out.png").failed(4, "bad.jpg")
    run("video", path, CLIP, "-o", "out.mp4", "--end", "3f").failed(4, "bad.jpg")
    assert _left(machine) == ["bad.jpg"]


def test_folder_without_pictures(run: Run, machine: Path) -> None:
    folder = machine / "photos"
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing to see")
    run("image", folder, FACE, "-o", "out.png").failed(4, "photos")


def test_missing_weights(run: Run, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faceswap_cli.weights import registry

    monkeypatch.setattr(registry, "bundled_folder", lambda: machine / "nowhere")
    run("image", FACE, FACE, "-o", "out.png", "--max-faces", "7").failed(6, "missing")
    assert _left(machine) == []


def test_unknown_method(run: Run) -> None:
    run("image", FACE, FACE, "-o", "out.png", "--method", "magic").failed(2, "magic", "mesh")


@pytest.mark.parametrize(
    "span", [("--start", "abc"), ("--start", "99:00:00"), ("--start", "5f", "--end", "2f")]
)
def test_ranges_that_make_no_sense(run: Run, machine: Path, span: tuple[str, ...]) -> None:
    run("video", FACE, CLIP, "-o", "out.mp4", *span).failed(2)
    assert _left(machine) == []


def test_evaluate_and_its_gates(run: Run, machine: Path) -> None:
    flags = ["--preset", "ultrafast", "--threads", "2", "--end", "4f"]
    assert run("video", FACE, CLIP, "-o", "out.mp4", *flags).code == 0
    told = run("evaluate", "out.mp4", "--source", FACE, "--target", CLIP, "--json", "--max-frames", "4").json
    assert 0 < told["figures"]["identity"] < 0.8
    shown = run("evaluate", "out.mp4", "-s", FACE, "-t", CLIP, "--max-frames", "4")
    assert (shown.code, shown.err) == (0, "")
    assert "identity" in shown.out
    ran = run(
        "evaluate", "out.mp4", "-s", FACE, "-t", CLIP, "--max-frames", "4", "--fail-under", "identity=0.01"
    )
    ran.failed(10, "identity <= 0.01")
