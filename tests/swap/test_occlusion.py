"""What lies in front of a face is found, whatever its color, and a bare face is left alone."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import mesh_points
from numpy.typing import NDArray

from faceswap_cli.config import MASK_REGIONS, PasteOptions
from faceswap_cli.errors import WeightsError
from faceswap_cli.faces.landmarks import (
    BROWS,
    EYES,
    LEFT_BROW,
    LEFT_BROW_RING,
    LEFT_EYE,
    LEFT_LIDS,
    OVAL,
    RIGHT_EYE,
)
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.occluder import CLASSES, OccluderHead
from faceswap_cli.nets.unet import fuse_norms
from faceswap_cli.records import F32, U8, FaceCrop
from faceswap_cli.swap import appearance, glasses, occluder_head, sight
from faceswap_cli.swap.glasses import rim_evidence, wears_glasses
from faceswap_cli.swap.lenses import behind_lenses
from faceswap_cli.swap.occluder_head import Seen, look
from faceswap_cli.swap.occlusion import bare_skin, find_front, occluder_map, share_by_class
from faceswap_cli.swap.regions import regions_mask
from faceswap_cli.swap.renderer import measure
from faceswap_cli.training.glasses import STYLES, Glasses, draw_glasses
from faceswap_cli.training.hands import hand

SIDE = 256


@pytest.fixture(scope="module")
def face(portrait_face: tuple[U8, F32]) -> tuple[U8, F32]:
    """The example person's swap crop, and its mesh in unit coordinates."""
    from faceswap_cli.faces.crops import cut

    rgb, mesh = portrait_face
    matrix = align.scaled(align.unit_from_points(mesh), SIDE)
    return cut(rgb, matrix, SIDE), np.asarray(align.apply(matrix, mesh) / SIDE, np.float32)


@pytest.fixture(scope="module")
def portrait_face(portrait: U8, finder: object) -> tuple[U8, F32]:
    from faceswap_cli.faces.detect import find_faces

    return portrait, find_faces(portrait, finder=finder)[0].landmarks  # type: ignore[arg-type]


def front(rgb: U8, points: F32, window: Window | None = None, light_of: U8 | None = None) -> F32:
    """The map for a crop; ``light_of`` is the picture that its light is taken from."""
    window = window or Window.full(SIDE)
    clear = appearance.lab_from_rgb(rgb if light_of is None else light_of)
    light = appearance.light_at(clear, appearance.skin_weight(clear, points), points).mean(axis=0)
    field = np.broadcast_to(light, (8, 8, 3)).astype(np.float32)
    return occluder_map(window.of(rgb), field, points, window, look(rgb, points))


def inner(points: F32) -> NDArray[np.bool_]:
    """Inside of the outline below the brows: over the example's forehead hangs her hair."""
    below = (np.arange(SIDE) + 0.5) / SIDE > points[list(BROWS), 1].max()
    return (masks.grow(masks.union(points, (OVAL,), SIDE), -8) > 0.5) & below[:, None]


def with_hand(rgb: U8, points: F32, seed: int) -> tuple[U8, F32]:
    """A hand in the person's own skin color over the face, and where it is."""
    rng = np.random.default_rng(seed)
    x, y = (points[205, :2] * SIDE).astype(int)
    skin = rgb[y - 4 : y + 4, x - 4 : x + 4].reshape(-1, 3).mean(axis=0).astype(np.float32) / 255
    oval = points[list(OVAL), :2] * SIDE
    layer, alpha = hand(rng, skin, oval.mean(axis=0), float(np.ptp(oval[:, 1])), SIDE)
    mixed = rgb / 255 * (1 - alpha[..., None]) + layer * alpha[..., None]
    return (np.clip(mixed, 0, 1) * 255).astype(np.uint8), alpha


def test_a_bare_face_is_left_alone(face: tuple[U8, F32]) -> None:
    rgb, points = face
    assert front(rgb, points)[inner(points)].mean() < 0.01


