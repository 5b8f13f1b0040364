"""Teaching an edit of one's own: when it is learned, when it is refused, and what it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceswap_cli.errors import InputError, OutputError, UsageError
from faceswap_cli.nets.attributes import ATTRIBUTES
from faceswap_cli.nets.facespace import TEXTURE
from faceswap_cli.records import U8
from faceswap_cli.swap import facespace, retouch
from faceswap_cli.training import labelled as reading
from faceswap_cli.training import own_attribute
from faceswap_cli.training.labelled import Labelled, alike, read_labelled
from faceswap_cli.training.own_attribute import judged, steady_way, tied, train_attribute
from faceswap_cli.user_files import pinned, taught_names
from tests.training.taught_edits import labelled


def quiet(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACESWAP_WEIGHTS", str(tmp_path / "weights"))
    retouch.taught.cache_clear()
    return tmp_path / "weights"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Labelled:
    """What any folders hold, and a shorter lesson."""
    found = labelled()
    monkeypatch.setattr(own_attribute, "read_labelled", lambda given, tell: found)
    monkeypatch.setattr(own_attribute, "_STEPS", 200)
    monkeypatch.setattr(own_attribute.taught_net, "__defaults__", (0, 200))
    return found


def test_a_label_that_faces_tell_becomes_an_edit(given: Labelled) -> None:
    heard: list[str] = []
    lesson = train_attribute("beard", [Path("a"), Path("b")], lambda stage, done, total: heard.append(stage))
    assert heard[-1] == "teach"
    assert taught_names() == ["beard"]
    assert lesson.verdict.figure > 0.8
    net = retouch.taught(pinned("beard"))
    codes = given.codes[:32].clamp(-3.5, 3.5)
    moves = []
    for amount in (-1.0, -0.5, 0.5, 1.0):
        change = retouch.change_of(codes[0].numpy(), {"beard": amount})
        again = retouch.change_of(codes[0].numpy(), {pinned("beard"): amount})
        assert np.array_equal(change, again)
        moves.append(change[7])
        assert not change[TEXTURE:].any()
    assert (np.diff(moves) > 0.1).all()
    with torch.no_grad():
        there = net.edited(codes, retouch.own_change(0.5).expand(32, -1))
        back = net.edited(there, retouch.own_change(-0.5).expand(32, -1))
        told = net.readers(there) - net.readers(codes)
    assert torch.allclose(back, codes, atol=0.2)
    assert told[:, -1].mean() == pytest.approx(1.0, abs=0.3)
    assert (told[:, :-1].mean(0).abs() < 0.25).all()


def test_the_same_pictures_give_the_same_file(given: Labelled, own_folder: Path) -> None:
    path = train_attribute("beard", [Path("a")], quiet).path
    first = path.read_bytes()
    with pytest.raises(OutputError, match="--force replaces it"):
        train_attribute("beard", [Path("a")], quiet)
    train_attribute("beard", [Path("a")], quiet, force=True)
    assert path.read_bytes() == first
    assert [p.name for p in own_folder.rglob("*") if p.is_file()] == ["beard.safetensors"]


@pytest.mark.parametrize("two_sided", [True, False])
def test_a_label_that_no_face_tells_is_refused(
    two_sided: bool, monkeypatch: pytest.MonkeyPatch, own_folder: Path
) -> None:
    chance = labelled(told_by=None, two_sided=two_sided)
    monkeypatch.setattr(own_attribute, "read_labelled", lambda given, tell: chance)
    with pytest.raises(InputError, match=r"the faces do not show luck: .* on|of people held out"):
        train_attribute("luck", [Path("a"), Path("b")], quiet)
    assert not list(own_folder.rglob("*.safetensors"))


def test_numbers_are_told_by_their_correlation() -> None:
    verdict = judged(labelled(two_sided=False))
    assert verdict.figure > 0.6
    assert "correlation 0." in str(verdict)


def test_pictures_of_one_person_are_held_out_together() -> None:
    """Sixteen copies of each face: whoever splits them finds the label of noise again."""
    noise = labelled(40, told_by=None)
    copies = Labelled(
        noise.codes.repeat(16, 1),
        noise.values.repeat(16),
        noise.embedding.repeat(16, 1),
        np.tile(noise.person, 16),
        True,
    )
    assert judged(copies).figure < 0.65
    split = replace(copies, person=np.arange(len(copies.codes)))
    assert judged(split).figure > 0.85


def test_too_few_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, words in (
        (labelled(30), "25 of either are needed"),
        (labelled(120, people=12), "only 12 people"),
    ):
        monkeypatch.setattr(own_attribute, "read_labelled", lambda given, tell, found=found: found)
        with pytest.raises(InputError, match=words):
            train_attribute("beard", [Path("a"), Path("b")], quiet)


@pytest.mark.parametrize("name", ["smile", "age", "yaw", "own", "Beard", "a-b", "", "9", "x" * 25, "../x"])
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--attribute"):
        train_attribute(name, [Path("a"), Path("b")], quiet)


def test_what_chance_gives_a_way_is_taken_off() -> None:
    draw = torch.Generator().manual_seed(1)
    value = torch.where(torch.rand(200, 1, generator=draw) < 0.5, -1.0, 1.0)
    wanted = torch.cat([torch.randn(200, len(ATTRIBUTES), generator=draw), value], dim=1)
    texture = torch.randn(200, TEXTURE, generator=draw)
    texture[:, 3] += 1.5 * value[:, 0]
    way = steady_way(texture, wanted)
    assert way[3] == pytest.approx(1.5, abs=0.2)
    assert float(way.norm()) < 1.5 + 0.25  # 0.75 of noise would be in the plain difference
    assert int((way == 0).sum()) > TEXTURE // 2


def test_what_the_sides_differ_in_besides_is_named() -> None:
    given = labelled()
    assert tied("beard", given) == []
    weight = retouch.attributes().readers.straight.weight[0]
    older = given.codes + given.values[:, None] * weight / weight.norm() * 3
    assert "differ in age" in tied("beard", replace(given, codes=older))[0]


def test_chains_of_likeness_are_one_person() -> None:
    rows = np.zeros((4, 128), np.float32)
    rows[1, 0], rows[2, 0], rows[3, 0] = 0.4, 0.8, 2.0
    found = alike(rows)
    assert len(set(found[:3])) == 1
    assert found[3] != found[0]


def test_folders_are_read(tmp_path: Path, portrait: U8, monkeypatch: pytest.MonkeyPatch) -> None:
    for side, change in (("with", 1), ("without", -1)):
        (tmp_path / side).mkdir()
        Image.fromarray(portrait[:, ::change]).save(tmp_path / side / "face.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "with" / "nobody.png")
    (tmp_path / "without" / "broken.jpg").write_bytes(b"no picture")
    heard: list[tuple[int, int]] = []
    found = read_labelled(
        [tmp_path / "with", tmp_path / "without"], lambda stage, done, total: heard.append((done, total))
    )
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.sides == (1, 1)
    assert found.values.tolist() == [1.0, -1.0]
    assert found.people == 1
    assert sum("left out" in note for note in found.notes) == 2
    assert float(torch.corrcoef(found.codes[:, :TEXTURE])[0, 1]) > 0.9  # of both halves the mean
    monkeypatch.setattr(reading, "MOST", 2)
    heard.clear()
    few = read_labelled(
        [tmp_path / "with", tmp_path / "without"], lambda stage, done, total: heard.append((done, total))
    )
    assert heard == [(1, 2), (2, 2)]
    assert few.sides == (1, 1)
    with pytest.raises(InputError, match="not a folder"):
        read_labelled([tmp_path / "with", tmp_path / "nothing"], quiet)
    with pytest.raises(InputError, match="same files"):
        read_labelled([tmp_path / "with", tmp_path / "with"], quiet)
    with pytest.raises(InputError, match="a second one"):
        read_labelled([tmp_path / "with"], quiet)


def test_a_table_is_read(tmp_path: Path, portrait: U8) -> None:
    Image.fromarray(portrait).save(tmp_path / "a.png")
    Image.fromarray(portrait[:, ::-1]).save(tmp_path / "b.png")
    table = tmp_path / "labels.csv"
    table.write_text("file,value\na.png,3\nb.png,5\n")
    found = read_labelled([table], quiet)
    assert found.two_sided
    assert found.values.tolist() == [-1.0, 1.0]
    for text, words in (
        ("name,value\na.png,3\n", "columns file, value"),
        ("file,value\na.png,much\n", "columns file, value"),
        ("file,value\na.png,nan\n", "must be a number"),
        ("file,value\na.png,1\na.png,2\n", "two values"),
        ("file,value\na.png,1\nb.png,1\n", "two different values"),
    ):
        table.write_text(text)
        with pytest.raises(InputError, match=words):
            read_labelled([table], quiet)


def test_a_file_for_another_space_is_refused() -> None:
    from faceswap_cli.errors import WeightsError
    from tests.training.taught_edits import installed

    installed("beard", space="0" * 64)
    with pytest.raises(WeightsError, match=r"another facespace\.safetensors; teach it again"):
        retouch.change_of(np.zeros(128, np.float32), {"beard": 1.0})
    installed("beard")
    before = pinned("beard")
    retouch.taught.cache_clear()
    assert retouch.change_of(np.zeros(128, np.float32), {before: 1.0})[5] == pytest.approx(1.0, abs=0.01)
    installed("beard", seed=2)
    retouch.taught.cache_clear()
    with pytest.raises(WeightsError, match="another beard than the one that was asked for"):
        retouch.change_of(np.zeros(128, np.float32), {before: 1.0})
    with pytest.raises(WeightsError, match="no edit hat is taught here; known: beard"):
        retouch.change_of(np.zeros(128, np.float32), {"hat": 1.0})
    assert facespace.digest()
