"""No track holds two people, whether the cut between them was found or not."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from faceswap_cli.config import DetectOptions, SmoothOptions, TrackOptions
from faceswap_cli.faces.crops import cut, upright_crop
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.faces.landmarks import bounds
from faceswap_cli.records import F32, U8, Analysis, Face
from faceswap_cli.tracking.analyse import analyse_clip
from faceswap_cli.tracking.looks import Sample, changes, is_whole
from faceswap_cli.video.probe import probe
from tests.conftest import ROOT
from tests.faces.meshes import face
from tests.faces.test_stage import clip_of

ANNA, BEN = (0.6 * np.eye(128, dtype=np.float32)[k] for k in range(2))
EACH = 18


def samples(*people: F32) -> list[Sample]:
    rng = np.random.default_rng(3)
    return [
        Sample(12 * k, 0.8, (one + rng.normal(0, 0.01, 128)).astype(np.float32))
        for k, one in enumerate(people)
    ]


def test_a_change_of_person_is_found_between_two_samples() -> None:
    assert changes(samples(*[ANNA] * 4, *[BEN] * 5)) == [(36, 48)]
    assert changes(samples(ANNA, BEN)) == [(0, 12)]
    assert changes(samples(ANNA, ANNA, BEN, BEN, ANNA, ANNA)) == [(12, 24), (36, 48)]


def test_one_person_does_not_change() -> None:
    assert changes(samples(*[ANNA] * 6)) == []
    turning = [np.asarray((1 - s) * ANNA + s * BEN, np.float32) for s in np.linspace(0, 1, 9)]
    assert changes(samples(*turning)) == []
    assert changes([]) == []


def test_a_face_cut_by_the_edge_is_no_sample() -> None:
    clip = clip_of(np.zeros((400, 640, 3), np.uint8))
    assert is_whole(found_face(300), clip)
    assert not is_whole(found_face(630), clip)


def found_face(x: float) -> Face:
    mesh = face(x, 200)
    return Face(box=bounds(mesh), landmarks=mesh, score=0.9)


def portrait_of(picture: U8, finder: FaceFinder, tone: U8 | None = None) -> U8:
    """(256, 256, 3) the largest face, in the mean color and contrast of ``tone`` if that is given."""
    mesh = find_faces(picture, finder=finder)[0].landmarks
    shown = cut(picture, upright_crop(mesh, 256, 2.2), 256)
    if tone is None:
        return shown
    ours, other = (cv2.cvtColor(p, cv2.COLOR_RGB2LAB).astype(np.float32) for p in (shown, tone))
    ours = (ours - ours.mean((0, 1))) * other.std((0, 1)) / ours.std((0, 1)) + other.mean((0, 1))
    return np.asarray(cv2.cvtColor(np.clip(ours, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8)


@pytest.fixture(scope="module")
def joined(finder: FaceFinder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in like light and in the same place, 18 frames each, every frame moved a little."""
    with av.open(str(ROOT / "examples" / "target.mp4")) as container:
        first = portrait_of(next(container.decode(video=0)).to_ndarray(format="rgb24"), finder)
    source = cv2.cvtColor(cv2.imread(str(ROOT / "examples" / "source.jpg")), cv2.COLOR_BGR2RGB)
    second = portrait_of(np.asarray(source, np.uint8), finder, tone=first)
    path = tmp_path_factory.mktemp("joined") / "joined.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "16"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for k in range(2 * EACH):
            moved = np.roll(first if k < EACH else second, k % 3, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def holders(analysis: Analysis) -> list[tuple[int, int]]:
    """First and last frame of every track."""
    return [tuple(np.searchsorted(analysis.pts, track.pts[[0, -1]]).tolist()) for track in analysis.tracks]


@pytest.mark.parametrize("cuts_are_found", [True, False])
def test_people_of_one_light_get_a_track_each(
    joined: Path, cuts_are_found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not cuts_are_found:
        monkeypatch.setattr("faceswap_cli.tracking.shots.cuts", lambda signatures: ())
        monkeypatch.setattr("faceswap_cli.tracking.analyse.SUSPECT", 1e9)
    found = analyse_clip(probe(joined), DetectOptions(workers=1), TrackOptions(), SmoothOptions())
    assert holders(found) == [(0, EACH - 1), (EACH, 2 * EACH - 1)]
    assert len(found.people) == 2
    assert len(found.shots) == (2 if cuts_are_found else 1)
