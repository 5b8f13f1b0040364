"""Pictures sampled where affine maps and fields of places point, with OpenCV's taps and borders.

Convention: as in OpenCV, places are pixels with centres at integers; maps go from the result to the picture.
OpenCV rounds places to 1/32 px; these do not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def affine_places(maps: Tensor, height: int, width: int) -> Tensor:
    """(N, 2, 3) maps -> (N, height, width, 2) places (x, y)."""
    x = torch.arange(width, device=maps.device, dtype=torch.float32)
    y = torch.arange(height, device=maps.device, dtype=torch.float32)
    m = maps[:, None, None]
    return m[..., 0] * x[None, None, :, None] + m[..., 1] * y[None, :, None, None] + m[..., 2]


def sample(picture: Tensor, places: Tensor, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """``picture`` (N, C, h, w) at ``places`` (N, H, W, 2) -> (N, C, H, W).

    ``padding``: ``border`` repeats the last pixel, ``reflection`` mirrors with it, ``zeros`` has none.
    """
    height, width = picture.shape[-2:]
    x, y = places.unbind(-1)
    grid = torch.stack([(x + 0.5) * (2 / width) - 1, (y + 0.5) * (2 / height) - 1], dim=-1)
    return functional.grid_sample(picture, grid, mode=mode, padding_mode=padding, align_corners=False)
