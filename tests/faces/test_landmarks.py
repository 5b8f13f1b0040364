"""The index sets against the triangulation that comes with the runtime, and the mirror."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from mediapipe.tasks.python.vision.face_landmarker import FaceLandmarksConnections

from faceswap_cli.faces import landmarks
from faceswap_cli.faces.landmarks import bounds, mirrored, topology
from faceswap_cli.records import MESH_POINTS

RINGS = {
    "OVAL": "FACE_OVAL",
    "LEFT_EYE": "LEFT_EYE",
    "RIGHT_EYE": "RIGHT_EYE",
    "LEFT_BROW": "LEFT_EYEBROW",
    "RIGHT_BROW": "RIGHT_EYEBROW",
    "LIPS": "LIPS",
}


def connected(name: str) -> set[int]:
    edges = getattr(FaceLandmarksConnections, f"FACE_LANDMARKS_{name}")
    return {end for edge in edges for end in (edge.start, edge.end)}


@pytest.mark.parametrize(("ours", "theirs"), RINGS.items())
def test_sets_are_those_of_the_runtime(ours: str, theirs: str) -> None:
    assert set(getattr(landmarks, ours)) == connected(theirs)


def test_subset_counts() -> None:
    assert len(landmarks.SUBSET) == len(set(landmarks.SUBSET)) == 152


def edge_counts(triangles: np.ndarray) -> Counter[tuple[int, int]]:
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return Counter((int(min(a, b)), int(max(a, b))) for a, b in pairs)


def test_borders_of_the_mesh_are_oval_eyes_and_mouth() -> None:
    border = {end for edge, count in edge_counts(topology().triangles).items() if count == 1 for end in edge}
    assert border == {*landmarks.OVAL, *landmarks.EYES, *landmarks.LIPS_INNER}


def test_closed_mesh_has_one_border_and_is_a_disk() -> None:
    counts = edge_counts(topology().closed)
    assert max(counts.values()) == 2
    border = {end for edge, count in counts.items() if count == 1 for end in edge}
    assert border == set(landmarks.OVAL)
    points = len({int(k) for k in topology().closed.ravel()})
    assert points - len(counts) + len(topology().closed) == 1  # Euler's number of a disk


def test_triangles_turn_the_same_way() -> None:
    a, b, c = (topology().mean_shape[topology().triangles[:, k], :2] for k in range(3))
    turn = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (turn > -1e-4).mean() > 0.99


def test_mirror_is_an_involution_that_swaps_the_sides() -> None:
    mirror = topology().mirror
    assert (mirror[mirror] == np.arange(MESH_POINTS)).all()
    for left, right in (
        (landmarks.LEFT_EYE, landmarks.RIGHT_EYE),
        (landmarks.LEFT_BROW, landmarks.RIGHT_BROW),
        (landmarks.LEFT_IRIS, landmarks.RIGHT_IRIS),
    ):
        assert {int(mirror[k]) for k in left} == set(right)
    for ring in (landmarks.OVAL, landmarks.LIPS_OUTER, landmarks.LIPS_INNER, landmarks.NOSE):
        assert {int(mirror[k]) for k in ring} == set(ring)


def test_mirror_keeps_the_triangulation_but_for_six_diagonals() -> None:
    triangles = topology().triangles
    kept = {tuple(sorted(map(int, row))) for row in triangles}
    turned = {tuple(sorted(map(int, row))) for row in topology().mirror[triangles]}
    assert len(kept - turned) == 12


def test_mean_shape_is_symmetric_and_faces_the_viewer() -> None:
    shape = topology().mean_shape
    np.testing.assert_allclose(shape[topology().mirror] * [-1, 1, 1], shape, atol=1e-6)
    assert np.linalg.norm(shape[263] - shape[33]) == pytest.approx(1.0, abs=1e-3)
    assert shape[1, 2] < shape[234, 2]  # the nose is nearer than the cheek
    assert shape[10, 1] < shape[152, 1]  # y points down
    assert shape[33, 0] < 0 < shape[263, 0]  # the subject's right eye is at the image's left


def test_mirrored_twice_is_nothing() -> None:
    mesh = np.random.default_rng(0).uniform(0, 100, (3, MESH_POINTS, 3)).astype(np.float32)
    np.testing.assert_allclose(mirrored(mirrored(mesh, 120), 120), mesh, atol=1e-4)


def test_bounds_of_a_batch() -> None:
    mesh = np.zeros((2, MESH_POINTS, 3), np.float32)
    mesh[1, 5] = (30, -4, 9)
    np.testing.assert_array_equal(bounds(mesh), [[0, 0, 0, 0], [0, -4, 30, 0]])
