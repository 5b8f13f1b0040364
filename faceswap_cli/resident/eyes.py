"""What is seen between open lids: ``swap.eyes`` for batches.

Lab pictures (N, 3, S, S); masks (N, 1, S, S) in [0, 1] as ``rasters`` draws them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from faceswap_cli.resident.tables import Tables, along
from faceswap_cli.resident.warp import affine_places, sample
from faceswap_cli.swap import eyes
from faceswap_cli.swap.appearance import LAB_OFFSET
from faceswap_cli.swap.features import MOUTH_EDGE


class Seen(NamedTuple):
    """What is known of eyes besides pictures and masks."""

    moves: Tensor
    """(N, 2, 2, 3) from the left and right eye as drawn to the target's"""
    known: Tensor
    """(N, 3) how far the frame shows the irises, and how far the left and the right eye are open"""
    source: Tensor
    """(1, 7) of :func:`told`"""


def told(tones: eyes.EyeTones) -> Tensor:
    """(1, 7): Lab of the iris, Lab of the white, how far both are known."""
    return torch.tensor([[*tones.iris.tolist(), *tones.white.tolist(), tones.known]], dtype=torch.float32)


def keep_eyes(lab: Tensor, target: Tensor, masks: Mapping[str, Tensor], seen: Seen, tables: Tables) -> Tensor:
    """The target's eyes between the drawn lids."""
    side = lab.shape[-1]
    middle, change = _change(target, masks, seen)
    soft = along(masks["irises"], tables.blur(side, eyes.SOFT * side))
    # No pupil becomes lighter, and a light iris has a dark rim.
    inner = along(masks["inner_irises"], tables.blur(side, eyes.SOFT * side)) * (1.0 - masks["pupils"])
    form = torch.where(change[:, :1] > 0.0, inner, torch.ones_like(inner))
    shares = [along(masks[name], tables.blur(side, MOUTH_EDGE * side)) for name in ("left_eye", "right_eye")]
    found = [sample(target, affine_places(seen.moves[:, k], side, side)) for k in range(2)]
    blur = tables.blur(side, eyes.SHADING * side)
    for k, (own, share) in enumerate(zip(_agreeing(found, shares), shares, strict=True)):
        toned = soft * (-((own[:, :1] - middle) / eyes.ALIKE).square()).exp()
        eye = own + change * torch.cat([toned * form, toned, toned], dim=1)
        shade = along((lab[:, :1] - eye[:, :1]) * share, blur) / along(share, blur).clamp_min(1e-3)
        luma = eye[:, :1] + shade * (1.0 - eyes.OWN_SHADE * soft)
        opened = seen.known[:, k + 1, None, None, None]
        lab = lab + (torch.cat([luma, eye[:, 1:]], dim=1) - lab) * (share * opened)
    return lab


def _agreeing(pair: Sequence[Tensor], shares: Sequence[Tensor]) -> list[Tensor]:
    """The colour of the bluer one of two eyes brought near the other's."""
    tones = [_mean(eye[:, 1:], share) for eye, share in zip(pair, shares, strict=True)]
    warm = torch.where(tones[1][:, 1:] > tones[0][:, 1:], tones[1], tones[0])
    seen = [(share.sum((1, 2, 3)) > 0.0)[:, None] for share in shares]
    moved = []
    for tone in tones:
        apart = (tone - warm) * (seen[0] & seen[1])
        moved.append((apart - apart.clamp(-eyes.STRAY, eyes.STRAY))[..., None, None])
    return [torch.cat([eye[:, :1], eye[:, 1:] - move], dim=1) for eye, move in zip(pair, moved, strict=True)]


def _change(target: Tensor, masks: Mapping[str, Tensor], seen: Seen) -> tuple[Tensor, Tensor]:
    """(N, 1, 1, 1) mean L* of the target's irises, (N, 3, 1, 1) what to add to them."""
    irises, whites = masks["own_irises"], masks["own_whites"]
    iris = _mean(target, irises)
    middle = _mean(target[:, :1], whites)[..., None, None]
    white = _mean(target, whites * ((target[:, :1] - middle) / eyes.LIT + 0.5).clamp(0.0, 1.0))
    low, high = eyes.APART
    enough = torch.minimum(irises.sum((1, 2, 3)), whites.sum((1, 2, 3))) >= eyes.FEW
    known = seen.known[:, 0] * seen.source[:, 6] * enough
    known = known * ((white[:, 0] - iris[:, 0] - low) / (high - low)).clamp(0.0, 1.0)
    own, theirs = seen.source[:, :3], seen.source[:, 3:6]
    bright, pale, dark = (x[:, :1] + LAB_OFFSET for x in (white, theirs, own))
    level = bright * dark / pale
    colour = (own[:, 1:] / dark + eyes.TINTED * (white[:, 1:] / bright - theirs[:, 1:] / pale)) * level
    change = torch.cat([level - LAB_OFFSET, colour], dim=1) - iris
    change = change.clamp(-eyes.MOST, eyes.MOST) * known[:, None]
    return iris[:, :1, None, None], change[..., None, None]


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """(N, C) by weight (N, 1, S, S)."""
    return (x * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1e-3)
