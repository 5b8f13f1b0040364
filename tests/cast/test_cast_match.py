"""Who of a clip is who of a cast: by faces."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.cast.file import Cast, Role
from faceswap_cli.cast.make import cast_entries
from faceswap_cli.cast.match import match
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.records import F32, Analysis, FaceTrack, Shot
from faceswap_cli.tracking.people import people
from tests.faces.meshes import face

ANNA, BEN, CLEO = (np.eye(128, dtype=np.float32)[k] for k in range(3))
PHOTO = (Path("photo.jpg"),)


def track(
    track_id: int,
    x: float,
    frames: range,
    who: F32,
    *,
    size: float = 90,
    sharpness: float = 0.8,
    yaw: float = 0,
) -> FaceTrack:
    count = len(frames)
    return FaceTrack(
        track_id=track_id,
        person=0,
        pts=np.array(frames, dtype=np.int64),
        landmarks=np.stack([face(x, 200, size, yaw=yaw)] * count),
        crop_from_display=np.stack([np.eye(3)] * count),
        confidence=np.ones(count, np.float32),
        opacity=np.ones(count, np.float32),
        embedding=who.astype(np.float32),
        sharpness=sharpness,
    )


def analysis(*tracks: FaceTrack, sets: list[list[int]] | None = None) -> Analysis:
    found = people(tracks, sets or [[k] for k in range(len(tracks))])
    return Analysis(np.arange(100, dtype=np.int64), (Shot(0, 60), Shot(60, 100)), tracks, found)


def cast(**faces: F32) -> Cast:
    return Cast(
        Path("cast.toml"),
        tuple(Role(name, PHOTO, who[None].astype(np.float32)) for name, who in faces.items()),
    )


def played(found: Analysis, roles: Cast) -> dict[int, str]:
    return {person: role.name for person, role in match(found, roles, "clip.mp4").roles.items()}


def near(who: F32, distance: float, axis: int = 50) -> F32:
    return who + np.float32(distance) * np.eye(128, dtype=np.float32)[axis]


def test_people_not_places() -> None:
    roles = cast(A=ANNA, B=BEN)
    left_right = analysis(
        track(0, 100, range(100), near(ANNA, 0.2)), track(1, 500, range(100), near(BEN, 0.2))
    )
    right_left = analysis(
        track(0, 500, range(100), near(ANNA, 0.3)), track(1, 100, range(100), near(BEN, 0.3))
    )
    assert played(left_right, roles) == {0: "A", 1: "B"}
    assert played(right_left, roles) == {0: "B", 1: "A"}


def test_strangers_play_no_role_and_are_named() -> None:
    found = analysis(
        track(0, 100, range(100), near(ANNA, 0.2)), track(1, 500, range(100), near(ANNA, 0.47, axis=60))
    )
    roles = cast(A=ANNA, B=BEN)
    assert played(found, roles) == {0: "A"}
    notes = match(found, roles, "clip.mp4").notes
    assert any("1 person of clip.mp4 (--face 2) not in cast.toml" in note for note in notes)
    assert any("B of cast.toml is not seen in clip.mp4" in note for note in notes)


def test_one_role_is_not_two_people_at_once() -> None:
    """A look-alike beside the right one stays out; the same face at another time is the same person."""
    beside = analysis(track(0, 100, range(60), near(ANNA, 0.1)), track(1, 500, range(60), near(ANNA, 0.3)))
    later = analysis(track(0, 100, range(60), near(ANNA, 0.1)), track(1, 500, range(60, 90), near(ANNA, 0.3)))
    assert played(beside, cast(A=ANNA)) == {0: "A"}
    assert played(later, cast(A=ANNA)) == {0: "A", 1: "A"}


def test_twins_get_their_own_faces() -> None:
    twin = near(ANNA, 0.3, axis=70)
    found = analysis(track(0, 100, range(60), twin), track(1, 500, range(60), near(ANNA, 0.05)))
    assert played(found, cast(A=ANNA, B=twin)) == {0: "B", 1: "A"}
    notes = match(analysis(track(0, 1, range(9), near(ANNA, 0.15, axis=70))), cast(A=ANNA, B=twin), "c").notes
    assert any("looks almost as much like another person" in note for note in notes)


def test_who_hardly_shows_is_cast_only_as_the_very_same() -> None:
    blurred = analysis(track(0, 100, range(60), ANNA, sharpness=0.1))
    (entry,) = cast_entries(blurred, Fraction(1, 25))
    assert entry.role.doubt == "too blurred"
    assert any("Too blurred: may be one of the others" in remark for remark in entry.remarks)
    roles = Cast(Path("cast.toml"), (Role("A", PHOTO, entry.role.faces, entry.role.doubt),))
    assert played(blurred, roles) == {0: "A"}
    with pytest.raises(NoFaceFound):
        match(analysis(track(0, 100, range(60), near(ANNA, 0.4))), roles, "clip.mp4")


def test_nobody_is_an_error_that_says_what_to_try() -> None:
    with pytest.raises(NoFaceFound, match=r"nobody in clip\.mp4 looks like A of cast\.toml .*1\.41.*inspect"):
        match(analysis(track(0, 100, range(60), BEN)), cast(A=ANNA), "clip.mp4")
    kept = Cast(Path("cast.toml"), (Role("A", PHOTO, ANNA[None]), Role("B", (), BEN[None])))
    with pytest.raises(NoFaceFound):
        match(analysis(track(0, 100, range(60), BEN)), kept, "clip.mp4")


def test_entries_tell_when_and_where() -> None:
    found = analysis(
        track(0, 300, range(50), ANNA), track(1, 320, range(80, 100), ANNA), track(2, 500, range(100), BEN),
        sets=[[0, 1], [2]],
    )  # fmt: skip
    anna, ben = cast_entries(found, Fraction(1, 25))
    assert anna.role.name == "A"
    assert anna.remarks[0] == "seen 0:00.0 to 0:02.0, 0:03.2 to 0:04.0; in 70% of the frames, 2 shots"
    assert ben.remarks[0] == "seen 0:00.0 to 0:04.0; in 100% of the frames, 2 shots"
    assert ben.remarks[1].endswith("--face 2")


def test_different_looks_of_a_person_are_all_kept() -> None:
    looks = [near(ANNA, 0.3, axis=40 + k) for k in range(8)]
    found = analysis(
        *(track(k, 300, range(10 * k, 10 * k + 9), look) for k, look in enumerate(looks)),
        sets=[list(range(8))],
    )
    (entry,) = cast_entries(found, Fraction(1, 25))
    assert entry.role.faces.shape == (5, 128)
    other_day = analysis(track(0, 100, range(60), near(looks[2], 0.1)))
    assert played(other_day, Cast(Path("c.toml"), (Role("A", PHOTO, entry.role.faces),))) == {0: "A"}
