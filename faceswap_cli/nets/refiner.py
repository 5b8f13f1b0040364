"""The refiner: low bands that a swapped face lacks to belong to its surroundings.

A U-Net on the composite at 128 px that answers at 64 px: 0.3 GMAC, 0.9 million parameters.  It sees the face
as it would be pasted, with the target around it, and says how light and color should change.
Detail passes by it.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.unet import UNet

SIDE, SIDE_OUT = 128, 64
INPUTS = (
    *("lab", "lab", "lab", "mask", "seen", "front", "light", "light", "light", "normal", "normal", "normal"),
    *("brows", "eyes", "lips", "mouth", "network", "network", "network", "source", "source", "source"),
)
"""What the channels hold: the composite; where it is drawn; where a photograph is shown; what lies in front;
the target's low-frequency light; the drawn mesh's normals and parts; the network's picture of the face; the
low-frequency light of the photograph as it was taken"""
MOST = (12.0, 9.0, 9.0)
"""Largest change of L*, a* and b* where a photograph is shown"""
FREE = 3.0
"""Times that where only the network has drawn"""
WIDTHS = (32, 64, 96, 128)
"""Channels at 64, 32, 16 and 8 px"""


class Refiner(UNet):
    """(N, 22, 128, 128) in [-1, 1] -> (N, 3, 64, 64) change of L*, a*, b*, bounded by :data:`MOST`."""

    bounds: Tensor

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__(len(INPUTS), widths, partial(nn.LeakyReLU, 0.1))
        self.answer = nn.Conv2d(widths[0], len(MOST), 3, 1, 1, bias=False)
        # A network that has learned nothing changes nothing.
        nn.init.zeros_(self.answer.weight)
        self.register_buffer("bounds", torch.tensor(MOST)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        seen = F.avg_pool2d(x[:, INPUTS.index("seen"), None], SIDE // SIDE_OUT) / 2 + 0.5
        bound = self.bounds * (1 + (FREE - 1) * (1 - seen))
        out: Tensor = bound * torch.tanh(self.answer(self.features(x)) / bound)
        return out
