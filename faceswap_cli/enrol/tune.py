"""Levels 1 to 3: the codes of one person refined, then a few layers of the network.

Level 1 moves the structure rows and the identity code inside a trust region.  Level 2 keeps the codes
and adds low-rank changes to the generator (pivotal tuning, Roich et al. 2022), held back by a locality
term: other people keep their faces.  Level 3 continues the same changes on faces of the clip that the
person is for (``enrol.clip``) in place of made ones.  Each ends when a measure that is not trained against
no longer falls, and gives the best state seen; a level that did not help changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.enrol.clip import onto_clip
from faceswap_cli.enrol.gauge import Gauge
from faceswap_cli.enrol.lowrank import Deltas
from faceswap_cli.enrol.objective import ON_CLIP, Goal, Other
from faceswap_cli.enrol.samples import Face, Sample
from faceswap_cli.enrol.views import View
from faceswap_cli.events import StopRequest
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import STRUCTURE_ROWS
from faceswap_cli.records import F32
from faceswap_cli.training.observers import Observers

EVERY, PATIENCE = 8, 4
"""Steps between two looks at the gauge; looks without improvement after which a level ends."""
_LEAST = 0.001
"""An improvement smaller than this is none."""
_TRUST_ROWS, _TRUST_Z = 0.5, 0.35
"""How far a row may move, as a share of its length, and the identity code, in its length."""
_STRANGERS = 6
Tell = Callable[[str, int, int], None]
"""Stage, steps done, steps at most"""


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """How long and how fast."""

    steps: tuple[int, int, int] = (96, 240, 80)
    """Largest number, of each level."""
    rates: tuple[float, float, float] = (1e-2, 1e-3, 3e-4)
    rank: int = 4
    max_s: float = float("inf")
    """Seconds for all levels together."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class State:
    """A person's codes and changes of the network."""

    rows: Tensor = field(repr=False)
    """(L, C)"""
    z: Tensor = field(repr=False)
    """(128,)"""
    deltas: dict[str, F32] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, eq=False)
class Material:
    """What the person is tuned on; all of it made once."""

    own: Sequence[Sample] = field(repr=False)
    made: Sequence[Sample] = field(repr=False)
    views: Sequence[View] = field(repr=False)
    embedding: Tensor = field(repr=False)
    """(128,) of the photographs that are trained on"""
    gauge: Gauge = field(repr=False)
    whole: Face = field(repr=False)
    """Of all photographs that are trained on"""
    clip: Sequence[View] = field(repr=False, default=())
    """Faces of the clip, for level 3"""


@dataclass(frozen=True)
class Outcome:
    """What a level did."""

    level: int
    steps: int
    before: float
    after: float
    """The gauge at the start and of the state that was kept, lower is better"""
    why: str
    """Why it ended: done, settled, time or stopped"""

    @property
    def helped(self) -> bool:
        return self.after < self.before - _LEAST


@dataclass(frozen=True, eq=False)
class Workshop:
    """Network, judges and limits of one tuning."""

    net: Fslsd256 = field(repr=False)
    eyes: Observers = field(repr=False)
    options: TuneOptions
    stop: StopRequest
    tell: Tell
    until: float
    """On the clock of :func:`time.monotonic`"""


def tune(shop: Workshop, material: Material, start: State, level: int) -> tuple[State, list[Outcome]]:
    """``start`` after levels 1 to ``level``."""
    state, told = start, []
    deltas = Deltas(shop.net, shop.options.rank, shop.options.seed) if level > 1 else None
    for number in range(1, level + 1):
        if number == 3:
            assert deltas is not None
            with deltas.off():
                material = _onto_clip(shop, material, start)
        part = _Codes(state) if deltas is None or number == 1 else _Network(shop, material, state, deltas)
        best, outcome = _run(shop, material, number, part)
        state = best if outcome.helped else state
        told.append(outcome)
        if outcome.why in ("time", "stopped"):
            break
    return state, told


def _onto_clip(shop: Workshop, material: Material, start: State) -> Material:
    """Faces of the clip in place of made ones."""
    known = material.whole, material.clip, material.gauge.reference, (start.rows, start.z)
    made, gauge = onto_clip(shop.net, shop.eyes, *known)
    return replace(material, made=made, gauge=gauge)


