"""The networks of FSLSD: landmark encoder, latent editor, target encoder, feature-blending decoder.

Source: Xu et al., "High-resolution Face Swapping via Latent Semantics Disentanglement" (CVPR 2022),
sections 3.1 to 3.3, in the form of the released weights: state-dict names and arithmetic are those of the
published inference code, its departures from the paper included (they are named where they occur).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.psp import GradualStyleEncoder
from faceswap_cli.nets.stylegan2 import EqualLinear, channels_at
from faceswap_cli.nets.upfirdn2d import Blur, ConvLayer, FusedLeakyReLU

POINTS = 106
MAP_SIDE = 256
MAP_SIGMA_PX = 6.0
STRUCTURE_ROWS = 7
EDIT_STRENGTH = 2.0


def landmark_pixels(points: Tensor, side: int = MAP_SIDE) -> tuple[Tensor, Tensor]:
    """(..., 2) x, y in pixels of the ``side`` picture -> integer (..., 2) and valid (...).

    Coordinates are truncated towards zero, as published; a point with a coordinate of exactly -1, one that
    is not finite, and one that lands outside have no pixel.
    """
    whole = torch.nan_to_num(points, nan=-2.0).clamp(-2.0, side).trunc().long()
    inside = (whole >= 0) & (whole < side)
    return whole, (inside & (points != -1)).all(dim=-1)


def pixel_maps(points: Tensor, side: int = MAP_SIDE) -> Tensor:
    """(N, P, 2) -> (N, P, side, side): one pixel of 1.0 in each map, the form the weights were made with.

    The published code draws a Gaussian into an array of bytes, which keeps its peak alone.
    """
    whole, valid = landmark_pixels(points, side)
    maps = points.new_zeros(*points.shape[:2], side, side)
    n, p = valid.nonzero(as_tuple=True)
    maps[n, p, whole[n, p, 1], whole[n, p, 0]] = 1.0
    return maps


def gaussian_maps(points: Tensor, side: int = MAP_SIDE, sigma_px: float = MAP_SIGMA_PX) -> Tensor:
    """(N, P, 2) -> (N, P, side, side): the Gaussians as intended, peak 1.0 at the truncated point."""
    whole, valid = landmark_pixels(points, side)
    grid = torch.arange(side, device=points.device, dtype=points.dtype)
    bells = torch.exp(-((grid - whole[..., None].to(points.dtype)) ** 2) / (2 * sigma_px**2))
    maps = bells[:, :, 1, :, None] * bells[:, :, 0, None, :]
    return maps * valid[..., None, None].to(points.dtype)


class LandmarkEncoder(GradualStyleEncoder):
    """212 maps (106 points of the source, then 106 of the target) to 7 structure offsets."""

    def __init__(self, inputs: int = 2 * POINTS, heads: int = STRUCTURE_ROWS, side: int = MAP_SIDE) -> None:
        super().__init__(heads=heads, inputs=inputs, side=side)
        self.side = side

    def from_points(self, points: Tensor) -> Tensor:
        """(N, 212, 2) x, y in pixels of the 256 picture, source first -> (N, 7, D).

        Equal to ``forward(pixel_maps(points))``: with one lit pixel in a map the first convolution is a
        3x3 patch of weights laid at the point, so it is added up directly.
        """
        x = self.sparse_stem(points)
        norm, rectifier = self.input_layer[1], self.input_layer[2]
        return self.from_stem(rectifier(norm(x)))

    def sparse_stem(self, points: Tensor) -> Tensor:
        """(N, P, 2) -> (N, 64, side, side): the first convolution of the one-pixel maps."""
        weight: Tensor = self.input_layer[0].weight  # type: ignore[assignment]
        whole, valid = landmark_pixels(points.float(), self.side)
        count, each = valid.shape
        # Points outside are added as zeros: to pick the others the device would have to be asked for them.
        x, y = whole.clamp(0, self.side - 1).flatten(0, 1).unbind(-1)
        n = torch.arange(count, device=points.device).repeat_interleave(each, output_size=count * each)
        wide = self.side + 2
        tap = torch.arange(3, device=points.device)
        # The pixel (y, x) reaches output (y + 1 - ky, x + 1 - kx); a border of one takes what falls outside.
        rows = (n * wide)[:, None] + (y + 2)[:, None] - tap
        cells = rows[:, :, None] * wide + ((x + 2)[:, None] - tap)[:, None, :]
        patches = weight.permute(1, 2, 3, 0) * valid[..., None, None, None].to(weight.dtype)
        patches = patches.flatten(0, 1)
        outputs = patches.shape[-1]
        grid = patches.new_zeros(points.shape[0] * wide * wide, outputs)
        grid.index_add_(0, cells.flatten(), patches.reshape(-1, outputs))
        return grid.view(-1, wide, wide, outputs)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


class LatentEditor(nn.Module):
    """The "bald" mapping, one linear layer per code; keys ``dense.i.weight``, ``dense.i.bias``.

    w' = w + strength * (W_i w / sqrt(D) + b_i).  It takes hair away before rendering.
    """

    def __init__(self, layers: int = 18, dim: int = 512) -> None:
        super().__init__()
        self.dense = nn.ModuleList(EqualLinear(dim, dim) for _ in range(layers))

    def forward(self, codes: Tensor, strength: float = EDIT_STRENGTH) -> Tensor:
        """(N, L, D) -> (N, L, D)"""
        moves = [dense(code) for dense, code in zip(self.dense, codes.unbind(1), strict=True)]
        return codes + strength * torch.stack(moves, dim=1)


class TargetEncoder(nn.Module):
    """The target picture to one feature map per level of the generator, with its channels.

    Keys ``encoder.i.0.*``.
    """

    def __init__(self, size: int = 1024, *, multiplier: int = 2, most_channels: int = 512) -> None:
        super().__init__()
        channels = channels_at(size, multiplier, most_channels)
        layers: list[nn.Module] = [nn.Sequential(ConvLayer(3, channels, 1))]
        side = size
        while side > 8:
            side //= 2
            outputs = channels_at(side, multiplier, most_channels)
            layers.append(nn.Sequential(ConvLayer(channels, outputs, 3, down=True)))
            channels = outputs
        self.encoder = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, S, S) RGB in [-1, 1] -> maps of levels 8, 16, .., S"""
        found: list[Tensor] = []
        for layer in self.encoder:
            x = layer(x)
            found.append(x)
        return found[::-1]


