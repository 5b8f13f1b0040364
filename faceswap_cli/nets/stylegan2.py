"""StyleGAN2 generator of any power-of-two size, with features returned per resolution.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), section 2 and
figure 2; state-dict names as in the public PyTorch port by rosinality, config-f layout.

Codes are (N, L, D) with L = 2 log2(size) - 2.  Code 0 feeds ``conv1``; at level r (8x8 is r = 0) the up
convolution reads code 2r+1, the plain one 2r+2, ToRGB 2r+3; ``to_rgb1`` reads code 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.upfirdn2d import SLOPE, SQRT2, Blur, FusedLeakyReLU, Upsample, leaky_relu2

EPSILON = 1e-8


def channels_at(resolution: int, multiplier: int = 2, most: int = 512) -> int:
    """Feature channels at a resolution: 512 up to 64, then halved with each doubling (multiplier 2)."""
    return min(most, 16384 * multiplier // resolution)


def layers_of(size: int) -> int:
    """Codes of a generator: 18 for 1024, 14 for 256."""
    return 2 * int(math.log2(size)) - 2


class PixelNorm(nn.Module):
    """Each vector divided by its root mean square."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)"""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


class EqualLinear(nn.Module):
    """x W^T * lr_mul / sqrt(fan_in) + bias * lr_mul, optionally rectified; keys ``weight``, ``bias``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias_init: float = 0.0,
        lr_mul: float = 1.0,
        activation: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_mul)
        self.bias = nn.Parameter(torch.full((outputs,), bias_init))
        self.scale = lr_mul / math.sqrt(inputs)
        self.lr_mul = lr_mul
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(N, I) -> (N, O)"""
        if self.activation:
            return leaky_relu2(F.linear(x, self.weight * self.scale), self.bias * self.lr_mul)
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_mul)


def _one_sample(x: Tensor) -> bool:
    """True when the modulation can be multiplied into the weight: one picture, and not an exported graph."""
    if torch._C._get_tracing_state() is not None or torch.compiler.is_compiling():
        return False
    return x.shape[0] == 1


class ModulatedConv2d(nn.Module):
    """Convolution with input channels scaled by a style and outputs brought back to unit spread.

    Keys ``weight`` (1, O, I, k, k), ``modulation.*``, ``blur.kernel`` when upsampling.

    One picture: style, demodulation and gain go into the weight, a few megabytes instead of passes
    over the activations.  Several: they scale the activations, which is equal within rounding, needs no
    grouped convolution and exports with a dynamic batch.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style_dim: int = 512,
        *,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.modulation = EqualLinear(style_dim, inputs, bias_init=1.0)
        self.scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.kernel = kernel
        self.demodulate = demodulate
        if upsample:
            self.blur = Blur(1, gain=4.0)
        self.upsample = upsample

    def forward(self, x: Tensor, code: Tensor, bias: Tensor | None = None, gain: float = 1.0) -> Tensor:
        """(N, I, H, W), (N, D) -> gain * modconv + bias, (N, O, H, W) or (N, O, 2H, 2W)"""
        style = self.modulation(code)
        weight = self.weight[0]
        if _one_sample(x):
            return self._convolve(x, self._folded(weight, style[0], gain), bias)
        y = self._convolve(x * (style * self.scale)[:, :, None, None], weight, None)
        y = y * self._out_scale(weight, style, gain)[:, :, None, None]
        return y if bias is None else y + bias.view(1, -1, 1, 1)

    def _folded(self, weight: Tensor, style: Tensor, gain: float) -> Tensor:
        """(O, I, k, k) with style (I,), demodulation and gain multiplied in."""
        weight = weight.float() * (style.float() * self.scale)[None, :, None, None]
        if self.demodulate:
            weight = weight * (gain * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + EPSILON))
        elif gain != 1.0:
            weight = weight * gain
        return weight.to(self.weight.dtype)

    def _out_scale(self, weight: Tensor, style: Tensor, gain: float) -> Tensor:
        """(N, O): gain over the norm of each modulated filter, summed in float32."""
        if not self.demodulate:
            return style.new_full((style.shape[0], weight.shape[0]), gain)
        energy = weight.float().square().sum((2, 3))
        norm = (style.float() * self.scale).square() @ energy.T
        return (gain * torch.rsqrt(norm + EPSILON)).to(style.dtype)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not self.upsample:
            return F.conv2d(x, weight, bias, padding=self.kernel // 2)
        # Stored weights serve the transposed convolution as they are: axes swapped, taps not flipped.
        blurred: Tensor = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), bias)
        return blurred


class NoiseInjection(nn.Module):
    """One strength for a noise map; key ``weight`` (1,)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor, gain: float = 1.0) -> Tensor:
        """(N, C, H, W) + gain * strength * (1 or N, 1, H, W)"""
        scaled = noise * (self.weight * gain)
        return x.add_(scaled) if not x.requires_grad else x + scaled


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, rectifier; keys ``conv.*``, ``noise.weight``, ``activate.bias``."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style_dim, upsample=upsample)
        self.noise = NoiseInjection()
        self.activate = FusedLeakyReLU(outputs)

    def forward(self, x: Tensor, code: Tensor, noise: Tensor) -> Tensor:
        """(N, I, H, W), (N, D), (1 or N, 1, H', W') -> (N, O, H', W')"""
        # The factor sqrt(2) behind the rectifier is carried by everything in front of it.
        y = self.conv(x, code, self.activate.bias * SQRT2, SQRT2)
        y = self.noise(y, noise, SQRT2)
        return F.leaky_relu_(y, SLOPE)


