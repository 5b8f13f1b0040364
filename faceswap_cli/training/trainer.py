"""One training step: networks, optimizers and data of one process, and their state."""

from __future__ import annotations

import copy
import itertools
import logging
import math
import os
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from faceswap_cli.errors import InputError
from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.critic import Critic
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.nets.third_player import ThirdPlayer
from faceswap_cli.stream import ordered_map
from faceswap_cli.training.batches import Batch, Sampler, expression_basis
from faceswap_cli.training.export import read_weights
from faceswap_cli.training.measure import feature_margins
from faceswap_cli.training.observers import Observers
from faceswap_cli.training.options import Phase, TrainOptions
from faceswap_cli.training.pool import Pool
from faceswap_cli.training.terms import (
    Players,
    Step,
    TermContext,
    critic_terms,
    forward,
    generator_terms,
    gradient_shares,
    penalty_term,
    third_terms,
)

BETAS = (0.0, 0.99)
CYCLE_EVERY = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, and where it computes."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0


@dataclass
class Progress:
    """Where a run stands; all of it is kept in the state."""

    step: int = 0
    images: int = 0
    phase: int = 0
    phase_images: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Networks, optimizers and data of one process."""

    def __init__(self, options: TrainOptions, pool: Pool, place: Place) -> None:
        self.options, self.place = options, place
        torch.manual_seed(options.seed)
        self.basis = expression_basis(pool)
        self.sampler = Sampler(pool, self.basis, options.seed)
        self.sampler.drop_part, self.sampler.drop_warp = options.drop_part, options.drop_warp
        self.sampler.shape_mix = options.shape_mix
        net = Fslsd256(PRESETS[options.preset])
        net.expression.copy_(self.basis)
        net.mean_embedding.copy_(self.sampler.mean)
        if options.warm_start is not None:
            net.load_state_dict(read_weights(options.warm_start, net))
        self.net = self._placed(net)
        self.ema = copy.deepcopy(self.net).requires_grad_(False)
        self.critic = self._placed(Critic())
        people = len(self.sampler.several)
        self.third = self._placed(ThirdPlayer(people)) if people > 1 else None
        self.eyes = Observers.load(place.device)
        self.optimizers = {
            "net": torch.optim.Adam(self.net.parameters(), options.phases[0].rate, BETAS),
            "critic": torch.optim.Adam(self.critic.parameters(), options.critic_rate, BETAS),
        }
        if self.third is not None:
            self.optimizers["third"] = torch.optim.Adam(self.third.parameters(), options.critic_rate, BETAS)
        self.margins = feature_margins(self.sampler, self.eyes).to(place.device)
        self.progress = Progress()
        self.gradient_norm = 0.0
        self._ahead: Generator[Batch, None, None] | None = None
        self._ahead_of = -1

    def _placed(self, module: nn.Module) -> Any:
        return channels_last(module.to(self.place.device)).train()

    @property
    def phase(self) -> Phase:
        return self.options.phases[self.progress.phase]

    def step(self) -> dict[str, float]:
        """One update of every player; returns the terms' values."""
        progress, phase = self.progress, self.phase
        batch = self._next_batch().to(self.place.device)
        torch.manual_seed(hash((self.options.seed, self.place.rank, progress.step)))
        self._set_rates()
        players = Players(self.net, self.critic, self.eyes, self.third if phase.third_player else None)
        values, step = self._update_net(players, batch)
        adversarial = max(phase.weights.adversarial, phase.weights.feature_match) > 0
        if adversarial and progress.step % self.options.critic_every == 0:
            values.update(self._update_critic(players, step))
        if players.third is not None and phase.weights.third_player > 0:
            values.update(self._update_third(players.third, step))
        self._average_weights()
        progress.step += 1
        seen = self.options.batch * self.place.world
        progress.images += seen
        progress.phase_images += seen
        return values

    def _next_batch(self) -> Batch:
        """The batch of this step and process; loader threads work ahead within a phase."""
        progress, mix, size = self.progress, dict(self.phase.mix), self.options.batch
        seed, rank = self.options.seed, self.place.rank

        def make(step: int) -> Batch:
            return self.sampler.at(seed, rank, step).draw(mix, size)

        loaders = self._loaders()
        if loaders == 0:
            return make(progress.step)
        if self._ahead is None or self._ahead_of != progress.phase:
            self.close()
            self._ahead = ordered_map(make, itertools.count(progress.step), loaders)
            self._ahead_of = progress.phase
        return next(self._ahead)

    def _loaders(self) -> int:
        if self.options.loaders >= 0:
            return self.options.loaders
        return 0 if self.place.device.type == "cpu" else min(12, max(2, (os.cpu_count() or 4) - 2))

    def close(self) -> None:
        """Stop the loader threads."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def _set_rates(self) -> None:
        """Linear warm-up over the first steps of a run."""
        warm = min(1.0, (self.progress.step + 1) / 100)
        for name, optimizer in self.optimizers.items():
            rate = self.phase.rate if name == "net" else self.options.critic_rate
            for group in optimizer.param_groups:
                group["lr"] = rate * warm

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.place.device.type, torch.bfloat16)

    def _context(self) -> TermContext:
        return TermContext(
            mean=self.net.mean_embedding,
            margins=self.margins,
            basis=self.net.expression,
            cycle=self.progress.step % CYCLE_EVERY == 0,
            third=self.phase.third_player,
        )

    def _update_net(self, players: Players, batch: Batch) -> tuple[dict[str, float], Step]:
        weights = self.phase.weights
        others = [m for m in (self.critic, self.third) if m is not None]
        for module in others:
            module.requires_grad_(False)
        with self._autocast():
            step = forward(self.net, batch)
            terms = generator_terms(players, step, weights, self._context())
        values = {name: float(value.detach()) for name, value in terms.items()}
        if self.progress.step % self.options.shares_every == 0:
            shares = gradient_shares(step, terms, weights)
            values.update({f"share_{name}": share for name, share in shares.items()})
        total = torch.stack([value.float() * getattr(weights, name) for name, value in terms.items()]).sum()
        self._descend("net", self.net, total)
        values["gradient"] = self.gradient_norm
        for module in others:
            module.requires_grad_(True)
        return values, step

    def _update_critic(self, players: Players, step: Step) -> dict[str, float]:
        with self._autocast():
            loss = critic_terms(players, step)
        values = {"critic": float(loss.detach())}
        if self.progress.step % self.options.penalty_every == 0:
            penalty = penalty_term(players, step)
            values["penalty"] = float(penalty.detach())
            loss = loss + penalty * (0.5 * self.options.penalty * self.options.penalty_every)
        self._descend("critic", self.critic, loss)
        return values

    def _update_third(self, third: ThirdPlayer, step: Step) -> dict[str, float]:
        """The share of synthetic pictures falls from .9 to .05 over the phase (FaceID-GAN's lambda)."""
        done = min(self.progress.phase_images / self.phase.images, 1.0)
        share = 0.05 + 0.85 * 0.5 * (1 + math.cos(math.pi * done))
        with self._autocast():
            loss = third_terms(third, step, share)
        value = 0.0 if loss is None else float(loss.detach())
        # Every process takes part in the averaging, also when it saw nobody the third player knows.
        zero = torch.stack([p.sum() for p in third.parameters()]).sum() * 0
        self._descend("third", third, zero if loss is None else loss + zero)
        return {"third": value}

    def _descend(self, name: str, module: nn.Module, loss: Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        average_gradients(module, self.place)
        norm = nn.utils.clip_grad_norm_(module.parameters(), self.options.clip)
        if name == "net":
            self.gradient_norm = float(norm)
        if bool(torch.isfinite(norm)):
            optimizer.step()
        else:
            log.warning("step %d: gradient of %s is not finite; step left out", self.progress.step, name)

    @torch.no_grad()
    def _average_weights(self) -> None:
        """EMA, faster at the start, so that early sheets show something."""
        decay = min(self.options.ema, (1 + self.progress.step) / (10 + self.progress.step))
        own, kept = list(self.net.parameters()), list(self.ema.parameters())
        torch._foreach_lerp_(kept, own, 1 - decay)

    def state(self) -> dict[str, Any]:
        """Everything needed to continue exactly: randomness depends on the step alone."""
        return {
            "version": 1,
            "preset": self.options.preset,
            "pool": self.sampler.pool.digest,
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "critic": self.critic.state_dict(),
            "third": self.third.state_dict() if self.third is not None else {},
            "optimisers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "progress": vars(self.progress).copy(),
            "margins": self.margins.cpu(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        if state["preset"] != self.options.preset:
            found, wanted = state["preset"], self.options.preset
            raise InputError(f"the state is of preset {found!r}, not {wanted!r}; try another folder")
        for name in ("net", "ema", "critic"):
            getattr(self, name).load_state_dict(state[name])
        if self.third is not None and state["third"]:
            fits = state["third"]["centres"].shape == self.third.centres.shape
            if fits:
                self.third.load_state_dict(state["third"])
                self.optimizers["third"].load_state_dict(state["optimisers"]["third"])
        for name in ("net", "critic"):
            self.optimizers[name].load_state_dict(state["optimisers"][name])
        self.progress = Progress(**state["progress"])
        self.progress.phase = min(self.progress.phase, len(self.options.phases) - 1)
        self.margins = state["margins"].to(self.place.device)


def average_gradients(module: nn.Module, place: Place) -> None:
    """Mean of the gradients over all processes, in one message."""
    if place.world == 1:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in module.parameters()]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= place.world
    start = 0
    for parameter in module.parameters():
        size = parameter.numel()
        parameter.grad = flat[start : start + size].reshape(parameter.shape)
        start += size


def agreed(mine: bool, place: Place) -> bool:
    """What the first process says, in all of them."""
    if place.world == 1:
        return mine
    word = torch.tensor([1.0 if mine else 0.0], device=place.device)
    dist.broadcast(word, 0)
    return bool(word.item())
