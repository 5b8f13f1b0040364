"""The recognition network that measures likeness: weights, crop, and what its cosine says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.landmarks import LEFT_EYE, RIGHT_EYE, mirrored
from faceswap_cli.geometry.align import apply
from faceswap_cli.metrics import likeness
from faceswap_cli.nets.faceres import SIDE, FaceRes
from faceswap_cli.video.picture import read_picture
from tests.faces.meshes import face

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COLUMNS = [7, 213, 584, 809, 845]
STORED = [[0.4034, 0.1859, 0.8271, 0.0258, 0.0301], [0.5808, 0.0507, 0.1332, 0.0694, 0.2619]]
"""Of two drawn pictures, by the graph of the original run operation by operation."""


def test_the_network_reproduces_the_original_graph() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    ramp = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    checks = (((x // 14 + y // 14) % 2)[..., None] * np.array([200, 120, 60])).astype(np.uint8)
    pictures = torch.from_numpy(np.stack([ramp, checks])).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        found = F.normalize(likeness._network()(pictures))
    np.testing.assert_allclose(found[:, COLUMNS].numpy(), STORED, atol=1e-4)


def test_padding_is_that_of_tensorflow() -> None:
    """A stride of 2 begins at the first pixel: what is missing is added at the right and the bottom."""
    stem = FaceRes().stem
    with torch.no_grad():
        stem.weight.fill_(0)
        stem.weight[:, :, 0, 0] = 1
        stem.bias.fill_(0)  # type: ignore[union-attr]
        corner = torch.zeros(1, 3, SIDE, SIDE)
        corner[:, 0, 0, 0] = 5
        assert stem(corner)[0, 0, 0, 0] == 5
        assert stem(corner).shape == (1, 32, SIDE // 2, SIDE // 2)


def test_the_crop_is_loose_and_upright() -> None:
    mesh = face(300, 200, 70, yaw=10, roll=40)
    at = apply(likeness.chip_from_points(mesh), mesh)[:, :2] / SIDE
    right, left = at[list(RIGHT_EYE)].mean(axis=0), at[list(LEFT_EYE)].mean(axis=0)
    assert abs(left[1] - right[1]) < 0.03
    assert 0.18 < left[0] - right[0] < 0.28
    assert 0.35 < right[1] < 0.45


def test_cosines_tell_people_apart() -> None:
    photo, other = (read_picture(EXAMPLES / name).rgb for name in ("source.jpg", "demo.png"))
    (mesh,) = (one.landmarks for one in find_faces(photo))
    code = likeness.likeness_code(photo, mesh)
    assert abs(np.linalg.norm(code) - 1) < 1e-5
    flipped = np.ascontiguousarray(photo[:, ::-1])
    again = likeness.likeness_code(flipped, mirrored(mesh, photo.shape[1]))
    assert code @ again > 0.85
    strangers = [likeness.likeness_code(other, one.landmarks) for one in find_faces(other)]
    assert min(code @ stranger for stranger in strangers) < 0.7


def test_the_code_of_a_person_is_the_mean_of_photographs() -> None:
    one, other = np.eye(2, 1024, dtype=np.float32)
    mean = likeness.mean_code([one, other])
    np.testing.assert_allclose(mean[:2], np.sqrt(0.5), rtol=1e-6)
    assert np.isnan(likeness.mean_code([])).all()
