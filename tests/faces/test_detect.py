"""Finding faces in pictures made from one real portrait; the bundles themselves."""

from __future__ import annotations

import csv
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceswap_cli.config import DetectOptions
from faceswap_cli.errors import WeightsError
from faceswap_cli.faces.crops import width_px
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.faces.landmarker import BUNDLES, Landmarker
from faceswap_cli.faces.landmarks import mirrored
from faceswap_cli.identity.pose import pose
from faceswap_cli.records import F32, U8
from faceswap_cli.weights import registry


def eye_px(mesh: F32) -> float:
    return float(np.linalg.norm(mesh[263, :2] - mesh[33, :2]))


def off(one: F32, other: F32) -> float:
    """Mean distance of two meshes in eye distances."""
    return float(np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean()) / eye_px(other)


def shrunk(picture: U8, side: int) -> U8:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module")
def mesh(portrait: U8, finder: FaceFinder) -> F32:
    faces = find_faces(portrait, finder=finder)
    assert len(faces) == 1
    return faces[0].landmarks


def test_the_face_lies_where_it_is(mesh: F32) -> None:
    assert 0.1 * 512 < eye_px(mesh) < 0.4 * 512
    assert mesh[33, 0] < mesh[1, 0] < mesh[263, 0]
    assert mesh[10, 1] < mesh[1, 1] < mesh[152, 1]
    assert abs(float(pose(mesh).roll)) < 15


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_turned_pictures(portrait: U8, mesh: F32, finder: FaceFinder, quarter: int) -> None:
    (face,) = find_faces(np.ascontiguousarray(np.rot90(portrait, quarter)), finder=finder)
    turned = {1: (mesh[:, 1], 512 - mesh[:, 0]), 2: (512 - mesh[:, 0], 512 - mesh[:, 1])}
    turned[3] = (512 - mesh[:, 1], mesh[:, 0])
    assert off(face.landmarks, np.stack([*turned[quarter]], axis=1)) < 0.03


def test_no_side_is_preferred(portrait: U8, mesh: F32, finder: FaceFinder) -> None:
    (face,) = find_faces(np.ascontiguousarray(portrait[:, ::-1]), finder=finder)
    back = mirrored(face.landmarks, 512)
    assert off(back, mesh) < 0.04
    assert abs(float((back - mesh)[:, 0].mean())) < 0.02 * eye_px(mesh)  # no half pixel lost on either side


def test_small_faces_are_found_and_exact(portrait: U8, mesh: F32, finder: FaceFinder) -> None:
    scene = np.full((720, 1280, 3), 90, np.uint8)
    side = 90
    scene[400 : 400 + side, 900 : 900 + side] = shrunk(portrait, side)
    scale = side / 512
    assert width_px(mesh) * scale < 45
    (face,) = find_faces(scene, finder=finder)
    assert off(face.landmarks, mesh * np.float32(scale) + np.float32([900, 400, 0])) < 0.08


def test_several_faces_largest_first_and_limited(portrait: U8, finder: FaceFinder) -> None:
    scene = np.full((512, 1100, 3), 128, np.uint8)
    scene[:300, :300], scene[:, 400:912] = shrunk(portrait, 300), portrait
    large, small = find_faces(scene, finder=finder)
    assert width_px(large.landmarks) > width_px(small.landmarks)
    with_limit = find_faces(scene, DetectOptions(max_faces=1))
    assert len(with_limit) == 1


def test_faces_below_the_limit_are_left_out(portrait: U8) -> None:
    assert find_faces(portrait, DetectOptions(min_face_px=400)) == ()


@pytest.mark.parametrize("color", [0, 128, 255])
def test_blank_pictures_hold_none(finder: FaceFinder, color: int) -> None:
    assert find_faces(np.full((300, 400, 3), color, np.uint8), finder=finder) == ()


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (30, 30)])
def test_odd_sizes_do_no_harm(finder: FaceFinder, size: tuple[int, int]) -> None:
    assert find_faces(np.full((*size, 3), 77, np.uint8), finder=finder) == ()


