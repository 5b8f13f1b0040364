"""Cast files: written, filled in, read; and what is said of bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faceswap_cli.cast.file import Entry, Role, read_cast, write_cast
from faceswap_cli.cast.make import moment, names
from faceswap_cli.errors import FaceswapError, InputError, OutputError, UsageError

FACES = np.random.default_rng(3).normal(0, 0.13, (3, 128)).astype(np.float32)


@pytest.fixture
def cast(tmp_path: Path) -> Path:
    """A cast of three in which A gets anna.jpg, B two photographs, and C keeps the own face."""
    path = tmp_path / "cast.toml"
    entries = [Entry(Role(name, (), FACES[k : k + 1]), (f"{name} is here",)) for k, name in enumerate("ABC")]
    write_cast(path, "clip\n[people.Z].mp4", "cast.png", entries)
    for name in ("anna.jpg", "b1.jpg", "b2.jpg"):
        (tmp_path / name).write_bytes(b"x")
    fill(path, "A", 'source = "anna.jpg"')
    fill(path, "B", 'source = ["b1.jpg", "b2.jpg"]')
    fill(path, "C", "keep = true")
    return path


def fill(path: Path, name: str, line: str) -> None:
    head, table, rest = path.read_text().partition(f"[people.{name}]\n")
    path.write_text(head + table + rest.replace('source = ""', line, 1))


def test_what_is_written_is_read(cast: Path) -> None:
    roles = {role.name: role for role in read_cast(cast).roles}
    folder = cast.parent
    assert {name: role.sources for name, role in roles.items()} == {
        "A": (folder / "anna.jpg",),
        "B": (folder / "b1.jpg", folder / "b2.jpg"),
        "C": (),
    }
    np.testing.assert_allclose(roles["B"].faces, FACES[1:2], atol=3e-4)
    assert read_cast(cast).sources == tuple(folder / name for name in ("anna.jpg", "b1.jpg", "b2.jpg"))


def test_an_empty_source_keeps_the_face(cast: Path) -> None:
    cast.write_text(cast.read_text().replace("keep = true\n", 'source = ""\n', 1))
    assert read_cast(cast).roles[2].sources == ()


def test_the_spelling_of_earlier_versions_is_read(cast: Path) -> None:
    text = cast.read_text()
    assert "[recognize.A]" in text
    now = read_cast(cast)
    cast.write_text(text.replace("[recognize.", "[recognise."))
    assert [role.name for role in read_cast(cast).roles] == [role.name for role in now.roles]


def test_several_faces_and_a_doubt(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    path = tmp_path / "cast.toml"
    write_cast(path, "c.mp4", "cast.png", [Entry(Role("A", (), FACES, "too small (20 px)"), ())])
    fill(path, "A", 'source = "a.jpg"')
    (role,) = read_cast(path).roles
    assert role.faces.shape == (3, 128)
    assert role.doubt == "too small (20 px)"


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cast\.toml cannot be written"):
        write_cast(tmp_path / "no" / "cast.toml", "c.mp4", "cast.png", [])
    assert list(tmp_path.iterdir()) == []


Change = Callable[[str], str]
BAD: dict[str, tuple[Change, tuple[str, ...]]] = {
    "syntax": (lambda t: t.replace("[people.B]", "[people.B"), ("not valid TOML", "line ", "inspect CLIP")),
    "schema": (lambda t: t.replace("schema = 1", "schema = 9"), ("schema must be 1, not 9",)),
    "a part": (lambda t: t.replace("schema = 1", ""), ("is a part of a cast file", "inspect CLIP --cast")),
    "top": (lambda t: "color = 3\n" + t, ("unknown key color", "known: schema, people, recognize")),
    "key": (
        lambda t: t.replace("keep = true", 'kep = "x"'),
        ("unknown key people.A.kep", "known: source, keep"),
    ),
    "keep": (lambda t: t.replace("keep = true", "keep = 1"), ("people.A.keep must be true or false, not 1",)),
    "both": (
        lambda t: t.replace("# keep = true", "keep = true", 1),
        ("people.A has both a source and keep",),
    ),
    "missing": (
        lambda t: t.replace("anna.jpg", "gone.jpg"),
        ("people.A.source", "'gone.jpg' does not exist", "names are relative to /"),
    ),
    "nearly": (lambda t: t.replace("anna.jpg", "anna"), ("'anna' does not exist; did you mean", "anna.jpg?")),
    "number": (lambda t: t.replace('"anna.jpg"', "7"), ("people.A.source must be a file name or a list",)),
    "empty": (lambda t: t.replace('"b1.jpg"', '""'), ("people.B.source has an empty file name",)),
    "renamed": (
        lambda t: t.replace("[people.A]", "[people.anna]"),
        ("recognize.A has no people.A", "the same name"),
    ),
    "unseen": (
        lambda t: t.replace("[recognize.A]", "[recognize.B2]"),
        ("people.A has no recognize.A",),
    ),
    "name": (lambda t: t.replace("[people.A]", '[people."A \\u0007"]'), ("letters, digits",)),
    "table": (lambda t: t.replace("[people.A]", "[[people.A]]"), ("people must consist of tables",)),
    "damaged": (
        lambda t: t.replace('faces = [\n  "', 'faces = [\n  "!', 1),
        ("recognize.A.faces is damaged",),
    ),
    "short": (lambda t: t.replace('faces = [\n  "', 'faces = [\n  "AAAA", "', 1), ("recognize.A.faces",)),
    "no source": (
        lambda t: t.replace('"anna.jpg"', '""').replace('["b1.jpg", "b2.jpg"]', '""'),
        ("assigns no source", "source ="),
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_told_in_one_line(cast: Path, kind: str) -> None:
    change, words = BAD[kind]
    text = cast.read_text()
    # The first "keep" of the template belongs to A: there it can be put to the test.
    changed = (
        change(text.replace("# keep = true", "keep = true", 1)) if kind in ("key", "keep") else change(text)
    )
    if kind in ("key", "keep"):
        changed = changed.replace('source = "anna.jpg"', "", 1)
    assert changed != text
    cast.write_text(changed)
    with pytest.raises((UsageError, InputError)) as caught:
        read_cast(cast)
    message = str(caught.value)
    assert str(cast) in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_cast(tmp_path / "none.toml")
    binary = tmp_path / "x.toml"
    binary.write_bytes(b"\xff\x00\x01")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_cast(binary)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(st.integers(0, 1500), st.integers(0, 8), st.binary(max_size=6))
def test_damage_gives_our_errors_only(cast: Path, place: int, length: int, instead: bytes) -> None:
    whole = cast.with_name("whole.toml")
    if not whole.exists():
        whole.write_bytes(cast.read_bytes())
    data = whole.read_bytes()
    cast.write_bytes(data[:place] + instead + data[place + length :])
    message = ""
    try:
        read_cast(cast)
    except FaceswapError as error:
        message = str(error)
    assert "\n" not in message


def test_names_and_moments() -> None:
    assert names(29)[:2] + names(29)[25:] == ["A", "B", "Z", "AA", "AB", "AC"]
    assert len(set(names(800))) == 800
    assert [moment(s) for s in (0, 9.96, 75.25, 3725.0)] == ["0:00.0", "0:10.0", "1:15.2", "1:02:05.0"]
