"""How much a photograph says about a face: a small head on the recognition network's last features.

After DR-GAN (Tran et al., CVPR 2017), where the encoder of a picture also gives the weight with which the
picture enters the fused identity.  The encoder here is the frozen recognition network, so the head outlives
every new training of the swap network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POOLED = 256
"""Channels of the recognition network's last features, averaged over the face."""
HAND = ("sharpness", "size", "yaw", "pitch", "eyes", "clipped", "dark", "inside", "mirror")
"""What is measured besides: see ``identity.quality.measured``; ``mirror`` is the distance of the embedding
from that of the mirrored picture."""
INPUTS = POOLED + len(HAND)


class QualityHead(nn.Module):
    """(N, :data:`INPUTS`) -> (N,) weight in (0, 1)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int = 32, dropout: float = 0.2) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(INPUTS))
        self.register_buffer("spread", torch.ones(INPUTS))
        self.dropout = dropout
        self.narrow = nn.Linear(POOLED, width)
        self.middle = nn.Linear(width + len(HAND), width)
        self.last = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = ((x - self.mean) / self.spread).clamp(-6.0, 6.0)
        pooled = F.dropout(x[:, :POOLED], self.dropout, self.training)
        seen = torch.cat([F.silu(self.narrow(pooled)), x[:, POOLED:]], dim=1)
        out: Tensor = torch.sigmoid(self.last(F.silu(self.middle(seen))))[:, 0]
        return out