def test_hands_in_the_color_of_the_face_are_found(face: tuple[U8, F32]) -> None:
    """Ten drawn hands: most of what they cover is found, little beside them."""
    rgb, points = face
    inside, hit, wrong, hidden, bare = inner(points), 0.0, 0.0, 0.0, 0.0
    for seed in range(10):
        covered, alpha = with_hand(rgb, points, seed)
        found = front(covered, points, light_of=rgb)
        hit += float((found * (alpha > 0.5))[inside].sum())
        hidden += float((alpha > 0.5)[inside].sum())
        wrong += float((found * (alpha < 0.1))[inside].sum())
        bare += float((alpha < 0.1)[inside].sum())
    assert hidden > 10_000
    assert hit / hidden > 0.7
    assert wrong / bare < 0.1


@pytest.mark.parametrize("gain", [0.45, 0.75, 1.25])
def test_hard_light_is_no_occluder(face: tuple[U8, F32], gain: float) -> None:
    """Half of the face in shadow, or in the sun, is still the face."""
    rgb, points = face
    ramp = masks.smoothstep((np.arange(SIDE, dtype=np.float32) - 0.5 * SIDE) / 20 + 0.5)
    lit = np.clip(rgb * (1 + (gain - 1) * ramp)[None, :, None], 0, 255).astype(np.uint8)
    assert front(lit, points, light_of=rgb)[inner(points)].mean() < 0.03


def test_a_fringe_stays_in_front(face: tuple[U8, F32]) -> None:
    rgb, points = face
    found = front(rgb, points)
    x, y = (points[10, :2] * SIDE).astype(int)
    assert found[y - 2 : y + 6, x - 10 : x + 10].mean() > 0.5


@pytest.mark.parametrize(
    "color", [(40, 90, 60), (235, 235, 230), (30, 30, 34)], ids=["green", "white", "black"]
)
def test_a_cup_at_the_mouth_is_found(face: tuple[U8, F32], color: tuple[int, int, int]) -> None:
    rgb, points = face
    covered = rgb.copy()
    x, y = (points[13, :2] * SIDE).astype(int)
    covered[y - 12 : y + 60, x - 34 : x + 34] = color
    found = front(covered, points, light_of=rgb)
    cup = np.zeros((SIDE, SIDE), bool)
    cup[y - 8 : y + 56, x - 30 : x + 30] = True
    assert found[cup & inner(points)].mean() > 0.6


