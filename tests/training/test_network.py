"""The swap network, its helpers, and the mesh network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from faceswap_cli.errors import WeightsError
from faceswap_cli.nets.blocks import fixed
from faceswap_cli.nets.critic import Critic
from faceswap_cli.nets.fslsd256 import Fslsd256, blank_scene, composite, multiply_adds
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.nets.third_player import ThirdPlayer
from faceswap_cli.swap.fslsd256_weights import load_swap_net
from faceswap_cli.swap.mesh_reader import load_mesh
from faceswap_cli.training import losses
from faceswap_cli.training.batches import Sampler, expression_basis
from faceswap_cli.training.export import export_weights, read_weights
from faceswap_cli.training.observers import Observers
from faceswap_cli.training.pool import Pool
from faceswap_cli.training.terms import forward

ROOT = Path(__file__).resolve().parents[2]


def test_shapes_and_rows() -> None:
    net = Fslsd256(PRESETS["tiny"]).eval()
    source = net.encode_source(torch.zeros(1, 3, 256, 256), torch.zeros(1, 128))
    with torch.no_grad():
        out = net(source, blank_scene(2))  # one source for two targets
    assert out.face.shape == out.side.shape == (2, 3, 256, 256)
    assert out.w.shape == (2, 12, 32)
    assert out.direction.shape == (2, 7, 32)
    assert float(out.direction.abs().max()) == 0  # structure directions start at nothing


def test_cost_of_the_cpu_preset() -> None:
    assert multiply_adds(PRESETS["cpu"]) < 4e9
    assert sum(p.numel() for p in Fslsd256(PRESETS["cpu"]).parameters()) < 9.5e6


def test_untrained_result_is_near_the_warped_source(pool: Pool) -> None:
    batch = Sampler(pool, expression_basis(pool), 0).batch("self", 2)
    torch.manual_seed(0)
    net = Fslsd256(PRESETS["tiny"]).eval()
    with torch.no_grad():
        step = forward(net, batch)
    seen = batch.scene.mask * (torch.nn.functional.interpolate(batch.scene.visible, size=256) > 0.95)
    near = losses.pixel(step.out.face, step.out.base, seen)
    far = losses.pixel(torch.zeros_like(step.out.base), step.out.base, seen)
    assert float(near) < 0.5 * float(far)
    outside = batch.scene.mask == 0
    assert torch.equal((step.result - batch.target) * outside, torch.zeros_like(step.result))


def test_composite_is_exact_outside() -> None:
    face, target, mask = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., 2:4, 2:4] = 1
    out = composite(face, target, mask)
    assert torch.equal(out[..., 5:, :], target[..., 5:, :])
    assert torch.allclose(out[..., 2:4, 2:4], face[..., 2:4, 2:4])


def test_weights_file_round_trip(tmp_path: Path) -> None:
    net = Fslsd256(PRESETS["tiny"]).eval()
    net.mean_embedding.fill_(0.25)
    path = tmp_path / "net.safetensors"
    export_weights(net, path, 123)
    again = load_swap_net(path)
    assert float(again.mean_embedding[0]) == 0.25
    source = (torch.rand(1, 3, 256, 256), torch.rand(1, 128))
    with torch.no_grad():
        one, other = (n(n.encode_source(*source), blank_scene(1)).face for n in (net, again))
    assert float((one - other).abs().max()) < 0.02
    with pytest.raises(WeightsError, match="fit"):
        read_weights(path, Fslsd256(PRESETS["cpu"]))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_swap_net(path)


def test_fixed_weights_give_the_same_bits() -> None:
    net = Fslsd256(PRESETS["tiny"]).eval()
    source = (torch.rand(1, 3, 256, 256), torch.rand(1, 128))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = net(net.encode_source(*source), blank_scene(1)).face
        fixed(net, torch.bfloat16)
        after = net(net.encode_source(*source), blank_scene(1)).face
    assert net.generator.second[0].weight.dtype == torch.bfloat16
    assert torch.equal(before, after)


def test_a_fixed_batch_can_be_learned(pool: Pool) -> None:
    torch.manual_seed(0)
    batch = Sampler(pool, expression_basis(pool), 0).batch("self", 2)
    net = Fslsd256(PRESETS["tiny"])
    optimizer = torch.optim.Adam(net.parameters(), 3e-4, (0.0, 0.99))
    values = []
    for _ in range(40):
        step = forward(net, batch)
        loss = losses.pixel(step.out.face, batch.target, batch.scene.mask)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.7 * values[0]


def test_critic_learns_and_sees_the_mask() -> None:
    torch.manual_seed(0)
    critic = Critic(width=8)
    rgb = torch.rand(2, 3, 256, 256)
    mask = torch.zeros(2, 1, 256, 256)
    with torch.no_grad():
        score, features = critic(rgb, mask)
        other, _ = critic(rgb, mask + 1)
    assert score.shape == (2,)
    assert not torch.allclose(score, other)
    assert [f.shape[-1] for f in features] == [64, 32, 16, 8, 8]


def test_third_player_learns_people_and_fakes() -> None:
    torch.manual_seed(0)
    third = ThirdPlayer(2, widths=(8, 16, 16, 16))
    real = torch.stack([torch.full((3, 112, 112), v) for v in (-0.8, 0.8)])
    fake = real.clone()
    fake[..., ::4, :] = 0
    people = torch.tensor([0, 1])
    optimizer = torch.optim.Adam(third.parameters(), 3e-3)
    for _ in range(60):
        loss = losses.third_player_learns(
            third.logits(third(real), people), third.logits(third(fake)), people, 1.0
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    with torch.no_grad():
        assert third.logits(third(real)).argmax(1).tolist() == [0, 1]
        assert third.logits(third(fake)).argmax(1).tolist() == [2, 3]


def test_mesh_network_agrees_with_the_detector_and_has_gradients() -> None:
    from PIL import Image

    from faceswap_cli.faces.crops import cut
    from faceswap_cli.faces.detect import find_faces
    from faceswap_cli.geometry.align import FFHQ_SCALE, apply, scaled, unit_from_points

    rgb = np.asarray(Image.open(ROOT / "examples" / "source.jpg").convert("RGB"))
    (face, *_) = find_faces(rgb)
    crop_from_image = scaled(unit_from_points(face.landmarks, FFHQ_SCALE), 256)
    crop = cut(rgb, crop_from_image, 256)
    wanted = torch.from_numpy(apply(crop_from_image, face.landmarks) / 256)[None]
    picture = (torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 127.5 - 1).requires_grad_(True)
    eyes = Observers.load(torch.device("cpu"))
    found = eyes.points(picture, wanted)
    eye = float((wanted[0, 468, :2] - wanted[0, 473, :2]).norm())
    error = (found - wanted).detach()[0, :, :2].norm(dim=1) / eye
    assert float(error.median()) < 0.015
    assert float(error[468:].max()) < 0.03
    (gradient,) = torch.autograd.grad(found[0, 468, 0], picture)
    around = gradient.abs().sum(1)[0]
    x, y = (wanted[0, 468, :2] * 256).long().tolist()
    assert float(around[y - 16 : y + 16, x - 16 : x + 16].sum()) > 0.1 * float(around.sum())


def test_identity_chips_are_those_of_enrolment(pool: Pool) -> None:
    """The differentiable path gives the embedding that was stored when the pool was made."""
    eyes = Observers.load(torch.device("cpu"))
    rows = np.arange(4)
    rgb = torch.from_numpy(pool.pixels[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
    points = torch.from_numpy(pool.landmarks[rows] / np.float32(256))
    with torch.no_grad():
        found, maps = eyes.look(rgb, points)
    assert float((found - torch.from_numpy(pool.embedding[rows])).norm(dim=1).max()) < 0.06
    assert len(maps) == 6


def test_missing_mesh_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert sum(p.numel() for p in load_mesh().parameters()) == 1_189_277
    (tmp_path / "mesh.safetensors").write_bytes(b"no weights")
    monkeypatch.setattr("faceswap_cli.swap.mesh_reader.bundled", lambda name: tmp_path / name)
    with pytest.raises(WeightsError, match=r"mesh\.safetensors cannot be read"):
        load_mesh()
