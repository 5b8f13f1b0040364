"""Several photographs: shapes and codes are averaged in one pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from faceswap_cli.enrol.fuse import direction, fused_rows
from faceswap_cli.enrol.views import View
from faceswap_cli.faces.landmarks import topology
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import STRUCTURE_ROWS
from faceswap_cli.swap.fslsd256_weights import load_swap_net
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
