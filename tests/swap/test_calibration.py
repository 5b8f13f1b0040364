"""What is asked of the network so that its faces are seen where they were wanted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.records import F32
from faceswap_cli.swap.calibration import Seen, missing_likeness, moved
from faceswap_cli.swap.calibration import correction as correction_of
from faceswap_cli.swap.shape import remove_pose

FACES = 5
OPEN = np.ones((FACES, 2), bool)


def correction(found: Tensor, wanted: Tensor, target: Tensor, open_eyes: NDArray[np.bool_]) -> F32:
    return correction_of(Seen(found, wanted, target, np.zeros((FACES, 128), np.float32)), open_eyes)


def head(turn: tuple[float, float, float], canonical: F32 | None = None) -> Tensor:
    """(1, 478, 3) a head turned by degrees about x, y and z, in unit coordinates."""
    shape = parts.topology().mean_shape if canonical is None else canonical
    placed = 0.4 * Rotation.from_euler("xyz", turn, degrees=True).apply(shape) + 0.5
    return torch.from_numpy(placed.astype(np.float32))[None]


def heads(canonical: F32 | None = None) -> Tensor:
    return torch.cat([head((3.0 * k, 5.0 * k - 10, 2.0), canonical) for k in range(FACES)])


def seen_turned(points: Tensor, turn: Rotation) -> Tensor:
    """The same heads, seen by a landmarker that takes each for a little turned."""
    posed = remove_pose(points)
    turned = turn.apply(posed.canonical.reshape(-1, 3).numpy()).reshape(points.shape).astype(np.float32)
    return posed.place(torch.from_numpy(turned))


def angle(a: Tensor, b: Tensor) -> F32:
    turn = (remove_pose(a).rotation.transpose(1, 2) @ remove_pose(b).rotation).double().numpy()
    return np.degrees(Rotation.from_matrix(turn).magnitude()).astype(np.float32)


def moved_points(points: tuple[int, ...], by: tuple[float, float, float]) -> F32:
    shape = parts.topology().mean_shape.astype(np.float32).copy()
    shape[list(points)] += np.array(by, np.float32)
    return shape


def test_a_head_that_is_seen_tilted_is_asked_for_tilted_back() -> None:
    target = heads()
    tilt = Rotation.from_euler("xyz", (2.5, -1.0, 0.5), degrees=True)
    seen = seen_turned(target, tilt)
    assert angle(seen, target).min() > 2.5
    asked = moved(target, [correction(seen, target, target, OPEN)] * FACES)
    assert angle(seen_turned(asked, tilt), target).max() < 0.1


def test_proportions_of_the_source_do_not_count_as_a_turn() -> None:
    """What is wanted has the source's proportions: the head is compared with the target's own."""
    target = heads()
    wanted = heads(moved_points(parts.NOSE, (0.03, 0.0, -0.03)))
    fixed = correction(target, wanted, target, OPEN)
    assert np.abs(fixed[list(parts.OVAL)]).max() < 1e-3
    assert angle(moved(target, [fixed] * FACES), target).max() < 0.5


def test_lips_brows_and_irises_are_moved_back_and_the_nose_is_not() -> None:
    target = heads()
    shape = moved_points(parts.LIPS, (0.0, 0.03, 0.0))
    shape[list(parts.LEFT_IRIS)] += np.array([0.02, 0, 0], np.float32)
    shape[list(parts.BROWS)] += np.array([0, -0.04, 0], np.float32)
    fixed = correction(heads(shape), target, target, OPEN)
    lips, brows = fixed[list(parts.LIPS)], fixed[list(parts.BROWS)]
    assert lips[:, 1].mean() == pytest.approx(-0.03, abs=0.006)
    assert brows[:, 1].mean() == pytest.approx(0.04, abs=0.012)
    assert fixed[list(parts.LEFT_IRIS), 0].mean() == pytest.approx(-0.02, abs=0.004)
    assert np.abs(fixed[list(parts.RIGHT_IRIS), 0]).max() < 0.006

    tip = [1, 4, 5]
    fixed = correction(heads(moved_points(tuple(tip), (0.0, 0.05, 0.0))), target, target, OPEN)
    # Tilted with the head by what the landmarker makes of it, but not moved on its own.
    assert np.abs(fixed[tip, 1]).max() < 0.012


def test_an_iris_keeps_its_size_and_a_shut_eye_says_nothing() -> None:
    target = heads()
    shape = moved_points(parts.RIGHT_IRIS, (0.02, 0.0, 0.0))
    shape[parts.RIGHT_IRIS[1]] += np.array([0.02, 0, 0], np.float32)
    fixed = correction(heads(shape), target, target, OPEN)
    assert np.ptp(fixed[list(parts.RIGHT_IRIS), 0]) < 0.002
    shut = OPEN.copy()
    shut[:, 1] = False
    assert np.abs(correction(heads(shape), target, target, shut)[list(parts.RIGHT_IRIS)]).max() < 0.005


def test_one_face_that_was_not_recognised_changes_nothing() -> None:
    target = heads()
    seen = target.clone()
    seen[2] = head((40.0, 30.0, 20.0))[0]
    assert np.abs(correction(seen, target, target, OPEN)).max() < 1e-3


def test_offsets_are_limited() -> None:
    target = heads()
    seen = seen_turned(target, Rotation.from_euler("x", 20, degrees=True))
    asked = moved(target, [correction(seen, target, target, OPEN)] * FACES)
    assert angle(asked, target).max() == pytest.approx(5.0, abs=0.3)


def test_people_without_a_correction_are_left_alone() -> None:
    target = heads()
    assert moved(target, [None] * FACES) is target
    fixed = correction(seen_turned(target, Rotation.from_euler("x", 2, degrees=True)), target, target, OPEN)
    some = moved(target, [None, fixed, None, None, None])
    torch.testing.assert_close(some[0], target[0])
    assert float((some[1] - target[1]).abs().max()) > 0.005


def test_what_a_likeness_lacks_is_added_whatever_covered_faces_say() -> None:
    rng = np.random.default_rng(0)
    source, mean, drawn = rng.standard_normal((3, 128)).astype(np.float32) * np.float32(0.03)
    embeddings = np.tile(drawn, (FACES, 1))
    embeddings[:3] += 1.0
    meshes = heads(), heads(), heads()
    step = missing_likeness(Seen(*meshes, embeddings), source, mean)
    assert step is not None
    missing = (source - drawn) / np.linalg.norm(source - mean)
    np.testing.assert_allclose(step, 0.7 * missing, atol=1e-5)
    assert missing_likeness(Seen(*meshes, embeddings[:3]), source, mean) is None
    alike = missing_likeness(Seen(*meshes, np.tile(source, (FACES, 1))), source, mean)
    assert alike is not None
    assert np.abs(alike).max() < 1e-6
    near = missing_likeness(Seen(*meshes, embeddings[3:]), source, source - (source - mean) * np.float32(0.1))
    assert near is not None
    assert np.linalg.norm(near) == pytest.approx(1.0, rel=1e-4)
