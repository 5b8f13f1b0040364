"""A source person as profile 256 of ``fslsd`` keeps it, and what is measured of a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap.eyes import EyeTones, eye_tones
from faceswap_cli.swap.fslsd256_weights import Tuning
from faceswap_cli.swap.methods import mesh
from faceswap_cli.swap.shape import Posed, remove_pose


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A source person, as arrays: workers map them instead of copying."""

    mesh: mesh.Prepared
    points: F32
    """(478, 3) unit coordinates in the source crop"""
    rgb: F32
    """(1, 3, 256, 256) in [-1, 1]"""
    w: F32
    z: F32
    maps: dict[int, F32]
    neutral: F32 | None = None
    """(478, 3) canonical shape of an enrolled person; else that of ``points`` serves"""
    tuning: Tuning | None = None
    correction: F32 | None = None
    """(478, 3) what to add to the canonical target (``swap.calibration``), once faces have been looked at"""
    identity: F32 | None = None
    """(128,) embedding that drawn faces should have; None where nothing is to be made of what they lack"""
    likeness: F32 | None = None
    """(128,) what to add to ``z``, once faces have been looked at"""

    def shape(self) -> Posed:
        """The person's mesh, split into pose and shape."""
        posed = remove_pose(torch.tensor(self.points)[None])
        return posed if self.neutral is None else replace(posed, canonical=torch.tensor(self.neutral)[None])


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """What is measured of a target crop, before or after smoothing over time."""

    mesh: F32
    """Light at the mesh points and detail, see ``methods.mesh``"""
    rows: F32
    """(L - 7, C) appearance rows"""
    light: F32
    """(3, 8, 8)"""
    offset: F32
    """(478, 3) canonical difference of proportions"""

    def packed(self) -> F32:
        return np.concatenate([self.mesh, self.rows.ravel(), self.light.ravel(), self.offset.ravel()])


@lru_cache(maxsize=8)  # 20 MB each
@torch.inference_mode()
def codes_on(prepared: Prepared, device: str) -> tuple[Tensor, ...]:
    """The codes of a person on the device, made once: picture, rows, embedding, maps by side."""
    maps = [prepared.maps[side] for side in sorted(prepared.maps)]
    z = prepared.z if prepared.likeness is None else prepared.z + prepared.likeness
    # Copies: arrays that came through shared memory are read-only, and torch warns of those.
    return tuple(torch.tensor(x, device=device) for x in (prepared.rgb, prepared.w, z, *maps))


@lru_cache(maxsize=8)
@torch.inference_mode()
def shape_of(prepared: Prepared) -> Posed:
    return prepared.shape()


@lru_cache(maxsize=8)
def tones_of(prepared: Prepared) -> EyeTones:
    """The irises of the source; what a calibration changes about a person does not change them."""
    lab = prepared.mesh.texture.lab
    return eye_tones(lab, prepared.points, Window.full(lab.shape[0]))


def joined(posed: Sequence[Posed]) -> Posed:
    """Several batches of one as one batch."""
    if len(posed) == 1:
        return posed[0]
    names = ("canonical", "rotation", "scale", "centre")
    return Posed(*(torch.cat([getattr(one, name) for one in posed]) for name in names))