class _Part(Protocol):
    """What a level changes."""

    def parameters(self) -> list[Tensor]: ...

    def codes(self) -> tuple[Tensor, Tensor]:
        """Rows and identity code as they are now, with their gradients."""

    def state(self) -> State: ...

    def extra(self) -> Tensor:
        """Loss of its own."""

    def untuned(self) -> AbstractContextManager[None]:
        """The network as it is without this person."""


class _Codes:
    """Level 1."""

    def __init__(self, start: State) -> None:
        self._start = start
        self._move = torch.zeros_like(start.rows[:STRUCTURE_ROWS], requires_grad=True)
        self._turn = torch.zeros_like(start.z, requires_grad=True)

    def parameters(self) -> list[Tensor]:
        return [self._move, self._turn]

    def codes(self) -> tuple[Tensor, Tensor]:
        rows = self._start.rows
        first = rows[:STRUCTURE_ROWS]
        moved = first + _within(self._move, _TRUST_ROWS * first.norm(dim=1, keepdim=True))
        z = self._start.z + _within(self._turn, torch.full_like(self._turn[:1], _TRUST_Z))
        return torch.cat([moved, rows[STRUCTURE_ROWS:]]), F.normalize(z, dim=0)

    def state(self) -> State:
        rows, z = self.codes()
        return State(rows.detach().clone(), z.detach().clone(), self._start.deltas)

    def extra(self) -> Tensor:
        return 0.01 * (self._move.square().mean() + self._turn.square().sum())

    def untuned(self) -> AbstractContextManager[None]:
        return nullcontext()


def _within(move: Tensor, reach: Tensor) -> Tensor:
    """``move`` made shorter than ``reach`` along its last axis, smoothly."""
    length = move.square().sum(-1, keepdim=True).add(1e-12).sqrt()
    return move * (reach / (length + reach))


class _Network:
    """Levels 2 and 3."""

    def __init__(self, shop: Workshop, material: Material, start: State, deltas: Deltas) -> None:
        self._start, self._net = start, shop.net
        self._deltas = deltas
        deltas.take(start.deltas)
        self._rng = np.random.default_rng([shop.options.seed, 2])
        with self._deltas.off():
            self._others = [
                Other.made(shop.net, material.views, material.made, self._rng) for _ in range(_STRANGERS)
            ]

    def parameters(self) -> list[Tensor]:
        return self._deltas.parameters()

    def codes(self) -> tuple[Tensor, Tensor]:
        return self._start.rows, self._start.z

    def state(self) -> State:
        return State(self._start.rows, self._start.z, self._deltas.arrays())

    def extra(self) -> Tensor:
        return self._others[int(self._rng.integers(len(self._others)))].change(self._net)

    def untuned(self) -> AbstractContextManager[None]:
        return self._deltas.off()


def _run(shop: Workshop, material: Material, level: int, part: _Part) -> tuple[State, Outcome]:
    """Steps until the gauge settles; the best state, and how it came about."""
    options, gauge = shop.options, material.gauge
    steps, rate = options.steps[level - 1], options.rates[level - 1]
    with part.untuned():
        goal = Goal(shop.net, shop.eyes, material.own, material.made, material.embedding, part.codes())
    if level == 3:
        goal.landmarks *= ON_CLIP
    rng = np.random.default_rng([options.seed, level])
    adam = torch.optim.Adam(part.parameters(), lr=rate, betas=(0.9, 0.99))
    before = gauge.score(shop.net, shop.eyes, *part.codes())
    best, least, stale, why, step = part.state(), before, 0, "done", 0
    for step in range(1, steps + 1):
        adam.zero_grad()
        loss = goal.loss(*part.codes(), rng) + part.extra()
        torch.autograd.backward(loss)
        adam.step()
        shop.tell(f"level {level}", step, steps)
        over = shop.stop.requested or time.monotonic() > shop.until
        if step % EVERY and step != steps and not over:
            continue
        score = gauge.score(shop.net, shop.eyes, *part.codes())
        stale = 0 if score < least - _LEAST else stale + 1
        if score < least:
            best, least = part.state(), score
        if over or stale >= PATIENCE:
            why = "stopped" if shop.stop.requested else "time" if over else "settled"
            break
    return best, Outcome(level, step, round(before, 4), round(least, 4), why)
