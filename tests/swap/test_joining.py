"""Photograph and network's picture as one; detail; the edge; the bent frame."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from drawn import SIDE, crop, mesh_points, picture

from faceswap_cli import color
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry.masks import Window
from faceswap_cli.geometry.paste import paste_into_planes
from faceswap_cli.records import F32, Bend, ColorTags, RenderedFace
from faceswap_cli.swap import detail
from faceswap_cli.swap.edge import depth_inside, face_mask
from faceswap_cli.swap.joining import join, limit_levels, limit_tints
from faceswap_cli.swap.outline import FIXED, SPAN, bend_field, in_crop

N = 128
POINTS = mesh_points() / np.float32(SIDE)


def noise(seed: int, sigma: float, size: int = N) -> F32:
    return np.asarray(
        cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((size, size)), (0, 0), sigma), np.float32
    )


def lab(luma: F32 | float) -> F32:
    out = np.zeros((N, N, 3), np.float32)
    out[..., 0] = luma
    return out


def test_the_photograph_is_shown_wherever_it_saw() -> None:
    photo = lab(50 + 5 * noise(1, 0.6))
    np.testing.assert_allclose(join(photo, lab(90.0), np.ones((N, N), np.float32)), photo, atol=1e-3)


def test_what_no_photograph_showed_is_the_networks_without_a_seam() -> None:
    seen = np.ones((N, N), np.float32)
    seen[:, N // 2 :] = 0
    found = join(lab(50.0), lab(70.0), seen)[..., 0]
    assert found[64, 4] < 60 < 64 < found[64, -4]
    assert np.abs(np.diff(found, axis=1)).max() < 2.0


def test_hair_that_a_network_draws_on_a_cheek_becomes_skin() -> None:
    light = np.broadcast_to(np.array([60, 12, 15], np.float32), (32, 32, 3)).copy()
    network = lab(60.0)
    network[..., 1:] = 12.0, 15.0
    before = network.copy()
    limit_levels(network, light, POINTS)
    np.testing.assert_array_equal(network, before)
    x, y = (POINTS[425, :2] * N).astype(int)
    network[y - 8 : y + 8, x - 8 : x + 8] = 15.0, 0.0, 0.0
    limit_levels(network, light, POINTS)
    assert network[y, x, 0] > 50
    assert network[y, x, 1] > 8
    np.testing.assert_array_equal(network[: N // 8], before[: N // 8])


def test_a_networks_fringes_take_the_colors_of_the_photograph() -> None:
    photo, network = lab(60.0), lab(40.0)
    photo[..., 1:] = 12.0, 15.0
    photo[N // 2 :, :, 1] = 30.0  # lips
    network[..., 1:] = 20.0, -25.0
    limit_tints(network, photo, POINTS)
    np.testing.assert_allclose(network[..., 0], 40.0)
    np.testing.assert_allclose(network[..., 1], 20.0)
    np.testing.assert_allclose(network[..., 2], 13.0, atol=0.1)


def test_detail_is_never_harsher_than_the_footage_allows() -> None:
    everywhere = np.ones((N, N), bool)
    soft, sharp = lab(50 + 4 * noise(2, 1.0)), lab(50 + 8 * noise(3, 0.5))
    wanted = detail.measure(detail.split(soft[..., 0]), everywhere)
    detail.match_detail(sharp, soft, Window.full(N), detail.Part(wanted, everywhere))
    have = detail.measure(detail.split(sharp[..., 0]), everywhere)
    assert have[0] < 3 * wanted[0]


def test_brows_stay_sharp_beside_skin_that_was_made_smooth() -> None:
    upper = np.zeros((N, N), bool)
    upper[: N // 2] = True
    target = lab(50 + 0.3 * noise(5, 0.5))
    sharp = lab(50 + 6 * noise(6, 0.5))
    wanted, hair = (detail.measure(detail.split(x[..., 0]), ~upper) for x in (target, sharp))
    kept = []
    for brows in (None, detail.Part(hair, upper)):
        drawn = sharp.copy()
        detail.match_detail(drawn, target, Window.full(N), detail.Part(wanted, ~upper), brows)
        kept.append([float(drawn[half, :, 0].std()) for half in (slice(0, 56), slice(72, N))])
    assert kept[0][0] < 0.5 * sharp[..., 0].std()
    assert kept[1][0] > 0.8 * sharp[..., 0].std()
    assert kept[1][1] == pytest.approx(kept[0][1], rel=0.02)


def test_a_plain_face_takes_the_grain_of_the_targets_own_skin() -> None:
    everywhere = np.ones((N, N), bool)
    grain = 6 * noise(4, 0.5)
    target, flat = lab(50 + grain), lab(50.0)
    wanted = detail.measure(detail.split(target[..., 0]), everywhere)
    detail.match_detail(flat, target, Window.full(N), detail.Part(wanted, everywhere))
    assert np.corrcoef(flat[..., 0].ravel(), grain.ravel())[0, 1] > 0.8
    assert 0.6 < flat[..., 0].std() / target[..., 0].std() < 1.2


def test_too_little_skin_tells_nothing() -> None:
    nowhere = np.zeros((N, N), bool)
    np.testing.assert_array_equal(detail.measure(detail.split(lab(1.0)[..., 0]), nowhere), 1.0)


def test_depth_inside_an_oval_is_signed() -> None:
    turns = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    oval = np.stack([0.5 + 0.3 * np.cos(turns), 0.5 + 0.4 * np.sin(turns)], axis=1).astype(np.float32)
    at = np.array([[[0.7, 0.5], [0.5, 0.2], [0.1, 0.5]]], np.float32)
    np.testing.assert_allclose(depth_inside(oval, at)[0], [0.1, 0.1, -0.1], atol=2e-3)


def test_the_mask_covers_the_targets_brows_and_fades_at_the_hairline() -> None:
    window = Window.full(SIDE)
    mask = face_mask(POINTS, POINTS, window, 0.08)
    x, y = (POINTS[[105, 334], :2].mean(axis=0) * SIDE).astype(int)
    assert mask[y, x] > 0.95
    top = (POINTS[10, :2] * SIDE).astype(int)
    assert mask[top[1], top[0]] == 0
    raised = POINTS.copy()
    raised[[105, 334], 1] -= 0.04
    assert face_mask(POINTS, raised, window, 0.08)[y - 6, x] > mask[y - 6, x]


def widened() -> F32:
    drawn = POINTS.copy()
    jaw = [k for k in parts.OVAL if POINTS[k, 1] > POINTS[152, 1] - 0.2]
    drawn[jaw, 0] += 0.08 * (POINTS[jaw, 0] - 0.5)
    return drawn


def test_the_bent_outline_lies_where_the_face_is_drawn_and_far_away_nothing_moves() -> None:
    drawn = widened()
    field = bend_field(POINTS, drawn)
    assert field is not None
    n = field.shape[0]

    def move(place: F32) -> F32:
        x, y = (((place - 0.5) / SPAN + 0.5) * n).astype(int)
        return field[y, x] * SPAN

    np.testing.assert_allclose(move(drawn[172, :2]), (POINTS - drawn)[172, :2], atol=4e-3)
    center = drawn[list(parts.OVAL), :2].mean(axis=0)
    outside = center + (drawn[172, :2] - center) * (FIXED + 0.08)
    np.testing.assert_array_equal(move(outside), 0.0)
    assert bend_field(POINTS, POINTS) is None
    x, y = (drawn[172, :2] * n / SPAN).astype(int)
    np.testing.assert_allclose(in_crop(field)[y, x], move(drawn[172, :2]), atol=1e-6)


def test_a_chin_at_the_crops_border_moves_with_the_neck_below_it() -> None:
    """Streaks of a stretched beard: the bend ended at the crop's border, a hundredth below the chin."""
    low = POINTS + np.array([0, 0.99 - POINTS[152, 1], 0], np.float32)
    drawn = low.copy()
    jaw = [k for k in parts.OVAL if low[k, 1] > low[152, 1] - 0.2]
    drawn[jaw, 1] -= 0.03
    field = bend_field(low, drawn)
    assert field is not None
    n = field.shape[0]
    down = field[:, n // 2, 1]
    chin = int(((drawn[152, 1] - 0.5) / SPAN + 0.5) * n)
    assert down[chin] * SPAN == pytest.approx(0.03, abs=0.003)
    assert (1 + np.diff(down) * n).min() > 0.6


@pytest.mark.parametrize("step", [(1, 1), (2, 2)])
def test_the_frame_is_bent_and_samples_that_do_not_move_stay(step: tuple[int, int]) -> None:
    rgb = picture(mesh_points())
    planes = color.planes_region_from_rgb(rgb, ColorTags(), chroma_step=step)
    target = crop(rgb, mesh_points())
    points = target.landmarks / np.float32(SIDE)
    move = np.zeros((64, 64, 2), np.float32)
    move[16:32, 16:32, 0] = 0.05
    bend = Bend(move, target.crop_from_frame, SIDE)
    face = RenderedFace(target, target.rgb, np.zeros((SIDE, SIDE), np.float32))
    face.mask[70:72, 70:72] = 1.0
    bent = paste_into_planes(planes, ColorTags(), [replace(face, bend=bend)])
    plain = paste_into_planes(planes, ColorTags(), [face])
    changed = bent.y != plain.y
    assert 50 < np.count_nonzero(changed) < 0.1 * changed.size
    assert bent.cb.shape == planes.cb.shape
    assert points.shape == (478, 3)
    # A shift of a twentieth of the crop shows what lies that far to the right.
    frame_from_crop = np.linalg.inv(target.crop_from_frame)
    x, y = (frame_from_crop @ np.array([24 / 64 * SIDE, 24 / 64 * SIDE, 1]))[:2]
    shift = 0.05 * SIDE * frame_from_crop[0, 0]
    found, wanted = bent.y[int(y), int(x)], planes.y[int(y), round(x + shift)]
    assert abs(int(found) - int(wanted)) < 20


def test_brows_of_a_turned_head_are_whole_up_to_their_tails() -> None:
    angle = np.radians(35)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    middle = (0.5, 0.5, 0.0)
    points = (middle + (POINTS - middle) @ turn).astype(np.float32)
    mask = face_mask(points, points, Window.full(SIDE), 0.08)
    x, y = np.round(points[[52, 65, 105, 66], :2] * SIDE - 0.5).astype(int).T
    assert mask[y, x].min() > 0.7
