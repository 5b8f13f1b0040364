"""The file of an enrolled person: carried whole, checked whole, never half there."""

from __future__ import annotations

import json
import os
import pickle
import stat
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from faceswap_cli.config import DetectOptions
from faceswap_cli.errors import InputError, OutputError
from faceswap_cli.identity.faceid import read_faceid, source_of, write_faceid
from faceswap_cli.identity.photos import load_photos
from tests.enroll.made_person import made


def same(one: Any, other: Any) -> None:
    """Equal, arrays by value."""
    for item in fields(one):
        a, b = getattr(one, item.name), getattr(other, item.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
        elif hasattr(a, "__dataclass_fields__"):
            same(a, b)
        elif item.name not in ("photos", "notes"):
            assert a == b


def test_what_is_written_is_read(tmp_path: Path) -> None:
    content = made(photos=2)
    path = tmp_path / "new" / "anna.faceid"
    write_faceid(path, content)
    found = read_faceid(path)
    same(content, found)
    assert [photo.path.name for photo in found.photos] == ["photo 1", "photo 2"]
    np.testing.assert_array_equal(found.photos[1].rgb, content.photos[1].rgb)
    assert [p.name for p in path.parent.iterdir()] == ["anna.faceid"]


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX")
def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "people" / "anna.faceid"
    write_faceid(path, made())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_serves_as_source(tmp_path: Path) -> None:
    path = tmp_path / "anna.faceid"
    write_faceid(path, made())
    source = load_photos([path], DetectOptions())
    assert (source.name, source.photos, len(source.digest)) == ("anna", (), 64)
    assert source.enrolled is not None
    np.testing.assert_array_equal(source.embedding, made().embedding)
    write_faceid(path, made(seed=1))
    assert load_photos([path], DetectOptions()).digest != source.digest


def test_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "anna.faceid"
    write_faceid(path, made())
    with pytest.raises(InputError, match="stands alone"):
        source_of([path, tmp_path / "more.jpg"])


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "anna.faceid"
    write_faceid(path, made())
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_faceid(path, made(seed=1))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["anna.faceid"]


def edited(path: Path, **change: Any) -> None:
    """Write ``path`` anew with other tensors or another header, its digest made right again."""
    from faceswap_cli.identity import faceid

    with safe_open(path, "np") as file:
        header = dict(file.metadata())
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header |= {k: v for k, v in change.items() if isinstance(v, str)}
    for name, value in change.items():
        if value is None:
            del arrays[name]
        elif isinstance(value, np.ndarray):
            arrays[name] = value
    header["content"] = faceid._content_digest(arrays)
    save_file(arrays, path, metadata=header)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"light": np.full((478, 3), np.nan, np.float32)}, "not finite"),
        ({"points": np.zeros((477, 3), np.float32)}, "shape"),
        ({"texture": np.zeros((96, 96, 3), np.float32)}, "kind"),
        ({"texture": np.zeros((96, 95, 3), np.uint8)}, "shape"),
        ({"neutral": None}, "neutral is missing"),
        ({"surprise": np.zeros(3, np.float32)}, "surprise is unknown"),
        ({"person": "{"}, "damaged"),
        ({"person": "[]"}, "damaged"),
        ({"person": "[" * 5000}, "damaged"),
        ({"person": '{"photos": [{"file": "a", "weight": 1' + 400 * "0" + "}]}"}, "damaged"),
        ({"schema": "1"}, "another version"),
        ({"schema": "99"}, "another version"),
        ({"format": "other"}, "not an enrollment file"),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "anna.faceid"
    write_faceid(path, made())
    edited(path, **change)
    with pytest.raises(InputError, match=said) as error:
        read_faceid(path)
    assert "anna.faceid" in str(error.value)
    assert "enroll" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_tuned_person_of_schema_2_is_read_without_its_codes(tmp_path: Path) -> None:
    path = tmp_path / "anna.faceid"
    write_faceid(path, made(photos=1))
    with safe_open(path, "np") as file:
        said = json.loads(file.metadata()["person"])
    older = {**said, "level": 3, "base": "ab" * 32, "clip": "cd" * 32}
    codes = {"codes/rows": np.ones((12, 32), np.float32), "codes/z": np.ones(128, np.float32)}
    deltas = {f"delta/decoder.last/{end}": np.ones((4, 4), np.float32) for end in ("up", "down")}
    edited(path, schema="2", person=json.dumps(older), **codes, **deltas)
    same(made(photos=1), read_faceid(path))


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "anna.faceid"
    write_faceid(path, made())
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="digest is wrong"):
        read_faceid(path)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a file was executed",))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0 a picture", pickle.dumps(_Bomb()), b"\xff" * 64])
def test_foreign_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "anna.faceid"
    path.write_bytes(data)
    with pytest.raises(InputError, match="not an enrollment file"):
        read_faceid(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_faceid(tmp_path / "nobody.faceid")
    (tmp_path / "folder.faceid").mkdir()
    with pytest.raises(InputError, match=r"folder\.faceid"):
        read_faceid(tmp_path / "folder.faceid")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1), bit=st.integers(0, 7), head=st.booleans(), cut=st.booleans())
def test_any_damage_ends_in_one_line(tmp_path: Path, where: float, bit: int, head: bool, cut: bool) -> None:
    path = tmp_path / "anna.faceid"
    write_faceid(path, made())
    data = bytearray(path.read_bytes())
    place = int(where * (min(len(data), 2500) - 1 if head else len(data) - 1))
    data[place] ^= 1 << bit
    path.write_bytes(data[:place] if cut else data)
    try:
        found = read_faceid(path)
    except InputError as error:
        message = str(error)
    else:  # only the words of the header are not covered by the digest
        message = ""
        np.testing.assert_array_equal(found.embedding, made().embedding)
    assert "\n" not in message


def test_photographs_only_when_asked_for(tmp_path: Path) -> None:
    """No picture is in the file unless it was asked for."""
    write_faceid(tmp_path / "a.faceid", made())
    write_faceid(tmp_path / "b.faceid", made(photos=2))
    assert source_of([tmp_path / "a.faceid"]).photos == ()
    assert len(source_of([tmp_path / "b.faceid"]).photos) == 2
    with safe_open(tmp_path / "a.faceid", "np") as file:
        pictures = {name for name in file.keys() if file.get_tensor(name).dtype == np.uint8}  # noqa: SIM118
    assert pictures == {"texture", "surroundings"}


def test_names_of_files_are_not_in_it(tmp_path: Path) -> None:
    content = made(photos=1)
    named = replace(content.shares[0], file="anna_at_the_clinic.jpg")
    path = tmp_path / "anna.faceid"
    write_faceid(path, replace(content, shares=(named, content.shares[1]), notes=("anna_at_the_clinic",)))
    assert b"clinic" not in path.read_bytes()
    assert read_faceid(path).shares[0].file == "photo 1"
