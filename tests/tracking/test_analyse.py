"""Pass 1 as a whole, on the example clip and on what was gathered from made-up frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import DetectOptions, SmoothOptions, TrackOptions
from faceswap_cli.errors import Interrupted
from faceswap_cli.events import Event, StopRequest
from faceswap_cli.geometry.align import unit_from_points
from faceswap_cli.records import F32, Analysis, Clip
from faceswap_cli.tracking.analyse import Gathered, analyse_clip, build_analysis
from faceswap_cli.tracking.shots import Signature
from faceswap_cli.tracking.tracks import Piece
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from tests.faces.meshes import face
from tests.faces.test_stage import clip_of

TARGET = Path(__file__).resolve().parents[2] / "examples" / "target.mp4"
OPTIONS = DetectOptions(workers=2), TrackOptions(), SmoothOptions()


@pytest.fixture(scope="module")
def clip() -> Clip:
    return probe(TARGET)


@pytest.fixture(scope="module")
def times(clip: Clip) -> list[int]:
    return [frame.pts for frame in read_frames(clip)]


@pytest.fixture(scope="module")
def part(clip: Clip, times: list[int]) -> tuple[Analysis, list[Event]]:
    """Frames 10 to 40 of the example."""
    events: list[Event] = []
    return analyse_clip(clip, *OPTIONS, events.append, first_pts=times[10], end_pts=times[40]), events


def test_one_person_in_one_shot(part: tuple[Analysis, list[Event]], times: list[int]) -> None:
    analysis, _ = part
    np.testing.assert_array_equal(analysis.pts, times[10:40])
    assert [(shot.first_pts, shot.end_pts) for shot in analysis.shots] == [(times[10], times[39] + 1)]
    (track,) = analysis.tracks
    np.testing.assert_array_equal(track.pts, analysis.pts)
    assert track.landmarks.shape == (30, 478, 3)
    assert track.confidence.min() > 0.3
    assert track.opacity.min() == 1
    (person,) = analysis.people
    assert (person.person, person.tracks, person.frames) == (0, (0,), 30)
    assert float(np.linalg.norm(track.embedding)) > 1
    assert analysis.damaged_packets == 0


def test_the_crop_is_that_of_the_landmarks(part: tuple[Analysis, list[Event]]) -> None:
    (track,) = part[0].tracks
    exact = unit_from_points(track.landmarks)
    corners = np.array([[100, 100, 1], [300, 350, 1.0]]).T
    assert np.abs((track.crop_from_display - exact) @ corners).max() < 0.05


def test_progress_is_told(part: tuple[Analysis, list[Event]]) -> None:
    steps = [event.data for event in part[1] if event.kind == "progress"]
    assert steps[0]["stage"] == "analyse"
    assert steps[-1] == {"stage": "analyse", "done": 30, "total": 30}
    done = [step["done"] for step in steps]
    assert done == sorted(done)


def test_the_same_again(part: tuple[Analysis, list[Event]], clip: Clip, times: list[int]) -> None:
    options = DetectOptions(workers=1), TrackOptions(), SmoothOptions()
    again = analyse_clip(clip, *options, first_pts=times[10], end_pts=times[40])
    np.testing.assert_array_equal(again.tracks[0].landmarks, part[0].tracks[0].landmarks)
    np.testing.assert_allclose(again.tracks[0].embedding, part[0].tracks[0].embedding, atol=1e-5)


def test_a_stop_is_heeded(clip: Clip) -> None:
    stop = StopRequest()
    stop.request(143)
    with pytest.raises(Interrupted, match=r"analyzing target\.mp4"):
        analyse_clip(clip, *OPTIONS, stop=stop)


BLANK = clip_of(np.zeros((400, 640, 3), np.uint8))
ANNA, BEN = (np.eye(128, dtype=np.float32)[k] for k in range(2))


def piece(frames: range, x: float, who: F32 = ANNA) -> Piece:
    return Piece(
        frames=np.array(frames, dtype=np.int64),
        landmarks=np.stack([face(x, 200)] * len(frames)),
        scores=np.full(len(frames), 0.95, np.float32),
        embedding=who,
    )


def gathered(count: int, *pieces: Piece, cut: int | None = None) -> Gathered:
    rng = np.random.default_rng(0)
    looks = [Signature(rng.integers(0, 180, (14, 24, 3)).astype(np.uint8)) for _ in range(2)]
    signatures = tuple(looks[int(cut is not None and k >= cut)] for k in range(count))
    return Gathered(np.arange(count, dtype=np.int64) * 2 + 5, signatures, pieces)


def built(found: Gathered) -> Analysis:
    return build_analysis(found, BLANK, TrackOptions(), SmoothOptions())


def ramps(analysis: Analysis) -> list[tuple[bool, bool]]:
    return [(track.opacity[0] < 1, track.opacity[-1] < 1) for track in analysis.tracks]


def test_fades_only_where_a_face_comes_or_goes_mid_shot() -> None:
    assert ramps(built(gathered(40, piece(range(10, 30), 200)))) == [(True, True)]
    assert ramps(built(gathered(40, piece(range(40), 200)))) == [(False, False)]
    assert ramps(built(gathered(40, piece(range(20), 200), cut=20))) == [(False, False)]
    assert ramps(built(gathered(40, piece(range(10, 30), 10)))) == [(True, True)]  # half of it is still seen
    assert ramps(built(gathered(40, piece(range(10, 30), -14)))) == [(False, False)]  # gone through the edge


def test_a_long_gap_fades_out_and_in_and_stays_one_person() -> None:
    analysis = built(gathered(60, piece(range(20), 200), piece(range(40, 60), 210)))
    assert ramps(analysis) == [(False, True), (True, False)]
    assert [track.person for track in analysis.tracks] == [0, 0]
    assert analysis.people[0].frames == 40


def test_a_short_gap_is_bridged() -> None:
    (track,) = built(gathered(40, piece(range(15), 200), piece(range(20, 40), 200))).tracks
    assert len(track.pts) == 40
    np.testing.assert_array_equal(np.flatnonzero(track.confidence == 0), range(15, 20))
    assert track.opacity.min() == 1


def test_the_same_face_after_a_cut_is_the_same_person_and_another_track() -> None:
    analysis = built(gathered(40, piece(range(20), 200), piece(range(20, 40), 420), cut=20))
    assert len(analysis.shots) == 2
    assert [track.person for track in analysis.tracks] == [0, 0]
    other = built(gathered(40, piece(range(20), 200), piece(range(20, 40), 420, BEN), cut=20))
    assert sorted(track.person for track in other.tracks) == [0, 1]
    assert [person.mean_x < 300 for person in other.people] == [True, False]


def test_both_people_of_a_crossfade_fade() -> None:
    """One place, one shot, another person: neither face may jump in at full strength."""
    analysis = built(gathered(40, piece(range(20), 200), piece(range(20, 40), 204, BEN)))
    assert ramps(analysis) == [(False, True), (True, False)]
    assert sorted(track.person for track in analysis.tracks) == [0, 1]
    first, second = analysis.tracks
    assert first.opacity[-1] <= 0.5
    assert second.opacity[0] <= 0.5


def test_no_face_at_all() -> None:
    analysis = built(gathered(12))
    assert analysis.tracks == ()
    assert analysis.people == ()
    assert len(analysis.shots) == 1


def test_variable_spacing_is_respected() -> None:
    """A jump over a long pause is real and stays; the same jump between two frames is smoothed."""
    rough = piece(range(20), 200)
    landmarks = rough.landmarks.copy()
    landmarks[10:, :, 0] += 6
    pause = np.arange(20, dtype=np.int64)
    pause[10:] += 50
    even, spaced = (
        built(replace(gathered(20, replace(rough, landmarks=landmarks)), pts=pts)).tracks[0]
        for pts in (np.arange(20, dtype=np.int64), pause)
    )
    step = [float(t.landmarks[10, 1, 0] - t.landmarks[9, 1, 0]) for t in (even, spaced)]
    assert step[0] < 5
    assert step[1] > 5.9
