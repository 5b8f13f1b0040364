"""Head pose from the mesh: signs, accuracy, batches."""

from __future__ import annotations

import numpy as np
import pytest

from faceswap_cli.faces.landmarks import mirrored
from faceswap_cli.identity.pose import pose
from tests.faces.meshes import face


@pytest.mark.parametrize("angles", [(0, 0, 0), (40, 0, 0), (-25, 10, 0), (15, -20, 30), (0, 0, -90)])
def test_angles_come_back(angles: tuple[float, float, float]) -> None:
    yaw, pitch, roll = angles
    found = pose(face(320, 240, 90, yaw=yaw, pitch=pitch, roll=roll))
    np.testing.assert_allclose(found, angles, atol=0.05)


def test_signs_in_words() -> None:
    nose = 1
    level = face(0, 0)
    assert face(0, 0, yaw=30)[nose, 0] > level[nose, 0]  # to its left: the nose goes to the image's right
    assert face(0, 0, pitch=30)[nose, 1] < level[nose, 1]  # up
    tilted = face(0, 0, roll=30)
    assert tilted[263, 1] > tilted[33, 1]  # towards its left shoulder: the left eye sinks


def test_mirroring_turns_yaw_and_roll_round() -> None:
    found = pose(mirrored(face(100, 100, 50, yaw=25, pitch=-8, roll=12), 200))
    np.testing.assert_allclose(found, (-25, -8, -12), atol=0.05)


def test_batches_of_any_shape() -> None:
    meshes = np.stack([face(0, 0, yaw=y) for y in (-10, 0, 10, 20)]).reshape(2, 2, 478, 3)
    found = pose(meshes)
    assert found.yaw.shape == (2, 2)
    np.testing.assert_allclose(found.yaw, [[-10, 0], [10, 20]], atol=0.05)


def test_speech_hardly_moves_it() -> None:
    mesh = face(100, 100, 90)
    jaw = mesh.copy()
    jaw[[14, 17, 87, 317, 152, 148, 377], 1] += 20
    np.testing.assert_allclose(pose(jaw), pose(mesh), atol=0.01)
