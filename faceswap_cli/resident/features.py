"""Eyes and mouth of drawn faces, taken from the picture that knows them best: ``swap.features`` for batches.

Lab pictures (N, 3, S, S); masks (N, 1, S, S) in [0, 1] as ``rasters`` draws them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from faceswap_cli.resident.shading import masked_blur
from faceswap_cli.resident.tables import Tables, along
from faceswap_cli.resident.warp import affine_places, sample
from faceswap_cli.swap import features
from faceswap_cli.swap.appearance import LAB_OFFSET

_FAR = 4.0
"""Deviations at which OpenCV cuts a blur of floats off"""


def keep_colour(lab: Tensor, warped: Tensor, around: Tensor, tables: Tables) -> Tensor:
    """Colour (not lightness) of ``warped`` where ``around`` (N, 1, S, S) has eyes or lips."""
    side = lab.shape[-1]
    share = along(around, tables.blur(side, features.EYE_EDGE * side))
    return torch.cat([lab[:, :1], lab[:, 1:] + (warped[:, 1:] - lab[:, 1:]) * share], dim=1)


def limit_lips(lab: Tensor, target: Tensor, lips: Tensor, own: Tensor, tables: Tables) -> Tensor:
    """Lips hardly more violet or paler than those of the target, which its frame shows in ``own``."""
    side = lab.shape[-1]
    seen = (own > 0.5).float()
    share = along(lips, tables.blur(side, features.LIPS_REACH * side))
    count, total = seen.sum((2, 3)), share.sum((2, 3))
    known = ((count >= features.FEW) & (total > 0.0)).float()[..., None, None]
    mean = ((target[:, 1:] * seen).sum((2, 3)) / count.clamp_min(1.0))[..., None, None]
    a, b = mean[:, :1], mean[:, 1:]
    have = ((lab[:, 1:2] * share).sum((2, 3)) / total.clamp_min(1e-6))[..., None, None]
    wanted = (features.OF_LIPS * a).clamp_max(features.MOST_RED)
    share = share * known
    red = lab[:, 1:2] + (wanted - have).clamp_min(0.0) * share
    hue = (features.OF_LIPS * b / a.clamp_min(1.0)).clamp(0.0, features.MOST_LIPS)
    yellow = lab[:, 2:] + (hue * red - lab[:, 2:]).clamp_min(0.0) * share
    return torch.cat([lab[:, :1], red, yellow], dim=1)


def limit_eyes(lab: Tensor, target: Tensor, eyes: Tensor, own: Tensor, tables: Tables) -> Tensor:
    """Pupils as dark and whites as dark and as neutral as the target's, which its frame shows in ``own``."""
    side = lab.shape[-1]
    blur = tables.blur(side, features.TONE_BLUR * side)
    start, reach = features.SEEN_EYES
    known = (own.sum((1, 2, 3)) / eyes.sum((1, 2, 3)).clamp_min(1.0) - start) / reach
    for area in (own, eyes):
        known = known.clamp(0.0, 1.0) * (area > 0.5).flatten(1).any(1)
    low_there, high_there = _tones(target[:, :1], own, blur)
    low, high = _tones(lab[:, :1], eyes, blur)
    known = known[:, None, None, None] * (high_there - low_there >= features.LEAST_TONES)
    bottom = torch.minimum(low, low_there + features.TONE_SPARE)
    top = torch.minimum(high, high_there + features.TONE_SPARE)
    share = along(eyes, blur) * known
    white = _whites(lab[:, :1], low, high)
    mean_there = _mean(target[:, 1:], _whites(target[:, :1], low_there, high_there) * own)
    mean = _mean(lab[:, 1:], white * eyes)
    chroma = lab[:, 1:] + (mean_there + features.TONE_SPARE - mean).clamp_max(0.0) * white * share
    slope = (top - bottom) / (high - low).clamp_min(1.0)
    luma = lab[:, :1] + (bottom + (lab[:, :1] - low) * slope - lab[:, :1]) * share
    return torch.cat([luma, chroma], dim=1)


def _tones(luma: Tensor, area: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
    """The darkest and the lightest in an area, each (N, 1, 1, 1); something finite without one."""
    inside = (area > 0.5).float()
    smooth = along(luma, blur) * inside
    return (smooth + 100.0 * (1.0 - inside)).amin((2, 3), keepdim=True), smooth.amax((2, 3), keepdim=True)


def _whites(luma: Tensor, low: Tensor, high: Tensor) -> Tensor:
    begin, soft = features.WHITES
    x = (((luma - low) / (high - low).clamp_min(1.0) - begin) / soft).clamp(0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    return (x * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp_min(1e-3)


def keep_mouth(lab: Tensor, target: Tensor, mouth: Tensor, moves: Tensor, tables: Tables) -> Tensor:
    """The inside of an open mouth from the target, where ``moves`` (N, 2, 3) find it."""
    side = lab.shape[-1]
    own = sample(target, affine_places(moves, side, side))
    return lab + (own - lab) * along(mouth, tables.blur(side, features.MOUTH_EDGE * side))


@dataclass(frozen=True, slots=True, eq=False)
class ShutEyes:
    """``rasters.Shut`` on the device."""

    faces: Tensor
    """(E,) whole numbers"""
    areas: Tensor
    """(E, 1, S, S) in [0, 1]"""
    moves: Tensor
    soft: Tensor
    amounts: Tensor


def keep_shut_eyes(lab: Tensor, target: Tensor, eyes: ShutEyes) -> Tensor:
    """Eyes that shut from the target, in the colour of the drawn skin around them."""
    side = lab.shape[-1]
    share = _blurred(eyes.areas, eyes.soft[:, 0])
    own = sample(target[eyes.faces, :1], affine_places(eyes.moves, side, side))
    drawn = lab[eyes.faces]
    # The host looks at the rectangle around the area alone.
    near = share.amax(2, keepdim=True).gt(0) & share.amax(3, keepdim=True).gt(0)
    blur = _gaussian(side, eyes.soft[:, 1])
    around = (1.0 - share + 1e-4) * near
    middle, _ = masked_blur(drawn[:, :1], around, blur)
    lit = ((drawn[:, :1] - middle) / features.LIT_SKIN + 0.5).clamp(0.0, 1.0)
    skin, _ = masked_blur(drawn, around * lit, blur)
    rim = share * (1.0 - share)
    shift = ((drawn[:, :1] - own) * rim).sum((1, 2, 3)) / rim.sum((1, 2, 3)).clamp_min(1e-3)
    lid = torch.minimum(own + shift[:, None, None, None], skin[:, :1] + features.GLINT)
    level = (lid + LAB_OFFSET).clamp_min(0.0) / (skin[:, :1] + LAB_OFFSET)
    new = torch.cat([lid, skin[:, 1:] * level], dim=1)
    return lab.index_add(0, eyes.faces, (new - drawn) * (share * eyes.amounts[:, None, None, None]))


def _gaussian(side: int, sigma: Tensor) -> Tensor:
    """(E,) pixels -> (E, 1, S, S): rows blur an axis; what lies beyond the border is left out."""
    axis = torch.arange(side, device=sigma.device, dtype=torch.float32)
    off = (axis[:, None] - axis).abs()
    wide = sigma[:, None, None].clamp_min(0.1)
    weight = (-0.5 * (off / wide).square()).exp() * (off <= (_FAR * wide + 0.5))
    return (weight / weight.sum(2, keepdim=True))[:, None]


def _blurred(x: Tensor, sigma: Tensor) -> Tensor:
    blur = _gaussian(x.shape[-1], sigma)
    return blur @ x @ blur.transpose(2, 3)
