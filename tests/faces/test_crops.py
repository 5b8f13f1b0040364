"""Crops, the plausibility of meshes, doubles."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from faceswap_cli.faces.crops import back, cut, overlap, same_face, shape_error, upright_crop, without_doubles
from faceswap_cli.faces.finder import _corners, _unturned
from faceswap_cli.geometry.align import apply
from tests.faces.meshes import face


@pytest.mark.parametrize("roll", [0, 35, -120])
def test_upright_crop_levels_the_eyes_and_centers_the_mesh(roll: float) -> None:
    mesh = apply(upright_crop(face(300, 200, roll=roll)), face(300, 200, roll=roll))
    assert mesh[33, 1] == pytest.approx(mesh[263, 1], abs=1e-3)
    assert mesh[33, 0] < mesh[263, 0]
    low, high = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
    np.testing.assert_allclose((low + high) / 2, [128, 128], atol=1e-3)
    assert (high - low).max() == pytest.approx(128, abs=1e-2)


def test_back_undoes_the_crop_depth_included() -> None:
    mesh = face(310, 190, 80, yaw=20, roll=15)
    matrix = upright_crop(mesh)
    np.testing.assert_allclose(back(apply(matrix, mesh), matrix), mesh, atol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.11, 2.5])
def test_cut_puts_points_where_the_matrix_says(scale: float) -> None:
    y, x = np.mgrid[:600, :800]
    rgb = np.stack([x * 255 / 799, y * 255 / 599, 0 * x], axis=-1).round().astype(np.uint8)
    matrix = np.diag([scale, scale, 1.0])
    matrix[:2, 2] = 32 - scale * np.array([400, 300])
    side = 64
    crop = cut(rgb, matrix, side)
    where = (np.arange(side) + 0.5 - 32) / scale
    inside = np.abs(where) < 280
    np.testing.assert_allclose(crop[32, inside, 0], (400 + where[inside] - 0.5) * 255 / 799, atol=1.6)
    np.testing.assert_allclose(crop[inside, 32, 1], (300 + where[inside] - 0.5) * 255 / 599, atol=1.6)


def test_shrinking_averages() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1024, 1024, 3)).astype(np.uint8)
    small = cut(noise, np.diag([1 / 16, 1 / 16, 1.0]), 64)
    assert small.std() < 0.2 * noise.std()


@pytest.mark.parametrize("yaw", [0, 30, -60])
def test_a_turned_face_keeps_its_shape(yaw: float) -> None:
    assert shape_error(face(50, 60, 70, yaw=yaw, pitch=10, roll=25)) < 1e-3


def test_a_bent_mesh_is_no_face() -> None:
    rng = np.random.default_rng(2)
    mesh = face(50, 60, 70)
    assert shape_error(mesh + rng.normal(0, 3, mesh.shape).astype(np.float32)) == pytest.approx(
        0.074, abs=0.02
    )
    assert shape_error(rng.uniform(0, 100, mesh.shape).astype(np.float32)) > 0.5
    assert shape_error(mesh * np.float32([1, 0.45, 1])) > 0.12


def test_overlap_and_doubles() -> None:
    one, moved, far = face(100, 100), face(104, 98), face(260, 100)
    assert same_face(one, moved)
    assert not same_face(one, far)
    inside = face(100, 100, 30)
    assert same_face(one, inside)  # a face within a face is the same face, seen badly
    kept = without_doubles([inside, far, face(104, 98, 62), one])
    assert [round(float(mesh[33, 0])) for mesh in kept] == [round(float(face(104, 98, 62)[33, 0])), 230]
    assert overlap(np.float32([0, 0, 10, 10]), np.float32([5, 0, 15, 10])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_points_of_a_turned_picture_come_back(quarter: int) -> None:
    rgb = np.zeros((40, 70, 3), np.uint8)
    rgb[11, 52] = 255
    y, x = np.argwhere(np.rot90(rgb, quarter)[..., 0])[0]
    mesh = np.float32([[x + 0.5, y + 0.5, 3.0]])
    np.testing.assert_allclose(_unturned(mesh, quarter, 70, 40), [[52.5, 11.5, 3.0]])


@pytest.mark.parametrize(("width", "height", "side"), [(1280, 720, 640), (96, 900, 240), (100, 100, 300)])
def test_tiles_cover_the_picture_and_overlap(width: int, height: int, side: int) -> None:
    seen = np.zeros((height, width), np.uint8)
    corners = _corners(width, height, side)
    for x, y in corners:
        assert x >= 0
        assert y >= 0
        seen[y : y + side, x : x + side] = 1
    assert seen.all()
    across = sorted({x for x, _ in corners})
    assert all(b - a <= side * 2 / 3 + 1 for a, b in pairwise(across))
