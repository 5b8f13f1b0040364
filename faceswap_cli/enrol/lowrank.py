"""Low-rank changes of a network's layers (LoRA, Hu et al. 2022): a few thousand numbers per person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.records import F32

LOWEST_SIDE = 16
"""The generator's layers from this side on are changed: below lie pose and outline."""


class LowRank(nn.Module):
    """weight -> weight + up @ down, starting without effect; ``share`` scales the change."""

    def __init__(self, outer: int, inner: int, rank: int, draw: torch.Generator | None = None) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.zeros(outer, rank))
        self.down = nn.Parameter(torch.randn(rank, inner, generator=draw) / inner**0.5)
        self.share = 1.0

    def forward(self, weight: Tensor) -> Tensor:
        if self.share == 0.0:
            return weight
        return weight + self.share * (self.up @ self.down).reshape(weight.shape)


class Deltas:
    """The changes of one network, trained while it stays frozen."""

    def __init__(self, net: Fslsd256, rank: int, seed: int = 0) -> None:
        self._parts: dict[str, LowRank] = {}
        draw = torch.Generator().manual_seed(seed)
        for name in tuned_layers(net):
            layer = net.get_submodule(name)
            weight = layer.get_parameter("weight")
            part = LowRank(len(weight), weight[0].numel(), rank, draw)
            parametrize.register_parametrization(layer, "weight", part)
            self._parts[name] = part

    def parameters(self) -> list[Tensor]:
        return [value for part in self._parts.values() for value in (part.up, part.down)]

    def take(self, arrays: Mapping[str, F32]) -> None:
        """Go on from ``arrays`` (:meth:`arrays`); from no change where there are none."""
        with torch.no_grad():
            for name, part in self._parts.items():
                if arrays:
                    part.up.copy_(torch.from_numpy(arrays[f"{name}/up"]))
                    part.down.copy_(torch.from_numpy(arrays[f"{name}/down"]))
                else:
                    part.up.zero_()

    @contextmanager
    def off(self) -> Iterator[None]:
        """The network as it was."""
        for part in self._parts.values():
            part.share = 0.0
        try:
            yield
        finally:
            for part in self._parts.values():
                part.share = 1.0

    def arrays(self) -> dict[str, F32]:
        """``LAYER/up`` and ``LAYER/down``, as an enrolment file holds them."""
        found = {}
        for name, part in self._parts.items():
            for end in ("up", "down"):
                value: Tensor = getattr(part, end)
                found[f"{name}/{end}"] = np.array(value.detach().cpu().numpy(), np.float32)
        return found


def tuned_layers(net: Fslsd256) -> list[str]:
    """Names of the layers that are changed: the generator's convolutions and the decoder's joins."""
    sides = net.preset.sides
    names = [f"generator.second.{i}" for i, side in enumerate(sides) if side >= LOWEST_SIDE]
    names += [f"generator.first.{i - 1}" for i, side in enumerate(sides) if side >= LOWEST_SIDE]
    names += [f"generator.conditions.{side}.layer" for side in net.generator.conditions]
    names += [f"decoder.joins.{i}" for i in range(len(net.decoder.joins))]
    return [*names, "decoder.last"]
