"""Lids are where pictures show them; the rest of the mesh stays."""

from __future__ import annotations

import numpy as np
import pytest

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.lids import MOVES, POINTS, with_true_lids
from faceswap_cli.records import F32, Face

MEAN = parts.topology().mean_shape * np.float32(100) + np.float32(200)


def moved(mesh: F32) -> F32:
    """(478, 3) how far each point goes."""
    return with_true_lids(Face(parts.bounds(mesh), mesh, 1.0)).landmarks - mesh


def test_lids_go_down_and_outer_corners_out() -> None:
    way = moved(MEAN)
    assert way[list(parts.EYES), 1].min() > 0
    assert way[33, 0] < 0 < way[263, 0]


def test_a_point_goes_its_share_of_the_width_of_the_eye() -> None:
    width = np.linalg.norm(MEAN[133, :2] - MEAN[33, :2])
    assert np.linalg.norm(moved(MEAN)[33, :2]) == pytest.approx(
        width * np.linalg.norm(MOVES[POINTS.index(33)]), rel=1e-3
    )


def test_irises_lips_nose_and_outline_stay() -> None:
    assert np.abs(moved(MEAN)[[*parts.IRISES, *parts.LIPS, *parts.OVAL, 4]]).max() < 0.05


def test_depth_stays() -> None:
    np.testing.assert_array_equal(moved(MEAN)[:, 2], 0)


def test_both_eyes_are_treated_alike() -> None:
    mirror = parts.topology().mirror
    np.testing.assert_allclose(
        moved(parts.mirrored(MEAN, 400.0)) * (-1, 1, 1), moved(MEAN)[mirror], atol=2e-2
    )


@pytest.mark.parametrize("degrees", [90.0, 200.0])
def test_a_turned_and_larger_face_moves_as_the_upright_one(degrees: float) -> None:
    angle = np.radians(degrees)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(moved(MEAN @ turn * 3), moved(MEAN) @ turn * 3, atol=1e-2)
