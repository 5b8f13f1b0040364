"""Who is who, and who is meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import TrackOptions
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.records import F32, Analysis, FaceTrack
from faceswap_cli.tracking.people import Presence, choose_cast, doubt, groups, matching, people
from tests.faces.meshes import face

ANNA, BEN, CLEO = (np.eye(128, dtype=np.float32)[k] * 0.6 for k in range(3))


def present(first: int, last: int, who: F32 | None) -> Presence:
    return Presence(first, last, who, float(last - first + 1))


def blurred(who: F32, seed: int) -> F32:
    return (who + np.random.default_rng(seed).normal(0, 0.015, 128)).astype(np.float32)


def test_tracks_of_one_person_come_together() -> None:
    tracks = [present(20 * k, 20 * k + 15, blurred((ANNA, BEN)[k % 2], k)) for k in range(6)]
    assert sorted(groups(tracks)) == [[0, 2, 4], [1, 3, 5]]


def test_twins_on_screen_together_stay_two() -> None:
    tracks = [present(0, 50, ANNA), present(10, 60, blurred(ANNA, 1)), present(70, 90, blurred(ANNA, 2))]
    sets = groups(tracks)
    assert len(sets) == 2
    assert all(not {0, 1} <= set(members) for members in sets)


def test_tracks_without_an_embedding_stay_alone() -> None:
    assert sorted(groups([present(0, 5, None), present(9, 12, ANNA), present(20, 22, None)])) == [
        [0],
        [1],
        [2],
    ]


def test_an_unclear_track_joins_only_who_it_is_clearly_nearest_to() -> None:
    def unclear(first: int, who: F32) -> Presence:
        return Presence(first, first + 9, who, 1.0, clear=False)

    clear = [present(0, 50, ANNA), present(0, 50, BEN)]
    between = (ANNA + BEN) / 2
    nearer_anna = np.asarray(0.7 * ANNA + 0.3 * BEN, np.float32)
    assert sorted(groups([*clear, unclear(70, nearer_anna)])) == [[0, 2], [1]]
    assert sorted(groups([*clear, unclear(70, between)])) == [[0], [1], [2]]
    assert sorted(groups([*clear, unclear(40, nearer_anna)])) == [[0], [1], [2]], "Anna is elsewhere then"
    assert sorted(groups([unclear(0, ANNA), unclear(20, ANNA)])) == [[0], [1]]


def test_strangers_of_one_camera_stay_apart() -> None:
    """Colleagues are 0.47 apart when light and camera are the same; one person's shots up to 0.4."""
    colleague = np.asarray(ANNA + 0.47 * np.eye(128)[50], np.float32)
    other_shot = np.asarray(ANNA + 0.4 * np.eye(128)[60], np.float32)
    tracks = [present(0, 9, ANNA), present(20, 29, colleague), present(40, 49, other_shot)]
    assert sorted(groups(tracks)) == [[0, 2], [1]]


def test_doubt_names_its_reason() -> None:
    meshes = np.stack([face(200, 200, 90)] * 3)
    assert doubt(meshes, 0.8) == ""
    assert doubt(meshes, 0.1) == "too blurred"
    assert "too small" in doubt(np.stack([face(200, 200, 15)]), 0.8)
    assert "turned away" in doubt(np.stack([face(0, 0, 90, yaw=70)] * 2), 0.8)
    once = np.stack([face(0, 0, 90, yaw=yaw) for yaw in (70.0, 30.0)])
    assert doubt(once, 0.8) == "", "once is enough"


def test_nobody() -> None:
    assert groups([]) == []
    assert people([], []) == ()


def track(track_id: int, x: float, size: float, frames: int, who: F32) -> FaceTrack:
    meshes = np.stack([face(x, 200, size)] * frames)
    return FaceTrack(
        track_id=track_id,
        person=0,
        pts=np.arange(frames, dtype=np.int64),
        landmarks=meshes,
        crop_from_display=np.stack([np.eye(3)] * frames),
        confidence=np.ones(frames, np.float32),
        opacity=np.ones(frames, np.float32),
        embedding=who,
    )


@pytest.fixture
def analysis() -> Analysis:
    """Cleo small on the left, Ben large on the right, Anna in the middle; a bystander for a moment."""
    tracks = (
        track(0, 900, 90, 60, BEN),
        track(1, 100, 40, 100, CLEO),
        track(2, 500, 60, 50, ANNA),
        track(3, 480, 60, 40, ANNA),
        track(4, 20, 30, 3, np.full(128, 0.3, np.float32)),
    )
    found = people(tracks, [[0], [1], [2, 3], [4]])
    return Analysis(np.arange(100, dtype=np.int64), (), tracks, found)


def test_people_are_numbered_from_the_left_bystanders_last(analysis: Analysis) -> None:
    assert [person.tracks for person in analysis.people] == [(1,), (2, 3), (0,), (4,)]
    assert [person.person for person in analysis.people] == [0, 1, 2, 3]
    assert analysis.people[1].frames == 90
    assert analysis.people[1].mean_x == pytest.approx(491, abs=1)


@pytest.mark.parametrize(
    ("wanted", "cast"),
    [("largest", {2: 0}), ("left", {0: 0}), ("1", {0: 0}), ("3", {2: 0}), ("all", {0: 0, 1: 0, 2: 0, 3: 0})],
)
def test_face_option(analysis: Analysis, wanted: str, cast: dict[int, int]) -> None:
    assert choose_cast(analysis, TrackOptions(face=wanted)) == cast


def test_reference_wins(analysis: Analysis) -> None:
    assert choose_cast(analysis, TrackOptions(face="left"), blurred(ANNA, 7)) == {1: 0}


def test_what_cannot_be_chosen_says_why(analysis: Analysis) -> None:
    with pytest.raises(NoFaceFound, match=r"shows 4 people; try --face 1"):
        choose_cast(analysis, TrackOptions(face="7"))
    with pytest.raises(NoFaceFound, match=r"nobody in the target looks like aunt\.jpg"):
        choose_cast(analysis, TrackOptions(reference=Path("aunt.jpg")), np.full(128, -1, np.float32))
    with pytest.raises(NoFaceFound, match="no face was found"):
        choose_cast(Analysis(np.arange(3), (), (), ()), TrackOptions())


def test_a_reference_means_the_person_and_the_mirror_image() -> None:
    seen = np.stack([BEN, blurred(ANNA, 3), CLEO, blurred(ANNA, 4)])
    assert sorted(matching(seen, ANNA, "anna.jpg")) == [1, 3]
    assert matching(seen, BEN, "ben.jpg") == [0]


def test_relatives_of_a_reference_are_left_alone() -> None:
    sister = np.asarray(ANNA + 0.8 * BEN, np.float32)  # 0.48 away
    assert matching(np.stack([sister, blurred(ANNA, 3)]), ANNA, "anna.jpg") == [1]


def test_nobody_like_the_reference() -> None:
    with pytest.raises(NoFaceFound, match=r"looks like anna\.jpg"):
        matching(np.stack([BEN, CLEO]), ANNA, "anna.jpg")
