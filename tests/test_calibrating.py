"""Which faces are drawn first, and that looking at them brings drawn heads nearer to the target's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from faceswap_cli import calibrating
from faceswap_cli.calibrating import FACES_EACH, FRAMES_APART, STATIONS, calibrated, stations, with_crops
from faceswap_cli.cast.roles import Sources
from faceswap_cli.config import DetectOptions, JobOptions, SwapOptions
from faceswap_cli.errors import Interrupted
from faceswap_cli.events import NEVER, StopRequest, ignore
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.identity.pose import pose
from faceswap_cli.pipeline import analyse, prepare
from faceswap_cli.records import FaceTrack
from faceswap_cli.swap.calibration import Seen
from faceswap_cli.swap.engine import Scene, cut_crop
from faceswap_cli.swap.fslsd256_person import Prepared
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames

EXAMPLES = Path(__file__).parents[1] / "examples"


def scene_of(method: str) -> Scene:
    """The first 40 frames of the example."""
    clip = probe(EXAMPLES / "target.mp4")
    options = SwapOptions(method=method, job=JobOptions(device="cpu", workers=1))
    source = load_photos([EXAMPLES / "source.jpg"], DetectOptions())
    end = [frame.pts for _, frame in zip(range(41), read_frames(clip), strict=False)][-1]
    analysis = analyse(clip, options, ignore, NEVER, (None, end))
    return prepare(clip, analysis, Sources((source,)), options)[0]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scene_of("fslsd")


def with_track(scene: Scene, **changed: object) -> Scene:
    (track,) = scene.analysis.tracks
    tracks = (replace(track, **changed),)  # type: ignore[arg-type]
    return replace(scene, analysis=replace(scene.analysis, tracks=tracks))


def rows_of(scene: Scene) -> list[int]:
    (person,) = scene.prepared
    return [row for run in stations(scene, person) for _, row in run]


def turn(found: Tensor, target: Tensor) -> float:
    """Mean difference of directions, degrees."""
    ours, theirs = (np.stack(pose(points.numpy()), axis=1) for points in (found, target))
    return float(np.linalg.norm(ours - theirs, axis=1).mean())


def far(looks: Seen, person: Prepared) -> float:
    """Mean distance of identities from the source's."""
    assert person.identity is not None
    return float(np.linalg.norm(looks.embeddings - person.identity, axis=1).mean())


def test_drawn_heads_come_nearer_to_the_targets_and_faces_to_the_source(scene: Scene) -> None:
    (person,) = scene.prepared
    method, (track,) = scene.method, scene.analysis.tracks
    assert isinstance(method, Fslsd256Method)
    fixed = calibrated(scene, JobOptions()).prepared[person]
    looked_at = set(rows_of(scene))
    others = {int(track.pts[row]): row for row in range(0, len(track.pts), 3) if row not in looked_at}
    crops = [
        cut_crop(frame, scene, track, others[frame.pts])
        for frame in read_frames(scene.clip, end_pts=max(others) + 1)
        if frame.pts in others
    ]
    people = scene.prepared[person], replace(fixed, likeness=None), fixed
    before, turned, after = (method.seen(one, crops) for one in people)
    assert turn(after.found, before.target) < 0.85 * turn(before.found, before.target)
    assert far(after, fixed) < 0.97 * far(turned, fixed)


def test_the_same_clip_gives_the_same_correction(scene: Scene) -> None:
    (person,) = scene.prepared
    once, again = (calibrated(scene, JobOptions()).prepared[person] for _ in range(2))
    np.testing.assert_array_equal(once.correction, again.correction)
    np.testing.assert_array_equal(once.likeness, again.likeness)
    assert 0.001 < np.abs(once.correction).max() < 0.2
    assert 0.05 < np.linalg.norm(once.likeness) < 1.0


def test_an_edited_person_is_not_brought_back(scene: Scene) -> None:
    source = load_photos([EXAMPLES / "source.jpg"], DetectOptions())
    assert scene.method.prepare(source).identity is not None
    assert scene.method.prepare(replace(source, changes=(("age", 1.0),))).identity is None


def test_faces_are_spread_over_the_clip(scene: Scene) -> None:
    rows = rows_of(scene)
    assert STATIONS * (FACES_EACH - 1) < len(rows) <= STATIONS * FACES_EACH
    assert min(rows) < 8
    assert max(rows) > 30
    assert set(np.diff(rows)) & {FRAMES_APART}


def test_in_a_crowd_one_place_each_must_do(scene: Scene) -> None:
    (person,) = scene.prepared
    crowd = replace(scene, prepared=dict.fromkeys(range(40), scene.prepared[person]) | scene.prepared)
    assert len(stations(crowd, person)) == 1


def test_faces_that_are_not_shown_well_are_not_looked_at(scene: Scene) -> None:
    (track,) = scene.analysis.tracks
    confidence = track.confidence.copy()
    confidence[:20] = 0
    assert min(rows_of(with_track(scene, confidence=confidence))) >= 20
    nowhere = with_track(scene, opacity=np.zeros_like(track.opacity))
    assert rows_of(nowhere) == []
    assert calibrated(nowhere, JobOptions()).prepared == nowhere.prepared


def test_heads_turned_far_are_not_looked_at(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "_MOST_YAW", -1.0)
    assert rows_of(scene) == []


def test_it_can_be_left_out_and_other_methods_know_nothing_of_it(scene: Scene) -> None:
    assert calibrated(scene, JobOptions(calibrate=False)).prepared == scene.prepared
    other = scene_of("mesh")
    assert calibrated(other, JobOptions()).prepared == other.prepared
    (ready,) = scene.prepared.values()
    assert with_crops(scene.method, ready, [], JobOptions()) is ready


def test_a_stop_is_heard(scene: Scene) -> None:
    stop = StopRequest()
    stop.request()
    with pytest.raises(Interrupted):
        calibrated(scene, JobOptions(), stop)


def test_a_face_shown_for_a_moment_is_enough(scene: Scene) -> None:
    (track,) = scene.analysis.tracks
    names = [f for f in FaceTrack.__dataclass_fields__ if isinstance(getattr(track, f), np.ndarray)]
    short = replace(track, **{name: getattr(track, name)[:1] for name in names})
    brief = replace(scene, analysis=replace(scene.analysis, tracks=(short,)))
    (person,) = scene.prepared
    assert calibrated(brief, JobOptions()).prepared[person].correction is not None
