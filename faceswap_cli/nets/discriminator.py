"""StyleGAN2 discriminator: residual, blurred downsampling, minibatch spread.

Source: Karras et al. (2020), figure 7c (residual discriminator), and Karras et al., "Progressive Growing"
(2018), section 3 (minibatch standard deviation); names as in the public PyTorch port by rosinality.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from faceswap_cli.nets.stylegan2 import EqualLinear, channels_at
from faceswap_cli.nets.upfirdn2d import ConvLayer


class ResBlock(nn.Module):
    """Two 3x3 convolutions, the second halving the side, plus a 1x1 skip; the sum over sqrt(2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(inputs, inputs, 3)
        self.conv2 = ConvLayer(inputs, outputs, 3, down=True)
        self.skip = ConvLayer(inputs, outputs, 1, down=True, bias=False, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, H/2, W/2)"""
        y: Tensor = (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2.0)
        return y


def minibatch_spread(x: Tensor, group: int = 4) -> Tensor:
    """(N, C, H, W) -> (N, C + 1, H, W): a channel with the mean spread over groups of pictures."""
    count, channels, height, width = x.shape
    group = min(count, group)
    while count % group:
        group -= 1
    grouped = x.view(group, count // group, channels, height, width)
    spread = torch.sqrt(grouped.var(dim=0, unbiased=False) + 1e-8).mean(dim=(1, 2, 3))
    return torch.cat([x, spread.repeat(group).view(count, 1, 1, 1).expand(-1, -1, height, width)], dim=1)


class Discriminator(nn.Module):
    """A picture of ``size`` to one score; keys ``convs.* final_conv.* final_linear.*``."""

    def __init__(
        self, size: int = 1024, *, inputs: int = 3, multiplier: int = 2, most_channels: int = 512
    ) -> None:
        super().__init__()
        channels = channels_at(size, multiplier, most_channels)
        layers: list[nn.Module] = [ConvLayer(inputs, channels, 1)]
        side = size
        while side > 4:
            side //= 2
            outputs = channels_at(side, multiplier, most_channels)
            layers.append(ResBlock(channels, outputs))
            channels = outputs
        self.convs = nn.Sequential(*layers)
        self.final_conv = ConvLayer(channels + 1, channels, 3)
        self.final_linear = nn.Sequential(
            EqualLinear(channels * 16, channels, activation=True), EqualLinear(channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, 1)"""
        x = self.final_conv(minibatch_spread(self.convs(x)))
        score: Tensor = self.final_linear(x.flatten(1))
        return score
