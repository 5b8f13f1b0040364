"""Sizes and encoders of the swap network of profile 256; see ``nets.fslsd256``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.blocks import CheapDown, Down, conv, folded, lrelu, zeroed

SIDE = 256
STRUCTURE_ROWS = 7
"""Rows 0 to 6 steer everything up to 32 x 32: geometry.  The rest is appearance."""
EMBEDDING = 128
POINTS = 152
"""Landmarks of the structure encoder (the subset named in ``faces.landmarks``)."""
MESH_POINTS = 478
EXPRESSION = 24
"""Numbers that describe an expression."""
PARTS_SIDE = 32
SKETCH = ("face", "brows", "eyes", "irises", "lips", "mouth", "nose")
"""Channels of the drawn landmarks, in order."""
HINT_SIDE = 32
GAIN_SIDES = (16, 32, 64)
WARP_SIDES = (32, 64)
"""Resolutions, besides the largest, at which warped source features enter."""
SHAPE_INPUTS = 3 * 2 * POINTS + 2 * 3 + 2 * EXPRESSION


@dataclass(frozen=True)
class Preset:
    """Sizes of one variant.  ``channels[i]`` belongs to side ``4 * 2**i``; the last is the working side."""

    channels: tuple[int, ...]
    style: int
    fold: int = 1
    """2: the network works at half the side and moves 2 x 2 pixels into channels at both ends."""
    cheap: bool = False
    """Strided convolutions instead of residual blocks in the encoders."""
    warped: int = 16
    """Channels of the warped source features at the working side; twice as many at 64, four times at 32."""

    @property
    def sides(self) -> tuple[int, ...]:
        return tuple(4 * 2**i for i in range(len(self.channels)))

    @property
    def top(self) -> int:
        return self.sides[-1]

    @property
    def rows(self) -> int:
        return 2 * len(self.channels)

    def at(self, side: int) -> int:
        return self.channels[self.sides.index(side)]


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "tiny": Preset((32, 32, 32, 24, 16, 16), style=32, fold=2, cheap=True, warped=4),
        "cpu": Preset((160, 160, 144, 96, 64, 24), style=160, fold=2, cheap=True, warped=12),
        "xs": Preset((256, 256, 256, 192, 128, 64, 32), style=256),
        "s": Preset((384, 384, 384, 256, 192, 96, 48), style=384, warped=24),
    }
)
"""``tiny`` is for tests; ``cpu`` trains on a few cores; ``xs`` and ``s`` want a GPU."""


class StyleEncoder(nn.Module):
    """Picture -> style rows.  Structure rows keep the layout; appearance rows pass 64 numbers each."""

    def __init__(self, preset: Preset, inputs: int) -> None:
        super().__init__()
        self.fold, style = preset.fold, preset.style
        down = CheapDown if preset.cheap else Down
        reverse = preset.channels[::-1]
        self.stem = conv(inputs * preset.fold**2, reverse[0])
        self.downs = nn.ModuleList(down(a, b) for a, b in itertools.pairwise(reverse))
        four, eight, sixteen = preset.channels[:3]
        self.coarse = nn.Linear(four * 16, 3 * style)
        self.middle_conv = conv(eight, eight, 3, 2)
        self.middle = nn.Linear(eight * 16, 4 * style)
        rest = preset.rows - STRUCTURE_ROWS
        self.narrow = nn.Linear(eight + sixteen, rest * 64)
        self.wide = nn.Parameter(torch.randn(rest, 64, style) / 8)
        self.mean = nn.Parameter(torch.randn(preset.rows, style) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = lrelu(self.stem(folded(x, self.fold)))
        maps = {}
        for down in self.downs:
            x = down(x)
            maps[x.shape[-1]] = x
        n = len(x)
        rows = [
            self.coarse(maps[4].flatten(1)).reshape(n, 3, -1),
            self.middle(lrelu(self.middle_conv(maps[8])).flatten(1)).reshape(n, 4, -1),
        ]
        pooled = torch.cat([maps[8].mean((2, 3)), maps[16].mean((2, 3))], dim=1)
        narrow = lrelu(self.narrow(pooled)).reshape(n, -1, 64)
        rows.append(torch.einsum("nrk,rkc->nrc", narrow, self.wide.to(narrow.dtype)))
        return self.mean + torch.cat(rows, dim=1)


class StructureEncoder(nn.Module):
    """Landmarks of source and target, and the detail code -> direction (N, 7, C); starts at zero."""

    def __init__(self, style: int, detail: int, width: int) -> None:
        super().__init__()
        self.style = style
        self.norm = nn.LayerNorm(SHAPE_INPUTS)
        sizes = (SHAPE_INPUTS + detail, width, width, width)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.last = zeroed(nn.Linear(width, STRUCTURE_ROWS * style))

    def forward(self, shape: Tensor, detail: Tensor) -> Tensor:
        x = torch.cat([self.norm(shape), detail], dim=1)
        for layer in self.layers:
            x = F.silu(layer(x))
        out: Tensor = self.last(x).reshape(len(x), STRUCTURE_ROWS, self.style)
        return out


class DetailEncoder(nn.Module):
    """Mouth and eyes of the target (N, 9, 32, 32) -> code (N, 32) in [-1, 1], noisy while training."""

    def __init__(self, size: int = 32, noise: float = 0.1) -> None:
        super().__init__()
        self.noise = noise
        self.layers = nn.ModuleList([CheapDown(9, 32), CheapDown(32, 64), CheapDown(64, 96)])
        self.last = nn.Linear(96 * 16, size)

    def forward(self, parts: Tensor) -> Tensor:
        for layer in self.layers:
            parts = layer(parts)
        code = torch.tanh(self.last(parts.flatten(1)))
        return code + self.noise * torch.randn_like(code) if self.training else code


class SourceMaps(nn.Module):
    """Source picture -> features at 32, 64 and the working side, to be warped; once per source."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.fold = preset.fold
        width = preset.warped
        self.stem = conv(3 * preset.fold**2, width)
        self.downs = nn.ModuleList()
        side, inner = preset.top, width
        self.sides = [side]
        while side > 32:
            side //= 2
            outer = width * (2 if side >= 64 else 4)
            self.downs.append(CheapDown(inner, outer))
            self.sides.append(side)
            inner = outer

    def forward(self, rgb: Tensor) -> dict[int, Tensor]:
        x = lrelu(self.stem(F.pixel_unshuffle(rgb, self.fold)))
        maps = {self.sides[0]: x}
        for side, down in zip(self.sides[1:], self.downs, strict=True):
            x = down(x)
            maps[side] = x
        return maps
