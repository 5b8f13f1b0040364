"""Which losses apply to which batch: the generator's terms, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.nets.critic import Critic
from faceswap_cli.nets.fslsd256 import Fslsd256, Source, Swapped, composite
from faceswap_cli.nets.fslsd256_encoders import MESH_POINTS, STRUCTURE_ROWS
from faceswap_cli.nets.third_player import INPUT_SIDE, ThirdPlayer
from faceswap_cli.swap.scene import build_scene, draw, pair
from faceswap_cli.training import augment, losses
from faceswap_cli.training.batches import Batch
from faceswap_cli.training.observers import Observers
from faceswap_cli.training.options import LossWeights

INSIDE = 3.0
"""Weight of the replaced face against its surroundings in pictures whose truth is known."""
Terms = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Players:
    """The networks of a training step."""

    net: Fslsd256 = field(repr=False)
    critic: Critic = field(repr=False)
    observers: Observers = field(repr=False)
    third: ThirdPlayer | None = field(repr=False, default=None)


@dataclass(frozen=True, eq=False)
class Step:
    """What one forward pass gave."""

    batch: Batch = field(repr=False)
    source: Source = field(repr=False)
    out: Swapped = field(repr=False)
    result: Tensor = field(repr=False)
    """(N, 3, 256, 256) the swapped crop: the drawn face inside the mask, the target outside"""


def forward(net: Fslsd256, batch: Batch) -> Step:
    source = net.encode_source(batch.source, batch.z)
    out = net(source, batch.scene)
    return Step(batch, source, out, composite(out.face, batch.target, batch.scene.mask))


def generator_terms(players: Players, step: Step, weights: LossWeights, context: TermContext) -> Terms:
    """All terms with a weight above 0, not yet weighted."""
    terms: Terms = {}

    def add(name: str, value: Callable[[], Tensor]) -> None:
        if getattr(weights, name) > 0:
            terms[name] = value()

    picture_terms(step, add)
    watched_terms(players, step, weights, context, add)
    judged_terms(players, step, weights, add)
    code_terms(players.net, step, add)
    if step.batch.kind == "video":
        add("code_trajectory", lambda: _code_trajectory(players.net, step))
        add("flow_trajectory", lambda: _flow_trajectory(step))
    if step.batch.kind == "cross" and context.cycle:
        add("cycle", lambda: swap_back(players.net, step, context))
    if players.third is not None and context.third:
        add("third_player", lambda: _third_player(players.third, step))
    return terms


@dataclass(frozen=True, eq=False)
class TermContext:
    """What the terms need beyond the batch."""

    mean: Tensor = field(repr=False)
    """(128,) mean embedding"""
    margins: Tensor = field(repr=False)
    """IFSR margins per layer of the identity network"""
    basis: Tensor = field(repr=False)
    cycle: bool = False
    third: bool = False


Add = Callable[[str, Callable[[], Tensor]], None]


def picture_terms(step: Step, add: Add) -> None:
    """Against the truth where there is one; around the mask always."""
    batch, out = step.batch, step.out
    mask, valid = batch.scene.mask, batch.valid
    if not batch.same:
        add("pixel", lambda: losses.pixel(out.face, batch.target, (1 - mask) * valid))
        add("histogram", lambda: losses.histogram(step.result, batch.target, mask * valid))
        return
    add("pixel", lambda: losses.pixel(out.face, batch.target, (1 + (INSIDE - 1) * mask) * valid))
    add("side", lambda: losses.pixel(out.side, batch.target, mask * valid))
    add("structure", lambda: losses.structure(out.face, batch.target, valid))
    add("laplacian", lambda: losses.laplacian(step.result, batch.target, valid))


def watched_terms(players: Players, step: Step, weights: LossWeights, context: TermContext, add: Add) -> None:
    """Identity, attributes and landmarks as the frozen networks see them."""
    batch, eyes = step.batch, players.observers
    cpu = step.result.device.type == "cpu"
    if weights.identity > 0 or weights.activations > 0 or weights.feature_similarity > 0:
        with torch.autocast(step.result.device.type, torch.bfloat16, enabled=cpu):
            found, maps = eyes.look(step.result, batch.wanted)
            with torch.no_grad():
                _, truth = eyes.look(batch.target, batch.target_points)
        maps, truth = ([m.float() for m in row] for row in (maps, truth))
        add("identity", lambda: losses.identity(found.float(), batch.embedding, context.mean))
        if batch.same:
            add("activations", lambda: losses.activations(maps[1:4], truth[1:4]))
        else:
            add("feature_similarity", lambda: losses.feature_similarity(maps[1:], truth[1:], context.margins))
    if weights.landmarks > 0:
        with torch.autocast(step.result.device.type, enabled=False):
            found_points = eyes.points(step.result.float(), batch.wanted)
        add("landmarks", lambda: losses.landmarks(found_points, batch.wanted))


def judged_terms(players: Players, step: Step, weights: LossWeights, add: Add) -> None:
    """The critic's score and features."""
    if max(weights.adversarial, weights.feature_match, weights.weak_feature_match) <= 0:
        return
    batch, mask = step.batch, step.batch.scene.mask
    count = len(step.result)
    rgb, masks = augment.diff_augment(torch.cat([step.result, batch.target]), torch.cat([mask, mask]))
    score, features = players.critic(rgb, masks)
    own, truth = ([f[part] for f in features] for part in (slice(count), slice(count, None)))
    add("adversarial", lambda: losses.generator_wins(score[:count]))
    if batch.same:
        add("feature_match", lambda: losses.feature_match(own, truth))
    else:
        add("weak_feature_match", lambda: losses.weak_feature_match(own, truth, masks[:count]))


