"""The six official networks as one engine: codes, points, pictures and masks in, swapped pictures out.

Only what reaches the result is computed: heads of the pSp encoder whose rows are used, no ToRGB, the first
landmark convolution as a sum of patches.  ``batch`` pictures may go together; on a CPU one at a time is
fastest, since the modulation then goes into the weights and activations stay in the cache.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from faceswap_cli.nets import fslsd
from faceswap_cli.nets.psp import GradualStyleEncoder
from faceswap_cli.nets.stylegan2 import Generator
from faceswap_cli.swap import mixing
from faceswap_cli.weights.networks import average_latent, load_network

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class MixOptions:
    """How codes are combined."""

    appear_from: int = mixing.RELEASED_APPEAR_FROM
    maps: str = "released"
    """``released``: one lit pixel a map, as the weights were made with; ``gaussian``: as was meant"""
    edit_strength: float = fslsd.EDIT_STRENGTH


@dataclass(frozen=True, slots=True, eq=False)
class OfficialNetworks:
    """All networks on one device in one precision."""

    encoder: GradualStyleEncoder = field(repr=False)
    average: Tensor = field(repr=False)
    landmark_encoder: fslsd.LandmarkEncoder = field(repr=False)
    editor: fslsd.LatentEditor = field(repr=False)
    generator: Generator = field(repr=False)
    target_encoder: fslsd.TargetEncoder = field(repr=False)
    decoder: fslsd.FeatureDecoder = field(repr=False)

    @property
    def device(self) -> torch.device:
        return self.average.device

    @property
    def dtype(self) -> torch.dtype:
        return self.generator.conv1.activate.bias.dtype

    def _in(self, x: Tensor) -> Tensor:
        layout = torch.channels_last if x.ndim == 4 else torch.contiguous_format
        return x.to(self.device, self.dtype).contiguous(memory_format=layout)

    def invert(self, pictures: Tensor, rows: Iterable[int]) -> Tensor:
        """(N, 3, 256, 256) in [-1, 1] -> (N, len(rows), 512) float32 absolute codes of these rows"""
        wanted = list(rows)
        codes: Tensor = self.encoder(self._in(pictures), wanted)
        return codes.float() + torch.stack([self.average[row] for row in wanted])

    def structure(self, points: Tensor, maps: str = "released") -> Tensor:
        """(N, 212, 2) x, y of the 256 picture, source first -> (N, 7, 512) float32"""
        points = points.to(self.device, torch.float32)
        if maps == "released":
            return self.landmark_encoder.from_points(points).float()
        codes: Tensor = self.landmark_encoder(self._in(fslsd.gaussian_maps(points)))
        return codes.float()

    def swap(
        self, source: Tensor, target: Tensor, points: Tensor, pictures: Tensor, mask: Tensor, how: MixOptions
    ) -> Tensor:
        """Codes (N, 18, 512) twice, points (N, 212, 2), pictures (N, 3, S, S) in [-1, 1], masks (N, 1, S, S).

        The result is (N, 3, S, S) float32, nominally in [-1, 1].  Of the target's codes only rows from
        ``how.appear_from`` on are read, and the last row of all never.
        """
        source, target = source.to(self.device), target.to(self.device)
        mixed = mixing.mix(source, self.structure(points, how.maps), target, how.appear_from)
        edited = self.editor(self._in(mixed), how.edit_strength)
        drawn = self.generator.features(edited)
        seen = self.target_encoder(self._in(pictures))
        picture: Tensor = self.decoder(drawn, seen, self._in(mask))
        return picture.float()


@lru_cache(maxsize=1)
def load_networks(device: str = "cpu", precision: str = "float32") -> OfficialNetworks:
    """Read and verify the installed weights; kept for the next caller."""
    dtype = PRECISIONS[precision]
    if device == "cpu":
        keep_large_blocks()

    def ready(name: str) -> nn.Module:
        return load_network(name).to(device, dtype)

    return OfficialNetworks(
        encoder=cast(GradualStyleEncoder, ready("encoder")),
        average=average_latent().to(device),
        landmark_encoder=cast(fslsd.LandmarkEncoder, ready("landmark-encoder")),
        editor=cast(fslsd.LatentEditor, ready("editor")),
        generator=cast(Generator, ready("generator")),
        target_encoder=cast(fslsd.TargetEncoder, ready("target-encoder")),
        decoder=cast(fslsd.FeatureDecoder, ready("decoder")),
    )


def keep_large_blocks() -> bool:
    """Let the C library reuse blocks of 100 MB instead of mapping fresh ones; True when it was done.

    Feature maps of 1024 pixels are 134 MB.  Mapped again for every layer, the kernel clears them page by
    page, which costs more than the arithmetic on them.  Only glibc knows these settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    trim_threshold, mmap_max = -1, -4
    return bool(mallopt(mmap_max, 0)) and bool(mallopt(trim_threshold, 2**31 - 1))
