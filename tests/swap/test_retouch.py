"""Edits of a source's appearance: age, masculine, lips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from faceswap_cli.config import APPEARANCE, EditOptions, JobOptions, PasteOptions, SwapOptions, parse_edits
from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.identity.embed import embed
from faceswap_cli.nets.attributes import ATTRIBUTES
from faceswap_cli.nets.facespace import CODE, TEXTURE
from faceswap_cli.records import U8, SourceIdentity, SourcePhoto
from faceswap_cli.swap import build_method, facespace, retouch
from faceswap_cli.swap.prepared import prepared
from faceswap_cli.swap.sourcing import source_texture
from faceswap_cli.weights.registry import bundled


@pytest.fixture(scope="module")
def person(portrait: U8, finder: object) -> SourceIdentity:
    mesh = find_faces(portrait, finder=finder)[0].landmarks  # type: ignore[arg-type]
    embedding = embed(portrait, mesh[None], flip=True)[0]
    return SourceIdentity("a", (SourcePhoto(Path("a.png"), portrait, mesh, embedding),), embedding, "0" * 64)


def codes(count: int = 64) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((count, CODE)).astype(np.float32)


def reading(code: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return retouch.attributes().readers(torch.from_numpy(code)).numpy()


def test_names_are_the_same_everywhere() -> None:
    assert APPEARANCE == ATTRIBUTES


@pytest.mark.parametrize("how", ["editor", "linear", "conditional"])
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_more_asked_is_more_read_and_nothing_else(name: str, how: str) -> None:
    number = ATTRIBUTES.index(name)
    found = []
    for amount in (-1.5, -0.5, 0.5, 1.5):
        moved = [code + retouch.change_of(code, {name: amount}, how) for code in codes()]
        change = reading(np.stack(moved)) - reading(codes())
        found.append(change[:, number].mean())
        if how == "editor":
            assert np.abs(np.delete(change, number, axis=1)).mean() < 0.25 * abs(amount) + 0.05
    assert (np.diff(found) > 0.25).all()


def test_there_and_back_is_where_it_began() -> None:
    for code in codes(8):
        change = {"age": 1.0, "lips": -0.5}
        there = code + retouch.change_of(code, change)
        back = there + retouch.change_of(there, {name: -value for name, value in change.items()})
        assert np.linalg.norm(back - code) < 0.15 * np.linalg.norm(there - code)
        assert np.array_equal(there[TEXTURE:], code[TEXTURE:])
        assert not retouch.change_of(code, {"age": 0.0}).any()


def test_nothing_asked_is_the_same_object(person: SourceIdentity) -> None:
    own = source_texture(person, 0.0)
    assert retouch.retouched(own, {}) is own
    assert retouch.retouched(own, {"age": 0.0}) is own


def test_an_edited_source_reads_so_and_stays_the_person(person: SourceIdentity) -> None:
    own = source_texture(person, 0.0)
    older = source_texture(replace(person, changes=(("age", 1.5),)), 0.0)
    before, after = (reading(facespace.code_of(texture)[None])[0] for texture in (own, older))
    assert after[0] - before[0] > 0.5
    assert np.array_equal(older.points, own.points)
    outside = facespace.outline() < 0.01
    assert outside.any()
    change = np.abs(older.lab - own.lab).max(axis=2)
    assert change[:20].max() == 0.0  # hair and background
    pictures = [texture.picture(256) for texture in (own, older)]
    meshes = [find_faces(picture)[0].landmarks for picture in pictures]
    first, second = (embed(p, m[None])[0] for p, m in zip(pictures, meshes, strict=True))
    assert 0.0 < float(np.linalg.norm(first - second)) < 0.6


def test_methods_prepare_each_edit_once_and_apart(person: SourceIdentity) -> None:
    options = [
        SwapOptions(edit=EditOptions(**edit)) for edit in ({}, {"age": 1.0}, {"age": 1.0, "smile": 0.2})
    ]
    method = build_method("mesh", JobOptions(device="cpu"), PasteOptions())
    plain, older, smiling = (prepared(method, person, one) for one in options)
    assert older is smiling  # an expression is no matter of the source
    assert older is not plain
    assert not np.array_equal(plain.texture.lab, older.texture.lab)
    assert np.array_equal(plain.texture.lab, method.prepare(person).texture.lab)


def test_flags_and_ranges() -> None:
    assert parse_edits("age=+0.5,masculine=-1,lips=0.3") == {"age": 0.5, "masculine": -1.0, "lips": 0.3}
    assert EditOptions(age=0.5).appearance == (("age", 0.5),)
    assert EditOptions(smile=0.5).appearance == ()
    with pytest.raises(UsageError, match=r"age must be -2 to 2, not 3"):
        EditOptions(age=3.0)


def test_networks_of_another_space_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"taught with another facespace\.safetensors"):
        retouch.load_attributes(bundled(retouch.FILE), "0" * 64)
