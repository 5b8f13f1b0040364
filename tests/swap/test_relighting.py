"""The target's light on the source's skin."""

from __future__ import annotations

import numpy as np
from drawn import SIDE, mesh_points

from faceswap_cli.faces.landmarks import topology
from faceswap_cli.geometry import warp
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance
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