@pytest.mark.parametrize(("name", "kept"), [("hair", True), ("thing", False), ("mask", False)])
def test_color_decides_only_where_there_may_be_hair(name: str, kept: bool) -> None:
    """A dark patch in a face of even color, where the network is in doubt."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    rgb, light = np.full((SIDE, SIDE, 3), (200, 150, 130), np.uint8), np.zeros((8, 8, 3), np.float32)
    light[:] = appearance.lab_from_rgb(rgb[:1, :1])
    x, y = (points[50, :2] * SIDE).astype(int)
    patch = np.s_[y - 16 : y + 16, x - 16 : x + 16]
    rgb[patch] = 30
    shares = np.zeros((96, 96, len(CLASSES)), np.float32)
    shares[..., 0], shares[..., CLASSES.index(name)] = 0.85, 0.15
    found = occluder_map(rgb, light, points, Window.full(SIDE), Seen(shares, 1.0))
    assert (found[patch][8:-8, 8:-8].min() > 0.9) == kept
    assert (found[patch].max() < 0.1) != kept


def test_a_window_shows_the_same_as_the_whole_crop(face: tuple[U8, F32]) -> None:
    rgb, points = face
    covered, _ = with_hand(rgb, points, 0)
    window = Window.around(points[list(OVAL)], SIDE)
    whole = front(covered, points, light_of=rgb)
    part = front(covered, points, window, light_of=rgb)
    inside = window.of(inner(points))
    assert np.abs(window.of(whole) - part)[inside].mean() < 0.02


def test_another_crop_scale_sees_the_same_place() -> None:
    """A square in the answer lands at the same place of the face, whatever the crop shows around it."""
    answer = np.zeros((64, 64, 6), np.float32)
    answer[16:32, 32:48] = 1.0
    tight = Seen(answer, 1.0).over(Window.full(128), (128, 128))
    wide = Seen(answer, 0.8).over(Window.full(160), (160, 160))
    np.testing.assert_allclose(tight, wide[16:144, 16:144], atol=1e-5)
    part = Seen(answer, 1.0).over(Window(20, 30, 64, 50, 128), (64, 50))
    np.testing.assert_allclose(part, tight[30:80, 20:84], atol=1e-5)


def test_a_hand_in_a_corner_of_the_window_is_found_as_in_the_whole_crop() -> None:
    """Only surroundings of what the network doubts are looked at; nothing is cut off there."""
    answer = np.zeros((96, 96, 6), np.float32)
    answer[..., 0] = 1.0
    answer[70:, :30] = (0, 0, 0, 0, 1, 0)
    rgb = np.full((SIDE, SIDE, 3), 128, np.uint8)
    points = mesh_points(SIDE) / np.float32(SIDE)
    light = np.broadcast_to(appearance.lab_from_rgb(rgb)[0, 0], (8, 8, 3)).astype(np.float32)
    window = Window(20, 30, 200, 210, SIDE)
    found = occluder_map(window.of(rgb), light, points, window, Seen(answer, 1.0))
    row, column = round(70 / 96 * SIDE) - 30, round(30 / 96 * SIDE) - 20
    assert found[row + 12 :, : column - 12].min() > 0.95
    assert found[: row - 12].max() == found[:, column + 12 :].max() == 0.0


def test_folded_normalizations_give_the_same_answer() -> None:
    net = OccluderHead()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    picture = torch.rand(1, 5, 192, 192)
    with torch.inference_mode():
        expected = net.eval()(picture)
        torch.testing.assert_close(fuse_norms(net)(picture), expected, atol=1e-4, rtol=1e-4)


def test_threads_and_repeats_agree(face: tuple[U8, F32]) -> None:
    rgb, points = face
    once = look(rgb, points).shares
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda _: look(rgb, points).shares, range(6)):
            np.testing.assert_array_equal(found, once)


def test_grain_does_not_make_the_mask_flicker(face: tuple[U8, F32]) -> None:
    rgb, points = face
    covered, _ = with_hand(rgb, points, 4)
    rng = np.random.default_rng(0)
    noisy = [np.clip(covered + rng.normal(0, 3, covered.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    maps = [front(one, points, light_of=rgb) for one in noisy]
    steps = [float(np.abs(a - b)[inner(points)].mean()) for a, b in itertools.pairwise(maps)]
    assert max(steps) < 0.02


@pytest.mark.parametrize("content", [None, b"no model"], ids=["missing", "damaged"])
def test_weights_that_cannot_be_used_are_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / occluder_head.FILE).write_bytes(content)
    monkeypatch.setattr("faceswap_cli.weights.registry.bundled_folder", lambda: tmp_path)
    occluder_head.occluder_head.cache_clear()
    try:
        with pytest.raises(WeightsError, match=r"occluder\.safetensors"):
            look(np.zeros((64, 64, 3), np.uint8), np.zeros((478, 3), np.float32))
    finally:
        occluder_head.occluder_head.cache_clear()


def with_glasses(rgb: U8, points: F32, seed: int) -> tuple[U8, Glasses]:
    """A drawn pair on a crop, and where its rims and lenses are."""
    rng = np.random.default_rng(seed)
    pair = draw_glasses(rng, points * SIDE, np.zeros((SIDE, SIDE, 3), np.float32))
    pair = replace(pair, tint=np.ones_like(pair.tint), glare=np.zeros_like(pair.glare), opacity=1.0)
    worn = pair.over(rgb.astype(np.float32) / 255, points * SIDE, rng)
    return (np.clip(worn, 0, 1) * 255).astype(np.uint8), pair


def test_rims_stay_and_lenses_are_seen_through(face: tuple[U8, F32]) -> None:
    rgb, points = face
    window, rims, lenses, beside = Window.full(SIDE), [], [], []
    for seed in range(8):
        worn, pair = with_glasses(rgb, points, seed)
        lab = appearance.lab_from_rgb(worn)
        light = np.broadcast_to(np.median(lab[inner(points)], axis=0), (8, 8, 3)).astype(np.float32)
        found = find_front(worn, light, points, window, look(worn, points))
        hull = inner(points)
        rims.append(float(found.matte[hull & (pair.rim > 0.7)].mean()))
        lens = hull & (pair.lens > 0.9) & (masks.grow(pair.rim, 4) < 0.1)
        assert found.lens is not None
        lenses.append(float(found.lens[lens].mean()))
        beside.append(
            float(found.matte[hull & (masks.grow(np.maximum(pair.rim, pair.lens), 6) < 0.1)].mean())
        )
    assert np.mean(rims) > 0.7
    assert np.mean(lenses) > 0.7
    assert np.mean(beside) < 0.05


def test_thin_metal_rims_stay_thin_and_whole(face: tuple[U8, F32]) -> None:
    """Every part of the rims is kept, and skin a few pixels from them is not."""
    rgb, points = face
    metal = tuple(float(name == "metal") for name in STYLES)
    reflected, hull = np.zeros((SIDE, SIDE, 3), np.float32), inner(points)
    rims, beside = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        pair = draw_glasses(rng, points * SIDE, reflected, metal)
        worn = np.clip(pair.over(rgb.astype(np.float32) / 255, points * SIDE, rng), 0, 1)
        picture = (worn * 255).astype(np.uint8)
        light = np.broadcast_to(np.median(appearance.lab_from_rgb(rgb)[hull], axis=0), (8, 8, 3))
        seen = look(picture, points)
        found = find_front(picture, light.astype(np.float32), points, Window.full(SIDE), seen, worn=1.0)
        rim = hull & (pair.rim > 0.7)
        for columns in (slice(0, SIDE // 2), slice(SIDE // 2, SIDE)):
            rims.append(float(found.matte[:, columns][rim[:, columns]].mean()))
        beside.append(float(found.matte[hull & (masks.grow(pair.rim, 3) < 0.1)].mean()))
    assert np.mean(rims) > 0.85
    assert min(rims) > 0.6
    assert np.mean(beside) < 0.02


def test_a_rim_is_no_wider_than_it_looks() -> None:
    """The network sees a dark bar, 6 px of 256, three times as wide: skin beside it hardly stays."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    middle = round(float(points[[33, 263], 1].mean()) * SIDE)
    rgb = np.full((SIDE, SIDE, 3), (200, 150, 130), np.uint8)
    rgb[middle - 3 : middle + 3, 60:196] = (30, 25, 25)
    shares = np.zeros((96, 96, 6), np.float32)
    rows = (np.arange(96) + 0.5) / 96 * SIDE - middle
    shares[:, 24:72, 1] = np.clip(1.4 - np.abs(rows) / 10, 0, 1)[:, None]
    shares[..., 0] = 1 - shares[..., 1]
    light = np.broadcast_to(appearance.lab_from_rgb(rgb)[0, 0], (8, 8, 3)).astype(np.float32)
    found = find_front(rgb, light, points, Window.full(SIDE), Seen(shares, 1.0), worn=1.0).matte[:, 80:176]
    assert found[middle - 3 : middle + 3].min() > 0.9
    assert found[middle - 10 : middle - 6].max() < 0.5
    assert found[middle + 6 : middle + 10].max() < 0.5


