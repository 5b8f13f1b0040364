"""The target's light on the source's skin."""

from __future__ import annotations

import numpy as np
from drawn import SIDE, mesh_points, picture

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.landmarks import topology
from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance
from faceswap_cli.swap.cleaning import cleaned
from faceswap_cli.swap.relighting import lit_as, source_light

POINTS = mesh_points() / np.float32(SIDE)
NORMALS = warp.vertex_normals(POINTS, topology().triangles)
CHEEKS = (50, 280)


def lit(direction: tuple[float, float, float], skin: tuple[float, float, float] = (60, 14, 18)) -> F32:
    """(478, 3) L*a*b* of plain skin under a soft light from ``direction``."""
    level = 0.6 + 0.4 * np.clip(NORMALS @ np.array(direction, np.float32), 0, 1)
    out = np.tile(np.array(skin, np.float32), (478, 1)) * level[:, None]
    out[:, 0] += 16 * (level - 1)
    return np.asarray(out, np.float32)


def test_the_same_light_changes_nothing() -> None:
    light = lit((0, 0, 1))
    np.testing.assert_allclose(lit_as(source_light(light, POINTS), light, POINTS), light, atol=0.3)


def test_side_light_moves_to_the_other_side() -> None:
    left, right = lit((-0.8, 0, 0.6)), lit((0.8, 0, 0.6))
    found = lit_as(source_light(left, POINTS), right, POINTS)
    before = left[CHEEKS[0], 0] - left[CHEEKS[1], 0]
    after, wanted = (x[CHEEKS[0], 0] - x[CHEEKS[1], 0] for x in (found, right))
    assert before * wanted < 0
    assert abs(after - wanted) < 0.35 * abs(wanted)


def test_complexion_is_exchanged_and_local_color_stays() -> None:
    source, target = lit((0, 0, 1)), lit((0, 0, 1), (40, 16, 24))
    source[50, 1] += 8  # a blush
    found = lit_as(source_light(source, POINTS), target, POINTS)
    np.testing.assert_allclose(np.median(found, axis=0), np.median(target, axis=0), atol=1.5)
    assert found[50, 1] - found[280, 1] > 3


def test_gloss_and_patches_fade_on_brighter_skin_and_hair_stays_dark() -> None:
    dark, bright = (np.full((4, 4, 3), (level, 10, 12), np.float32) for level in (35.0, 75.0))
    shown = dark.copy()
    shown[0, 0, 0] += 10
    shown[3, 3, 0] -= 10
    shown[3, 0, 0] -= 36
    found = appearance.relight(shown, dark, bright)[..., 0]
    assert 4 < found[0, 0] - found[1, 1] < 8
    assert 4 < found[1, 1] - found[3, 3] < 8
    assert found[1, 1] - found[3, 0] > 34


def test_a_deep_shadow_is_lighter_and_what_is_flat_stays() -> None:
    plain = np.tile(np.array((65, 14, 18), np.float32), (320, 320, 1))
    x, y = (POINTS[50, :2] * 320).astype(int)
    spot = np.s_[y - 12 : y + 12, x - 12 : x + 12]
    dark = plain.copy()
    dark[spot] = (40, 4, 2)
    after = cleaned(dark, POINTS)
    assert dark[spot][..., 0].mean() + 5 < after[spot][..., 0].mean() < 60
    assert after[spot][..., 1].mean() > dark[spot][..., 1].mean() + 2
    np.testing.assert_allclose(cleaned(plain, POINTS), plain, atol=0.5)


def test_a_strong_highlight_goes_and_the_rest_stays() -> None:
    rgb = picture(mesh_points())
    x, y = (POINTS[50, :2] * SIDE).astype(int)
    plain = appearance.lab_from_rgb(rgb)
    rgb[y - 4 : y + 4, x - 4 : x + 4] = 250
    shining = appearance.lab_from_rgb(rgb)
    after = cleaned(shining, POINTS)
    spot = np.s_[y - 2 : y + 2, x - 2 : x + 2, 0]
    assert after[spot].mean() - plain[spot].mean() < 0.6 * (shining[spot].mean() - plain[spot].mean())
    np.testing.assert_array_equal(after[2, 2], shining[2, 2])
    other = (POINTS[280, :2] * SIDE).astype(int)
    np.testing.assert_allclose(after[other[1], other[0]], shining[other[1], other[0]], atol=0.5)


def test_white_hairs_wet_lids_and_red_folds_are_taken_off() -> None:
    side = 320
    lab = np.tile(np.array((60, 14, 18), np.float32), (side, side, 1))
    brow, lid = POINTS[105, :2] * side, POINTS[145, :2] * side + (0, 5)
    cheek = POINTS[50, :2] * side
    dark = masks.union(POINTS, parts.FEATURE_RINGS[2:4], side) > 0.5
    lab[dark] = (30, 6, 8)
    spots = [(int(x), int(y)) for x, y in (brow, lid, cheek)]
    hair, wet, fold = (np.s_[y - 1 : y + 1, x - 6 : x + 6] for x, y in spots)
    lab[hair], lab[wet] = (66, 4, 6), (82, 6, 8)
    lab[fold][..., 1] += 10
    after = cleaned(lab, POINTS)
    assert after[hair][..., 0].mean() < 57
    assert after[wet][..., 0].mean() < 73
    assert 14 < after[fold][..., 1].mean() < 18
    assert after[dark][..., 0].min() < 36  # brows stay dark


def test_a_moustache_is_not_the_skins_light() -> None:
    side = appearance.LIGHT_SIDE
    rows = np.arange(side, dtype=np.float32)[:, None] / side
    lab = np.empty((side, side, 3), np.float32)
    lab[:] = (60, 14, 18)
    lab[..., 0] += 3 * np.sin(40 * rows) * np.ones((1, side))  # skin is not quite even
    hair = np.s_[int(POINTS[2, 1] * side) + 1 : int(POINTS[0, 1] * side), int(0.35 * side) : int(0.65 * side)]
    lab[hair][..., 0] -= 12
    weight = appearance.skin_weight(lab, POINTS)
    lighter = lab.copy()
    lighter[hair][..., 0] += 24
    assert weight[hair].mean() < 0.5 * appearance.skin_weight(lighter, POINTS)[hair].mean()


def test_lips_lose_their_shine() -> None:
    side = 320
    lab = np.tile(np.array((60, 14, 18), np.float32), (side, side, 1))
    lips = (
        masks.union(POINTS, (parts.LIPS_OUTER,), side) - masks.union(POINTS, (parts.LIPS_INNER,), side) > 0.9
    )
    lab[lips] = (45, 25, 14)
    x, y = (int(v) for v in (POINTS[17, :2] * 0.5 + POINTS[14, :2] * 0.5) * side)
    lab[y - 1 : y + 2, x - 6 : x + 6] = (75, 8, 6)
    after = cleaned(lab, POINTS)
    assert after[y, x - 3 : x + 3, 0].mean() < 57
    assert after[y, x - 3 : x + 3, 1].mean() > 14
