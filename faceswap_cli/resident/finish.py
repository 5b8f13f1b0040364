"""Faces of one person drawn on the device: ``Fslsd256Method.render_batch`` for crops of one side.

All but eyes that shut is done by two functions of tensors, which are recorded as a network
is (``swap.lane.Replayed``): they do the same kernels whatever the tensors hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import torch
from torch import Tensor

from faceswap_cli.nets import meshfield
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import SIDE
from faceswap_cli.resident import detail, eyes, features, front, lab, mark, rasters
from faceswap_cli.resident.measure import network_input, scene_on
from faceswap_cli.resident.packing import joined, parted
from faceswap_cli.resident.planning import Drawing
from faceswap_cli.resident.posing import shown_of
from faceswap_cli.resident.relight import Carried, Person, carry, limit_colour, person_on
from faceswap_cli.resident.tables import Tables, along, shrunk_or_grown
from faceswap_cli.swap import scene
from faceswap_cli.swap.fslsd256_person import Prepared, codes_on, tones_of
from faceswap_cli.swap.fslsd256_weights import calls_of
from faceswap_cli.swap.lane import Lane, Visit, Work, replayed
from faceswap_cli.swap.methods.fslsd256 import ABOVE, TINT_SIDE, Fslsd256Method
from faceswap_cli.swap.methods.mesh import COLOUR_SIDE

_MASK, _TOLD = 3, 4
"""Number of the channel that holds the mask, and of figures that are told of a face"""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Drawn faces of a batch."""

    rgb: Tensor
    """(N, 3, S, S) whole levels of 255, marked"""
    mask: Tensor
    """(N, 1, S, S)"""
    told: Tensor
    """(N, 4) on the host after the visit: are all numbers finite, largest and summed mask, share occluded"""


def draw(
    method: Fslsd256Method, person: Prepared, crops: Tensor, drawing: Drawing, way: tuple[Visit, Tables]
) -> Faces:
    """``crops`` (N, 3, S, S) uint8 with the face of ``person``, as planned."""
    (there, tables), side = way, crops.shape[-1]
    layers, full = there.up(drawing.layers), there.up(drawing.masks.full)
    source, codes = _person_on(person, side, there.device), codes_on(person, method.device)
    inputs = (crops, layers, full, *(there.up(x) for x in drawing.tensors()), *source)
    first = _first_of(method.net(person), method.device, tables)
    shapes = (3, side, side), (3, COLOUR_SIDE, COLOUR_SIDE), (1, 1, 1)
    made, light, finite = parted(first(*inputs, *codes), *shapes)
    if drawing.shut is not None:
        target = lab.lab_from_rgb(crops.float() / 255, tables)
        made = features.keep_shut_eyes(made, target, _shut(drawing.shut, there))
    rest = [made, light, finite, crops, layers, full, there.up(drawing.opacity)]
    if drawing.outlines is not None:
        rest.append(there.up(drawing.outlines))
    last = _last_of(method.device, method.crop_scale, tables)
    picture, told = parted(last(*rest), (_MASK + 1, side, side), (_TOLD,))
    return Faces(picture[:, :_MASK], picture[:, _MASK:], there.down(told))


def _shut(shut: rasters.Shut, there: Visit) -> features.ShutEyes:
    return features.ShutEyes(
        there.up(shut.faces),
        there.up(shut.areas).float() / 255,
        *(there.up(x) for x in (shut.moves, shut.soft, shut.amounts)),
    )


class _Source(NamedTuple):
    """A person on the device, for crops of one side."""

    own: Tensor
    """(1, 478, 3) the mesh in the source's crop"""
    facing: Tensor
    """(1, V) of ``meshfield.shown``"""
    points: Tensor
    light: Tensor
    chroma: Tensor
    fine: Tensor
    coarse: Tensor
    """All five of ``relight.Person``"""
    tones: Tensor
    """(1, 7) of ``eyes.told``"""


@lru_cache(maxsize=16)
@torch.inference_mode()
def _person_on(person: Prepared, side: int, device: str) -> _Source:
    with Lane(device).visit():
        own, facing = torch.tensor(person.points)[None].to(device), shown_of(person).to(device)
        tones = eyes.told(tones_of(person)).to(device)
        return _Source(own, facing, *person_on(person.mesh, side, device), tones)


class _First(NamedTuple):
    """What the first function takes; the codes of the person follow."""

    crops: Tensor
    layers: Tensor
    full: Tensor
    sketches: Tensor
    tinted: Tensor
    moves: Tensor
    known: Tensor
    wanted: Tensor
    shape: Tensor
    losses: Tensor
    windows: Tensor
    trust: Tensor
    code: Tensor
    rows: Tensor
    light: Tensor
    aims: Tensor
    grain: Tensor
    """All from ``sketches`` to here are ``Drawing.tensors``, on the device"""
    own: Tensor
    facing: Tensor
    points: Tensor
    source_light: Tensor
    chroma: Tensor
    fine: Tensor
    coarse: Tensor
    tones: Tensor
    """All from ``own`` to here are a :class:`_Source`"""


