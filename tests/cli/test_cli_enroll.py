"""``faceswap enroll``: names, files, flags; and ``@NAME`` wherever a source is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import faceswap_cli
from faceswap_cli.cli import batch_run
from faceswap_cli.enrollment import make
from faceswap_cli.errors import InputError
from faceswap_cli.identity.faceid import Faceid, read_faceid, write_faceid
from faceswap_cli.identity.people import people_folder, person_path
from tests.cli.fakes import FakePipeline, Ran, picture
from tests.enroll.made_person import made

Run = Callable[..., Ran]
EXAMPLES = Path(faceswap_cli.__file__).resolve().parents[1] / "examples"
FACE = EXAMPLES / "source.jpg"


@dataclass
class FakeEnroll:
    """Stands for ``enroll``: keeps its arguments and gives a made person."""

    calls: list[tuple[str, list[Path], make.EnrollOptions]] = field(default_factory=list)

    def __call__(
        self, name: str, paths: Sequence[Path], options: make.EnrollOptions, tell: make.Tell
    ) -> Faceid:
        self.calls.append((name, list(paths), options))
        tell("photos", 1, 1)
        content = made()
        return replace(content, person=replace(content.person, name=name))


@pytest.fixture
def enroll(monkeypatch: pytest.MonkeyPatch, accepted: None) -> FakeEnroll:
    fake = FakeEnroll()
    monkeypatch.setattr(make, "enroll", fake)
    return fake


def test_writes_into_the_users_folder(run: Run, enroll: FakeEnroll, photo: Path) -> None:
    ran = run("enroll", "anna", photo)
    assert ran.code == 0, ran.err
    assert ran.out == f"{person_path('anna')}\n"
    assert read_faceid(person_path("anna")).person.name == "anna"
    assert "no left profile" in ran.err
    assert "photo 1" in ran.err
    assert "75%" in ran.err
    ((name, paths, options),) = enroll.calls
    assert (name, paths, options.keep_photos) == ("anna", [photo], False)


def test_json(run: Run, enroll: FakeEnroll, photo: Path) -> None:
    told = run("enroll", "anna", photo, "--json", "--keep-photos").json
    assert (told["command"], told["exit"], told["name"]) == ("enroll", 0, "anna")
    assert [row["file"] for row in told["photos"]] == ["photo 1", "photo 2"]
    assert enroll.calls[0][2].keep_photos


def test_nothing_is_replaced_without_force(run: Run, enroll: FakeEnroll, photo: Path) -> None:
    assert run("enroll", "anna", photo).code == 0
    before = person_path("anna").read_bytes()
    run("enroll", "anna", photo).failed(5, "anna.faceid exists", "--force")
    assert len(enroll.calls) == 1
    assert person_path("anna").read_bytes() == before
    assert run("enroll", "anna", photo, "--force").code == 0


@pytest.mark.parametrize(("given", "wanted"), [("here", "here/anna.faceid"), ("x.faceid", "x.faceid")])
def test_output(run: Run, enroll: FakeEnroll, photo: Path, machine: Path, given: str, wanted: str) -> None:
    assert run("enroll", "anna", photo, "-o", given).code == 0
    assert (machine / wanted).is_file()
    assert not people_folder().exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["enroll"], "give a name and photographs"),
        (["enroll", "anna"], "give a name and photographs"),
        (["enroll", "../anna", "me.jpg"], "is not a valid name"),
        (
            ["enroll", "anna", "me.jpg", "--tune", "1"],
            "tuning was removed because swaps show",
        ),
        (["enroll", "anna", "me.jpg", "--clip", "a.mp4"], "--clip"),
        (["enroll", "anna", "me.jpg", "--max-time", "90s"], "--max-time"),
        (["enroll", "anna", "@bert"], "enrolled already"),
        (["enroll", "anna", "-"], "is not a photograph"),
        (["enroll", "anna", "me.jpg", "-o", "x.jpg"], "ends in .faceid"),
        (["enroll", "--list", "anna"], "take no other arguments"),
        (["enroll", "--list", "--remove", "anna"], "take no other arguments"),
    ],
)
def test_usage(run: Run, enroll: FakeEnroll, photo: Path, argv: list[str], said: str) -> None:
    run(*argv).failed(2, said)
    assert enroll.calls == []


def test_terms_come_first(run: Run, photo: Path) -> None:
    run("enroll", "anna", photo).failed(9, "--accept-terms")


def test_a_missing_photo(run: Run, enroll: FakeEnroll) -> None:
    run("enroll", "anna", "nobody.jpg").failed(4, "nobody.jpg")


def test_list_and_remove(run: Run, photo: Path) -> None:
    assert "nobody is enrolled" in run("enroll", "--list").err
    for name in ("anna", "bert"):
        write_faceid(person_path(name), made())
    person_path("carl").write_bytes(b"nothing")
    ran = run("enroll", "--list")
    assert (ran.code, [line.split()[0] for line in ran.out.splitlines()]) == (
        0,
        ["name", "anna", "bert", "carl"],
    )
    rows = {row["name"]: row for row in run("enroll", "--list", "--json").json["people"]}
    assert (rows["anna"]["photos"], rows["anna"]["problem"]) == (2, "")
    assert "is not an enrollment file" in rows["carl"]["problem"]
    assert run("enroll", "--remove", "carl").code == 0
    assert not person_path("carl").exists()
    run("enroll", "--remove", "carl").failed(4, "nobody is enrolled as carl", "anna, bert")


@pytest.mark.usefixtures("accepted")
class TestAsSource:
    @pytest.fixture(autouse=True)
    def anna(self) -> Path:
        path = person_path("anna")
        write_faceid(path, made())
        return path

    def test_video_and_image(
        self, run: Run, pipeline: FakePipeline, clip: Path, photo: Path, anna: Path
    ) -> None:
        assert run("video", "@anna", clip, "-o", "{source}_{stem}.mp4").code == 0
        assert run("image", "@anna", photo).code == 0
        (_, sources, _, output, _), (_, others, *_) = pipeline.calls
        assert (sources, others) == ((anna,), (anna,))
        assert output.name == "anna_clip.mp4"

    def test_by_path(self, run: Run, pipeline: FakePipeline, clip: Path, anna: Path) -> None:
        assert run("video", anna, clip).code == 0
        assert pipeline.calls[0][1] == (anna,)

    def test_unknown(self, run: Run, pipeline: FakePipeline, clip: Path) -> None:
        run("video", "@bert", clip).failed(4, "nobody is enrolled as bert", "known: anna")
        assert pipeline.calls == []

    @pytest.fixture
    def untimed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batch_run, "expected_seconds", lambda *given: {})

    def test_batch(self, run: Run, untimed: None, clip: Path, anna: Path) -> None:
        rows = run("batch", "@anna", clip, "-o", "out", "--dry-run", "--json").json["rows"]
        assert str(anna) in str(rows)

    def test_manifest(self, run: Run, untimed: None, clip: Path, machine: Path, anna: Path) -> None:
        (machine / "jobs.csv").write_text("source,target\n@anna,clip.mp4\n")
        rows = run("batch", "-m", "jobs.csv", "-o", "out", "--dry-run", "--json").json["rows"]
        assert str(anna) in str(rows)

    def test_evaluate(self, run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch, anna: Path) -> None:
        asked: list[Path] = []

        def measure(result: Path, sources: Sequence[Path], target: Path, **how: Any) -> None:
            asked.extend(sources)
            raise InputError("enough")

        monkeypatch.setattr("faceswap_cli.metrics.evaluate.evaluate", measure)
        run("evaluate", clip, "--source", "@anna", "--target", clip).failed(4, "enough")
        assert asked == [anna]

    def test_cast(self, tmp_path: Path, anna: Path) -> None:
        import numpy as np

        from faceswap_cli.cast.file import Entry, Role, read_cast, write_cast

        path = tmp_path / "cast.toml"
        role = Role("left", (), np.zeros((1, 128), np.float32), "")
        write_cast(path, "clip.mp4", "sheet.png", [Entry(role, ())])
        path.write_text(path.read_text().replace('source = ""', 'source = "@anna"'))
        assert read_cast(path).sources == (anna,)


@pytest.mark.usefixtures("accepted")
@pytest.mark.skipif(not FACE.is_file(), reason="the examples are not in this installation")
def test_end_to_end(run: Run, machine: Path) -> None:
    ran = run("enroll", "anna", FACE, "--json")
    assert ran.code == 0, ran.err
    (row,) = ran.json["photos"]
    assert (row["file"], row["weight"], row["distance"]) == ("source.jpg", 1.0, 0.0)
    swapped = run("image", "@anna", FACE, "-o", "out.png", "--method", "mesh", "--json")
    assert swapped.code == 0, swapped.err
    assert swapped.json["figures"]["identity"] < 0.45
    ran = run("video", "@anna", picture(machine / "x.png"))
    assert ran.code == 4


def test_no_picture_is_passed_on_and_excludes_photos(run: Run, enroll: FakeEnroll, photo: Path) -> None:
    assert run("enroll", "anna", photo, "--no-picture").code == 0
    assert [options.picture for _, _, options in enroll.calls] == [False]
    run("enroll", "bert", photo, "--no-picture", "--keep-photos").failed(2, "--no-picture")
