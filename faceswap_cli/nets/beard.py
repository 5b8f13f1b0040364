"""Where a beard grows: a linear reading of what the occluder head sees on its finer levels.

Those levels know hair from skin in sharp pictures and in soft ones.  112 numbers say how much a place looks
like a beard, 112 more what the bare skin of the same face would add to that.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.occluder import SIDE, WIDTHS

SIDE_OUT = SIDE // 4
_LEVELS = 3
CHANNELS = sum(WIDTHS[:_LEVELS])


class BeardReader(nn.Module):
    """Levels of an ``OccluderHead``, and where skin is bare -> log odds of hair, (N, 48, 48).

    The second is (N, 1, 48, 48), weights whose sum is 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Conv2d(CHANNELS, 1, 1)
        self.bare = nn.Conv2d(CHANNELS, 1, 1, bias=False)

    def forward(self, levels: Sequence[Tensor], bare: Tensor) -> Tensor:
        seen = stacked(levels)
        usual = (self.bare(seen) * bare).sum((2, 3), keepdim=True)
        out: Tensor = (self.place(seen) + usual)[:, 0]
        return out


def stacked(levels: Sequence[Tensor]) -> Tensor:
    """The finer levels at one size, (N, CHANNELS, 48, 48)."""
    fine, middle, coarse = (level.float() for level in levels[:_LEVELS])
    size = (SIDE_OUT, SIDE_OUT)
    coarse = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return torch.cat([F.avg_pool2d(fine, 2), middle, coarse], dim=1)