class ToRGB(nn.Module):
    """1x1 modulated convolution to three channels, plus the upsampled picture of the level below."""

    def __init__(self, inputs: int, style_dim: int, *, upsample: bool = True) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if upsample:
            self.upsample = Upsample()

    def forward(self, x: Tensor, code: Tensor, below: Tensor | None = None) -> Tensor:
        """(N, I, H, W), (N, D), (N, 3, H/2, W/2) or None -> (N, 3, H, W)"""
        rgb: Tensor = self.conv(x, code, self.bias.flatten())
        return rgb if below is None else rgb + self.upsample(below)


class ConstantInput(nn.Module):
    """The learned 4x4 map that every picture starts from; key ``input``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, codes: Tensor) -> Tensor:
        """(N, L, D) -> (N, C, 4, 4), in the memory layout of the parameter"""
        batch = self.input.expand(codes.shape[0], -1, -1, -1)
        last = self.input.is_contiguous(memory_format=torch.channels_last)
        return batch.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


class Generator(nn.Module):
    """Mapping (``style.*``) and synthesis.

    ``noises.noise_k`` are the fixed noise maps: k = 0 for ``conv1``, then two for each level.
    """

    def __init__(
        self,
        size: int = 1024,
        style_dim: int = 512,
        mapping_layers: int = 8,
        *,
        multiplier: int = 2,
        most_channels: int = 512,
    ) -> None:
        super().__init__()
        if size < 8 or size & (size - 1):
            raise ValueError(f"generator size must be a power of two from 8, not {size}")
        self.size, self.style_dim, self.layers = size, style_dim, layers_of(size)
        linear = [
            EqualLinear(style_dim, style_dim, lr_mul=0.01, activation=True) for _ in range(mapping_layers)
        ]
        self.style = nn.Sequential(PixelNorm(), *linear)
        channels = channels_at(4, multiplier, most_channels)
        self.input = ConstantInput(channels)
        self.conv1 = StyledConv(channels, channels, style_dim)
        self.to_rgb1 = ToRGB(channels, style_dim, upsample=False)
        self.convs, self.to_rgbs, self.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
        self.noises.register_buffer("noise_0", torch.randn(1, 1, 4, 4))
        for level in range(int(math.log2(size)) - 2):
            side = 8 << level
            outputs = channels_at(side, multiplier, most_channels)
            self.convs.append(StyledConv(channels, outputs, style_dim, upsample=True))
            self.convs.append(StyledConv(outputs, outputs, style_dim))
            self.to_rgbs.append(ToRGB(outputs, style_dim))
            for k in (2 * level + 1, 2 * level + 2):
                self.noises.register_buffer(f"noise_{k}", torch.randn(1, 1, side, side))
            channels = outputs

    def mapping(self, z: Tensor) -> Tensor:
        """(N, D) standard normal -> (N, D) in W"""
        w: Tensor = self.style(z)
        return w

    def fixed_noise(self) -> list[Tensor]:
        """The stored noise maps, each (1, 1, S, S)."""
        return [getattr(self.noises, f"noise_{k}") for k in range(len(self.convs) + 1)]

    def random_noise(self, count: int) -> list[Tensor]:
        """Fresh maps of the same shapes for ``count`` pictures, from torch's generator."""
        return [torch.randn_like(noise.expand(count, -1, -1, -1)) for noise in self.fixed_noise()]

    def features(self, codes: Tensor, noise: Sequence[Tensor] | None = None) -> list[Tensor]:
        """(N, L, D) -> maps behind the second convolution of levels 8, 16, .., size.

        The last code and ToRGB are not touched: nothing of them reaches the features.
        """
        noise = self.fixed_noise() if noise is None else noise
        x = self.conv1(self.input(codes), codes[:, 0], noise[0])
        found: list[Tensor] = []
        for level in range(len(self.to_rgbs)):
            k = 2 * level
            x = self.convs[k](x, codes[:, k + 1], noise[k + 1])
            x = self.convs[k + 1](x, codes[:, k + 2], noise[k + 2])
            found.append(x)
        return found

    def synthesis(self, codes: Tensor, noise: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """(N, L, D) -> picture (N, 3, S, S), nominally in [-1, 1], and the features of each level"""
        noise = self.fixed_noise() if noise is None else noise
        x = self.conv1(self.input(codes), codes[:, 0], noise[0])
        rgb = self.to_rgb1(x, codes[:, 1])
        found: list[Tensor] = []
        for level, to_rgb in enumerate(self.to_rgbs):
            k = 2 * level
            x = self.convs[k](x, codes[:, k + 1], noise[k + 1])
            x = self.convs[k + 1](x, codes[:, k + 2], noise[k + 2])
            rgb = to_rgb(x, codes[:, k + 3], rgb)
            found.append(x)
        return rgb, found

    def forward(self, codes: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """(N, L, D) -> (N, 3, S, S)"""
        return self.synthesis(codes, noise)[0]


def truncate(w: Tensor, average: Tensor, psi: float) -> Tensor:
    """average + psi * (w - average); both (..., D)"""
    return average + psi * (w - average)