def test_no_skin_stays_between_a_rim_and_a_brow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network sees a line, 3 px of 256, as 9 px wide: over a brow its width is that of its color."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    brow = masks.union(points, (LEFT_BROW_RING,), SIDE) > 0.5
    y, x = (round(float(v.mean())) for v in np.nonzero(brow))
    rgb = np.full((SIDE, SIDE, 3), (200, 150, 130), np.uint8)
    rgb[y - 1 : y + 2] = (90, 90, 95)
    answer = np.zeros((SIDE, SIDE, 2), np.float32)
    answer[y - 4 : y + 5, :, 0] = 1.0
    monkeypatch.setattr(glasses, "rims_and_lenses", lambda *_: answer)
    light = np.broadcast_to(appearance.lab_from_rgb(rgb)[0, 0], (8, 8, 3)).astype(np.float32)
    nothing = Seen(np.zeros((96, 96, 6), np.float32), 1.0)
    rims = glasses.find_glasses(rgb, light, points, Window.full(SIDE), nothing)[0]
    assert rims[y, x] > 0.9
    assert rims[y + 3, x] < 0.2
    assert rims[y + 3, round(float(points[168, 0]) * SIDE)] > 0.9


def test_a_face_without_glasses_wears_none(face: tuple[U8, F32]) -> None:
    rgb, points = face
    assert wears_glasses(rim_evidence(look(rgb, points), points)) == 0.0


