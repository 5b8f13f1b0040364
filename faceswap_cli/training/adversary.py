"""The refiner's critic: it separates restored faces from untouched ones, seen with what is around them.

Errors alone make a network timid: between two corrections that may be right it makes half of one.  The critic
sees the picture at the refiner's own resolution, so every difference that it finds the refiner can change.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.nets.critic import Critic
from faceswap_cli.nets.refiner import SIDE_OUT
from faceswap_cli.training.losses import critic_wins, generator_wins, gradient_penalty

_WIDTH = 24
_PENALTY, _PENALTY_EVERY = 2.0, 8
"""Weight of R1, and the steps from one to the next"""


class Adversary:
    """A critic and its optimizer.  Pictures are L*a*b*, a* and b* off by 128, at ``SIDE_OUT``."""

    def __init__(self, rate: float, device: torch.device) -> None:
        self.net = Critic(_WIDTH, fold=1, side=SIDE_OUT).to(device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), rate, betas=(0.0, 0.99))
        self.steps = 0

    def loss(self, fake: Tensor, mask: Tensor, answer: Tensor, truth: Tensor, share: float) -> Tensor:
        """What the refiner pays for the ``fake`` (N, 3, 64, 64) that its ``answer`` made under ``mask``.

        Scaled so that the answer's gradient is ``share`` times as long as that of the loss ``truth``.
        """
        self.net.requires_grad_(False)
        found = generator_wins(self.net(_scaled(fake), mask)[0])
        self.net.requires_grad_(True)
        own, other = (
            torch.autograd.grad(x, answer, retain_graph=True)[0].norm().detach() for x in (truth, found)
        )
        scale: Tensor = share * own / (other + 1e-8)
        return found * scale

    def learn(self, real: Tensor, fake: Tensor, mask: Tensor) -> float:
        """One step on pictures (N, 3, 64, 64) with ``mask`` (N, 1, 64, 64); returns the loss."""
        penalized = self.steps % _PENALTY_EVERY == 0
        pictures = _scaled(real).requires_grad_(penalized)
        scores = self.net(pictures, mask)[0]
        loss = critic_wins(scores, self.net(_scaled(fake.detach()), mask)[0])
        told = float(loss.detach())
        if penalized:
            loss = loss + _PENALTY / 2 * _PENALTY_EVERY * gradient_penalty(scores, pictures)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.steps += 1
        return told

    def state(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = int(state["steps"])


def shrunk(picture: Tensor) -> Tensor:
    """(N, C, 128, 128) -> (N, C, 64, 64)."""
    return F.interpolate(picture, size=(SIDE_OUT, SIDE_OUT), mode="area")


def _scaled(lab: Tensor) -> Tensor:
    """About [-1, 1]."""
    middle, width = (lab.new_tensor(x)[:, None, None] for x in ([50.0, 128.0, 128.0], [50.0, 30.0, 30.0]))
    return (lab - middle) / width