class TransposeBlur(nn.Module):
    """Ordinary transposed 3x3 convolution with bias, then the 4x4 filter of gain 4.

    The bias passes through the filter too, as published: four-fold inside, less along the border.
    Keys ``upsample_conv.*``, ``blur.kernel``.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.upsample_conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2)
        self.blur = Blur(1, gain=4.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, 2H, 2W)"""
        y: Tensor = self.blur(self.upsample_conv(x))
        return y


def mask_levels(mask: Tensor, levels: int) -> list[Tensor]:
    """(N, 1, S, S) -> the masks that the decoder uses at 8, 16, .., 8 * 2^(levels - 1).

    Resized one after the other, bilinear without antialias: to 8x8 first, then doubled step by step.  So
    every level is the 8x8 mask magnified, and fine detail of the mask never reaches the decoder.
    """
    found = [F.interpolate(mask, size=(8, 8), mode="bilinear", align_corners=False)]
    for _ in range(levels - 1):
        found.append(F.interpolate(found[-1], scale_factor=2.0, mode="bilinear", align_corners=False))
    return found


class FeatureDecoder(nn.Module):
    """Blends two feature pyramids by the mask and decodes them, coarse to fine; keys ``decoder.i.*``.

    No activation stands between the levels: up to the last one the decoder is linear.
    """

    def __init__(self, size: int = 1024, *, multiplier: int = 2, most_channels: int = 512) -> None:
        super().__init__()
        self.levels = int(math.log2(size)) - 2
        layers: list[nn.Module] = []
        for k in range(self.levels - 1):
            inputs = channels_at(8 << k, multiplier, most_channels)
            outputs = channels_at(16 << k, multiplier, most_channels)
            layers.append(TransposeBlur(inputs if k == 0 else 2 * inputs, outputs))
        last = channels_at(size, multiplier, most_channels)
        final = (nn.Conv2d(2 * last, last // 2, 3, 1, 1), FusedLeakyReLU(last // 2))
        layers.append(nn.Sequential(*final, nn.Conv2d(last // 2, 3, 3, 1, 1)))
        self.decoder = nn.ModuleList(layers)

    def forward(
        self,
        source: Sequence[Tensor],
        target: Sequence[Tensor],
        mask: Tensor,
        keep: list[Tensor] | None = None,
    ) -> Tensor:
        """Feature maps of 8, 16, .., S of both, (N, 1, S, S) with 1 = source -> (N, 3, S, S), unclamped.

        ``keep`` collects the output of every level when given.
        """
        x: Tensor | None = None
        pairs = zip(self.decoder, source, target, mask_levels(mask, self.levels), strict=True)
        for layer, from_source, from_target, share in pairs:
            blended = torch.lerp(from_target, from_source, share)
            x = layer(blended if x is None else torch.cat([blended, x], dim=1))
            if keep is not None:
                keep.append(x)
        if x is None:
            raise ValueError("a decoder has at least one level")
        return x