def test_removed_glasses_are_drawn_over(face: tuple[U8, F32]) -> None:
    rgb, points = face
    worn, pair = with_glasses(rgb, points, 1)
    lab = appearance.lab_from_rgb(worn)
    light = np.broadcast_to(np.median(lab[inner(points)], axis=0), (8, 8, 3)).astype(np.float32)
    found = find_front(worn, light, points, Window.full(SIDE), look(worn, points), glasses=False)
    assert found.lens is None
    assert found.removed is not None
    assert found.matte[inner(points) & (pair.rim > 0.7)].mean() < 0.4
    assert found.removed[inner(points) & (pair.rim > 0.7)].mean() > 0.6
    assert found.removed[~(masks.grow(masks.union(points, (OVAL,), SIDE), 4) > 0.5)].max() < 0.05
    shares = share_by_class(found, np.ones((SIDE, SIDE), np.float32))
    assert {"rim", "lens"} <= set(shares)


def test_light_is_not_measured_on_rims_or_through_lenses(face: tuple[U8, F32]) -> None:
    rgb, points = face
    worn, pair = with_glasses(rgb, points, 1)
    bare = bare_skin(look(worn, points), points, SIDE, 1.0)
    assert bare[inner(points) & (pair.rim > 0.7)].mean() < 0.25
    assert bare[inner(points) & (masks.grow(np.maximum(pair.rim, pair.lens), 20) < 0.1)].mean() > 0.95
    assert bare_skin(look(rgb, points), points, SIDE, 0.0)[inner(points)].mean() > 0.97


def test_dark_rims_do_not_darken_the_light_around_the_eyes(face: tuple[U8, F32]) -> None:
    """Black rims painted on, looked for and not, beside the bare face."""
    rgb, points = face
    rims = masks.union(points, (LEFT_EYE, RIGHT_EYE), SIDE, 16) - masks.union(
        points, (LEFT_EYE, RIGHT_EYE), SIDE, 8
    )
    covered = np.where(rims[..., None] > 0.5, np.uint8(20), rgb)
    lit = []
    for picture, occlusion in ((rgb, True), (covered, True), (covered, False)):
        crop = FaceCrop(0, picture, np.eye(3), np.asarray(points * SIDE, np.float32))
        lit.append(measure(crop, PasteOptions(occlusion=occlusion)).light[list(EYES), 0].mean())
    assert abs(lit[1] - lit[0]) < max(0.5 * abs(lit[2] - lit[0]), 1.0)


