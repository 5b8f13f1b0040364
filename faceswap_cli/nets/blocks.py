"""Building blocks shared by the networks that are trained here.

Everything is plain convolution, multiplication and addition: modulation scales activations
instead of weights (no grouped convolutions), so the nets run fast on a CPU in bfloat16 with
channels last and export cleanly.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Of the leaky rectifier everywhere."""


def lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def conv(inner: int, outer: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Convolution that keeps the side (divided by ``stride``), initialized for :func:`lrelu`."""
    layer = nn.Conv2d(inner, outer, kernel, stride, kernel // 2)
    nn.init.kaiming_normal_(layer.weight, SLOPE)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def zeroed(layer: nn.Module) -> nn.Module:
    """The same layer with all parameters zero: a branch that starts without effect."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


M = TypeVar("M", bound=nn.Module)


def channels_last(module: M) -> M:
    """The same module with its weights laid out channels last."""
    return cast(M, cast(Any, module).to(memory_format=torch.channels_last))


def joined(first: Tensor, *others: Tensor) -> Tensor:
    """Channels of all, in the number format of ``first`` and channels last (a mix is copied twice)."""
    alike = [x.to(first.dtype).contiguous(memory_format=torch.channels_last) for x in (first, *others)]
    return torch.cat(alike, dim=1)


def _product_kind(x: Tensor) -> torch.dtype:
    """The number format that products with ``x`` are computed in."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def folded(x: Tensor, fold: int) -> Tensor:
    """``fold`` x ``fold`` pixels moved into channels, for a convolution; the inverse of :func:`unfolded`."""
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return F.pixel_unshuffle(x, fold)
    # The library's own goes through single numbers: rounded first and copied by rows it takes half as long.
    n, c, h, w = x.shape
    rows = x.to(_product_kind(x)).reshape(n, c, h // fold, fold, w // fold, fold)
    plain = rows.permute(0, 1, 3, 5, 2, 4).reshape(n, c * fold**2, h // fold, w // fold)
    return plain.contiguous(memory_format=torch.channels_last)


def unfolded(x: Tensor, fold: int) -> Tensor:
    """(N, C fold^2, S, S) -> (N, C, fold S, fold S) in float32."""
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return F.pixel_shuffle(x.float(), fold)
    n, c, h, w = x.shape
    out = x.new_empty(n, c // fold**2, fold * h, fold * w, dtype=torch.float32)
    for row in range(fold):
        for column in range(fold):
            out[..., row::fold, column::fold] = x[:, fold * row + column :: fold**2]
    return out


def stacked(first: Tensor, *others: Tensor) -> Tensor:
    """Channels of all plain (row by row) maps, channels last, in the format that products are computed in."""
    kind = _product_kind(first)
    return torch.cat([x.to(kind) for x in (first, *others)], dim=1).contiguous(
        memory_format=torch.channels_last
    )


def scaled(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """``x * gain + shift`` with (N, C) gains and shifts, in the number format of ``x``."""
    gain, shift = gain.to(x.dtype), shift.to(x.dtype)
    n, c, h, w = x.shape
    if torch.is_grad_enabled() or not x.is_contiguous(memory_format=torch.channels_last):
        return torch.addcmul(shift[..., None, None], x, gain[..., None, None])
    # Whole rows at once: few channels a pixel would be worked on by ones and twos.
    flat = x.permute(0, 2, 3, 1).reshape(n, h, w * c)
    rows = (v[:, None].expand(-1, w, -1).reshape(-1, 1, w * c) for v in (shift, gain))
    first, second = rows
    return torch.addcmul(first, flat, second).view(n, h, w, c).permute(0, 3, 1, 2)


class Down(nn.Module):
    """Residual block that halves the side: (N, inner, S, S) -> (N, outer, S/2, S/2)."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.first = conv(inner, inner)
        self.second = conv(inner, outer)
        self.skip = conv(inner, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = lrelu(self.second(F.avg_pool2d(lrelu(self.first(x)), 2)))
        out: Tensor = (y + self.skip(F.avg_pool2d(x, 2))) * math.sqrt(0.5)
        return out


class CheapDown(nn.Module):
    """Strided convolution and rectifier: halves the side at a quarter of the cost of :class:`Down`."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.layer = conv(inner, outer, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return lrelu(self.layer(x))


class StyledConv(nn.Module):
    """Modulated 3 x 3 convolution with demodulation and rectifier (StyleGAN2, Karras et al. 2020).

    ``w`` (N, C) sets a gain per input channel; the output is divided by the norm that the
    modulated weights would have.  There are no noise maps: fine texture comes from the warped
    source, and what does not exist cannot flicker.
    """

    def __init__(self, inner: int, outer: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.up = up
        self.weight = nn.Parameter(torch.randn(outer, inner, 3, 3) / math.sqrt(inner * 9))
        self.bias = nn.Parameter(torch.zeros(outer))
        self.affine = nn.Linear(style, inner)
        nn.init.normal_(self.affine.weight, std=1 / math.sqrt(style))
        nn.init.ones_(self.affine.bias)
        self.known_power: Tensor | None = None
        """(outer, inner) squared norms of the weights, once they are fixed"""

    def power(self) -> Tensor:
        """(outer, inner) squared norm of each kernel."""
        return self.weight.float().square().sum((2, 3)) if self.known_power is None else self.known_power

    def forward(self, x: Tensor, w: Tensor, extra: Tensor | None = None) -> Tensor:
        style = self.affine(w).float()
        style = style / style.abs().amax(dim=1, keepdim=True).clamp_min(1e-4)
        power = self.power()
        demodulation = torch.rsqrt(style.square() @ power.t() + 1e-8)
        x = x * style[..., None, None].to(x.dtype)
        if self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        y = F.conv2d(x, self.weight.to(x.dtype), padding=1)
        # The gain of sqrt 2 that belongs behind the rectifier can as well stand before it.
        gain, shift = demodulation * math.sqrt(2.0), self.bias * math.sqrt(2.0)
        y = scaled(y, gain, shift[None].expand_as(gain))
        return lrelu(y if extra is None else y + extra)


class Gain(nn.Module):
    """Per-channel gain and shift from the identity embedding; starts as identity."""

    def __init__(self, embedding: int, channels: int) -> None:
        super().__init__()
        self.layer = zeroed(nn.Linear(embedding, 2 * channels))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        gain, shift = self.layer(z).chunk(2, dim=1)
        return scaled(x, 1 + gain, shift)


@torch.no_grad()
def fixed(module: M, dtype: torch.dtype) -> M:
    """The same module, never to be trained again: weights in the format that products are computed in.

    Automatic casting would convert them again for every picture.  The results are the same bits.
    """
    for part in module.modules():
        if isinstance(part, StyledConv):
            part.known_power = part.power()
            part.weight.data = part.weight.data.to(dtype)
        elif isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.data = part.weight.data.to(dtype)
            if part.bias is not None:
                part.bias.data = part.bias.data.to(dtype)
    return module
