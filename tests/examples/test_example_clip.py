"""The example is what its README says: a face in every frame that turns, speaks, blinks and looks about."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from faceswap_cli.config import DetectOptions
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.records import F32
from faceswap_cli.video.picture import read_picture

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def meshes() -> F32:
    """(T, 478, 3) ; fails when a frame has not exactly one face."""
    found = []
    with closing(FaceFinder(DetectOptions())) as finder, av.open(str(EXAMPLES / "target.mp4")) as container:
        for frame in container.decode(video=0):
            (face,) = find_faces(frame.to_ndarray(format="rgb24"), finder=finder)
            found.append(face.landmarks)
    return np.stack(found)


def length(vectors: F32) -> F32:
    return np.linalg.norm(vectors[..., :2], axis=-1)


def test_streams() -> None:
    with av.open(str(EXAMPLES / "target.mp4")) as container:
        (video,), (audio,) = container.streams.video, container.streams.audio
        assert (video.width, video.height, video.average_rate, video.frames) == (384, 512, 25, 120)
        assert abs(float(audio.duration * audio.time_base) - 4.8) < 0.05
    sizes = [(EXAMPLES / name).stat().st_size for name in ("source.jpg", "target.mp4")]
    assert max(sizes) < 1_500_000


def test_sound_follows_the_mouth(meshes: F32) -> None:
    """Loudness in the 40 ms of a frame goes with the opening of the lips."""
    with av.open(str(EXAMPLES / "target.mp4")) as container:
        sound = np.concatenate([part.to_ndarray()[0] for part in container.decode(audio=0)])
    windows = sound[: 120 * 1920].reshape(120, 1920)
    loudness = np.sqrt((windows**2).mean(axis=1))
    opening = length(meshes[:, 13] - meshes[:, 14])
    assert np.corrcoef(loudness, opening)[0, 1] > 0.5


def test_head_turns_and_tilts(meshes: F32) -> None:
    across = meshes[:, 454] - meshes[:, 234]
    yaw = np.degrees(np.arctan2(across[:, 2], across[:, 0]))
    assert np.ptp(yaw) >= 25
    assert yaw.min() < -8
    assert yaw.max() > 8
    down = meshes[:, 152] - meshes[:, 10]
    assert np.ptp(np.degrees(np.arctan2(down[:, 2], down[:, 1]))) >= 8
    assert np.ptp(np.degrees(np.arctan2(across[:, 1], across[:, 0]))) >= 5


def test_mouth_opens_and_shuts(meshes: F32) -> None:
    opening = length(meshes[:, 13] - meshes[:, 14]) / length(meshes[:, 468] - meshes[:, 473])
    assert opening.min() < 0.08
    assert opening.max() > 0.25


def test_eyes_shut_and_open(meshes: F32) -> None:
    lids = length(meshes[:, 159] - meshes[:, 145]) / length(meshes[:, 33] - meshes[:, 133])
    assert np.median(lids) > 0.24
    shut = lids < 0.18
    assert np.count_nonzero(np.diff(shut.astype(int)) == 1) >= 3


def test_gaze_moves(meshes: F32) -> None:
    """The iris against the corners of its eye, in widths of the eye."""
    place = (meshes[:, 468, 0] - meshes[:, 33, 0]) / (meshes[:, 133, 0] - meshes[:, 33, 0])
    assert np.ptp(np.percentile(place, [5, 95])) > 0.12


def test_source_has_one_face() -> None:
    picture = read_picture(EXAMPLES / "source.jpg")
    (face,) = find_faces(picture.rgb)
    assert face.box[2] - face.box[0] > 80