def folds() -> F32:
    """(SIDE, SIDE) L* of something like a face, around 0."""
    return np.tile(3.0 * np.sin(np.arange(SIDE, dtype=np.float32) / 3), (SIDE, 1)).astype(np.float32)


def test_a_tinted_lens_tints_and_a_reflection_stays() -> None:
    """Half as light behind the lens, but for a white square, which is the target's own."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    window = Window.full(SIDE)
    lens = np.zeros((SIDE, SIDE), np.float32)
    x, y = (points[50, :2] * SIDE).astype(int)
    lens[y - 30 : y + 30, x - 30 : x + 30] = 1.0
    drawn = np.full((SIDE, SIDE, 3), (60.0, 15.0, 15.0), np.float32)
    drawn[..., 0] += folds()
    before, target = drawn.copy(), drawn.copy()
    target[lens > 0.5] = (22.0, 7.5, 7.5)
    target[lens > 0.5, 0] += folds()[lens > 0.5] / 2
    target[y - 6 : y + 6, x - 6 : x + 6] = (95.0, 0.0, 0.0)
    kept = behind_lenses(drawn, target, lens, points, window)
    np.testing.assert_allclose(drawn[y + 20, x + 20], target[y + 20, x + 20], atol=1.0)
    assert kept[y, x] > 0.9
    assert kept[y + 20, x + 20] < 0.1
    np.testing.assert_array_equal(drawn[:10], before[:10])


def test_dark_glass_hides_what_is_behind_it() -> None:
    """As dark as the tinted lens above, but nothing of the face is seen in it; and so for its twin."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    lens = np.zeros((SIDE, SIDE), np.float32)
    drawn = np.full((SIDE, SIDE, 3), (60.0, 15.0, 15.0), np.float32)
    drawn[..., 0] += folds()
    target = drawn.copy()
    middles = [(points[row, :2] * SIDE).astype(int) for row in (50, 280)]
    for (x, y), shown in zip(middles, (0.0, 0.5), strict=True):
        area = np.s_[y - 20 : y + 20, x - 20 : x + 20]
        lens[area] = 1.0
        target[area] = (22.0, 7.5, 7.5)
        target[area][..., 0] += shown * folds()[area] + (1.0 - shown) * folds().T[area]
    kept = behind_lenses(drawn, target, lens, points, Window.full(SIDE))
    assert all(kept[y, x] > 0.9 for x, y in middles)


def behind(
    target_color: tuple[float, float, float], patch: tuple[float, float, float]
) -> tuple[F32, int, int]:
    """What stays of a lens of one Lab color with a square of another, over skin; and the square's place."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    lens = np.zeros((SIDE, SIDE), np.float32)
    x, y = (points[50, :2] * SIDE).astype(int)
    lens[y - 60 : y + 30, x - 30 : x + 30] = 1.0
    drawn = np.full((SIDE, SIDE, 3), (50.0, 17.0, 13.0), np.float32)
    target = np.where(lens[..., None] > 0.5, np.float32(target_color), drawn).astype(np.float32)
    target[y - 8 : y + 8, x - 8 : x + 8] = patch
    return behind_lenses(drawn, target, lens, points, Window.full(SIDE)), x, y


def test_a_faint_reflection_stays_and_a_shadow_does_not() -> None:
    """Reflections of a window take the skin's color and hardly make it lighter."""
    skin = (50.0, 17.0, 13.0)
    reflected, x, y = behind(skin, (53.0, 3.0, 9.0))
    assert reflected[y, x] > 0.9
    assert reflected[y + 22, x + 22] < 0.05
    shaded, x, y = behind(skin, (36.0, 9.0, 7.0))
    assert shaded[y, x] < 0.05


