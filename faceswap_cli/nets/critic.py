"""The discriminator of the 256 profile: folded input, mask-conditioned, features returned.

It sees a picture and the mask of what was replaced, so it judges the seam as well as the face.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.blocks import CheapDown, conv, lrelu


class Critic(nn.Module):
    """(N, 3, 256, 256) in [-1, 1] and mask (N, 1, 256, 256) -> score (N,) and features, fine to coarse."""

    def __init__(self, width: int = 32, fold: int = 2, side: int = 256) -> None:
        super().__init__()
        self.fold = fold
        self.stem = conv(4 * fold**2, width)
        downs: list[nn.Module] = []
        size, inner = side // fold, width
        while size > 8:
            outer = min(inner * 2, 8 * width)
            downs.append(CheapDown(inner, outer))
            size, inner = size // 2, outer
        self.downs = nn.ModuleList(downs)
        self.mix = conv(inner + 1, inner)
        self.local = conv(inner, 1, 1)
        self.whole = nn.Linear(inner, 1)

    def forward(self, rgb: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = lrelu(self.stem(F.pixel_unshuffle(torch.cat([rgb, mask * 2 - 1], 1), self.fold)))
        features = []
        for down in self.downs:
            x = down(x)
            features.append(x)
        spread = x.float().var(0, unbiased=False).add(1e-8).sqrt().mean().to(x.dtype)
        x = lrelu(self.mix(torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], dim=1)))
        features.append(x)
        score = self.local(x).mean((1, 2, 3)) + self.whole(x.mean((2, 3)))[:, 0]
        return score.float(), features
