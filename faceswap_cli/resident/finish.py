"""Faces of one person drawn on the device: ``Fslsd256Method.render_batch`` for crops of one side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import torch
from torch import Tensor

from faceswap_cli.nets import meshfield
from faceswap_cli.nets.fslsd256_encoders import SIDE
from faceswap_cli.resident import detail, features, front, lab, mark, rasters
from faceswap_cli.resident.measure import network_input, scene_on
from faceswap_cli.resident.planes import levels
from faceswap_cli.resident.planning import Drawing
from faceswap_cli.resident.posing import shown_of
from faceswap_cli.resident.relight import Carried, Person, carry, limit_colour, person_on
from faceswap_cli.resident.tables import Tables, along, shrunk_or_grown
from faceswap_cli.swap import scene
from faceswap_cli.swap.fslsd256_weights import calls_of
from faceswap_cli.swap.lane import Lane, Visit
from faceswap_cli.swap.methods.fslsd256 import ABOVE, TINT_SIDE, Fslsd256Method, Prepared, codes_on


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Drawn faces of a batch."""

    rgb: Tensor
    """(N, 3, S, S) uint8, marked"""
    mask: Tensor
    """(N, 1, S, S)"""
    told: Tensor
    """(N, 4) on the host after the visit: are all numbers finite, largest and summed mask, share occluded"""


def draw(
    method: Fslsd256Method, person: Prepared, crops: Tensor, drawing: Drawing, way: tuple[Visit, Tables]
) -> Faces:
    """``crops`` (N, 3, S, S) uint8 with the face of ``person``, as planned."""
    there, tables = way
    rgb = crops.float()
    drawn = scene_on(drawing.sketches, drawing.layers, there)
    picture = _network(method, person, drawing, (rgb, drawn), way)
    target, carried = lab.lab_from_rgb(rgb / 255, tables), _carried(person, drawing, way)
    masks = _masks(drawing.masks, there)
    made = _coloured(picture, target, carried, masks, tables)
    aims, grain = there.up(drawing.aims), there.up(drawing.grain)
    luma = detail.match_detail(made[:, :1], aims, masks["inner"], grain, tables)
    made = torch.cat([luma, made[:, 1:]], dim=1)
    made = features.keep_mouth(made, target, masks["mouth"], masks["moves"], tables)
    if drawing.shut is not None:
        made = features.keep_shut_eyes(made, target, _eyes(drawing.shut, there))
    share, occluded = _share(drawn.mask, (rgb, target, masks["features"]), carried, drawing, way)
    new = levels(lab.rgb_from_lab(made, tables) * 255)
    told = [_finite(picture, share), share.amax((1, 2, 3)), share.sum((1, 2, 3)), occluded]
    new = mark.marked(new.float(), method.crop_scale, tables).to(torch.uint8)
    return Faces(new, share, there.down(torch.stack(told, dim=1)))


def _resize(side: int, tables: Tables) -> Tensor:
    return tables.resize(SIDE, side, shrunk_or_grown(SIDE, side))


def _finite(*pictures: Tensor) -> Tensor:
    """(N,) 1 where all numbers of a face are numbers."""
    return torch.stack([x.isfinite().all(3).all(2).all(1) for x in pictures]).all(0).float()


def _masks(drawn: rasters.Masks, there: Visit) -> dict[str, Tensor]:
    full = there.up(drawn.full).float() / 255
    found = {name: full[:, k : k + 1] for k, name in enumerate(rasters.FULL)}
    return found | {"tinted": there.up(drawn.tinted).float() / 255, "moves": there.up(drawn.moves)}


def _eyes(shut: rasters.Shut, there: Visit) -> features.ShutEyes:
    return features.ShutEyes(
        there.up(shut.faces),
        there.up(shut.areas).float() / 255,
        *(there.up(x) for x in (shut.moves, shut.soft, shut.amounts)),
    )


@lru_cache(maxsize=8)
@torch.inference_mode()
def _person_on(person: Prepared, device: str) -> tuple[Person, Tensor, Tensor]:
    """The source as ``relight`` takes it, its mesh (1, 478, 3) and what of it is seen (1, V)."""
    lane = Lane(device)
    with lane.visit():
        found = person_on(person.mesh, device)
        return found, torch.tensor(person.points)[None].to(device), shown_of(person).to(device)


