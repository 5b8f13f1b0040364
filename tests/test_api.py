"""The Python API: what it refuses, what it passes on, and that it loads nothing early."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import faceswap_cli as fs
from faceswap_cli.cast.file import Entry, Role, write_cast
from faceswap_cli.config import TrackOptions
from faceswap_cli.errors import InputError, OutputError, PolicyError, UsageError
from faceswap_cli.events import Event, progress
from faceswap_cli.policy.terms import accepted
from tests.report.made import evaluation

ROOT = Path(__file__).resolve().parent.parent
PHOTO, CLIP = ROOT / "examples" / "source.jpg", ROOT / "examples" / "target.mp4"


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceswap_cli.policy.terms.record_path", lambda: tmp_path / "data" / "terms.json")
    monkeypatch.setenv("FACESWAP_PEOPLE", str(tmp_path / "people"))
    monkeypatch.delenv("FACESWAP_ACCEPT_TERMS", raising=False)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Calls of the pipeline, which writes a small file instead."""
    made: list[tuple[Any, ...]] = []

    def swap(
        sources: Any, target: Path, output: Path, options: Any, listen: Any, stop: Any = None
    ) -> fs.Report:
        made.append((sources, target, output, options))
        listen(progress("render", 1, 2))
        listen(Event("warning", {"message": "the source is small"}))
        listen(progress("render", 2, 2))
        output.write_bytes(b"result")
        return fs.Report(output, 2, 2, 2, 1, 0, {})

    monkeypatch.setattr("faceswap_cli.pipeline.swap_video", swap)
    monkeypatch.setattr("faceswap_cli.pictures.swap_image", swap)
    return made


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, faceswap_cli as fs; assert 'swap_video' in dir(fs); "
        "print([m for m in ('numpy', 'torch', 'cv2', 'av', 'typer', 'faceswap_cli.api') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_public_names() -> None:
    for name in fs.__all__:
        assert getattr(fs, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'swap_face'"):
        fs.swap_face  # noqa: B018
    assert (Path(fs.__file__).parent / "py.typed").is_file()


def test_dir_names_what_is_public() -> None:
    assert dir(fs) == sorted(fs.__all__)
    groups = {type(getattr(fs.Options(), item.name)).__name__ for item in dataclasses.fields(fs.Options)}
    assert {name for name in groups if name.endswith("Options")} <= set(fs.__all__)


def test_help_of_a_group_lists_its_fields() -> None:
    text = fs.TrackOptions.__doc__ or ""
    assert "cast = None   (--cast)" in text
    assert "A file that maps each person to a source" in text
    assert "track = TrackOptions()" in (fs.Options.__doc__ or "")
    for name in fs.__all__:
        for item in dataclasses.fields(getattr(fs, name)) if name.endswith("Options") else ():
            assert f"{item.name} = " in getattr(fs, name).__doc__


def test_options_take_texts_for_paths_and_plain_numbers() -> None:
    track = fs.TrackOptions(cast="cast.toml", face=2)  # type: ignore[arg-type]
    assert (track.cast, track.face) == (Path("cast.toml"), "2")
    assert dataclasses.replace(track, cast="b.toml").cast == Path("b.toml")  # type: ignore[arg-type]
    assert fs.SmoothOptions(strength=1).strength == 1.0
    assert fs.RangeOptions(start=12.5).start == "12.5"  # type: ignore[arg-type]
    assert str(fs.Options(strength="0s:0,2s:1").strength) == "0s:0,2s:1"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("group", "values", "words"),
    [
        ("Options", {"track": {"cast": "cast.toml"}}, r"track must be TrackOptions\(\.\.\.\), not \{'cast'"),
        ("TrackOptions", {"cast": 5}, "cast must be a path, not 5"),
        ("TrackOptions", {"cast": ""}, "cast must be a path, not ''"),
        ("DetectOptions", {"max_faces": 2.5}, "max_faces must be a whole number, not 2.5"),
        ("PasteOptions", {"occlusion": "yes"}, "occlusion must be True or False, not 'yes'"),
        ("SmoothOptions", {"strength": None}, "strength must be a number, not None"),
    ],
)
def test_options_of_a_wrong_type_are_refused(group: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        getattr(fs, group)(**values)


def test_the_example_of_the_readme_runs(
    calls: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Python blocks as they are, beside the files that they name; only pixels are not made."""
    monkeypatch.chdir(tmp_path)
    for name, file in (("portrait.jpg", PHOTO), ("anna.jpg", PHOTO), ("clip.mp4", CLIP)):
        shutil.copyfile(file, name)
    role = Role("A", (), np.ones((1, 128), np.float32))
    write_cast(Path("cast.toml"), "clip.mp4", "cast.png", [Entry(role, ())])
    text = Path("cast.toml").read_text().replace('source = ""', 'source = "anna.jpg"')
    Path("cast.toml").write_text(text)
    monkeypatch.setattr("faceswap_cli.metrics.evaluate.evaluate", lambda *_, **__: evaluation([]))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    assert [call[0] for call in calls] == [[Path("portrait.jpg")], []]
    assert calls[1][3].track.cast == Path("cast.toml")


def test_terms_are_asked_for_by_an_argument(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    with pytest.raises(PolicyError, match="accept_terms=True"):
        fs.swap_video(PHOTO, CLIP, out)
    assert not accepted()
    assert calls == []
    fs.swap_video(PHOTO, CLIP, out, accept_terms=True)
    assert accepted()
    fs.swap_video(PHOTO, CLIP, out, force=True)
    assert len(calls) == 2


def test_strings_and_paths(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    report = fs.swap_video(str(PHOTO), str(CLIP), str(tmp_path), accept_terms=True)
    assert report.output == tmp_path / "target_swapped.mp4"
    options = fs.Options(track=TrackOptions(face="all"))
    fs.swap_image([PHOTO, str(PHOTO)], PHOTO, tmp_path / "o.png", options=options)
    (sources, target, _, used) = calls[-1]
    assert sources == [PHOTO, PHOTO]
    assert target == PHOTO
    assert used.track.face == "all"
    assert used.job.device == "cpu" or used.job.device.startswith(("cuda", "mps"))


def test_nothing_is_overwritten(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    own = tmp_path / "clip.mp4"
    own.write_bytes(CLIP.read_bytes())
    for force in (False, True):
        with pytest.raises(OutputError, match="never overwritten"):
            fs.swap_video(PHOTO, own, own, force=force, accept_terms=True)
    there = tmp_path / "there.mp4"
    there.write_bytes(b"mine")
    with pytest.raises(OutputError, match="force=True"):
        fs.swap_video(PHOTO, own, there)
    assert there.read_bytes() == b"mine"
    assert calls == []
    fs.swap_video(PHOTO, own, there, force=True)
    assert there.read_bytes() == b"result"


def test_the_wrong_kind_of_target(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use swap_image"):
        fs.swap_video(PHOTO, PHOTO, tmp_path / "o.mp4", accept_terms=True)
    with pytest.raises(InputError, match="use swap_video"):
        fs.swap_image(PHOTO, CLIP, tmp_path / "o.png")
    with pytest.raises(InputError, match="does not exist"):
        fs.swap_video(tmp_path / "no.jpg", CLIP, tmp_path / "o.mp4")
    with pytest.raises(UsageError, match="a source is missing"):
        fs.swap_video([], CLIP, tmp_path / "o.mp4")
    with pytest.raises(UsageError, match="not a file name"):
        fs.swap_video("", CLIP, tmp_path / "o.mp4")


def test_progress_and_events(
    calls: list[tuple[Any, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []
    fs.swap_video(
        PHOTO,
        CLIP,
        tmp_path / "o.mp4",
        accept_terms=True,
        progress=True,
        listen=lambda event: heard.append(event.kind),
    )
    assert heard == ["progress", "warning", "progress"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "render" in shown.err
    assert "2/2" in shown.err


def test_warnings_are_logged(
    calls: list[tuple[Any, ...]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fs.swap_video(PHOTO, CLIP, tmp_path / "o.mp4", accept_terms=True)
    assert "the source is small" in caplog.text


def test_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swap(row: Any, source: Any, listen: Any, stop: Any) -> fs.Report:
        if "bad" in row.name:
            raise InputError("bad.jpg is damaged")
        row.output.parent.mkdir(exist_ok=True)
        row.output.write_bytes(b"result")
        return fs.Report(row.output, 1, 1, 1, 1, 0, {})

    monkeypatch.setattr("faceswap_cli.batch.engine.swap_row", swap)
    monkeypatch.setattr("faceswap_cli.batch.engine.identify", lambda *_: object())
    for name in ("a.jpg", "bad.jpg"):
        (tmp_path / name).write_bytes(PHOTO.read_bytes())
    targets = [tmp_path / "a.jpg", str(tmp_path / "bad.jpg")]
    first = fs.swap_batch(PHOTO, targets, tmp_path / "out", accept_terms=True)
    assert [one.status for one in first] == ["done", "failed"]
    assert first[0].figures["frames"] == 1
    assert isinstance(first[1].error, fs.FaceswapError)
    assert [one.status for one in fs.swap_batch(PHOTO, targets, tmp_path / "out")] == ["kept", "failed"]


def test_inspect_and_enroll(tmp_path: Path) -> None:
    assert fs.inspect(PHOTO).format == "JPEG"
    found = fs.inspect(str(CLIP), people=False)
    assert found.analysis is None
    with pytest.raises(UsageError, match="excludes keep_photos"):
        fs.enroll("anna", PHOTO, picture=False, keep_photos=True)
    path = fs.enroll("anna", PHOTO, accept_terms=True)
    assert path == tmp_path / "people" / "anna.faceid"
    with pytest.raises(OutputError, match="force=True"):
        fs.enroll("anna", PHOTO)
