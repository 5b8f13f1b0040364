"""What each photograph contributes: strangers, blur, missing views."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceswap_cli.config import DetectOptions
from faceswap_cli.enrollment.views import missing_views, weighed
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.identity.agreement import agreement
from faceswap_cli.identity.enrolled import Share
from faceswap_cli.identity.photos import load_photos, read_photos
from faceswap_cli.records import U8
from tests.enroll.conftest import Saver, mirrored


def people(rng: np.random.Generator, count: int) -> np.ndarray:
    """Embeddings of one person and, last, of a stranger: spread as measured (0.22 within, 0.84 between)."""
    center, other = (rng.standard_normal(128) * 0.84 / np.sqrt(2 * 128) for _ in range(2))
    own = center + rng.standard_normal((count, 128)) * 0.22 / np.sqrt(2 * 128)
    return np.concatenate([own, other[None]]).astype(np.float32)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_planted_stranger_gets_no_say(count: int) -> None:
    rng = np.random.default_rng(count)
    caught = 0
    for _ in range(200):
        weights = rng.uniform(0.2, 1.0, count + 1)
        factor, _ = agreement(people(rng, count), weights)
        caught += bool(factor[-1] < 0.1 and (factor[:-1] == 1.0).all())
    assert caught >= 190


def test_a_sharp_stranger_does_not_outvote_two_soft_photos() -> None:
    embeddings = people(np.random.default_rng(0), 2)
    factor, _ = agreement(embeddings, np.array([0.15, 0.15, 1.0]))
    assert factor.tolist() == [1.0, 1.0, 0.0]


def test_two_photos_cannot_outvote_each_other() -> None:
    factor, apart = agreement(people(np.random.default_rng(0), 1), np.array([0.2, 1.0]))
    assert factor.tolist() == [1.0, 1.0]
    assert apart.min() > 0.6


def test_when_nobody_agrees_all_count() -> None:
    embeddings = np.eye(4, 128, dtype=np.float32)
    assert agreement(embeddings, np.ones(4))[0].tolist() == [1.0] * 4


def test_one_photo() -> None:
    factor, apart = agreement(np.zeros((1, 128), np.float32), np.ones(1))
    assert (factor.tolist(), apart.tolist()) == ([1.0], [0.0])


def test_two_people_are_refused(save: Saver, portrait: U8, stranger: U8) -> None:
    files = [save("a.png", portrait), save("b.png", mirrored(portrait)), save("who.png", stranger)]
    photos, _ = read_photos(files, DetectOptions())
    with pytest.raises(NoFaceFound, match=r"^who.png \(distance 0.\d\d\): not the person .*--same-person"):
        weighed(photos)
    with pytest.raises(NoFaceFound, match=r"^a.png and who.png show different people .*--same-person"):
        weighed([photos[0], photos[2]])
    used, shares, notes = weighed(photos, same_person=True)
    assert len(used) == 3
    assert min(share.weight for share in shares) > 0.1
    assert not any("person" in note for note in notes)


def test_blur_and_size_among_photos(save: Saver, portrait: U8) -> None:
    blurred = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 7), np.uint8)
    small = cv2.resize(portrait, None, fx=0.42, fy=0.42, interpolation=cv2.INTER_AREA)
    files = [
        save("a.png", portrait),
        save("b.png", mirrored(portrait)),
        save("blurred.png", blurred),
        save("small.png", small),
    ]
    photos, _ = read_photos(files, DetectOptions())
    used, shares, notes = weighed(photos)
    by = {share.file: share for share in shares}
    assert [photo.path.name for photo in used] == ["a.png", "b.png", "blurred.png", "small.png"]
    assert by["blurred.png"].weight < 0.5 * by["a.png"].weight
    assert sum(share.weight for share in shares) == pytest.approx(1.0, abs=1e-3)
    told = "\n".join(notes)
    assert "blurred.png is blurred" in told
    assert "small.png: the face is only" in told
    assert "no left profile, no right profile" in told
    assert "a.png" not in told


def test_a_source_of_several_photos_does_not_listen_to_a_stranger(
    save: Saver, portrait: U8, stranger: U8
) -> None:
    own = [save("a.png", portrait), save("b.png", mirrored(portrait))]
    alone = load_photos(own, DetectOptions())
    mixed = load_photos([*own, save("who.png", stranger)], DetectOptions())
    assert float(np.linalg.norm(mixed.embedding - alone.embedding)) < 0.02
    assert any("who.png may show another person" in note for note in mixed.notes)


def share(yaw: float, weight: float = 0.5) -> Share:
    return Share("x.jpg", weight, 0.5, yaw, 300.0, 0.2)


@pytest.mark.parametrize(
    ("yaws", "said"),
    [
        ([0.0], "no left profile, no right profile"),
        ([0.0, 35.0], "no right profile"),
        ([0.0, -35.0], "no left profile"),
        ([30.0, -35.0], "no frontal photo"),
        ([0.0, 30.0, -35.0], None),
    ],
)
def test_missing_views_are_named(yaws: list[float], said: str | None) -> None:
    notes = missing_views([share(yaw) for yaw in yaws])
    assert notes == [] if said is None else notes[0].startswith(said + ":")


def test_a_photo_left_out_shows_no_side() -> None:
    (note,) = missing_views([share(0.0), share(35.0, weight=0.0), share(-35.0)])
    assert note.startswith("no left profile:")
