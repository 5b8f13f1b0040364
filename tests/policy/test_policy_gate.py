"""What is shown to the classifier: every source, frames spread over the clip, and the faces in them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import PolicyOptions
from faceswap_cli.errors import Interrupted, PolicyError, UsageError
from faceswap_cli.events import Event, StopRequest
from faceswap_cli.faces.landmarks import topology
from faceswap_cli.policy import gate
from faceswap_cli.records import (
    F32,
    Analysis,
    Clip,
    Face,
    FaceTrack,
    Shot,
    SourceIdentity,
    SourcePhoto,
)
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from tests.clips import make_clip
from tests.policy.models import RULES, flat, write_model

pytest.importorskip("onnxruntime", reason="the extra 'onnxruntime' is not installed")

GRAY = (100, 100, 100)
RED = (250, 10, 10)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESWAP_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def options(tmp_path: Path) -> PolicyOptions:
    """Refuses what is red."""
    return PolicyOptions(model=write_model(tmp_path / "red.onnx"), every_s=0.2)


def mesh(x: float, y: float, width: float) -> F32:
    """A frontal face around (x, y)."""
    shape = topology().mean_shape.astype(np.float32)
    shape = shape - (shape.min(axis=0) + shape.max(axis=0)) / 2
    points = shape * np.float32(width / np.ptp(shape[:, 0]))
    if points[33, 0] > points[263, 0]:
        points[:, 0] *= -1
    return (points + np.array([x, y, 0], np.float32)).astype(np.float32)


def analysis_of(clip: Clip, shots: int = 1, face: F32 | None = None) -> Analysis:
    """One shot or several of equal length, and one face that stays where it is."""
    pts = np.array([frame.pts for frame in read_frames(clip)], np.int64)
    bounds = [int(pts[k * len(pts) // shots]) for k in range(shots)] + [int(pts[-1]) + 1]
    tracks = ()
    if face is not None:
        count = len(pts)
        tracks = (
            FaceTrack(
                0,
                0,
                pts,
                np.repeat(face[None], count, axis=0),
                np.repeat(np.eye(3)[None], count, axis=0),
                np.ones(count, np.float32),
                np.ones(count, np.float32),
                np.zeros(128, np.float32),
            ),
        )
    found = [Shot(a, b) for a, b in pairwise(bounds)]
    return Analysis(pts, tuple(found), tracks, ())


def person(rgb: np.ndarray, face: F32 | None = None) -> SourceIdentity:
    points = mesh(rgb.shape[1] / 2, rgb.shape[0] / 2, rgb.shape[1] / 5) if face is None else face
    code = np.zeros(128, np.float32)
    return SourceIdentity("ada", (SourcePhoto(Path("folder/ada.jpg"), rgb, points, code),), code)


def colored(from_frame: int, to_frame: int = 10**6) -> Callable[[int, int, int], np.ndarray]:
    return lambda index, width, height: flat(
        *(RED if from_frame <= index < to_frame else GRAY), size=(height, width)
    )


def test_without_a_classifier_nothing_happens() -> None:
    gate.check_sources([person(flat(*RED))], PolicyOptions())
    gate.check_picture(flat(*RED), [], "t.png", PolicyOptions())


def test_a_source_is_refused_by_name(options: PolicyOptions) -> None:
    gate.check_sources([person(flat(*GRAY))], options)
    with pytest.raises(PolicyError) as caught:
        gate.check_sources([person(flat(*GRAY)), person(flat(*RED))], options)
    text = str(caught.value)
    assert text.startswith("ada.jpg is refused by the content classifier red.onnx: 'red' 0.980 (refused from")
    assert "in the whole picture" in text
    assert "folder" not in text
    found = caught.value.details["policy"]
    assert (found["label"], found["limit"], found["time_s"]) == ("red", 0.75, None)
    assert found["score"] == pytest.approx(250 / 255, abs=1e-4)
    assert len(found["model_sha256"]) == 64


def test_a_face_is_looked_at_by_itself(options: PolicyOptions) -> None:
    picture = flat(*GRAY, size=(300, 400))
    picture[30:110, 280:380] = RED
    faces = [Face(np.zeros(4, np.float32), mesh(x, y, 30)) for x, y in ((330, 70), (60, 200))]
    with pytest.raises(PolicyError, match="in the face 2;"):
        gate.check_picture(picture, faces, "t.png", options)
    gate.check_picture(picture, faces[1:], "t.png", options)


def test_a_clip_is_refused_with_the_time(tmp_path: Path, options: PolicyOptions) -> None:
    make_clip(tmp_path / "c.mp4", frames=40, picture=colored(27), start_offset=12800)
    clip = probe(tmp_path / "c.mp4")
    with pytest.raises(PolicyError, match=r"c\.mp4 is refused .* whole picture at 00:00:01\.200") as caught:
        gate.check_clip(clip, analysis_of(clip), options)
    assert caught.value.details["policy"]["time_s"] == pytest.approx(1.2)


def test_a_short_shot_is_not_missed(tmp_path: Path, options: PolicyOptions) -> None:
    """Two frames between those of the grid."""
    make_clip(tmp_path / "c.mp4", frames=24, picture=colored(16, 18))
    clip = probe(tmp_path / "c.mp4")
    one = analysis_of(clip)
    gate.check_clip(clip, one, options)
    pts = one.pts.tolist()
    cut = [Shot(pts[0], pts[16]), Shot(pts[16], pts[18]), Shot(pts[18], pts[-1] + 1)]
    with pytest.raises(PolicyError, match=r"at 00:00:00\.680"):
        gate.check_clip(clip, Analysis(one.pts, tuple(cut), (), ()), options)


@pytest.mark.parametrize(("rotation", "aspect"), [(0, 1), (90, 1), (180, 2), (270, 2), (90, 2)])
def test_faces_are_found_where_they_are_shown(
    tmp_path: Path, options: PolicyOptions, rotation: int, aspect: int
) -> None:
    """A red patch at the upper right of what is displayed, with a face on it."""

    def stored(index: int, width: int, height: int) -> np.ndarray:
        shown = flat(*GRAY, size=(height, width * aspect))
        shown = np.rot90(shown, k=rotation // 90).copy()
        rows, columns = shown.shape[0] // 3, shown.shape[1] // 3
        shown[:rows, -columns:] = RED
        back = np.rot90(shown, k=-(rotation // 90))
        return np.ascontiguousarray(back[:, ::aspect])

    make_clip(
        tmp_path / "c.mp4", size=(192, 144), frames=4, picture=stored, rotation=rotation, sar=Fraction(aspect)
    )
    clip = probe(tmp_path / "c.mp4")
    width, height = clip.display_size
    right = mesh(width * 5 / 6, height / 6, min(width, height) / 8)
    gate.check_clip(clip, analysis_of(clip, face=mesh(width / 6, height * 5 / 6, width / 12)), options)
    with pytest.raises(PolicyError, match=r"in the face 1 at 00:00:00\.000"):
        gate.check_clip(clip, analysis_of(clip, face=right), options)


def test_large_frames_are_looked_at_smaller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gate, "LONG_SIDE", 60)
    make_clip(tmp_path / "c.mp4", size=(120, 80), frames=1)
    clip = probe(tmp_path / "c.mp4")
    rgb, scale = gate.display_rgb(next(read_frames(clip)), clip)
    assert rgb.shape == (40, 60, 3)
    assert scale == 0.5


def test_sampled_times() -> None:
    pts = np.arange(0, 1000, 40, dtype=np.int64)
    analysis = Analysis(pts, (Shot(0, 1000),), (), ())
    assert gate.sampled_pts(analysis, 0.001, 0.2) == [0, 200, 400, 480, 600, 800]
    assert gate.sampled_pts(analysis, 0.001, 0.04) == pts.tolist()
    assert gate.sampled_pts(analysis, 0.001, 60) == [0, 480]
    assert gate.sampled_pts(Analysis(pts[:1], (Shot(0, 1),), (), ()), 0.001, 1) == [0]


def test_progress_log_and_stop(
    tmp_path: Path, options: PolicyOptions, caplog: pytest.LogCaptureFixture
) -> None:
    make_clip(tmp_path / "c.mp4", frames=12, picture=colored(99))
    clip = probe(tmp_path / "c.mp4")
    analysis = analysis_of(clip)
    heard: list[Event] = []
    with caplog.at_level(logging.INFO, "faceswap_cli"):
        gate.check_clip(clip, analysis, options, heard.append)
    count = len(gate.sampled_pts(analysis, float(clip.time_base), 0.2))
    assert heard[-1].data == {"stage": "check", "done": count, "total": count}
    assert f"{count} pictures of the target looked at, nothing refused" in caplog.text
    asked = StopRequest()
    asked.request()
    with pytest.raises(Interrupted):
        gate.check_clip(clip, analysis, options, stop=asked)


def test_a_classifier_that_cannot_be_used_is_never_passed_over(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", rules=RULES.replace("red = 0.75", "red = 7"))
    with pytest.raises(UsageError, match="limit of 'red'"):
        gate.check_sources([person(flat(*GRAY))], PolicyOptions(model=model))


def test_stamp() -> None:
    assert gate.stamp(3725.0405) == "01:02:05.040"
    assert gate.stamp(59.9996) == "00:01:00.000"
