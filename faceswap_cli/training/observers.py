"""The two frozen networks that look at results while training: who is it, and where are its points."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.faces.landmarks import FIVE
from faceswap_cli.identity.embed import CHIP, identity_network
from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.dlib_resnet import DlibResNet
from faceswap_cli.nets.mesh import FaceMesh
from faceswap_cli.swap.mesh_reader import load_mesh, points_in

# The chip's five points (``identity.embed``) as shares of the chip.
_SHARES = ((0.85957, 0.21350), (0.64606, 0.22897), (0.12058, 0.21373), (0.33409, 0.22906), (0.49011, 0.62780))
_TEMPLATE = (0.25 + np.array(_SHARES)) / 1.5 + 0.5 / CHIP


def chip_grid(points: Tensor, side: int = CHIP) -> Tensor:
    """Sampling grid (N, side, side, 2) of the identity chip: least-squares similarity of five points."""
    template = torch.as_tensor(_TEMPLATE, dtype=points.dtype, device=points.device)
    seen = points[:, list(FIVE), :2]
    p, q = template - template.mean(0), seen - seen.mean(1, keepdim=True)
    norm = p.square().sum()
    a = (p * q).sum((1, 2)) / norm
    b = (p[:, 0] * q[..., 1] - p[:, 1] * q[..., 0]).sum(1) / norm
    axis = (torch.arange(side, device=points.device) + 0.5) / side
    y, x = torch.meshgrid(axis - template[:, 1].mean(), axis - template[:, 0].mean(), indexing="ij")
    a, b = a[:, None, None], b[:, None, None]
    center = seen.mean(1)[:, None, None]
    return (torch.stack([a * x - b * y, b * x + a * y], -1) + center) * 2 - 1


@dataclass(frozen=True, eq=False)
class Observers:
    """Frozen networks; gradients flow through them to the pictures."""

    mesh: FaceMesh = field(repr=False)
    identity: DlibResNet = field(repr=False)

    @classmethod
    def load(cls, device: torch.device) -> Observers:
        mesh = channels_last(load_mesh().to(device))
        identity = channels_last(identity_network().to(device))
        return cls(mesh, identity)

    @property
    def device(self) -> torch.device:
        return next(self.mesh.parameters()).device

    def points(self, rgb: Tensor, near: Tensor) -> Tensor:
        """Meshes (N, 478, 3) of pictures (N, 3, S, S) in [-1, 1]; ``near``: where the faces should be."""
        return points_in(self.mesh, rgb, near)

    def chips(self, rgb: Tensor, points: Tensor) -> Tensor:
        """(N, 3, 150, 150) in [0, 255]."""
        chips = F.grid_sample(
            (rgb + 1) * 127.5, chip_grid(points), padding_mode="border", align_corners=False
        )
        return chips.contiguous(memory_format=torch.channels_last)

    def look(self, rgb: Tensor, points: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embedding (N, 128) and the activations of the identity network, fine to coarse."""
        maps = self.identity.features(self.chips(rgb, points))
        return self.identity.head(maps[-1].mean((2, 3))), maps
