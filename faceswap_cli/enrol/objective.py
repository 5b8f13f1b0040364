"""What tuning strives for, on a few samples a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.enrol.samples import Sample, joined, paired, shown, stranger
from faceswap_cli.enrol.views import View
from faceswap_cli.nets.fslsd256 import Fslsd256, Scene, Source, Swapped
from faceswap_cli.training import losses
from faceswap_cli.training.augment import Rng
from faceswap_cli.training.observers import Observers

BATCH = 2
"""Samples of each kind a step."""
_PIXEL, _STRUCTURE, _LAPLACIAN = 4.0, 1.0, 1.0
_IDENTITY, _LANDMARKS, _LIGHT, _COLOUR = 5.0, 16.0, 4.0, 16.0
ON_CLIP = 3.0
"""How much more landmarks count on the faces of a clip: theirs is the expression that is to be kept."""
_LOCALITY = 6.0
_DETAIL, _LEVELS = 6.0, 2
"""Price of this many levels of the finest detail, where it is not as the untuned network drew it: a network
that recognizes people is pleased by grids as well."""
_INSIDE = 3.0
_COARSE, _FINE = 16, 128
"""Sides at which a result must keep the light, and the color, that the untuned network gave it: an
identity network is easily pleased by tinted eyelids."""
_JITTER = 0.008
"""Of the points that cut out the face to be recognized: a likeness at one place only is none."""


class Goal:
    """The loss of one person."""

    def __init__(
        self,
        net: Fslsd256,
        eyes: Observers,
        own: Sequence[Sample],
        made: Sequence[Sample],
        embedding: Tensor,
        start: tuple[Tensor, Tensor],
    ) -> None:
        self._net, self._eyes, self._own, self._made, self._embedding = net, eyes, own, made, embedding
        rows, z = (x.detach() for x in start)
        before = [drawn(net, [sample], rows, z)[1] for sample in made]
        self.landmarks = _LANDMARKS
        """Weight of the landmarks"""
        self._light = [at_side(result, _COARSE) for result in before]
        self._colour = [colour(result) for result in before]
        self._untuned = before

    def loss(self, rows: Tensor, z: Tensor, rng: Rng) -> Tensor:
        """Own photographs drawn again, and swaps onto made people; (L, C), (128,) -> one number."""
        own = [self._own[int(k)] for k in rng.choice(len(self._own), BATCH)]
        picked = [int(k) for k in rng.choice(len(self._made), BATCH)]
        made = [self._made[k] for k in picked]
        out, result = drawn(self._net, own + made, rows, z, keep=True)
        total = self._again(own, out.face[:BATCH].float(), result[:BATCH])
        light, tint = (torch.cat([row[k] for k in picked]) for row in (self._light, self._colour))
        total = total + _LIGHT * (at_side(result[BATCH:], _COARSE) - light).abs().mean()
        total = total + _COLOUR * (colour(result[BATCH:]) - tint).abs().mean()
        untuned = torch.cat([self._untuned[k] for k in picked])
        mask = torch.cat([sample.scene.mask for sample in made])
        total = total + _DETAIL * losses.laplacian(result[BATCH:], untuned, mask, _LEVELS)
        return total + self._watched(own + made, result, rng)

    def _again(self, own: Sequence[Sample], face: Tensor, result: Tensor) -> Tensor:
        """Photographs drawn from the others."""
        target = torch.cat([sample.target for sample in own])
        mask = torch.cat([sample.scene.mask for sample in own])
        total = _PIXEL * losses.pixel(face, target, 1 + (_INSIDE - 1) * mask)
        total = total + _STRUCTURE * losses.structure(result, target, mask)
        return total + _LAPLACIAN * losses.laplacian(result, target, mask)

    def _watched(self, samples: Sequence[Sample], result: Tensor, rng: Rng) -> Tensor:
        """Likeness and landmarks, as the frozen networks see them."""
        wanted = torch.cat([sample.wanted for sample in samples])
        found = self._eyes.points(result, wanted)
        shift = wanted.new_tensor(rng.uniform(-_JITTER, _JITTER, (len(samples), 1, 2)))
        where = torch.cat([wanted[..., :2] + shift, wanted[..., 2:]], dim=-1)
        chips = self._eyes.chips(result, where)
        chips = chips.flip(3) if rng.random() < 0.5 else chips
        with half():
            embedding = self._eyes.identity(chips).float()
        alike = losses.identity(embedding, self._embedding[None], self._net.mean_embedding)
        return _IDENTITY * alike + self.landmarks * losses.landmarks(found, wanted)


def drawn(
    net: Fslsd256, samples: Sequence[Sample], rows: Tensor, z: Tensor, *, keep: bool = False
) -> tuple[Swapped, Tensor]:
    """Network output and swapped crops (N, 3, 256, 256) of ``samples``; with gradients when ``keep``."""
    source, scene = joined(samples, rows[None], z[None])
    with torch.set_grad_enabled(keep), half():
        out = net(source, scene)
        target = torch.cat([sample.target for sample in samples])
        return out, shown(out.face.float(), target, scene)


def half() -> torch.autocast:
    """bfloat16 where the processor multiplies it natively."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.cpu._is_avx512_bf16_supported()))


def at_side(rgb: Tensor, side: int) -> Tensor:
    return F.interpolate(rgb, size=(side, side), mode="area")


def colour(rgb: Tensor) -> Tensor:
    """What is left without the brightness."""
    small = at_side(rgb, _FINE)
    return small - small.mean(1, keepdim=True)


@dataclass(frozen=True, eq=False)
class Other:
    """Another person, and how the network draws them before tuning."""

    source: Source = field(repr=False)
    scene: Scene = field(repr=False)
    face: Tensor = field(repr=False)

    @classmethod
    def made(cls, net: Fslsd256, views: Sequence[View], targets: Sequence[Sample], rng: Rng) -> Other:
        """A made person on a made target."""
        face, rows, z = stranger(net, views[int(rng.integers(len(views)))], rng)
        onto = targets[int(rng.integers(len(targets)))]
        sample = paired(net, face, onto.target, onto.points, truth=False)
        source, scene = joined([sample], rows[None], z[None])
        with torch.no_grad(), half():
            return cls(source, scene, net(source, scene).face.float())

    def change(self, net: Fslsd256) -> Tensor:
        """Locality: how differently the network draws them now."""
        with half():
            face = net(self.source, self.scene).face.float()
        return _LOCALITY * losses.pixel(face, self.face, self.scene.mask)
