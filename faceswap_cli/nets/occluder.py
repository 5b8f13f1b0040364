"""The occluder head: what of a face crop lies in front of the face, by class.

A U-Net of plain 3x3 convolutions on a crop of 192 px that answers at 96 px: 0.21 GMAC, 0.9 million
parameters.
Coarse levels decide what a thing is (a finger, a beard), fine ones where it ends.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SIDE, SIDE_OUT = 192, 96
CHANNELS_IN = 5
"""R'G'B' in [-1, 1], the inside of the face outline and of the features, each in [-1, 1]"""
CLASSES = ("face", "rim", "lens", "hair", "thing", "mask")
"""Softmax over these; ``thing`` is a hand or an object, ``mask`` a covering worn over mouth and nose."""
WIDTHS = (16, 32, 64, 96, 128)
"""Channels at 96, 48, 24, 12 and 6 px"""


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class OccluderHead(nn.Module):
    """(N, 5, 192, 192) -> (N, 6, 96, 96) logits of :data:`CLASSES`."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        steps = zip((CHANNELS_IN, *widths[:-1]), widths, strict=True)
        self.down = nn.ModuleList(nn.Sequential(_layer(a, b, 2), _layer(b, b)) for a, b in steps)
        self.middle = nn.Sequential(_layer(widths[-1], widths[-1]), _layer(widths[-1], widths[-1]))
        self.narrow = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.up = nn.ModuleList(_layer(b, b) for b in widths[-2::-1])
        self.answer = nn.Conv2d(widths[0], len(CLASSES), 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for down in self.down:
            x = down(x)
            kept.append(x)
        x = x + self.middle(x)
        for narrow, up, before in zip(self.narrow, self.up, kept[-2::-1], strict=True):
            x = up(F.interpolate(narrow(x), scale_factor=2, mode="nearest") + before)
        out: Tensor = self.answer(x)
        return out


def fuse_norms(net: OccluderHead) -> OccluderHead:
    """``net``, in evaluation mode, with its normalizations folded into the convolutions, in place."""
    for layer in list(net.modules()):
        if not isinstance(layer, nn.Sequential):
            continue
        conv, norm = layer[0], layer[1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layer[0], layer[1] = fuse_conv_bn_eval(conv, norm), nn.ReLU(inplace=True)
            del layer[2]
    return net
