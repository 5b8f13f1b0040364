"""Gaze from two meshes."""

from __future__ import annotations

import numpy as np
import pytest

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.metrics import meshes
from faceswap_cli.records import F32
from tests.metrics.synthetic import face, turned


def test_identical_meshes_have_no_error() -> None:
    points = np.stack([face(), turned(face(), yaw=20)])
    assert meshes.gaze_error(points, points) == pytest.approx(0)


def test_gaze_error_is_in_percent_of_the_width_of_the_eye() -> None:
    moved = face().copy()
    for (_, _, inner, outer), iris in (
        (parts.LEFT_LIDS, parts.LEFT_IRIS),
        (parts.RIGHT_LIDS, parts.RIGHT_IRIS),
    ):
        moved[iris[0], :2] += 0.06 * (moved[inner, :2] - moved[outer, :2])
    assert meshes.gaze_error(moved[None], face()[None])[0] == pytest.approx(6, rel=1e-3)


def test_gaze_is_relative_to_the_eye_not_to_the_picture() -> None:
    moved = 2 * turned(face(), roll=30) + np.array([5, 9, 0], np.float32)
    assert meshes.gaze_error(moved[None], face()[None])[0] == pytest.approx(0, abs=1e-3)


def test_gaze_of_shut_eyes_is_not_measured() -> None:
    shut: F32 = face().copy()
    for upper, lower, _, _ in (parts.LEFT_LIDS, parts.RIGHT_LIDS):
        shut[upper] = shut[lower]
    assert np.isnan(meshes.gaze_error(face()[None], shut[None])[0])
