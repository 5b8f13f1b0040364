"""Several photographs: shapes and codes are averaged in one pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from faceswap_cli.enrol.fuse import direction, fused_rows, neutral_shape
from faceswap_cli.enrol.views import View
from faceswap_cli.faces.landmarks import topology
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import STRUCTURE_ROWS
from faceswap_cli.swap.fslsd256_weights import load_swap_net
from faceswap_cli.swap.shape import remove_pose
from faceswap_cli.training.augment import rotation

MEAN = torch.from_numpy(topology().mean_shape)[None]


@pytest.fixture(scope="module")
def net(tiny_weights: Path) -> Fslsd256:
    return load_swap_net(tiny_weights).eval().requires_grad_(False)


def mesh(yaw: float = 0.0, offset: Tensor | None = None) -> Tensor:
    """(1, 478, 3) the mean face, changed by ``offset`` and turned by ``yaw`` radians."""
    face = MEAN if offset is None else MEAN + offset
    turn = rotation(torch.tensor([[yaw, 0.1, 0.05]]))
    return 0.36 * face @ turn.transpose(1, 2) + torch.tensor([0.5, 0.55, 0.0])


def view(points: Tensor, weight: float = 1.0, seed: int = 0) -> View:
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return View(picture, points, weight)


def bump(seed: int, size: float = 0.02) -> Tensor:
    return size * torch.randn(1, 478, 3, generator=torch.Generator().manual_seed(seed))


def test_one_photo_keeps_its_shape() -> None:
    points = mesh(0.3, bump(1))
    found = neutral_shape([view(points)], points, None)
    torch.testing.assert_close(found, remove_pose(points).canonical[0], atol=1e-5, rtol=0)


def test_errors_of_the_meshes_average_out() -> None:
    own = bump(1)
    views = [view(mesh(yaw, own + bump(10 + k))) for k, yaw in enumerate((-0.2, -0.1, 0.0, 0.1, 0.2))]
    truth = remove_pose(mesh(0.0, own)).canonical[0]

    def error(shape: Tensor) -> float:
        return float((shape - truth).norm(dim=1).mean())

    assert error(neutral_shape(views, views[2].points, None)) < 0.6 * error(
        neutral_shape(views[2:3], views[2].points, None)
    )


def test_a_profile_counts_little_for_the_shape() -> None:
    front, side = mesh(0.0), mesh(1.0, bump(3, 0.1))
    mixed = neutral_shape([view(front), view(side)], front, None)
    even = neutral_shape([view(front), view(mesh(0.0, bump(3, 0.1)))], front, None)
    truth = remove_pose(front).canonical[0]
    assert float((mixed - truth).norm()) < 0.2 * float((even - truth).norm())


def test_expressions_do_not_enter_the_shape() -> None:
    basis = torch.linalg.qr(torch.randn(478 * 3, 4, generator=torch.Generator().manual_seed(0)))[0]
    basis = basis.t().reshape(4, 478, 3)
    front = mesh()
    canonical = remove_pose(front).canonical
    smiling = (canonical + 0.5 * basis[:1]) * 0.36 + torch.tensor([0.5, 0.55, 0.0])
    moved = neutral_shape([view(front), view(smiling)], front, basis) - canonical[0]
    with_it = neutral_shape([view(front), view(smiling)], front, None) - canonical[0]
    # Stable points are fitted again after the smile, so a little of it remains as pose.
    assert float(moved.norm()) < 0.35 * float(with_it.norm())


def test_one_photo_has_the_code_of_its_picture(net: Fslsd256) -> None:
    one = view(mesh())
    torch.testing.assert_close(fused_rows(net, [one], one.rgb, one.points), net.style(one.rgb)[0])


def test_codes_are_moved_before_they_are_averaged(net: Fslsd256) -> None:
    front, left = view(mesh(), 0.25), view(mesh(0.5), 0.75, seed=1)
    picture = view(mesh(), seed=2).rgb
    found = fused_rows(net, [front, left], picture, front.points)
    own, codes = net.style(picture)[0], [net.style(v.rgb)[0] for v in (front, left)]
    moves = [direction(net, v.points, front.points)[0] for v in (front, left)]
    wanted = [c[:STRUCTURE_ROWS] + m for c, m in zip(codes, moves, strict=True)]
    mean = 0.25 * wanted[0] + 0.75 * wanted[1]
    torch.testing.assert_close(found[:STRUCTURE_ROWS], (own[:STRUCTURE_ROWS] + mean) / 2)
    torch.testing.assert_close(found[STRUCTURE_ROWS:], own[STRUCTURE_ROWS:])
    assert not np.allclose(moves[0], moves[1])
