"""A small U-Net of plain 3x3 convolutions: what the occluder head and the refiner have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Net = TypeVar("Net", bound=nn.Module)


class UNet(nn.Module):
    """(N, ``channels``, S, S) -> features (N, ``widths[0]``, S / 2, S / 2).

    ``widths``: channels at S / 2, S / 4, ...  Coarse levels see the whole picture, fine ones edges.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], activation: Callable[[], nn.Module]) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
            conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(outputs), activation())

        last = widths[-1]
        steps = zip((channels, *widths[:-1]), widths, strict=True)
        self.down = nn.ModuleList(nn.Sequential(layer(a, b, 2), layer(b, b)) for a, b in steps)
        self.middle = nn.Sequential(layer(last, last), layer(last, last))
        self.narrow = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.up = nn.ModuleList(layer(b, b) for b in widths[-2::-1])

    def levels(self, x: Tensor) -> list[Tensor]:
        """Features of the way down, at a half, a quarter, ... of the size of ``x``."""
        kept = []
        for down in self.down:
            x = down(x)
            kept.append(x)
        return kept

    def features(self, x: Tensor) -> Tensor:
        """Features at half the size of ``x``."""
        return self.joined(self.levels(x))

    def joined(self, kept: Sequence[Tensor]) -> Tensor:
        """:meth:`levels` -> :meth:`features`."""
        x: Tensor = kept[-1] + self.middle(kept[-1])
        for narrow, up, before in zip(self.narrow, self.up, kept[-2::-1], strict=True):
            x = up(F.interpolate(narrow(x), scale_factor=2, mode="nearest") + before)
        return x


def fuse_norms(net: Net) -> Net:
    """``net``, in evaluation mode, with its normalizations folded into the convolutions, in place."""
    for layer in list(net.modules()):
        if not isinstance(layer, nn.Sequential):
            continue
        conv, norm = layer[0], layer[1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layer[0], layer[1] = fuse_conv_bn_eval(conv, norm), layer[2]
            del layer[2]
    return net
