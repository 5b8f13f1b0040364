"""People between people: ``@anna:0.3+@bert:0.7``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.identity.faceid import Faceid, read_faceid, source_of, write_faceid
from faceswap_cli.identity.mixture import mixed, parts_of, slerp
from faceswap_cli.identity.people import MIXTURES, people_folder, person_path, remove, resolved
from tests.enroll.made_person import made


def person(seed: int) -> Faceid:
    """Numbers as a file could hold them; the mesh inside its picture."""
    content = made(seed=seed)
    points = np.random.default_rng(seed).uniform(0.2, 0.8, (478, 3)).astype(np.float32)
    return replace(content, person=replace(content.person, points=points))


@pytest.fixture
def enrolled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACESWAP_PEOPLE", str(tmp_path))
    for seed, name in enumerate(("anna", "bert", "cleo")):
        write_faceid(person_path(name), person(seed))
    return tmp_path


def test_shares_sum_to_one() -> None:
    assert parts_of("@anna:0.3+@bert:0.7") == [("anna", 0.3), ("bert", 0.7)]
    assert parts_of("@anna+@bert") == [("anna", 0.5), ("bert", 0.5)]
    assert parts_of("@anna:1+@b-2:1+@c:2") == [("anna", 0.25), ("b-2", 0.25), ("c", 0.5)]


@pytest.mark.parametrize(
    "text", ["@a:0.3+b:0.7", "@a:+@b", "@a:0+@b:1", "@a:x+@b", "@a:-1+@b:2", "@a+@a", "@a+", "@a:1e3+@b"]
)
def test_other_texts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parts_of(text)
    assert repr(text) in str(caught.value)


def test_slerp_turns_evenly() -> None:
    a, b = np.array([2.0, 0, 0], np.float32), np.array([0, 4.0, 0], np.float32)
    third = slerp(a, b, 1 / 3)
    assert np.degrees(np.arctan2(third[1], third[0])) == pytest.approx(30.0, abs=1e-3)
    assert np.linalg.norm(third) == pytest.approx(2 + 2 / 3, abs=1e-5)
    assert np.allclose(slerp(a, b, 0.0), a)
    assert np.allclose(slerp(a, b, 1.0), b, atol=1e-6)
    assert np.isfinite(slerp(a, -a, 0.5)).all()


def test_a_mixture_lies_between_and_its_ends_are_the_people() -> None:
    a, b = person(0), person(1)
    half = mixed([(0.5, a), (0.5, b)])
    assert np.allclose(half.person.points, (a.person.points + b.person.points) / 2)
    near = mixed([(0.999, a), (0.001, b)])
    assert np.linalg.norm(near.embedding - a.embedding) < 0.02 * np.linalg.norm(b.embedding - a.embedding)
    gaps = [np.linalg.norm(half.embedding - x.embedding) for x in (a, b)]
    assert max(gaps) < np.linalg.norm(a.embedding - b.embedding)


def test_resolves_to_a_file_that_is_the_same_each_time(enrolled: Path) -> None:
    path = Path(resolved("@anna:0.3+@bert:0.7"))
    assert path == enrolled / MIXTURES / "anna-0.3+bert-0.7.faceid"
    first = path.read_bytes()
    assert resolved("@anna:3+@bert:7") == str(path)
    assert path.read_bytes() == first
    assert path.stat().st_mode & 0o777 == 0o600
    source = source_of([path])
    assert source.enrolled is not None
    three = read_faceid(Path(resolved("@anna+@bert+@cleo")))
    assert np.isfinite(three.embedding).all()


def test_unknown_people_are_named(enrolled: Path) -> None:
    with pytest.raises(InputError, match="nobody is enrolled as dora"):
        resolved("@anna:0.3+@dora:0.7")


def test_who_is_removed_leaves_no_mixture(enrolled: Path) -> None:
    resolved("@anna+@bert")
    remove("anna")
    assert not (people_folder() / MIXTURES).exists()
    assert person_path("bert").is_file()
