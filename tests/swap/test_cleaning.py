"""The light of the source photograph, taken off its texture."""

from __future__ import annotations

import numpy as np
from drawn import SIDE as DRAWN
from drawn import mesh_points, picture

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance
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


def test_strong_tints_fade_to_the_skins_own() -> None:
    lab = skin()
    lab[..., 2] -= 25 * spot(CHEEK, 0.06 * SIDE)
    before, after = (SKIN[2] - at(x, CHEEK)[2] for x in (lab, cleaned(lab, POINTS)))
    assert 0 < after < 0.6 * before


def test_a_deep_shadow_is_lighter_and_what_is_flat_stays() -> None:
    plain = np.tile(np.array((65, 14, 18), np.float32), (SIDE, SIDE, 1))
    x, y = (POINTS[50, :2] * SIDE).astype(int)
    spot = np.s_[y - 12 : y + 12, x - 12 : x + 12]
    dark = plain.copy()
    dark[spot] = (40, 4, 2)
    after = cleaned(dark, POINTS)
    assert dark[spot][..., 0].mean() + 5 < after[spot][..., 0].mean() < 60
    assert after[spot][..., 1].mean() > dark[spot][..., 1].mean() + 2
    np.testing.assert_allclose(cleaned(plain, POINTS), plain, atol=0.5)


def test_a_strong_highlight_goes_and_the_rest_stays() -> None:
    rgb = picture(mesh_points())
    x, y = (POINTS[50, :2] * DRAWN).astype(int)
    plain = appearance.lab_from_rgb(rgb)
    rgb[y - 4 : y + 4, x - 4 : x + 4] = 250
    shining = appearance.lab_from_rgb(rgb)
    after = cleaned(shining, POINTS)
    spot = np.s_[y - 2 : y + 2, x - 2 : x + 2, 0]
    assert after[spot].mean() - plain[spot].mean() < 0.6 * (shining[spot].mean() - plain[spot].mean())
    np.testing.assert_array_equal(after[2, 2], shining[2, 2])
    other = (POINTS[280, :2] * DRAWN).astype(int)
    np.testing.assert_allclose(after[other[1], other[0]], shining[other[1], other[0]], atol=0.5)


def test_white_hairs_wet_lids_and_red_folds_are_taken_off() -> None:
    lab = np.tile(np.array((60, 14, 18), np.float32), (SIDE, SIDE, 1))
    brow, lid = POINTS[105, :2] * SIDE, POINTS[145, :2] * SIDE + (0, 5)
    cheek = POINTS[50, :2] * SIDE
    dark = masks.union(POINTS, parts.FEATURE_RINGS[2:4], SIDE) > 0.5
    lab[dark] = (30, 6, 8)
    spots = [(int(x), int(y)) for x, y in (brow, lid, cheek)]
    hair, wet, fold = (np.s_[y - 1 : y + 1, x - 6 : x + 6] for x, y in spots)
    lab[hair], lab[wet] = (66, 4, 6), (82, 6, 8)
    lab[fold][..., 1] += 10
    after = cleaned(lab, POINTS)
    assert after[hair][..., 0].mean() < 59
    assert after[wet][..., 0].mean() < 76
    assert 14 < after[fold][..., 1].mean() < 18
    assert after[dark][..., 0].min() < 36  # brows stay dark


def test_lips_lose_their_shine() -> None:
    lab = np.tile(np.array((60, 14, 18), np.float32), (SIDE, SIDE, 1))
    lips = (
        masks.union(POINTS, (parts.LIPS_OUTER,), SIDE) - masks.union(POINTS, (parts.LIPS_INNER,), SIDE) > 0.9
    )
    lab[lips] = (45, 25, 14)
    x, y = (int(v) for v in (POINTS[17, :2] * 0.5 + POINTS[14, :2] * 0.5) * SIDE)
    lab[y - 1 : y + 2, x - 6 : x + 6] = (75, 8, 6)
    after = cleaned(lab, POINTS)
    assert after[y, x - 3 : x + 3, 0].mean() < 62
    assert after[y, x - 3 : x + 3, 1].mean() > 14
