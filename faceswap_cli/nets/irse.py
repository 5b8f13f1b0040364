"""The IR-SE50 trunk of the pSp encoder: 24 squeeze-excite residual units in four stages.

Source: Deng et al., "ArcFace" (2019), improved residual unit; Hu et al., "Squeeze-and-Excitation Networks"
(2018); names as in Richardson et al., "Encoding in Style" (pSp, 2021).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
"""(channels, units); the first unit of every stage, the first stage included, has a stride of 2."""
TAPS = (6, 20, 23)
"""Units whose outputs the heads read: 128 channels at 1/4, 256 at 1/8, 512 at 1/16 of the input side."""


class SEModule(nn.Module):
    """Gate per channel from the channel means; keys ``fc1``, ``fc2``."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape"""
        gate = torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))
        return x * gate


class BottleneckIRSE(nn.Module):
    """norm, 3x3, PReLU, 3x3 with the stride, norm, gate; plus the shortcut.  Nothing after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.plain = inputs == outputs
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            SEModule(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, H / stride, W / stride)"""
        shortcut = x[:, :, :: self.stride, :: self.stride] if self.plain else self.shortcut_layer(x)
        result: Tensor = self.res_layer(x) + shortcut
        return result


def ir_se50_body() -> nn.Sequential:
    """(N, 64, S, S) -> (N, 512, S/16, S/16), 24 units."""
    units: list[nn.Module] = []
    inputs = 64
    for outputs, count in STAGES:
        for k in range(count):
            units.append(BottleneckIRSE(inputs, outputs, 2 if k == 0 else 1))
            inputs = outputs
    return nn.Sequential(*units)
