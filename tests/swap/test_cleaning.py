"""The light of the source photograph, taken off its texture."""

from __future__ import annotations

import numpy as np
from drawn import mesh_points

from faceswap_cli.geometry import masks
from faceswap_cli.records import F32
from faceswap_cli.swap.cleaning import cleaned

SIDE = 320
SKIN = (65, 14, 18)
POINTS = mesh_points(SIDE) / np.float32(SIDE)
FOREHEAD, CHEEK = POINTS[151, :2], POINTS[50, :2]


def skin() -> F32:
    return np.tile(np.array(SKIN, np.float32), (SIDE, SIDE, 1))


def spot(at: F32, radius: float) -> F32:
    """(SIDE, SIDE) a soft spot, 1 in its middle."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.exp(-((x - at[0] * SIDE) ** 2 + (y - at[1] * SIDE) ** 2) / (2 * radius**2)).astype(np.float32)


def at(lab: F32, where: F32) -> F32:
    x, y = (where * SIDE).round().astype(int)
    return lab[y, x]


def test_plain_skin_stays() -> None:
    np.testing.assert_allclose(cleaned(skin(), POINTS), skin(), atol=0.3)


def test_wrinkles_of_the_forehead_fade_and_those_of_the_cheeks_do_not() -> None:
    lab = skin()
    for where in (FOREHEAD, CHEEK):
        row = int(where[1] * SIDE)
        lab[row - 1 : row + 2, :, 0] -= 12 * spot(where, 0.05 * SIDE)[row - 1 : row + 2]
    found = cleaned(lab, POINTS)
    assert SKIN[0] - at(found, FOREHEAD)[0] < 4
    assert SKIN[0] - at(found, CHEEK)[0] > 7


def test_pores_of_the_forehead_stay() -> None:
    pores = np.random.default_rng(1).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    lab = skin()
    lab[..., 0] += pores
    here = spot(FOREHEAD, 0.04 * SIDE) > 0.5
    kept = cleaned(lab, POINTS)[..., 0] - masks.blur(cleaned(lab, POINTS)[..., 0], 3.0)
    had = pores - masks.blur(pores, 3.0)
    assert kept[here].std() > 0.85 * had[here].std()


def test_a_highlight_loses_more_than_half_and_a_shadow_less() -> None:
    lab = skin()
    lab[..., 0] += 25 * spot(CHEEK, 0.03 * SIDE)
    light = at(cleaned(lab, POINTS), CHEEK)[0] - SKIN[0]
    lab = skin()
    lab[..., 0] -= 25 * spot(CHEEK, 0.03 * SIDE)
    dark = SKIN[0] - at(cleaned(lab, POINTS), CHEEK)[0]
    assert 5 < light < 18
    assert 13 < dark < 23


def test_strong_tints_fade_to_the_skins_own() -> None:
    lab = skin()
    lab[..., 2] -= 25 * spot(CHEEK, 0.06 * SIDE)
    before, after = (SKIN[2] - at(x, CHEEK)[2] for x in (lab, cleaned(lab, POINTS)))
    assert 0 < after < 0.6 * before
