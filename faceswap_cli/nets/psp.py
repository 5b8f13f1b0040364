"""The pSp encoder: a picture to one style vector per layer of the generator.

Source: Richardson et al., "Encoding in Style: a StyleGAN Encoder for Image-to-Image Translation" (2021),
section 3 and figure 2; names as published.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.irse import TAPS, ir_se50_body
from faceswap_cli.nets.stylegan2 import EqualLinear

COARSE, MIDDLE = 3, 7
"""Heads 0..2 read the coarse map, 3..6 the middle one, the rest the fine one."""


class GradualStyleBlock(nn.Module):
    """A head: 3x3 convolutions of stride 2 down to one pixel, then a linear layer.

    The rectifiers have slope 0.01, not the 0.2 of the generator.
    """

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for k in range(int(math.log2(side))):
            layers += [nn.Conv2d(inputs if k == 0 else outputs, outputs, 3, 2, 1), nn.LeakyReLU()]
        self.outputs = outputs
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, side, side) -> (N, D)"""
        code: Tensor = self.linear(self.convs(x).flatten(1))
        return code


def upsample_add(x: Tensor, lateral: Tensor) -> Tensor:
    """Bilinear with aligned corners to the size of ``lateral``, plus it; (N, C, h, w), (N, C, H, W)."""
    return F.interpolate(x, size=lateral.shape[-2:], mode="bilinear", align_corners=True) + lateral


class GradualStyleEncoder(nn.Module):
    """IR-SE50 trunk, feature pyramid, one head per code; keys ``input_layer body styles latlayer*``."""

    def __init__(self, heads: int = 18, inputs: int = 3, side: int = 256, style_dim: int = 512) -> None:
        super().__init__()
        self.heads = heads
        self.input_layer = nn.Sequential(
            nn.Conv2d(inputs, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        self.body = ir_se50_body()
        sides = [side // 16 if j < COARSE else side // 8 if j < MIDDLE else side // 4 for j in range(heads)]
        self.styles = nn.ModuleList(GradualStyleBlock(512, style_dim, s) for s in sides)
        self.latlayer1 = nn.Conv2d(256, 512, 1)
        if heads > MIDDLE:
            self.latlayer2 = nn.Conv2d(128, 512, 1)

    def forward(self, x: Tensor, rows: Iterable[int] | None = None) -> Tensor:
        """(N, 3, 256, 256) RGB in [-1, 1] -> (N, len(rows) or heads, D) residual codes.

        ``rows`` names the heads that are wanted; maps that only others read are not computed.
        """
        return self.from_stem(self.input_layer(x), rows)

    def from_stem(self, x: Tensor, rows: Iterable[int] | None = None) -> Tensor:
        """As ``forward``, from the output (N, 64, S, S) of ``input_layer``."""
        wanted = list(range(self.heads)) if rows is None else list(rows)
        taps: list[Tensor] = []
        for k, unit in enumerate(self.body):
            x = unit(x)
            if k in TAPS:
                taps.append(x)
        fine, middle, coarse = taps
        pyramid = [coarse]
        if any(j >= COARSE for j in wanted):
            pyramid.append(upsample_add(coarse, self.latlayer1(middle)))
        if any(j >= MIDDLE for j in wanted):
            pyramid.append(upsample_add(pyramid[1], self.latlayer2(fine)))
        codes = [self.styles[j](pyramid[(j >= COARSE) + (j >= MIDDLE)]) for j in wanted]
        return torch.stack(codes, dim=1)


def add_average(codes: Tensor, average: Tensor) -> Tensor:
    """(N, L, D) residuals + (L, D) or (D,) average latent -> absolute codes"""
    return codes + average.expand(codes.shape[-2:])
