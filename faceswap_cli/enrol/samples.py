"""What a person is tuned on: each photograph out of the others, and swaps onto people who do not exist.

No faces of other people come with the program.  Targets of swaps are therefore made of the photographs:
proportions moved towards the mean face and beyond, another pose and expression, other light and colors.
The network sees of a target only its surroundings, light, landmarks and a coarse view of mouth and eyes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.enrol.views import View
from faceswap_cli.faces.landmarks import topology
from faceswap_cli.nets.fslsd256 import Fslsd256, Scene, Source, composite, resized
from faceswap_cli.nets.fslsd256_encoders import EMBEDDING, SIDE, SKETCH
from faceswap_cli.nets.meshfield import displacement, warp
from faceswap_cli.swap import scene as scenes
from faceswap_cli.swap.shape import mix_weights, remove_pose, without_expression
from faceswap_cli.training import augment
from faceswap_cli.training.augment import Rng

_ANGLES = (0.35, 0.18, 0.08)
"""Largest yaw, pitch and roll of a made target, radians."""
_EXPRESSION, _DECAY = 0.55, 0.4
"""Deviation of the first expression number over many pictures, and how it falls with the number's index."""
_NOISE = 0.012
SHAPE_MIX = 0.5


@dataclass(frozen=True, eq=False)
class Face:
    """A picture that a swap can start from."""

    rgb: Tensor = field(repr=False)
    """(1, 3, 256, 256)"""
    points: Tensor = field(repr=False)
    """(1, 478, 3)"""
    maps: dict[int, Tensor] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Sample:
    """One target, ready for the network."""

    face: Face = field(repr=False)
    """Whose picture is warped onto it"""
    target: Tensor = field(repr=False)
    """(1, 3, 256, 256)"""
    points: Tensor = field(repr=False)
    """(1, 478, 3) its mesh"""
    scene: Scene = field(repr=False)
    wanted: Tensor = field(repr=False)
    """(1, 478, 3) landmarks that the result shall have"""
    truth: bool
    """The target shows the person: it is what the result shall be"""


def face_of(net: Fslsd256, rgb: Tensor, points: Tensor) -> Face:
    with torch.no_grad():
        return Face(rgb, points, net.source_maps(rgb))


def paired(net: Fslsd256, face: Face, target: Tensor, points: Tensor, *, truth: bool) -> Sample:
    """``face`` onto the picture ``target`` (1, 3, 256, 256) with its mesh ``points``."""
    mix = mix_weights(0.0 if truth else SHAPE_MIX)
    pairing = scenes.pair(face.points, points, net.expression, mix)
    drawn = scenes.draw(pairing.wanted)
    visible = scenes.gated(pairing.visible, drawn, face.points, pairing.wanted)
    seen = scenes.build_scene(target, points, replace(pairing, visible=visible), drawn)
    return Sample(face, target, points, seen, pairing.wanted, truth)


def own_samples(
    net: Fslsd256, faces: Sequence[Face], views: Sequence[View], count: int, rng: Rng
) -> list[Sample]:
    """Photographs as targets, ``faces[k]`` made without photograph k; in other light each time.

    With one photograph it is re-posed, or source and target would be the same picture.
    """
    found = []
    for k in range(count):
        view, face = views[k % len(views)], faces[k % len(views)]
        rgb, points = view.rgb, view.points
        if len(views) == 1:
            rgb, points = augment.reposed(rgb, points, made_mesh(net, points, rng), rng)
        found.append(paired(net, face, augment.recolour(rgb, rng, 0.5), points, truth=True))
    return found


def made_samples(
    net: Fslsd256, faces: Sequence[Face], views: Sequence[View], count: int, rng: Rng
) -> list[Sample]:
    """Swaps onto made people."""
    found = []
    for k in range(count):
        rgb, points = made_target(net, views[int(rng.integers(len(views)))], rng)
        found.append(paired(net, faces[k % len(faces)], rgb, points, truth=False))
    return found


def made_target(net: Fslsd256, view: View, rng: Rng) -> tuple[Tensor, Tensor]:
    """Picture and mesh of a made-up person."""
    turn = torch.tensor([bool(rng.integers(2))])
    rgb, points = augment.flip(view.rgb, view.points, turn)
    wanted = made_mesh(net, points, rng)
    return augment.recolour(warp(rgb, displacement(points, wanted)), rng, 1.0), wanted


def made_mesh(net: Fslsd256, points: Tensor, rng: Rng) -> Tensor:
    """(1, 478, 3): where ``points`` lie, with the proportions, expression and pose of another person."""
    posed = remove_pose(points)
    mean = torch.from_numpy(topology().mean_shape)[None]
    own = without_expression(posed.canonical - mean, net.expression)
    basis = net.expression
    scale = _EXPRESSION / (1.0 + _DECAY * torch.arange(len(basis)))
    spoken = torch.from_numpy(rng.standard_normal(len(basis)).astype(np.float32)) * scale
    face = mean + own * float(rng.uniform(-1.0, 0.5)) + torch.einsum("k,kpd->pd", spoken, basis)[None]
    if not bool(basis.any()):  # a network that knows no expressions keeps the photograph's
        face = face + posed.canonical - mean - own
    room = (1 - 1.6 * posed.angles()[:, :1].abs()).clamp(0.1, 1)
    angles = augment.uniform(rng, -1, 1, 1, 3) * torch.tensor(_ANGLES) * room
    turned = face @ augment.rotation(angles).transpose(1, 2)
    return posed.place(turned) + augment.smooth_noise(points, rng, _NOISE)


def stranger(net: Fslsd256, view: View, rng: Rng) -> tuple[Face, Tensor, Tensor]:
    """A source that is not the person: a made face with codes of its own, (L, C) and (128,)."""
    rgb, points = made_target(net, view, rng)
    face = face_of(net, rgb, points)
    z = F.normalize(torch.from_numpy(rng.standard_normal(EMBEDDING).astype(np.float32)), dim=0)
    with torch.no_grad():
        rows = net.style(rgb)[0]
    return face, rows, z


def shown(face: Tensor, target: Tensor, scene: Scene) -> Tensor:
    """The swapped crop as it will be shown: between the lids are the target's own eyes (``swap.eyes``)."""
    eyes = resized(scene.sketch[:, SKETCH.index("eyes"), None], SIDE)
    return composite(face, target, scene.mask * (1 - eyes))


def joined(samples: Sequence[Sample], rows: Tensor, z: Tensor) -> tuple[Source, Scene]:
    """One batch: rows (N or 1, L, C), z (N or 1, 128)."""
    n = len(samples)
    maps = {side: torch.cat([s.face.maps[side] for s in samples]) for side in samples[0].face.maps}
    source = Source(torch.cat([s.face.rgb for s in samples]), rows.expand(n, -1, -1), z.expand(n, -1), maps)
    names = samples[0].scene.__dataclass_fields__
    scene = Scene(**{name: torch.cat([getattr(s.scene, name) for s in samples]) for name in names})
    return source, scene