@lru_cache(maxsize=4)
def _first_of(net: Fslsd256, device: str, tables: Tables) -> Work:
    face = calls_of(net, device).plain_face

    def first(*inputs: Tensor) -> Tensor:
        """-> drawn faces (N, 3, S, S) Lab, the targets' light (N, 3, m, m), is all finite (N, 1, 1, 1)."""
        given = _First._make(inputs[: len(_First._fields)])
        rgb = given.crops.float()
        drawn = scene_on(given.sketches, given.layers)
        picture = _network(face, inputs[len(given) :], given, (rgb, drawn), tables)
        target = lab.lab_from_rgb(rgb / 255, tables)
        person = Person(given.points, given.source_light, given.chroma, given.fine, given.coarse)
        carried = carry(person, given.wanted[..., :2], given.trust, given.code, tables)
        masks = _masks(given.full)
        made = _coloured(picture, target, carried, (masks, given.tinted), tables)
        luma = detail.match_detail(made[:, :1], given.aims, masks["inner"], given.grain, tables)
        made = torch.cat([luma, made[:, 1:]], dim=1)
        made = features.keep_mouth(made, target, masks["mouth"], given.moves[:, 0], tables)
        seen = eyes.Seen(given.moves[:, 1:], given.known, given.tones)
        made = eyes.keep_eyes(made, target, masks, seen, tables)
        return joined(made, carried.light_to, _finite(picture))

    return replayed(first, device)


@lru_cache(maxsize=4)
def _last_of(device: str, crop_scale: float, tables: Tables) -> Work:
    def last(*inputs: Tensor) -> Tensor:
        """-> pictures and masks (N, 4, S, S), what is told of them (N, 4)."""
        made, light, finite, crops, layers, full, opacity, *outlines = inputs
        rgb, side = crops.float(), crops.shape[-1]
        share = layers[:, :1].float() / 255
        share = share if side == SIDE else along(share, _resize(side, tables)).clamp(0.0, 1.0)
        occluded = torch.zeros_like(opacity)
        if outlines:
            told, target = front.covered(rgb, outlines[0], tables), lab.lab_from_rgb(rgb / 255, tables)
            hidden = front.front_map(target, light, told, _masks(full)["features"], tables)
            occluded = (share * hidden).sum((1, 2, 3)) / share.sum((1, 2, 3)).clamp_min(1.0)
            share = share * (1.0 - hidden)
        share = share * opacity[:, None, None, None]
        new = (lab.rgb_from_lab(made, tables) * 255).round()
        sure = (finite * _finite(share)).flatten()
        told = torch.stack([sure, share.amax((1, 2, 3)), share.sum((1, 2, 3)), occluded], dim=1)
        return joined(mark.marked(new, crop_scale, tables), share, told)

    return replayed(last, device)


def _resize(side: int, tables: Tables) -> Tensor:
    return tables.resize(SIDE, side, shrunk_or_grown(SIDE, side))


def _finite(picture: Tensor) -> Tensor:
    """(N, 1, 1, 1): 1 where all numbers of a picture are numbers, else 0."""
    return picture.isfinite().all(3, True).all(2, True).all(1, True).float()


def _masks(full: Tensor) -> dict[str, Tensor]:
    """(N, 1, S, S) each, in [0, 1]."""
    shares = full.float() / 255
    found = {name: shares[:, k : k + 1] for k, name in enumerate(rasters.FULL)}
    return {**found, "eyes": torch.maximum(found["left_eye"], found["right_eye"])}


def _network(
    face: Work,
    codes: Sequence[Tensor],
    given: _First,
    seen: tuple[Tensor, scene.Drawn],
    tables: Tables,
) -> Tensor:
    """(N, 3, 256, 256) R'G'B', nominally in [0, 1]: ``Fslsd256Method._drawn``."""
    (rgb, drawn), wanted = seen, given.wanted
    count = len(wanted)
    visible = meshfield.spread_shown(given.facing.expand(count, -1), wanted)
    flow = meshfield.displacement(given.own.expand(count, -1, -1), wanted)
    pairing = scene.Pairing(wanted, given.shape, flow, scene.lowered(visible, drawn, given.losses))
    gain = scene.gain_of(given.light)
    small = scene.brightened(network_input(rgb, tables), gain)
    made = scene.scene_of(small, given.windows, pairing, drawn, scene.brightened(given.light, gain))
    found = face(*codes, given.rows, *made.tensors())
    return ((found + 1) / (2 * gain)).permute(0, 3, 1, 2).contiguous()


def _coloured(
    picture: Tensor,
    target: Tensor,
    carried: Carried,
    drawn: tuple[dict[str, Tensor], Tensor],
    tables: Tables,
) -> Tensor:
    """(N, 3, S, S) Lab: the network's picture with colours, and above its size the detail, of the source."""
    (masks, tinted), side = drawn, target.shape[-1]
    light = along(carried.light_to, tables.resize(COLOUR_SIDE, TINT_SIDE, cv2.INTER_LINEAR))
    warped = carried.lab(carried.person.coarse, tinted.float() / 255, tables)
    small = limit_colour(lab.lab_from_rgb(picture, tables), warped, light, tables)
    made = small if side == SIDE else along(small, _resize(side, tables))
    warped = carried.lab(carried.person.fine, masks["eyes"], tables)
    if side > SIDE:
        blur = tables.blur(side, ABOVE * side / SIDE, cv2.BORDER_REFLECT)
        fine = warped[:, :1] - along(warped[:, :1], blur)
        made = torch.cat([made[:, :1] + fine, made[:, 1:]], dim=1)
    for name in ("eye_colour", "lip_colour"):
        made = features.keep_colour(made, warped, masks[name], tables)
    made = features.limit_lips(made, target, masks["lips"], masks["own_lips"], tables)
    return features.limit_eyes(made, target, masks["eyes"], masks["own_eyes"], tables)
