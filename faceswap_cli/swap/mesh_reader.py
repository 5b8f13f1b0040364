"""The mesh network as a torch module: where the points of drawn faces are seen; differentiable."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from faceswap_cli.errors import WeightsError
from faceswap_cli.nets.mesh import INPUT_SIDE, FaceMesh
from faceswap_cli.weights.load import load_strict
from faceswap_cli.weights.registry import bundled

MARGIN = 1.5
"""Side of the network's window over the larger side of the landmarks' bounds."""


def load_mesh() -> FaceMesh:
    """The bundled mesh network, on the CPU, frozen."""
    path = bundled("mesh.safetensors")
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); reinstall faceswap-cli") from error
    return load_strict(FaceMesh, {name: value.float() for name, value in stored.items()}, path.name)


def window(points: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Corner (N, 1, 2) and side (N, 1, 1) of the network's window, unit coordinates."""
    xy = points[..., :2]
    high, low = xy.amax(1, keepdim=True), xy.amin(1, keepdim=True)
    side = (high - low).amax(2, keepdim=True) * margin
    return (high + low) / 2 - side / 2, side


def points_in(net: FaceMesh, rgb: Tensor, near: Tensor, margin: float = MARGIN) -> Tensor:
    """Meshes (N, 478, 3) of pictures (N, 3, S, S) in [-1, 1]; ``near``: where the faces should be."""
    corner, side = window(near, margin)
    axis = (torch.arange(INPUT_SIDE, device=rgb.device) + 0.5) / INPUT_SIDE
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = (corner[:, None] + side[:, None] * torch.stack([x, y], -1)) * 2 - 1
    seen = functional.grid_sample((rgb + 1) / 2, grid, padding_mode="reflection", align_corners=False)
    found, _ = net(seen.contiguous(memory_format=torch.channels_last))
    scale = side / INPUT_SIDE
    return torch.cat([corner + found[..., :2] * scale, found[..., 2:] * scale], dim=-1)
