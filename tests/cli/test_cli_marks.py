"""Whatever a command writes, ``inspect`` reads the marks back; without them it does not say genuine."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

import faceswap_cli
from faceswap_cli.cli.marks import without_sidecar
from faceswap_cli.provenance.mark import SOURCE_TYPE, container_metadata
from tests.cli.fakes import Ran
from tests.clips import make_clip
from tests.provenance.test_signing import make, signed

Run = Callable[..., Ran]
EXAMPLES = Path(faceswap_cli.__file__).resolve().parents[1] / "examples"
FACE, CLIP = EXAMPLES / "source.jpg", EXAMPLES / "target.mp4"
pytestmark = [
    pytest.mark.usefixtures("accepted"),
    pytest.mark.skipif(not CLIP.is_file(), reason="the examples are not in this installation"),
]
QUICK = ("--end", "8f", "--preset", "ultrafast", "--threads", "2", "--method", "mesh")


def seen(run: Run, path: str, *flags: str) -> dict[str, Any]:
    """What ``inspect`` says of a file; the plain mark and the manifest must be there and hold."""
    told = run("inspect", path, "--json", *flags).json
    assert told["mark"]["source_type"] == SOURCE_TYPE
    assert told["c2pa"]["state"] == "valid"
    assert told["c2pa"]["signer"] == "this machine"
    assert told["c2pa"]["actions"] == ["c2pa.opened", "c2pa.edited"]
    assert told["synthetic"] is True
    return told


def without_metadata(source: Path, result: Path) -> None:
    """The packets of the video alone, as a careless service leaves them."""
    with av.open(str(source)) as given, av.open(str(result), "w") as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        for packet in given.demux(stream):
            if packet.size:
                packet.stream = copy
                made.mux(packet)


def test_a_video_carries_three_marks_and_keeps_the_last_when_stripped(run: Run, machine: Path) -> None:
    assert run("video", FACE, CLIP, "-o", "out.mp4", *QUICK).code == 0
    told = seen(run, "out.mp4")
    assert told["c2pa"]["where"] == "embedded"
    assert told["invisible"]["found"] is True
    without_metadata(machine / "out.mp4", machine / "bare.mp4")
    bare = run("inspect", "bare.mp4", "--json").json
    assert (bare["mark"], bare["c2pa"]) == (None, None)
    assert (bare["invisible"]["found"], bare["synthetic"]) == (True, True)
    lines = run("inspect", "bare.mp4").out
    assert "found in person 1" in lines
    assert "made with AI" in lines


def test_the_target_itself_is_unmarked(run: Run) -> None:
    told = run("inspect", CLIP, "--json").json
    assert told["invisible"]["found"] is False
    assert told["c2pa"] is None
    quick = run("inspect", CLIP, "--json", "--quick").json
    assert quick["invisible"] is None
    assert quick["synthetic"] is bool(quick["mark"] and quick["mark"]["synthetic"])


def test_side_by_side_in_a_container_without_a_place_for_manifests(run: Run, machine: Path) -> None:
    ran = run("video", FACE, CLIP, "-o", "out.mkv", "--compare", "side", *QUICK)
    assert ran.code == 0
    assert "out.mkv.c2pa" in ran.err
    assert {path.name for path in machine.iterdir()} == {"out.mkv", "out.mkv.c2pa"}
    assert seen(run, "out.mkv", "--quick")["c2pa"]["where"] == "sidecar"
    (machine / "out.mkv.c2pa").unlink()
    left = run("inspect", "out.mkv", "--json", "--quick").json
    assert (left["c2pa"], left["mark"]["source_type"]) == (None, SOURCE_TYPE)


def test_preview_and_picture(run: Run) -> None:
    assert run("video", FACE, CLIP, "--preview", "1", "-o", "sheet.png", *QUICK).code == 0
    seen(run, "sheet.png")
    assert run("image", FACE, FACE, "-o", "out.webp", "--method", "mesh").code == 0
    assert seen(run, "out.webp")["invisible"]["found"] is True


@pytest.mark.slow
def test_stdout_carries_what_it_can(run: Run, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    from faceswap_cli.cli import main

    assert main(["video", str(FACE), str(CLIP), "-o", "-", *QUICK]) == 0
    out, err = capsysbinary.readouterr()
    with av.open(io.BytesIO(out)) as container:
        assert SOURCE_TYPE in " ".join(container.metadata.values())
    assert b"stdout carries no C2PA manifest" in err
    assert without_sidecar(["a note"]) == ["a note"]


def test_an_earlier_manifest_shows(run: Run, machine: Path) -> None:
    camera = make(machine / "camera.mp4", 1)
    signed(camera, make(machine / "film.mp4"))
    out = make(machine / "out.mp4")
    signed(out, camera)
    assert run("inspect", "out.mp4", "--json", "--quick").json["c2pa"]["earlier_manifests"] == 1
    assert "earlier manifest" in run("inspect", "out.mp4", "--quick").out


def test_a_changed_file_is_called_tampered(run: Run, machine: Path) -> None:
    out = make(machine / "out.mp4")
    signed(out, make(machine / "film.mp4"))
    data = bytearray(out.read_bytes())
    data[-40] ^= 1
    out.write_bytes(bytes(data))
    ran = run("inspect", "out.mp4", "--quick")
    assert "TAMPERED" in ran.out
    assert run("inspect", "out.mp4", "--quick", "--json").json["c2pa"]["state"] == "tampered"


@pytest.mark.slow
def test_a_contact_sheet_of_a_marked_clip_is_marked_too(run: Run, machine: Path, shared: Path) -> None:
    clip = shared / "data" / "clips" / "pyfeat_single_face.mp4"
    for name, metadata in (("plain", {}), ("marked", {"comment": f"made so: {SOURCE_TYPE}"})):
        copy = machine / f"{name}.mp4"
        _with_comment(clip, copy, metadata)
        assert run("inspect", copy, "--sheet", f"{name}.png").code == 0
        told = run("inspect", f"{name}.png", "--json").json
        assert (told["mark"] is not None) == bool(metadata)


def _with_comment(source: Path, result: Path, metadata: dict[str, str]) -> None:
    with av.open(str(source)) as given, av.open(str(result), "w") as made:
        made.metadata.update(metadata)
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        for count, packet in enumerate(given.demux(stream)):
            if packet.size and count < 8:
                packet.stream = copy
                made.mux(packet)


def test_keys_of_the_user(run: Run, machine: Path) -> None:
    make_clip(machine / "clip.mp4")
    ran = run("video", FACE, "clip.mp4", "-o", "out.mp4", "--c2pa-key", "gone.pem")
    ran.failed(2, "--c2pa-cert", "belong together")
    ran = run("video", FACE, "clip.mp4", "-o", "out.mp4", "--c2pa-key", "gone.pem", "--c2pa-cert", "gone.pem")
    ran.failed(2, "gone.pem cannot be read")


def test_a_target_that_is_marked_already_is_named(run: Run, machine: Path) -> None:
    make_clip(machine / "made.mp4", metadata=container_metadata(), frames=3)
    ran = run("video", FACE, "made.mp4")
    assert ran.code == 3, "no face in it"
    assert "warning: made.mp4 is already marked as made with AI" in ran.err
