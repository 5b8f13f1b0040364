"""The official networks in the form of the published code, on our modules' weights, to time against.

What that code does and ours does not: one grouped convolution per modulated layer on weights made anew for
each picture; the 4x4 filter by explicit zero insertion, padding and a one-channel convolution; noise, bias,
rectifier and gain as passes of their own; ToRGB at every level although the picture is thrown away; all 18
heads of the encoder; a dense first convolution over 212 landmark maps; default memory layout.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.nets.fslsd import mask_levels, pixel_maps
from faceswap_cli.swap import mixing
from faceswap_cli.swap.fslsd_networks import OfficialNetworks


def upfirdn2d(x: Tensor, kernel: Tensor, up: int, pad: tuple[int, int]) -> Tensor:
    """Zero insertion, padding, filter; one channel at a time, as the published CPU fallback."""
    n, c, h, w = x.shape
    x = x.reshape(-1, 1, h, 1, w, 1)
    x = F.pad(x, [0, up - 1, 0, 0, 0, up - 1]).reshape(-1, 1, h * up, w * up)
    x = F.conv2d(F.pad(x, [*pad, *pad]), kernel.flip(0, 1)[None, None])
    return x.view(n, c, *x.shape[-2:])


def fused(x: Tensor, bias: Tensor) -> Tensor:
    return F.leaky_relu(x + bias.view(1, -1, 1, 1), 0.2) * math.sqrt(2)


def modulated(conv: torch.nn.Module, x: Tensor, code: Tensor) -> Tensor:
    """Grouped convolution: one group of filters for each picture."""
    n, inputs, h, w = x.shape
    k = conv.kernel
    weight = conv.scale * conv.weight * conv.modulation(code).view(n, 1, inputs, 1, 1)
    if conv.demodulate:
        weight = weight * torch.rsqrt(weight.pow(2).sum([2, 3, 4]) + 1e-8).view(n, -1, 1, 1, 1)
    outputs = weight.shape[1]
    x = x.reshape(1, n * inputs, h, w)
    if conv.upsample:
        weight = weight.transpose(1, 2).reshape(n * inputs, outputs, k, k)
        y = F.conv_transpose2d(x, weight, stride=2, groups=n)
        return upfirdn2d(y.view(n, outputs, *y.shape[-2:]), conv.blur.kernel, 1, (1, 1))
    y = F.conv2d(x, weight.view(n * outputs, inputs, k, k), padding=k // 2, groups=n)
    return y.view(n, outputs, h, w)


def styled(layer: torch.nn.Module, x: Tensor, code: Tensor, noise: Tensor) -> Tensor:
    return fused(modulated(layer.conv, x, code) + layer.noise.weight * noise, layer.activate.bias)


def generator(net: torch.nn.Module, codes: Tensor) -> list[Tensor]:
    """Features of every level; the picture is computed and dropped."""
    noise = net.fixed_noise()
    x = styled(net.conv1, net.input.input.repeat(len(codes), 1, 1, 1), codes[:, 0], noise[0])
    rgb = modulated(net.to_rgb1.conv, x, codes[:, 1]) + net.to_rgb1.bias
    found = []
    for level, to_rgb in enumerate(net.to_rgbs):
        k = 2 * level
        x = styled(net.convs[k], x, codes[:, k + 1], noise[k + 1])
        x = styled(net.convs[k + 1], x, codes[:, k + 2], noise[k + 2])
        below = upfirdn2d(rgb, to_rgb.upsample.kernel, 2, (2, 1))
        rgb = modulated(to_rgb.conv, x, codes[:, k + 3]) + to_rgb.bias + below
        found.append(x)
    return found


def target_encoder(net: torch.nn.Module, x: Tensor) -> list[Tensor]:
    found = []
    for level in net.encoder:
        layer = level[0]
        conv = layer[1] if layer.down else layer[0]
        if layer.down:
            x = upfirdn2d(x, layer[0].kernel, 1, (2, 2))
        x = F.conv2d(x, conv.weight * conv.scale, stride=conv.stride, padding=conv.padding)
        x = fused(x, layer[-1].bias)
        found.append(x)
    return found[::-1]


def decoder(net: torch.nn.Module, source: list[Tensor], target: list[Tensor], mask: Tensor) -> Tensor:
    x = None
    for layer, a, b, share in zip(net.decoder, source, target, mask_levels(mask, net.levels), strict=True):
        blended = a * share + b * (1 - share)
        x = blended if x is None else torch.cat([blended, x], dim=1)
        if hasattr(layer, "upsample_conv"):
            x = upfirdn2d(layer.upsample_conv(x), layer.blur.kernel, 1, (1, 1))
        else:
            x = layer[2](fused(layer[0](x), layer[1].bias))
    return x


def frame(
    nets: OfficialNetworks, source: Tensor, points: Tensor, small: Tensor, picture: Tensor, mask: Tensor
) -> Tensor:
    """One frame: invert the target, mix, edit, draw, encode, decode."""
    target = nets.encoder(small) + nets.average
    structure = nets.landmark_encoder(pixel_maps(points))
    edited = nets.editor(mixing.mix(source, structure, target))
    drawn = generator(nets.generator, edited)
    return decoder(nets.decoder, drawn, target_encoder(nets.target_encoder, picture), mask)
