"""Every loss: nothing to learn at the truth, something elsewhere, and a gradient that leads there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from faceswap_cli.training import losses

N, S = 2, 64


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    wanted = torch.nn.functional.interpolate(torch.rand(N, 3, 8, 8) * 2 - 1, size=S, mode="bicubic").clamp(
        -1, 1
    )
    face = (wanted + 0.3 * torch.randn(N, 3, S, S)).requires_grad_(True)
    return face, wanted, torch.ones(N, 1, S, S)


@pytest.mark.parametrize("name", ["pixel", "structure", "laplacian"])
def test_picture_losses(name: str) -> None:
    face, wanted, weight = pictures()
    loss = getattr(losses, name)
    assert float(loss(wanted, wanted, weight)) == pytest.approx(0, abs=1e-5)
    value = loss(face, wanted, weight)
    (gradient,) = torch.autograd.grad(value, face)
    step = face.detach() - 1e-2 * gradient / gradient.abs().max()
    assert float(loss(step, wanted, weight)) < float(value.detach())


def test_weight_keeps_padding_out() -> None:
    face, wanted, weight = pictures()
    weight[..., 32:] = 0
    spoiled = face.detach().clone()
    spoiled[..., 40:] += 5
    assert float(losses.pixel(spoiled, wanted, weight)) == pytest.approx(
        float(losses.pixel(face.detach(), wanted, weight))
    )


def test_structure_sees_structure_not_brightness() -> None:
    _, wanted, weight = pictures()
    brighter = losses.structure(wanted * 0.9 + 0.1, wanted, weight)
    shuffled = losses.structure(wanted.flip(3), wanted, weight)
    assert float(brighter) < 0.2 * float(shuffled)


def test_identity_is_centered() -> None:
    mean = torch.full((128,), 5.0)
    a, b = torch.randn(2, 1, 128)
    # Raw cosines of such embeddings are near 1; after centring strangers are far apart.
    assert float(losses.identity(mean + a, mean + a, mean)) == pytest.approx(0, abs=1e-6)
    assert float(losses.identity(mean + a, mean + b, mean)) > 0.7
    assert float(losses.identity(mean + a, mean - a, mean)) == pytest.approx(2, abs=1e-5)


def test_activations_and_feature_similarity() -> None:
    torch.manual_seed(1)
    maps = [torch.randn(N, 8, 5, 5) for _ in range(2)]
    other = [torch.randn(N, 8, 5, 5) for _ in range(2)]
    assert float(losses.activations(maps, maps)) == pytest.approx(0, abs=1e-6)
    assert float(losses.activations(maps, [3 * m for m in maps])) == pytest.approx(0, abs=1e-6)
    assert float(losses.activations(maps, other)) == pytest.approx(2, abs=0.6)
    free = torch.full((2,), 2.0)
    assert float(losses.feature_similarity(maps, other, free)) == 0
    assert float(losses.feature_similarity(maps, other, torch.zeros(2))) > 1


def test_landmarks_weigh_mouth_and_irises() -> None:
    wanted = torch.rand(N, 478, 3)
    cheek, iris = wanted.clone(), wanted.clone()
    cheek[:, 50, 0] += 0.1
    iris[:, 468, 0] += 0.1
    assert float(losses.landmarks(wanted, wanted)) == 0
    assert float(losses.landmarks(iris, wanted)) == pytest.approx(
        20 * float(losses.landmarks(cheek, wanted)), rel=1e-3
    )


def test_landmarks_see_a_nod_in_the_depth_alone() -> None:
    wanted = torch.rand(N, 478, 3)
    nod = wanted.clone()
    nod[..., 2] += 0.05 * (wanted[..., 1] - 0.5)
    assert float(losses.landmarks(nod, wanted)) > 0.003


def test_adversarial_losses_pull_apart() -> None:
    assert float(losses.generator_wins(torch.tensor([3.0]))) < float(
        losses.generator_wins(torch.tensor([-3.0]))
    )
    sure, fooled = (
        losses.critic_wins(torch.tensor([3.0]), torch.tensor([-3.0])),
        losses.critic_wins(torch.tensor([-3.0]), torch.tensor([3.0])),
    )
    assert float(sure) < float(fooled)


def test_gradient_penalty_of_a_known_function() -> None:
    x = torch.randn(3, 3, 4, 4, requires_grad=True)
    assert float(losses.gradient_penalty(2 * x.sum((1, 2, 3)), x)) == pytest.approx(4 * 48)


def test_weak_feature_match_counts_outside_more() -> None:
    zero = [torch.zeros(1, 2, 8, 8)] * 3
    inside, outside = ([torch.zeros(1, 2, 8, 8) for _ in range(3)] for _ in range(2))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    inside[-1][..., :4] = 1
    outside[-1][..., 4:] = 1
    a, b = (float(losses.weak_feature_match(f, zero, mask)) for f in (inside, outside))
    assert b == pytest.approx(5 * a)
    shallow = [torch.ones(1, 2, 8, 8), *zero[1:]]
    assert float(losses.weak_feature_match(shallow, zero, mask)) == 0
    assert float(losses.feature_match(shallow, zero)) > 0


def test_histogram_matching_takes_the_colors() -> None:
    torch.manual_seed(2)
    face, reference, mask = (
        torch.rand(1, 3, 32, 32),
        torch.rand(1, 3, 32, 32) * 0.5 - 0.7,
        torch.ones(1, 1, 32, 32),
    )
    mask[..., :8] = 0
    matched = losses.matched_histogram(face, reference, mask)
    inside = mask[0, 0] > 0.5
    for c in range(3):
        assert torch.equal(matched[0, c][inside].sort().values, reference[0, c][inside].sort().values)
        assert torch.equal(matched[0, c][inside].argsort(), face[0, c][inside].argsort())
    assert torch.equal(matched[..., :8], face[..., :8])
    assert float(losses.histogram(reference, reference, mask)) == pytest.approx(0, abs=1e-6)


def test_structure_codes() -> None:
    n = torch.randn(N, 7, 4)
    assert float(losses.structure_consistency(n, torch.zeros_like(n), -n)) == 0
    assert float(losses.structure_consistency(n, torch.zeros_like(n), n)) > 0
    a, b = torch.randn(2, N, 7, 4)
    assert float(losses.transport(a, b - a, b)) == pytest.approx(0, abs=1e-12)
    codes = torch.cat([a, a + n])
    assert float(losses.code_trajectory(codes, torch.cat([b, b + n]))) == pytest.approx(0, abs=1e-12)
    assert float(losses.code_trajectory(codes, torch.cat([b, b]))) > 0.1


def test_flow_trajectory_follows_the_mesh() -> None:
    """A picture that moves with the mesh costs little; one that stands still, or flickers, costs more."""
    from faceswap_cli.faces.landmarks import topology

    torch.manual_seed(4)
    points = torch.from_numpy(topology().mean_shape)[None] * 0.3 + 0.5
    later = points + torch.tensor([0.06, 0, 0])
    coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12), size=64, mode="bicubic")
    shifted = torch.roll(coarse, 4, dims=3)
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 24:40, 28:40] = 1
    where, target = torch.cat([points, later]), torch.cat([coarse, shifted])
    follows = losses.flow_trajectory(target, target, where, mask)
    stands = losses.flow_trajectory(torch.cat([coarse, coarse]), target, where, mask)
    flickers = losses.flow_trajectory(torch.cat([coarse, shifted + 0.2]), target, where, mask)
    assert float(follows) < 0.3 * float(stands)
    assert float(follows) < 0.3 * float(flickers)


def test_third_player_classes() -> None:
    people = torch.tensor([0, 2])
    real = torch.full((2, 6), -5.0)
    real[0, 0] = real[1, 2] = 5.0
    fake = torch.full((2, 6), -5.0)
    fake[0, 3] = fake[1, 5] = 5.0
    assert float(losses.third_player_learns(real, fake, people, 1.0)) < 0.01
    assert float(losses.third_player_wins(real, people)) < 0.01
    assert float(losses.third_player_wins(fake, people)) > 5