def _carried(person: Prepared, drawing: Drawing, way: tuple[Visit, Tables]) -> Carried:
    there, tables = way
    points, trust, code = (
        there.up(x) for x in (drawing.posing.wanted, drawing.posing.trust, drawing.codes.mesh)
    )
    return carry(_person_on(person, there.device)[0], points[..., :2], trust, code, tables)


def _network(
    method: Fslsd256Method,
    person: Prepared,
    drawing: Drawing,
    seen: tuple[Tensor, scene.Drawn],
    way: tuple[Visit, Tables],
) -> Tensor:
    """(N, 3, 256, 256) R'G'B', nominally in [0, 1]: ``Fslsd256Method._drawn``."""
    (rgb, drawn), (there, tables), posing = seen, way, drawing.posing
    _, own, facing = _person_on(person, there.device)
    wanted, shape, losses, windows = (
        there.up(x) for x in (posing.wanted, posing.shape, posing.losses, posing.windows)
    )
    rows, light = there.up(drawing.codes.rows), there.up(drawing.codes.light)
    count = len(wanted)
    visible = meshfield.spread_shown(facing.expand(count, -1), wanted)
    flow = meshfield.displacement(own.expand(count, -1, -1), wanted)
    pairing = scene.Pairing(wanted, shape, flow, scene.lowered(visible, drawn, losses))
    gain = scene.gain_of(light)
    small = scene.brightened(network_input(rgb, tables), gain)
    made = scene.scene_of(small, windows, pairing, drawn, scene.brightened(light, gain))
    call = calls_of(method.net(person), method.device).face
    face = call(*codes_on(person, method.device), rows, *made.tensors())
    return ((face + 1) / (2 * gain)).permute(0, 3, 1, 2).contiguous()


def _coloured(
    picture: Tensor, target: Tensor, carried: Carried, masks: dict[str, Tensor], tables: Tables
) -> Tensor:
    """(N, 3, S, S) Lab: the network's picture with colours, and above its size the detail, of the source."""
    side = target.shape[-1]
    light = along(carried.light_to, tables.resize(carried.light.shape[-1], TINT_SIDE, cv2.INTER_LINEAR))
    small = limit_colour(
        lab.lab_from_rgb(picture, tables), carried.lab(masks["tinted"], tables), light, tables
    )
    made = small if side == SIDE else along(small, _resize(side, tables))
    warped = carried.lab(masks["eyes"], tables)
    if side > SIDE:
        fine = warped[:, :1] - along(
            warped[:, :1], tables.blur(side, ABOVE * side / SIDE, cv2.BORDER_REFLECT)
        )
        made = torch.cat([made[:, :1] + fine, made[:, 1:]], dim=1)
    for name in ("eye_colour", "lip_colour"):
        made = features.keep_colour(made, warped, masks[name], tables)
    return features.limit_lips(made, target, masks["lips"], masks["own_lips"], tables)


def _share(
    mask: Tensor,
    seen: tuple[Tensor, Tensor, Tensor],
    carried: Carried,
    drawing: Drawing,
    way: tuple[Visit, Tables],
) -> tuple[Tensor, Tensor]:
    """The mask (N, 1, S, S) without what lies in front, and the share (N,) of it that does.

    ``seen``: the crops, in Lab, and where features are drawn.
    """
    (there, tables), (rgb, target, drawn) = way, seen
    side = rgb.shape[-1]
    share = mask if side == SIDE else along(mask, _resize(side, tables)).clamp(0.0, 1.0)
    opacity = there.up(drawing.opacity)[:, None, None, None]
    if drawing.outlines is None:
        return share * opacity, torch.zeros_like(opacity[:, 0, 0, 0])
    told = front.covered(rgb, there.up(drawing.outlines), tables)
    hidden = front.front_map(target, carried.light_to, told, drawn, tables)
    occluded = (share * hidden).sum((1, 2, 3)) / share.sum((1, 2, 3)).clamp_min(1.0)
    return share * (1.0 - hidden) * opacity, occluded
