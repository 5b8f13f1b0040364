"""A source person as profile 256 of ``fslsd`` keeps it, and what is measured of a target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from faceswap_cli.records import F32
from faceswap_cli.swap.source_face import SourceFace


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A source person, as arrays: workers map them instead of copying."""

    face: SourceFace
    points: F32
    """(478, 3) unit coordinates in the source crop"""
    rgb: F32
    """(1, 3, 256, 256) in [-1, 1]"""
    w: F32
    z: F32
    maps: dict[int, F32]


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """What is measured of a target crop, before or after smoothing over time."""

    look: F32
    """``renderer.Look``, packed"""
    rows: F32
    """(L - 7, C) appearance rows"""
    light: F32
    """(3, 8, 8)"""

    def packed(self) -> F32:
        return np.concatenate([self.look, self.rows.ravel(), self.light.ravel()])


@lru_cache(maxsize=8)  # 20 MB each
@torch.inference_mode()
def codes_on(prepared: Prepared, device: str) -> tuple[Tensor, ...]:
    """The codes of a person on the device, made once: picture, rows, embedding, maps by side."""
    maps = [prepared.maps[side] for side in sorted(prepared.maps)]
    # Copies: arrays that came through shared memory are read-only, and torch warns of those.
    return tuple(torch.tensor(x, device=device) for x in (prepared.rgb, prepared.w, prepared.z, *maps))
