"""The source carried into targets' geometry and light: ``mesh.carry`` and ``appearance.relight``, batched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from faceswap_cli.geometry import warp
from faceswap_cli.nets import meshfield
from faceswap_cli.resident.tables import Tables, along
from faceswap_cli.resident.warp import sample
from faceswap_cli.swap import appearance, features
from faceswap_cli.swap.appearance import LAB_OFFSET
from faceswap_cli.swap.methods import mesh
from faceswap_cli.swap.methods.fslsd256 import TINT_SIDE


class Person(NamedTuple):
    """A source on the device, for crops of one side."""

    points: Tensor
    """(478, 2) unit coordinates in its texture"""
    light: Tensor
    """(478, 3)"""
    chroma: Tensor
    """(2,)"""
    fine: Tensor
    """(1, 3, T, T) Lab, about as fine as the crops"""
    coarse: Tensor
    """The same for the size at which colours are compared"""


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """The source in the geometry and light of N targets, as fields; see ``mesh.Carried``."""

    person: Person
    move: Tensor
    """(N, 2, n, n)"""
    light: Tensor
    """(N, 6, m, m) Lab of the light as the source had it, and as the target has it"""
    colourful: Tensor
    """(N, 2)"""

    @property
    def light_to(self) -> Tensor:
        return self.light[:, 3:]

    def lab(self, texture: Tensor, eyes: Tensor, tables: Tables) -> Tensor:
        """(N, 3, s, s) of a ``texture`` of the person's.

        ``eyes`` (N, 1, s, s) in [0, 1] are the outlines of the eyes, and tell s.
        """
        side = eyes.shape[-1]
        grown = along(self.move, tables.resize(self.move.shape[-1], side, cv2.INTER_LINEAR))
        axis = (torch.arange(side, device=grown.device) + 0.5) / side
        places = torch.stack([grown[:, 0] + axis, grown[:, 1] + axis[:, None]], dim=-1)
        places = places * texture.shape[-1] - 0.5
        drawn = sample(texture.expand(len(places), -1, -1, -1), places, "bicubic", "reflection")
        light = along(self.light, tables.resize(self.light.shape[-1], side, cv2.INTER_LINEAR))
        soft = along(eyes, tables.blur(side, mesh.EYE_EDGE * side))
        return relight(drawn, light[:, :3], light[:, 3:], self.colourful, soft)


def carry(person: Person, points: Tensor, trust: Tensor, code: Tensor, tables: Tables) -> Carried:
    """Fit the fields to meshes ``points`` (N, 478, 2) in unit coordinates.

    ``trust`` (N, 478) of ``mesh.trust_of``, ``code`` (N, ``mesh.CODE``).
    """
    light_to = code[:, : mesh.LIGHT].reshape(len(code), -1, 3)
    low, high = mesh.COLOURFUL
    colourful = (code[:, -2:].exp() / person.chroma).clamp(low, high)
    move = meshfield.scatter(points, person.points - points, warp.LEVELS, warp.FIELD_SIDE, trust)
    both = torch.cat([person.light.expand_as(light_to), light_to], dim=2)
    light = meshfield.scatter(points, both, mesh.COLOUR_LEVELS, mesh.COLOUR_SIDE, trust)
    return Carried(person, move, light, colourful)


def relight(lab: Tensor, old: Tensor, new: Tensor, colourful: Tensor, eyes: Tensor) -> Tensor:
    """``appearance.relight``: Lab (N, 3, s, s) from one light field to another."""
    before, after = ((x[:, :1] + LAB_OFFSET).clamp_min(1.0) for x in (old, new))
    ratio = ((new[:, :1] + LAB_OFFSET) / before).clamp(*appearance.RATIO)
    lit = (lab[:, :1] + LAB_OFFSET) * ratio
    own = old[:, 1:] / before
    change = new[:, 1:] / after - own
    skins = torch.stack([_cut(own + change, k) - _cut(own, k) for k in range(2)], dim=1)
    change = change - skins * (appearance.EYES_OWN * eyes)
    contrast = lab[:, 1:] - own * (lab[:, :1] + LAB_OFFSET)
    paler = ((own + change) / own.clamp_min(appearance.PALE)).clamp(0.0, 1.0)
    follow = ratio.clamp(*appearance.FOLLOW)
    contrast = contrast * torch.where(contrast < 0, paler * ratio, follow) * colourful[..., None, None]
    return torch.cat([lit - LAB_OFFSET, (own + change) * lit + contrast], dim=1)


def _cut(share: Tensor, k: int) -> Tensor:
    """a* or b* over L* + 16, cut to what skins have."""
    return share[:, k].clamp(*appearance.SKINS[k])


def limit_colour(lab: Tensor, warped: Tensor, light: Tensor, tables: Tables) -> Tensor:
    """``features.limit_colour``: ``lab`` (N, 3, n, n) with colours between those of ``light`` and ``warped``.

    Both of these are (N, 3, m, m).
    """
    resize = tables.resize(warped.shape[-1], lab.shape[-1], cv2.INTER_LINEAR)
    lit = light[:, 1:] / _weight(light)
    off = warped[:, 1:] / _weight(warped) - lit
    tint = float(features.TINT)
    low, high = off.clamp_max(0.0) + (lit - tint), off.clamp_min(0.0) + (lit + tint)
    low, high = (along(x, resize) * _weight(lab) for x in (low, high))
    return torch.cat([lab[:, :1], torch.minimum(torch.maximum(lab[:, 1:], low), high)], dim=1)


def _weight(lab: Tensor) -> Tensor:
    return lab[:, :1].clamp_min(0.0) + LAB_OFFSET


def person_on(prepared: mesh.Prepared, side: int, device: str) -> Person:
    """What ``mesh`` prepared of a source, copied to the device for crops of ``side``."""

    def there(x: np.ndarray) -> Tensor:
        return torch.tensor(x, dtype=torch.float32).to(device)

    def texture(of: int) -> Tensor:
        pyramid = prepared.pyramid
        return there(pyramid[mesh.coarsest(pyramid[0].shape[0], len(pyramid), of)].transpose(2, 0, 1))[None]

    source = prepared.texture
    known = there(source.points[:, :2]), there(source.light), there(prepared.chroma)
    return Person(*known, texture(side), texture(TINT_SIDE))
