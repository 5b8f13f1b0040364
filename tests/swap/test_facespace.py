"""Faces as codes: a source out of an embedding, changes of a texture, faces between two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import JobOptions, PasteOptions, mapper_share
from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.identity.embed import SAME_PERSON, embed
from faceswap_cli.nets.facespace import CODE, TEXTURE
from faceswap_cli.records import U8, SourceIdentity, SourcePhoto
from faceswap_cli.swap import build_method, facespace
from faceswap_cli.swap.sourcing import morph, source_texture


@pytest.fixture(scope="module")
def person(portrait: U8, finder: object) -> SourceIdentity:
    mesh = find_faces(portrait, finder=finder)[0].landmarks  # type: ignore[arg-type]
    embedding = embed(portrait, mesh[None], flip=True)[0]
    photo = SourcePhoto(Path("a.png"), portrait, mesh, embedding)
    return SourceIdentity("a", (photo,), embedding, "0" * 64)


def test_flat_textures_come_back() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal(facespace.pixels()).astype(np.float32)
    image = facespace.unflat(numbers)
    assert np.allclose(image, image[:, ::-1], atol=1e-4)
    soft = facespace.outline()[:, : facespace.SIDE // 2]
    sure = soft[soft > 0.05] > 0.999
    again = facespace.flat(image)[: len(sure)]
    assert np.abs(again[sure] - numbers[: len(sure)][sure]).max() < 0.02


def test_a_code_changes_what_it_is_told_to(person: SourceIdentity) -> None:
    own = source_texture(person, 0.0)
    change = np.zeros(CODE, np.float32)
    change[2] = 2.0
    moved = facespace.code_of(facespace.added(own, change)) - facespace.code_of(own)
    assert 1.3 < moved[2] < 2.2  # the light that is taken off takes a part of it along
    rest = np.delete(moved[:TEXTURE], 2)
    assert np.abs(rest).max() < 0.4
    same = facespace.added(own, np.zeros(CODE, np.float32))
    assert np.array_equal(same.lab, own.lab)


def test_an_embedding_alone_makes_a_face_that_looks_like_the_person(
    person: SourceIdentity, finder: object
) -> None:
    blank = SourceIdentity("a", (), person.embedding, "")
    picture = source_texture(blank, 1.0).picture(320)
    faces = find_faces(picture, finder=finder)  # type: ignore[arg-type]
    assert len(faces) == 1
    distance = float(
        np.linalg.norm(embed(picture, faces[0].landmarks[None], flip=True)[0] - person.embedding)
    )
    other = np.roll(person.embedding, 1)
    wrong = source_texture(SourceIdentity("b", (), other, ""), 1.0).picture(320)
    found = find_faces(wrong, finder=finder)  # type: ignore[arg-type]
    further = float(np.linalg.norm(embed(wrong, found[0].landmarks[None])[0] - person.embedding))
    assert distance < SAME_PERSON + 0.1
    assert distance < further


def test_a_face_between_two_is_between(person: SourceIdentity) -> None:
    own, made = (source_texture(person, share) for share in (0.0, 1.0))
    for share, nearer in ((0.0, own), (1.0, made)):
        mixed = morph(own, made, share)
        assert np.allclose(mixed.points, nearer.points)
    half = morph(own, made, 0.5)
    assert np.allclose(half.points, (own.points + made.points) / 2)
    codes = [facespace.code_of(texture)[:TEXTURE] for texture in (own, half, made)]
    assert np.linalg.norm(codes[1] - (codes[0] + codes[2]) / 2) < 0.5 * np.linalg.norm(codes[0] - codes[2])


@pytest.mark.parametrize(("text", "share"), [("landmarks", 0.0), ("nitzan", 1.0), ("blend:0.25", 0.25)])
def test_mapper_names(text: str, share: float) -> None:
    assert mapper_share(text) == share


@pytest.mark.parametrize("text", ["blend", "blend:2", "blend:-1", "blend:nan", "pictures", ""])
def test_other_names_are_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"landmarks, nitzan or blend:X"):
        JobOptions(mapper=text)


def test_methods_take_it(person: SourceIdentity) -> None:
    plain, made = (
        build_method("mesh", JobOptions(device="cpu", mapper=name), PasteOptions()).prepare(person)
        for name in ("landmarks", "nitzan")
    )
    assert not np.array_equal(plain.texture.lab, made.texture.lab)
    nitzan = build_method("nitzan", JobOptions(device="cpu"), PasteOptions())
    assert np.array_equal(nitzan.prepare(person).face.texture.lab, made.texture.lab)
    with pytest.raises(UsageError, match="profile"):
        build_method("nitzan", JobOptions(profile="1024"), PasteOptions())


def test_a_file_that_is_no_space_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read"):
        facespace.load_space(tmp_path / "x.safetensors")
