"""Warps, visibility, light, and what the network is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faceswap_cli.faces.landmarks import LEFT_EYE, LIPS, OVAL, SUBSET, topology
from faceswap_cli.geometry import warp as flat
from faceswap_cli.nets import meshfield
from faceswap_cli.nets.fslsd256_encoders import POINTS, SHAPE_INPUTS, SKETCH
from faceswap_cli.swap import scene as scenes
from faceswap_cli.swap.shape import expression, mix_weights, proportions, remove_pose, retarget
from faceswap_cli.training.batches import Sampler, expression_basis
from faceswap_cli.training.pool import Pool


def face(yaw: float = 0.0) -> torch.Tensor:
    """(1, 478, 3) the mean face in the middle of a unit crop."""
    c, s = np.cos(yaw), np.sin(yaw)
    shape = topology().mean_shape @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32).T
    return torch.from_numpy(shape.astype(np.float32))[None] * 0.38 + torch.tensor([0.5, 0.5, 0.0])


def test_scatter_agrees_with_the_numpy_form() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0.1, 0.9, (200, 2)).astype(np.float32)
    values = rng.standard_normal((200, 2)).astype(np.float32)
    one = flat.scatter(points, values, levels=meshfield.LEVELS, side=32)
    batch = meshfield.scatter(torch.from_numpy(points)[None], torch.from_numpy(values)[None], side=32)
    np.testing.assert_allclose(batch[0].permute(1, 2, 0).numpy(), one, atol=1e-4)


def test_warp_carries_points_to_points() -> None:
    """A picture warped from one mesh to another shows the first one's points at the second one's places."""
    source, target = face(), face(0.3)
    field = meshfield.displacement(source, target)
    where = torch.nn.functional.grid_sample(field, target[:, None, :, :2] * 2 - 1, align_corners=False)
    landed = target[0, :, :2] + where[0, :, 0].T
    inner = [i for i in range(468) if i not in OVAL]
    assert float((landed - source[0, :, :2]).norm(dim=1)[inner].median()) < 0.004


def test_no_displacement_no_change() -> None:
    rgb = torch.rand(1, 3, 64, 64)
    still = meshfield.warp(rgb, meshfield.displacement(face(), face()))
    assert torch.allclose(still, rgb, atol=1e-4)


def test_facing_and_visibility() -> None:
    triangles = torch.from_numpy(topology().triangles)
    facing = meshfield.vertex_facing(face(), triangles)
    assert float(facing[0, 4]) > 0.6  # tip of the nose
    turned = meshfield.vertex_facing(face(1.0), triangles)
    right, left = 234, 454
    assert (turned[0, right] > 0.5) != (turned[0, left] > 0.5)
    seen = meshfield.visibility(face(0.9), face(), triangles)
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 1
    half = seen[0, 0, 24:40].mean(0)
    assert abs(float(half[14:24].mean() - half[40:50].mean())) > 0.2


def test_light_map_is_coarse_and_relight_matches_it() -> None:
    torch.manual_seed(0)
    picture, weight = torch.rand(1, 3, 256, 256) * 2 - 1, torch.ones(1, 1, 256, 256)
    light = meshfield.light_map(picture, weight)
    assert light.shape == (1, 3, 8, 8)
    assert torch.allclose(light, torch.nn.functional.avg_pool2d(picture, 32), atol=0.01)
    smooth = torch.full((1, 3, 256, 256), -0.2)
    wanted = torch.full((1, 3, 8, 8), 0.4)
    assert torch.allclose(meshfield.relight(smooth, weight, wanted), torch.full_like(smooth, 0.4), atol=0.02)


def test_pose_is_removed_and_put_back() -> None:
    posed = remove_pose(face(0.5))
    straight = remove_pose(face()).canonical
    assert torch.allclose(posed.canonical, straight, atol=1e-4)
    assert torch.allclose(posed.place(posed.canonical), face(0.5), atol=1e-5)
    assert float(posed.angles()[0, 0].abs()) == pytest.approx(0.5, abs=0.02)


def test_retargeting_keeps_outline_and_pose() -> None:
    """A source with a lower mouth lowers the target's, along the target's own axes; nothing else moves."""
    nothing = torch.zeros(24, 478, 3)
    low = face()
    low[:, list(LIPS), 1] += 0.02
    own, target = remove_pose(low), remove_pose(face(0.2))
    wanted = retarget(target, face(0.2), proportions(own, target, nothing), mix_weights(0.5))
    moved = wanted - face(0.2)
    assert float(moved[:, list(OVAL)].abs().max()) < 1e-5
    assert 0.002 < float(moved[:, list(LIPS), 1].mean()) < 0.012
    assert float(moved[:, list(LEFT_EYE)].abs().max()) < 1e-3
    still = retarget(target, face(0.2), proportions(own, target, nothing), mix_weights(0.0))
    assert torch.allclose(still, face(0.2), atol=1e-6)


def test_features_that_speak_take_less_of_the_sources_proportions() -> None:
    none, half, whole = (mix_weights(share)[:, 0] for share in (0.0, 0.5, 1.0))
    tip, lips, lids = 4, list(LIPS), list(LEFT_EYE)
    assert float(none.abs().max()) == 0
    assert float(half[tip]) == pytest.approx(0.5 * float(whole[tip]), rel=0.05)
    for points in (lips, lids):
        torch.testing.assert_close(half[points], 0.25 * whole[points])


def test_retargeting_keeps_the_expression() -> None:
    """What the basis calls an expression is not taken from the source."""
    offset = torch.zeros(1, 478, 3)
    offset[:, list(LIPS), 1] = 1
    basis = torch.zeros(24, 478, 3)
    basis[0] = offset[0] / offset.norm()
    target = remove_pose(face())
    posed = target.canonical + 0.05 * offset
    own = remove_pose(target.place(posed))
    wanted = retarget(target, face(), proportions(own, target, basis), mix_weights(0.5))
    assert float((wanted - face()).abs().max()) < 1e-3
    assert float(expression(posed, basis)[0, 0] - expression(target.canonical, basis)[0, 0]) == pytest.approx(
        0.05 * float(offset.norm()), rel=1e-3
    )


def test_sketch_puts_things_where_they_are() -> None:
    drawn = scenes.draw(face())
    assert drawn.sketch.shape == (1, len(SKETCH), 128, 128)
    iris = (face()[0, 468, :2] * 128).long()
    mouth = (face()[0, [13, 14], :2].mean(0) * 128).long()
    assert float(drawn.sketch[0, SKETCH.index("irises"), iris[1], iris[0]]) > 0.5
    assert float(drawn.sketch[0, SKETCH.index("eyes"), iris[1], iris[0]]) > 0.5
    assert float(drawn.sketch[0, SKETCH.index("lips"), mouth[1], mouth[0]]) > 0.5
    assert float(drawn.mask[0, 0, 0, 0]) == 0
    assert float(drawn.mask[0, 0, 128, 128]) == 1
    assert float((drawn.hidden - drawn.mask).min()) > -0.05


def test_shape_vector_has_the_promised_size(pool: Pool) -> None:
    assert len(SUBSET) == POINTS
    pairing = scenes.pair(face(), face(0.2), expression_basis(pool), mix_weights())
    assert pairing.shape.shape == (1, SHAPE_INPUTS)


def test_network_cannot_see_the_targets_face(pool: Pool) -> None:
    """Fine detail inside the mask, away from mouth and eyes, reaches nothing the network is given."""
    batch = Sampler(pool, expression_basis(pool), 0).batch("cross", 2)
    drawn = scenes.draw(batch.wanted)
    pairing = scenes.pair(batch.source_points, batch.target_points, expression_basis(pool), mix_weights())
    features = scenes.resized(drawn.sketch[:, 2:3] + drawn.sketch[:, 4:5], 256).clamp(0, 1)
    near = torch.nn.functional.max_pool2d(torch.maximum(1 - drawn.mask, features), 31, 1, 15)
    skin = (near < 0.01).float()
    assert float(skin.mean()) > 0.01
    pattern = torch.where((torch.arange(256) % 2 == 0)[:, None] ^ (torch.arange(256) % 2 == 0), 0.2, -0.2)
    scars = batch.target + pattern * skin
    one, other = (scenes.build_scene(x, batch.target_points, pairing, drawn) for x in (batch.target, scars))
    assert float((scars - batch.target).abs().max()) > 0.05
    for name in ("mask", "sketch", "flow", "visible", "shape"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    for name in ("erased", "light", "hint"):  # the parts are read into 32 noisy numbers only
        assert float((getattr(one, name) - getattr(other, name)).abs().max()) < 0.02, name
