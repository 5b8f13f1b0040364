"""Scattered interpolation: exact on smooth fields, close to the points, weights respected."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window


def points(count: int = 300) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.05, 0.95, (count, 2)).astype(np.float32)


def test_smooth_field_is_reproduced_at_and_between_points() -> None:
    where = points(900)
    truth = np.stack([np.sin(3 * where[:, 0]) * 0.1, 0.2 * where[:, 1] ** 2], -1).astype(np.float32)
    field = warp.scatter(where, truth)
    grid = (np.arange(warp.FIELD_SIDE) + 0.5) / warp.FIELD_SIDE
    x, y = np.meshgrid(grid, grid)
    expected = np.stack([np.sin(3 * x) * 0.1, 0.2 * y**2], -1)
    inner = slice(16, 112)
    assert np.abs(field - expected)[inner, inner].max() < 0.01
    assert np.abs(masks.sample(field, where) - truth).max() < 0.01


def test_fine_levels_follow_single_points() -> None:
    where = points()
    values = np.zeros((300, 1), np.float32)
    values[7] = 1.0
    coarse = warp.scatter(where, values, levels=(2, 4))
    fine = warp.scatter(where, values)
    at = where[7:8]
    assert masks.sample(coarse[..., 0], at)[0] < 0.2
    assert masks.sample(fine[..., 0], at)[0] > 0.5


def test_weight_decides_between_points_at_one_place() -> None:
    where = np.array([[0.5, 0.5], [0.5, 0.5]], np.float32)
    values = np.array([[1.0], [0.0]], np.float32)
    field = warp.scatter(where, values, np.array([1.0, 0.01], np.float32))
    assert masks.sample(field[..., 0], where[:1])[0] > 0.9


def test_identity_map_samples_pixel_centers() -> None:
    where = warp.sample_map(np.zeros((64, 64, 2), np.float32), 96, 96)
    np.testing.assert_allclose(where[0, 0], (0.0, 0.0), atol=1e-4)
    np.testing.assert_allclose(where[95, 40], (40.0, 95.0), atol=1e-3)


def test_normals_face_the_viewer() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    np.testing.assert_allclose(warp.vertex_normals(corners, triangles)[:, 2], 1.0)


def test_soften_is_zero_outside_and_at_the_border() -> None:
    mask = np.zeros((40, 40), np.float32)
    mask[10:40, 10:30] = 1.0
    soft = masks.soften(mask, 4.0)
    assert soft[:10].max() == 0.0
    assert soft[25, 20] == 1.0
    assert soft[39, 20] < 0.3


@pytest.mark.parametrize("side", [64, 96, 333, 544, 768])
def test_a_part_is_enlarged_as_the_whole_is(side: int) -> None:
    random = np.random.default_rng(side)
    for n in (64, 128):
        field = random.random((n, n, 2)).astype(np.float32)
        whole = cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR)
        for _ in range(20):
            x, y = (int(v) for v in random.integers(0, side - 2, 2))
            width, height = (int(random.integers(1, side - v + 1)) for v in (x, y))
            window = Window(x, y, width, height, side)
            np.testing.assert_allclose(warp.enlarge(field, window), window.of(whole), atol=2e-5)