def test_a_green_reflection_stays_though_it_is_darker_than_skin() -> None:
    """Coated lenses reflect green light; shadows keep the skin's hue, and a red lid is not green."""
    skin = (50.0, 17.0, 13.0)
    reflected, x, y = behind(skin, (43.0, 3.0, 11.0))
    assert reflected[y, x] > 0.9
    assert reflected[y + 22, x + 22] < 0.05
    for color in ((43.0, 15.0, 12.0), (43.0, 22.0, 9.0), (20.0, 1.0, 6.0)):
        kept, x, y = behind(skin, color)
        assert kept[y, x] < 0.2


def test_dark_eye_sockets_are_as_pale_as_the_target_behind_a_lens() -> None:
    """A red, dark socket takes the color of the target's skin there; a lighter one is not made darker."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    lens = np.zeros((SIDE, SIDE), np.float32)
    x, y = (points[50, :2] * SIDE).astype(int)
    lens[y - 60 : y + 30, x - 30 : x + 30] = 1.0
    target = np.full((SIDE, SIDE, 3), (62.0, 10.0, 12.0), np.float32)
    drawn = np.full((SIDE, SIDE, 3), (56.0, 20.0, 20.0), np.float32)
    before = drawn.copy()
    assert behind_lenses(drawn, target, lens, points, Window.full(SIDE)).max() < 0.1
    np.testing.assert_allclose(drawn[y + 10, x], target[y + 10, x], atol=1.0)
    np.testing.assert_array_equal(drawn[lens == 0], before[lens == 0])
    drawn[...] = (68.0, 10.0, 12.0)
    behind_lenses(drawn, target, lens, points, Window.full(SIDE))
    np.testing.assert_allclose(drawn[y + 10, x], (68.0, 10.0, 12.0), atol=0.5)


def test_nothing_is_drawn_behind_a_mirror() -> None:
    mirror = (75.0, -25.0, -25.0)
    kept, x, y = behind(mirror, mirror)
    assert kept[y - 50 : y + 20, x - 20 : x + 20].min() > 0.9
    lighter = (68.0, 19.0, 15.0)
    kept, x, y = behind(lighter, lighter)
    assert kept.max() < 0.1


@pytest.mark.parametrize("name", MASK_REGIONS)
def test_regions_cover_their_part_only(name: str) -> None:
    points = mesh_points(SIDE) / np.float32(SIDE)
    places = {"brows": LEFT_BROW, "eyes": LEFT_LIDS, "nose": (4, 5), "mouth": (13, 14), "skin": (50,)}
    mask = regions_mask(points, Window.full(SIDE), name)
    forehead = (points[10, :2] + points[9, :2]) / 2
    for other, indices in places.items():
        x, y = (points[list(indices), :2].mean(axis=0) * SIDE).astype(int)
        assert (mask[y, x] > 0.5) == (other == name), other
    x, y = (forehead * SIDE).astype(int)
    assert (mask[y, x] > 0.5) == (name == "forehead")
    both = regions_mask(points, Window.full(SIDE), f"{name}, skin")
    assert (both + 1e-6 >= regions_mask(points, Window.full(SIDE), name)).mean() > 0.99


def test_what_is_seen_survives_the_code_and_hands_are_not_averaged(face: tuple[U8, F32]) -> None:
    rgb, points = face
    covered, _ = with_hand(rgb, points, 0)
    worn, _ = with_glasses(covered, points, 3)
    seen = look(worn, points)
    numbers = sight.pack(seen, 0.5)
    assert numbers.shape == sight.BETA.shape == (sight.NUMBERS,)
    again, evidence = sight.unpack(numbers)
    assert evidence == 0.5
    rows = slice(16, 60)
    np.testing.assert_allclose(again.shares[rows], seen.shares[rows], atol=0.01)
    np.testing.assert_allclose(again.shares[..., 3:], seen.shares[..., 3:], atol=1 / 255)
    others = np.asarray(sight.BETA == 0)
    assert (numbers[others] == np.round(numbers[others])).all()
    assert numbers[others].max() < 2**24
    nothing, _ = sight.unpack(sight.NOTHING)
    assert nothing.shares[..., 0].min() == 1.0