def test_a_face_that_fills_the_picture(portrait: U8, mesh: F32, finder: FaceFinder) -> None:
    x0, y0 = mesh[:, :2].min(axis=0).astype(int)
    x1, y1 = mesh[:, :2].max(axis=0).astype(int)
    (face,) = find_faces(np.ascontiguousarray(portrait[y0:y1, x0:x1]), finder=finder)
    assert off(face.landmarks + np.float32([x0, y0, 0]), mesh) < 0.08


@pytest.mark.parametrize("name", BUNDLES.values())
def test_bundles_are_plain_archives_that_can_be_mapped(name: str) -> None:
    path = registry.bundled(name)
    with zipfile.ZipFile(path) as bundle:
        names = [item.filename for item in bundle.infolist()]
        assert sorted(names) == ["face_detector.tflite", "face_landmarks_detector.tflite"]
        for item in bundle.infolist():
            assert item.compress_type == zipfile.ZIP_STORED
            with path.open("rb") as raw:
                raw.seek(item.header_offset + 26)
                name_size, extra = np.frombuffer(raw.read(4), "<u2").tolist()
            assert (item.header_offset + 30 + name_size + extra) % 4 == 0


def test_a_damaged_bundle_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "face_landmarker.task").write_bytes(b"not a bundle")
    monkeypatch.setattr(registry, "bundled_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match=r"face_landmarker\.task cannot be loaded"):
        Landmarker("full", 1, 0.5)
    (tmp_path / "face_landmarker.task").unlink()
    with pytest.raises(WeightsError, match="missing"):
        Landmarker("full", 1, 0.5)


def test_the_runtime_is_quiet_and_we_are_heard() -> None:
    code = (
        "import sys, numpy as np, threading\n"
        "from contextlib import closing\n"
        "from faceswap_cli.faces.finder import FaceFinder\n"
        "from faceswap_cli.config import DetectOptions\n"
        "print('before', file=sys.stderr, flush=True)\n"
        "with closing(FaceFinder(DetectOptions())) as finder:\n"
        "    def look(): finder.anywhere(np.zeros((90, 90, 3), np.uint8))\n"
        "    other = threading.Thread(target=look); other.start()\n"
        "    for k in range(50): print('line', k, file=sys.stderr, flush=True)\n"
        "    look(); other.join()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = ran.stderr.splitlines()
    assert lines[0] == "before"
    assert sorted(lines[1:]) == sorted(f"line {k}" for k in range(50))


@pytest.mark.slow
def test_robustness_set(shared: Path, finder: FaceFinder) -> None:
    """The difficult pictures: what the manifest says is there is found, and nothing else."""
    from faceswap_cli.errors import InputError
    from faceswap_cli.video.picture import read_picture

    folder, wrong = shared / "data" / "robustness", []
    with (folder / "robustness.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            wanted = row["faces"]
            try:
                count = str(len(find_faces(read_picture(folder / row["file"]).rgb, finder=finder)))
            except InputError:
                count = "error"
            if not (wanted.startswith(count) or wanted.endswith("?")):
                wrong.append((row["file"], wanted, count))
    assert wrong == []


def test_an_upside_down_picture_gives_an_upside_down_face(portrait: U8, finder: FaceFinder) -> None:
    (upright,) = find_faces(portrait, finder=finder)
    (turned,) = find_faces(np.ascontiguousarray(portrait[::-1, ::-1]), finder=finder)
    expected = upright.landmarks.copy()
    expected[:, :2] = 512 - expected[:, :2]
    assert off(turned.landmarks, expected) < 0.03


def test_hints_name_the_cause(portrait: U8) -> None:
    from faceswap_cli.tracking.hints import no_face_hint

    scene = np.full((256, 256, 3), 120, np.uint8)
    scene[100:150, 100:150] = shrunk(portrait, 50)
    hint = no_face_hint([scene], DetectOptions(min_face_px=60))
    assert "px wide; try --min-face" in hint
    assert "--" not in no_face_hint([np.full((256, 256, 3), 120, np.uint8)], DetectOptions())
