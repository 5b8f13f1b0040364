"""Whole brows and even light out of one half of a face."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import SIDE, mesh_points
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.records import F32
from faceswap_cli.swap.symmetry import even_halves

MIRROR = parts.topology().mirror
SKIN, BROW = (65.0, 14.0, 18.0), 30.0
N = 320


def _points() -> F32:
    points = mesh_points() / np.float32(SIDE)
    other = points[MIRROR] * np.float32((-1, 1, 1)) + np.float32((1, 0, 0))
    return np.asarray((points + other) / 2, np.float32)


POINTS = _points()
LEFT, RIGHT = parts.FEATURE_RINGS[2:4]
SEEN = np.ones(len(POINTS), np.float32)


@pytest.fixture
def face() -> F32:
    """Plain skin with two brows."""
    lab = np.tile(np.array(SKIN, np.float32), (N, N, 1))
    lab[..., 0] -= (SKIN[0] - BROW) * masks.union(POINTS, (LEFT, RIGHT), N)
    return lab


def _inside(ring: tuple[int, ...], grown: float = -3.0) -> NDArray[np.bool_]:
    return masks.union(POINTS, (ring,), N, grown) > 0.9


def test_an_even_face_stays(face: F32) -> None:
    np.testing.assert_allclose(even_halves(face, POINTS, SEEN), face, atol=1.5)


def test_a_bleached_brow_takes_from_the_other(face: F32) -> None:
    pale = face.copy()
    pale[_inside(LEFT, 4.0), 0] = SKIN[0] - 4
    after = even_halves(pale, POINTS, SEEN)
    assert after[_inside(LEFT), 0].mean() < BROW + 8
    np.testing.assert_allclose(after[_inside(RIGHT), 0], BROW, atol=3)


def test_a_covered_brow_takes_from_the_other_only_where_that_is_seen(face: F32) -> None:
    covered = face.copy()
    covered[_inside(LEFT, 0.0)] = (20, 2, 4)  # dark hair: darker than the brow
    for other, wanted in ((1.0, BROW), (0.0, 20.0)):
        seen = SEEN.copy()
        seen[list(LEFT)] = 0.0
        seen[list(RIGHT)] = other
        after = even_halves(covered, POINTS, seen)[_inside(LEFT), 0]
        assert after.mean() == pytest.approx(wanted, abs=3)


def test_an_edge_of_light_on_one_cheek_fades_and_a_mole_stays(face: F32) -> None:
    x, y = (POINTS[50, :2] * N).astype(int)
    lit = face.copy()
    lit[y - 16 : y + 16, x - 16 : x + 16, 0] += 12
    lit[y - 1 : y + 1, x - 1 : x + 1, 0] -= 25
    after = even_halves(lit, POINTS, SEEN)[..., 0]

    def step(luma: F32) -> float:
        return float(luma[y - 12 : y - 6, x - 6 : x + 6].mean() - luma[y - 26 : y - 20, x - 6 : x + 6].mean())

    assert step(after) < 0.3 * step(lit[..., 0])
    assert after[y - 1 : y + 1, x - 1 : x + 1].mean() < after[y + 4 : y + 8, x + 4 : x + 8].mean() - 15


def test_light_from_one_side_stays_where_the_other_half_was_not_seen(face: F32) -> None:
    x, y = (POINTS[50, :2] * N).astype(int)
    lit = face.copy()
    lit[y - 16 : y + 16, x - 16 : x + 16, 0] += 12
    seen = SEEN.copy()
    seen[POINTS[:, 0] > 0.5] = 0.0
    cheek = np.s_[y - 10 : y + 10, x - 10 : x + 10, 0]
    np.testing.assert_allclose(even_halves(lit, POINTS, seen)[cheek], lit[cheek], atol=1.5)