def code_terms(net: Fslsd256, step: Step, add: Add) -> None:
    """Structure codes: consistent directions, same-person transport, small codes."""
    batch, out = step.batch, step.out
    add("code_size", lambda: (out.w_target - net.style.mean).square().mean())
    add("consistency", lambda: _consistency(net, step))
    if batch.same:
        add("transport", lambda: _transport(net, step))


def _consistency(net: Fslsd256, step: Step) -> Tensor:
    """With the detail code off: it describes only one of the two."""
    shape = step.batch.scene.shape
    quiet = shape.new_zeros(len(shape), net.detail.last.out_features)
    same, swapped = swap_shape(shape)
    forward_, still, back = (
        net.structure(torch.cat([shape, same, swapped]), torch.cat([quiet] * 3)).float().chunk(3)
    )
    return losses.structure_consistency(forward_, still, back)


def swap_shape(shape: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs of the structure encoder for (a, a) and (b, a), made from those for (a, b)."""
    from faceswap_cli.nets.fslsd256_encoders import EXPRESSION, POINTS

    p, e = 2 * POINTS, EXPRESSION
    own, wanted, change, pose_a, pose_b, face_a, face_b = torch.split(shape, [p, p, p, 3, 3, e, e], dim=1)
    same = torch.cat([own, own, torch.zeros_like(change), pose_a, pose_a, face_a, face_a], dim=1)
    swapped = torch.cat([wanted, own, -change, pose_b, pose_a, face_b, face_a], dim=1)
    return same, swapped


def _transport(net: Fslsd256, step: Step) -> Tensor:
    clean = net.style(step.batch.target).float()
    rows = slice(0, STRUCTURE_ROWS)
    return losses.transport(step.source.w[:, rows].float(), step.out.direction.float(), clean[:, rows])


def _code_trajectory(net: Fslsd256, step: Step) -> Tensor:
    clean = net.style(step.batch.target).float()
    rows = slice(0, STRUCTURE_ROWS)
    return losses.code_trajectory(step.out.direction.float(), clean[:, rows])


def _flow_trajectory(step: Step) -> Tensor:
    batch = step.batch
    return losses.flow_trajectory(step.out.face, batch.target, batch.wanted, batch.scene.mask)


def swap_back(net: Fslsd256, step: Step, context: TermContext) -> Tensor:
    """The target person, mirrored, swapped back onto the result: it shall be the target again."""
    batch = step.batch
    every = torch.ones(len(batch.target), dtype=torch.bool, device=batch.target.device)
    with torch.autocast(batch.target.device.type, enabled=False):
        picture, points = augment.flip(batch.target, batch.target_points, every)
        pairing = pair(points, batch.wanted, context.basis, batch.target.new_zeros(MESH_POINTS, 1))
        scene = build_scene(step.result.float(), batch.wanted, pairing, draw(pairing.wanted))
    back = net(net.encode_source(picture, batch.z_target), scene)
    inside = scene.mask * batch.valid
    result = composite(back.face, step.result, scene.mask)
    return losses.pixel(result, batch.target, inside) + losses.structure(result, batch.target, inside)


def _third_player(third: ThirdPlayer | None, step: Step) -> Tensor:
    if third is None:
        return step.result.sum() * 0
    known = step.batch.person < third.people
    if not bool(known.any()):
        return step.result.sum() * 0
    own = third(small(step.result[known]))
    people = step.batch.person[known]
    with torch.no_grad():
        real = third(small(step.batch.source[known]))
    likeness: Tensor = (own * real).sum(1)
    return losses.third_player_wins(third.logits(own), people) + 2.0 * (1 - likeness).mean()


def small(rgb: Tensor) -> Tensor:
    """Input of the third player."""
    return F.interpolate(rgb, size=(INPUT_SIDE, INPUT_SIDE), mode="area")


def critic_terms(players: Players, step: Step) -> Tensor:
    """The critic's own loss on this step's pictures."""
    batch, mask = step.batch, step.batch.scene.mask
    count = len(step.result)
    rgb, masks = augment.diff_augment(
        torch.cat([batch.target, step.result.detach()]), torch.cat([mask, mask])
    )
    score, _ = players.critic(rgb, masks)
    return losses.critic_wins(score[:count], score[count:])


def penalty_term(players: Players, step: Step) -> Tensor:
    """R1 at this step's real pictures, in float32."""
    picture = step.batch.target.detach().float().requires_grad_(True)
    score, _ = players.critic(picture, step.batch.scene.mask)
    return losses.gradient_penalty(score, picture)


def third_terms(third: ThirdPlayer, step: Step, share: float) -> Tensor | None:
    """The third player's own loss; None when nobody in the batch belongs to its people."""
    known = step.batch.person < third.people
    if not bool(known.any()):
        return None
    people = step.batch.person[known]
    real = third.logits(third(small(step.batch.source[known])), people)
    fake = third.logits(third(small(step.result[known].detach())))
    return losses.third_player_learns(real, fake, people, share)


def gradient_shares(step: Step, terms: Terms, weights: LossWeights) -> dict[str, float]:
    """Share of each weighted term in the sum of absolute gradients at the drawn face."""
    norms = {}
    for name, value in terms.items():
        (gradient,) = torch.autograd.grad(
            value * getattr(weights, name), step.out.face, retain_graph=True, allow_unused=True
        )
        norms[name] = 0.0 if gradient is None else float(gradient.abs().sum())
    total = sum(norms.values()) or 1.0
    return {name: value / total for name, value in norms.items()}
