"""Resampling with a small fixed filter, and the biased leaky rectifier, as StyleGAN2 uses them.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), section 4 and
appendix B; the key names are those of the public PyTorch port by rosinality.  All of it is plain
depthwise convolution, so that it runs and exports everywhere.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2.0)
SLOPE = 0.2
TAPS = (1.0, 3.0, 3.0, 1.0)


def blur_kernel(gain: float = 1.0) -> Tensor:
    """(4, 4): outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64 * gain; sums to ``gain``."""
    taps = torch.tensor(TAPS)
    return torch.outer(taps, taps) / 64.0 * gain


def depthwise(x: Tensor, kernel: Tensor, padding: int, bias: Tensor | None = None) -> Tensor:
    """(N, C, H, W) -> (N, C, H + 2 padding - 3, ...): every channel with the same 4x4 filter.

    A true convolution flips the filter; every one in use is symmetric, but a stored one need not be.
    """
    channels = int(x.shape[1])
    weight = kernel.to(x.dtype).flip(0, 1).expand(channels, 1, *kernel.shape)
    return F.conv2d(x, weight, bias, padding=padding, groups=channels)


def upsample2(x: Tensor, kernel: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W): zeros inserted after each sample, pad (2, 1), 4x4 filter."""
    channels = int(x.shape[1])
    weight = kernel.to(x.dtype).expand(channels, 1, *kernel.shape)
    return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)


def downsample2(x: Tensor, kernel: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H/2, W/2): 4x4 filter, pad (1, 1), every second sample."""
    channels = int(x.shape[1])
    weight = kernel.to(x.dtype).flip(0, 1).expand(channels, 1, *kernel.shape)
    return F.conv2d(x, weight, stride=2, padding=1, groups=channels)


def leaky_relu2(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """lrelu(x + bias, 0.2) * sqrt(2), channels at axis 1."""
    if bias is not None:
        x = x + bias.view(1, -1, *([1] * (x.ndim - 2)))
    return F.leaky_relu(x, SLOPE) * SQRT2


class Blur(nn.Module):
    """The 4x4 filter with symmetric padding; key ``kernel``."""

    kernel: Tensor

    def __init__(self, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(gain))
        self.padding = padding

    def forward(self, x: Tensor, bias: Tensor | None = None, scale: float = 1.0) -> Tensor:
        """(N, C, H, W) -> (N, C, H + 2 padding - 3, ...), times ``scale``, plus ``bias`` (C,)."""
        return depthwise(x, self.kernel * scale if scale != 1.0 else self.kernel, self.padding, bias)


class Upsample(nn.Module):
    """Twice the size with the 4x4 filter of gain 4; key ``kernel``."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(4.0))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W)"""
        return upsample2(x, self.kernel)


class FusedLeakyReLU(nn.Module):
    """Bias, leaky rectifier of slope 0.2, times sqrt(2); key ``bias``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape"""
        return leaky_relu2(x, self.bias)


class EqualConv2d(nn.Module):
    """Convolution whose stored weight is divided by sqrt(fan_in) when used; keys ``weight``, ``bias``."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor, gain: float = 1.0, bias: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, O, H', W'); ``gain`` scales the weight, ``bias`` replaces a missing own one."""
        own = self.bias if bias is None else bias
        return F.conv2d(x, self.weight * (self.scale * gain), own, self.stride, self.padding)


class ConvLayer(nn.Sequential):
    """[blur,] equalised convolution [, bias and leaky rectifier]; keys ``0``, ``1``, ``2`` as they occur.

    A downsampling layer blurs first, pad (2, 2) for 3x3 and (1, 1) for 1x1, then strides by 2 unpadded.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        down: bool = False,
        bias: bool = True,
        act: bool = True,
    ) -> None:
        layers: list[nn.Module] = []
        if down:
            layers.append(Blur(2 if kernel == 3 else 1))
        layers.append(
            EqualConv2d(
                inputs,
                outputs,
                kernel,
                stride=2 if down else 1,
                padding=0 if down else kernel // 2,
                bias=bias and not act,
            )
        )
        if act:
            layers.append(FusedLeakyReLU(outputs))
        super().__init__(*layers)
        self.down, self.act = down, act

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H or H/2, ...).  Bias and gain ride on the convolution."""
        if self.down:
            x = self[0](x)
        conv = self[1 if self.down else 0]
        if not self.act:
            result: Tensor = conv(x)
            return result
        # lrelu is positively homogeneous: lrelu(y) * sqrt(2) = lrelu(sqrt(2) * y).
        bias: Tensor = self[-1].bias  # type: ignore[assignment]
        return F.leaky_relu_(conv(x, SQRT2, bias * SQRT2), SLOPE)
