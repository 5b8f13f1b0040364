"""Enrolled people by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.identity import people


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACESWAP_PEOPLE", str(tmp_path / "people"))
    (tmp_path / "people").mkdir()
    return tmp_path / "people"


def test_a_name_stands_for_its_file(folder: Path) -> None:
    (folder / "anna.faceid").touch()
    assert people.resolved("@anna") == str(folder / "anna.faceid")


@pytest.mark.parametrize("name", ["anna.jpg", "photos/", "-", "./@anna"])
def test_everything_else_stays(name: str) -> None:
    assert people.resolved(name) == name


@pytest.mark.parametrize("name", ["@", "@../x", "@a/b", "@.a", "@-a", "@" + "a" * 41, "@a b", "@a\n"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid name"):
        people.resolved(name)


def test_an_unknown_name_lists_the_known_ones(folder: Path) -> None:
    with pytest.raises(InputError, match="nobody yet"):
        people.resolved("@cara")
    for name in ("anna", "bert", ".hidden"):
        (folder / f"{name}.faceid").touch()
    with pytest.raises(InputError, match="known: anna, bert; try 'faceswap enroll cara"):
        people.resolved("@cara")


def test_remove(folder: Path) -> None:
    (folder / "anna.faceid").touch()
    assert people.remove("@anna") == folder / "anna.faceid"
    assert people.known_people() == []
    with pytest.raises(InputError, match="nobody is enrolled as anna"):
        people.remove("anna")
