"""Rims and lenses of glasses at the size of the picture, where the occluder head says roughly where they are.

A U-Net of plain 3x3 convolutions; 2,900 multiplications a pixel, 0.1 million parameters.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.unet import UNet

CROP_SIDE = 384
"""Side of the crop at whose scale it looks"""
CHANNELS_IN = 6
"""R'G'B' in [-1, 1]; what the occluder head gives to rims and lenses, and the inside of eyes and brows, each
in [-1, 1]"""
CLASSES = 3
"""Neither, rim, lens; softmax over these"""
WIDTHS = (16, 24, 32, 48)
"""Channels at a half, a quarter, ... of the size"""
MULTIPLE = 2 ** len(WIDTHS)
"""Of both sides of a picture"""


class RimNet(UNet):
    """(N, 6, H, W) -> (N, 3, H, W) logits; H and W are multiples of :data:`MULTIPLE`."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__(CHANNELS_IN, widths, nn.ReLU)
        self.answer = nn.Conv2d(widths[0], 4 * CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.answer(self.features(x)), 2)
