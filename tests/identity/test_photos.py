"""Photographs of one person: what is taken, what is left out, what the user is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from faceswap_cli.config import DetectOptions
from faceswap_cli.errors import InputError, NoFaceFound, SeveralFaces
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.identity.photos import load_photos, picture_files
from faceswap_cli.identity.quality import quality
from faceswap_cli.records import F32, U8

Saver = Callable[[str, U8], Path]


@pytest.fixture
def save(tmp_path: Path) -> Saver:
    def write(name: str, picture: U8) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(path)
        return path

    return write


def calm(notes: Sequence[str]) -> list[str]:
    """Notes but for the one about the laugh of the portrait."""
    return [note for note in notes if "mouth is open" not in note]


def side_by_side(one: U8, other: U8) -> U8:
    return np.concatenate([one, other], axis=1)


def smaller(picture: U8, scale: float) -> U8:
    """The same size of picture, the content shrunk in its middle."""
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    out = np.full_like(picture, 120)
    y, x = ((a - b) // 2 for a, b in zip(picture.shape[:2], small.shape[:2], strict=True))
    out[y : y + small.shape[0], x : x + small.shape[1]] = small
    return out


def test_one_photo(save: Saver, portrait: U8) -> None:
    path = save("Anna Maria.png", portrait)
    source = load_photos([path], DetectOptions())
    assert source.name == "Anna Maria"
    assert calm(source.notes) == []
    (photo,) = source.photos
    assert photo.path == path
    np.testing.assert_array_equal(photo.rgb, portrait)
    assert photo.landmarks.shape == (478, 3)
    assert 0.3 < photo.quality <= 1
    np.testing.assert_allclose(source.embedding, photo.embedding)
    assert len(source.digest) == 64


def test_a_folder_is_one_person_and_bad_pictures_are_named(save: Saver, portrait: U8, tmp_path: Path) -> None:
    save("anna/a.png", portrait)
    save("anna/b.jpg", np.ascontiguousarray(portrait[:, ::-1]))
    save("anna/room.png", np.full_like(portrait, 90))
    (tmp_path / "anna" / "broken.jpg").write_bytes(b"nothing")
    (tmp_path / "anna" / "notes.txt").write_text("not a picture")
    save("anna/.hidden.png", portrait)
    source = load_photos([tmp_path / "anna"], DetectOptions())
    assert source.name == "anna"
    assert [photo.path.name for photo in source.photos] == ["a.png", "b.jpg"]
    assert len(calm(source.notes)) == 2
    assert any("broken.jpg" in note for note in source.notes)
    assert any("room.png" in note and "no face" in note for note in source.notes)


def test_better_photos_weigh_more(save: Saver, portrait: U8) -> None:
    blurred = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 6), np.uint8)
    source = load_photos([save("a.png", portrait), save("b.png", blurred)], DetectOptions())
    sharp, soft = source.photos
    assert soft.quality < 0.6 * sharp.quality
    near, far = (float(np.linalg.norm(source.embedding - photo.embedding)) for photo in (sharp, soft))
    assert near < far


def test_the_digest_is_that_of_the_files(save: Saver, portrait: U8) -> None:
    one, other = save("a.png", portrait), save("b.png", portrait[:, :500])
    digests = {load_photos(paths, DetectOptions()).digest for paths in ([one], [other], [one, other])}
    assert len(digests) == 3
    assert load_photos([one], DetectOptions()).digest in digests


def test_no_face(save: Saver, portrait: U8) -> None:
    path = save("room.png", np.full_like(portrait, 90))
    with pytest.raises(NoFaceFound, match=r"no face of 24 px or more in .*room\.png; use a photo"):
        load_photos([path], DetectOptions())
    with pytest.raises(NoFaceFound, match=r"no usable source photo: .*room.*wall"):
        load_photos([path, save("wall.png", np.full_like(portrait, 30))], DetectOptions())


def test_two_people_alike_in_size_need_a_choice(save: Saver, portrait: U8) -> None:
    path = save("pair.png", side_by_side(portrait, portrait // 2))
    with pytest.raises(SeveralFaces, match=r"pair\.png shows 2 faces of similar size; choose one") as caught:
        load_photos([path], DetectOptions())
    bright, dark = (picture.mean() for picture in caught.value.pictures)
    assert bright > 1.5 * dark


def test_a_clearly_larger_face_wins(save: Saver, portrait: U8) -> None:
    path = save("pair.png", side_by_side(smaller(portrait, 0.45), portrait))
    source = load_photos([path], DetectOptions())
    assert source.photos[0].landmarks[1, 0] > 512


def test_the_other_photos_tell_who_is_meant(save: Saver, portrait: U8) -> None:
    pair = save("pair.png", side_by_side(portrait, smaller(portrait, 0.8)))
    source = load_photos([save("alone.png", portrait), pair], DetectOptions())
    assert len(source.photos) == 2
    assert calm(source.notes) == []


def test_files_that_are_not_there_or_not_pictures(tmp_path: Path, save: Saver, portrait: U8) -> None:
    good = save("a.png", portrait)
    with pytest.raises(InputError, match=r"nowhere\.png"):
        load_photos([good, tmp_path / "nowhere.png"], DetectOptions())
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(InputError, match=r"text\.jpg"):
        load_photos([tmp_path / "text.jpg"], DetectOptions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        load_photos([tmp_path / "empty"], DetectOptions())
    with pytest.raises(InputError, match="no source photo"):
        load_photos([], DetectOptions())


def test_a_photo_named_twice_counts_once(save: Saver, portrait: U8) -> None:
    path = save("a.png", portrait)
    assert picture_files([path, path.parent]) == [path]


@pytest.fixture(scope="module")
def mesh(portrait: U8, finder: FaceFinder) -> F32:
    return find_faces(portrait, finder=finder)[0].landmarks


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: cv2.GaussianBlur(p, (0, 0), 5),
        lambda p: (p * 0.08).astype(np.uint8),
        lambda p: np.clip(p.astype(int) * 4, 0, 255).astype(np.uint8),
    ],
    ids=["blur", "dark", "blown"],
)
def test_quality_falls_with_what_spoils_a_photo(portrait: U8, mesh: F32, spoil: Callable[[U8], U8]) -> None:
    assert quality(np.asarray(spoil(portrait), np.uint8), mesh) < 0.75 * quality(portrait, mesh)


def test_quality_falls_with_size_and_cuts(portrait: U8, mesh: F32) -> None:
    best = quality(portrait, mesh)
    small = np.asarray(cv2.resize(portrait, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
    assert quality(small, mesh / 4) < 0.75 * best
    middle = int(mesh[1, 0])
    assert quality(np.ascontiguousarray(portrait[:, :middle]), mesh) < 0.6 * best


@pytest.mark.parametrize(("face", "place"), [("left", 0), ("1", 0), ("2", 1)])
def test_a_face_of_several_is_chosen(save: Saver, portrait: U8, face: str, place: int) -> None:
    path = save("two.png", side_by_side(portrait, portrait[:, ::-1]))
    (photo,) = load_photos([path], DetectOptions(source_face=face)).photos
    assert int(photo.landmarks[1, 0] // portrait.shape[1]) == place


def test_the_largest_face_is_chosen_and_a_missing_one_is_named(save: Saver, portrait: U8) -> None:
    path = save("two.png", side_by_side(smaller(portrait, 0.8), portrait))
    (photo,) = load_photos([path], DetectOptions(source_face="largest")).photos
    assert photo.landmarks[1, 0] > portrait.shape[1]
    with pytest.raises(NoFaceFound, match="shows 2 faces; --source-face 3 names none"):
        load_photos([path], DetectOptions(source_face="3"))
    with pytest.raises(NoFaceFound, match="--source-face largest, left, or 1 to 2"):
        load_photos([path], DetectOptions())


def test_the_choice_is_part_of_the_digest(save: Saver, portrait: U8) -> None:
    path = save("two.png", side_by_side(portrait, portrait[:, ::-1]))
    digests = {load_photos([path], DetectOptions(source_face=face)).digest for face in ("1", "2")}
    assert len(digests) == 2
