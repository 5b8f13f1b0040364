"""Train the refiner on pairs with truth (``training.pairs``).

Truth comes first: L*, a* and b* of the restored face at four octaves, under its mask.  Light that does not
belong is also laid on composites while they are read, so every pair is seen in many lights.  Two views of a
pair that differ as neighboring frames do must be changed alike.  Chance depends on the seed and the number of
pictures seen only: a run that was stopped continues with the same numbers.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.errors import InputError
from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.refiner import INPUTS, SIDE, SIDE_OUT, Refiner
from faceswap_cli.swap.appearance import LAB_OFFSET
from faceswap_cli.swap.refining import LAB_SCALE
from faceswap_cli.training.export import export_half
from faceswap_cli.training.options import RefinerOptions, TrainOptions
from faceswap_cli.training.pairs import Pairs, read_piece
from faceswap_cli.training.state import load_state, save_state

METRICS, WEIGHTS = "refiner.ndjson", "refiner.safetensors"
_OCTAVES = 4
_CHROMA = 1.5
"""Weight of a* and b*: a tint shows before a shade does."""
_LIT, _LIGHT, _TINT = 0.7, (3.0, 5.0), (2.0, 4.5)
"""Share of composites that are lit otherwise, and deviations of that in L* and in a*, b*: even and uneven"""
_NOISE = 1.2
"""Deviation of the noise on composites, in steps of a byte"""
_SOFT = 0.2
"""Share of pairs that are made as soft as those of small faces"""
_STEADY_EVERY = 3
_WARM = 100
"""The rate rises over the first hundredth of the run."""
Rng = np.random.Generator
_KEEP = 0.999
"""Of the averaged weights per step"""
_SIGNED = INPUTS.index("normal")
"""Channel that changes its sign in a mirror"""
_COMPOSITE, _MASK = slice(3), slice(3, 4)
_GRADED = tuple(slice(INPUTS.index(name), INPUTS.index(name) + 3) for name in ("light", "network"))
"""Channels in the exposure and white balance of the composite"""
_ZOOM, _SHIFT = 0.05, 0.04
"""Deviations of the logarithm of a picture's size and of its place, in halves of its side"""
_EXPOSURE, _BALANCE = 0.12, 3.0
"""Deviations of the logarithm of a picture's exposure, and of a* and b* of its white balance"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """(N, 22, 128, 128) in [-1, 1]; composite and truth (N, 3, 128, 128) L*a*b*; mask (N, 1, 128, 128)."""

    x: Tensor
    composite: Tensor
    truth: Tensor
    mask: Tensor


def lab_of(coded: Tensor) -> Tensor:
    """(N, 3, S, S) bytes -> L*a*b*, a* and b* off by 128 alike."""
    return coded.float() / _scale(coded)


def _scale(like: Tensor) -> Tensor:
    return torch.from_numpy(LAB_SCALE).to(like.device)[:, None, None]


def to_batch(stack: Tensor, truth: Tensor, rng: Rng | None) -> Batch:
    """Rows of pairs (N, 22 and 3, 128, 128) bytes; with ``rng`` mirrored, moved, graded, lit and worn at
    random.
    """
    if rng is not None:
        stack, truth = _moved(*_mirrored(stack, truth, rng), rng)
    x = stack.float()
    mask, composite, wanted = x[:, _MASK] / 255, lab_of(x[:, _COMPOSITE]), lab_of(truth)
    if rng is not None:
        seen = [lab_of(x[:, rows]) for rows in _GRADED]
        composite, wanted, *seen = _graded((composite, wanted, *seen), rng)
        composite, wanted = _worn(composite + mask * _light(composite, rng), wanted, rng)
        x = x.clone()
        for rows, picture in zip((_COMPOSITE, *_GRADED), (composite, *seen), strict=True):
            x[:, rows] = (picture * _scale(picture)).clamp(0, 255)
    x = (x / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    return Batch(x, composite, wanted, mask)


def _mirrored(stack: Tensor, truth: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
    flips = torch.from_numpy(rng.random(len(stack)) < 0.5).to(stack.device)[:, None, None, None]
    turned = stack.flip(3)
    turned[:, _SIGNED] = 255 - turned[:, _SIGNED]
    return torch.where(flips, turned, stack), torch.where(flips, truth.flip(3), truth)


def _moved(stack: Tensor, truth: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
    """Both a little larger or smaller and elsewhere, alike."""
    count, rows = len(stack), stack.shape[1]
    matrix = torch.zeros(count, 2, 3)
    zoom = np.exp(_ZOOM * rng.standard_normal(count))
    matrix[:, 0, 0] = matrix[:, 1, 1] = torch.from_numpy(zoom)
    matrix[:, :, 2] = torch.from_numpy(_SHIFT * rng.standard_normal((count, 2)))
    both = torch.cat([stack, truth], dim=1).float()
    grid = F.affine_grid(matrix.to(stack.device), list(both.shape), align_corners=False)
    moved = F.grid_sample(both, grid, padding_mode="border", align_corners=False)
    return moved[:, :rows], moved[:, rows:]


def _graded(pictures: tuple[Tensor, ...], rng: Rng) -> list[Tensor]:
    """L*a*b* pictures of one scene in another exposure and white balance, alike."""
    count = len(pictures[0])
    gain = torch.exp(_EXPOSURE * _noise(pictures[0], rng, count, 1, 1, 1))
    balance = torch.cat([gain * 0, _BALANCE * _noise(gain, rng, count, 2, 1, 1)], dim=1)
    zero = gain.new_tensor([-LAB_OFFSET, 128.0, 128.0])[:, None, None]
    return [(picture - zero) * gain + zero + balance for picture in pictures]


def _noise(like: Tensor, rng: Rng, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(like.device)


def _light(composite: Tensor, rng: Rng) -> Tensor:
    """(N, 3, 128, 128) light that does not belong: even, and as smooth fields."""
    count, cells = len(composite), int(rng.integers(2, 13))
    lit = torch.from_numpy((rng.random((count, 1, 1, 1)) < _LIT).astype(np.float32)).to(composite.device)
    even, uneven = (
        _noise(composite, rng, count, 3, n, n)
        * composite.new_tensor([_LIGHT[k], _TINT[k], _TINT[k]])[:, None, None]
        for k, n in enumerate((1, cells))
    )
    return lit * (even + F.interpolate(uneven, size=(SIDE, SIDE), mode="bicubic", align_corners=False))


def _worn(composite: Tensor, wanted: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
    """Some pairs as soft as small faces are, and noise on every composite."""
    side = int(rng.integers(32, 100))
    soft = torch.from_numpy(rng.random(len(composite)) < _SOFT).to(composite.device)[:, None, None, None]
    out = []
    for picture in (composite, wanted):
        small = F.interpolate(picture, size=(side, side), mode="area")
        out.append(torch.where(soft, F.interpolate(small, size=(SIDE, SIDE), mode="bilinear"), picture))
    return out[0] + _noise(composite, rng, *composite.shape) * (_NOISE * float(rng.random())), out[1]


def refined(composite: Tensor, mask: Tensor, change: Tensor) -> Tensor:
    """(N, 3, 128, 128): the composite with the network's answer (N, 3, 64, 64) on what was drawn."""
    return composite + mask * F.interpolate(change, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


def errors(found: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """(N,) mean error over the octaves of two pictures under a mask, L* units."""
    weight = found.new_tensor([1.0, _CHROMA, _CHROMA])[:, None, None]
    total = found.new_zeros(len(found))
    difference = (found - wanted) * weight * mask
    for _ in range(_OCTAVES):
        difference, mask = F.avg_pool2d(difference, 2), F.avg_pool2d(mask, 2)
        size = torch.sqrt(difference.square() + 0.01).sum((1, 2, 3)) - 0.1 * difference[0].numel()
        total = total + size / (3 * mask.sum((1, 2, 3)) + 1)
    return total / _OCTAVES


def _half(device: torch.device) -> torch.autocast:
    fast = device.type == "cuda" or bool(torch.cpu._is_avx512_bf16_supported())
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


class Run:
    """Network, its average and the optimizer, and where they stand."""

    def __init__(
        self, pieces: Sequence[Path], held_out: Sequence[Path], options: TrainOptions, device: torch.device
    ) -> None:
        self.folder, self.options, self.seed = (
            options.folder,
            options.refiner or RefinerOptions(),
            options.seed,
        )
        torch.manual_seed(self.seed)
        self.device = device
        self.pieces = [read_piece(path) for path in pieces]
        self.held_out = [read_piece(path) for path in held_out]
        self.rows = np.concatenate(
            [[(k, row) for row in range(len(piece.row))] for k, piece in enumerate(self.pieces)]
        )
        self.net, self.average = (channels_last(Refiner()).to(device) for _ in range(2))
        self.average.load_state_dict(self.net.state_dict())
        self.optimizer = torch.optim.AdamW(self.net.parameters(), self.options.rate, weight_decay=1e-3)
        self.images = 0
        state = load_state(self.folder)
        if state is not None:
            self._restore(state)

    def _restore(self, state: dict[str, Any]) -> None:
        if state["seed"] != self.seed:
            raise InputError(f"{self.folder} holds a run with another seed; choose another folder")
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.images = int(state["images"])

    def save(self) -> None:
        """The state, and the averaged weights as the program reads them."""
        save_state(
            self.folder,
            {
                "net": self.net.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "images": self.images,
                "seed": self.seed,
            },
        )
        export_half(self.average, self.folder / WEIGHTS, self.images)

    def batch(self) -> tuple[Batch, Rng]:
        """The next batch; which rows it holds depends on the seed and the pictures seen only."""
        rng = np.random.default_rng([self.seed, self.images])
        chosen = self.rows[rng.integers(len(self.rows), size=self.options.batch)]
        x = np.stack([self.pieces[k].x[row] for k, row in chosen])
        truth = np.stack([self.pieces[k].truth[row] for k, row in chosen])
        return to_batch(
            torch.from_numpy(x).to(self.device), torch.from_numpy(truth).to(self.device), rng
        ), rng

    def step(self) -> float:
        """One step of the optimizer; returns the loss."""
        o, (batch, rng) = self.options, self.batch()
        done = min(self.images / o.images, 1.0)
        rate = (
            o.rate
            * min(1.0, _WARM * self.images / o.images + 0.05)
            * max(0.5 + 0.5 * math.cos(math.pi * done), 0.01)
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.net.train()
        steady = self.images // o.batch % _STEADY_EVERY == 0
        x = torch.cat([batch.x, _next_frame(batch.x, rng)]) if steady else batch.x
        with _half(self.device):
            change = self.net(x).float()
        first = change[: o.batch]
        loss = errors(refined(batch.composite, batch.mask, first), batch.truth, batch.mask).mean()
        if steady:
            mask = F.interpolate(batch.mask, size=(SIDE_OUT, SIDE_OUT), mode="area")
            loss = loss + o.steady * (mask * (first - change[o.batch :])).abs().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self._follow()
        self.images += o.batch
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(_KEEP, 1 - 1 / (self.images / self.options.batch + 1))
        for old, new in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)

    def go(
        self,
        max_time_s: float = math.inf,
        stop: StopRequest = NEVER,
        tell: Callable[[int], None] = lambda images: None,
    ) -> dict[str, float]:
        """Train until ``options.images``, a stop or the time is up; the state is saved.  Returns figures."""
        o, started = self.options, time.monotonic()
        saved = noted = started
        losses: list[float] = []
        while self.images < o.images and time.monotonic() - started < max_time_s and not stop.requested:
            losses.append(self.step())
            if self.images // o.batch % 100 == 0:
                now = time.monotonic()
                self._note(loss=float(np.mean(losses)), images_per_s=len(losses) * o.batch / (now - noted))
                losses, noted = [], now
                tell(self.images)
            if time.monotonic() - saved > o.save_every_s:
                self.save()
                saved = time.monotonic()
        self.save()
        figures = exam(self.average, self.held_out or self.pieces[:1])
        self._note(**figures)
        return figures

    def _note(self, **values: float) -> None:
        row = {"images": self.images, **{name: round(value, 5) for name, value in values.items()}}
        log.info("%s", row)
        with (self.folder / METRICS).open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")


def _next_frame(x: Tensor, rng: Rng) -> Tensor:
    """The same faces as a neighboring frame would show them: other noise, a hint of other light."""
    out, count = x.clone(), len(x)
    drift = F.interpolate(
        _noise(x, rng, count, 3, 2, 2), size=(SIDE, SIDE), mode="bilinear", align_corners=False
    )
    out[:, :3] += 0.02 * _noise(x, rng, count, 3, SIDE, SIDE) + 0.01 * drift
    return out


@torch.inference_mode()
def exam(net: Refiner, pieces: Sequence[Pairs]) -> dict[str, float]:
    """Error of composites and of what the network makes of them, L* units, without augmentation."""
    net.eval()
    device = next(net.parameters()).device
    before, after = [], []
    for piece in pieces:
        for first in range(0, len(piece.row), 32):
            rows = slice(first, first + 32)
            stack, truth = (torch.from_numpy(part[rows]).to(device) for part in (piece.x, piece.truth))
            batch = to_batch(stack, truth, None)
            before.append(errors(batch.composite, batch.truth, batch.mask))
            after.append(errors(refined(batch.composite, batch.mask, net(batch.x)), batch.truth, batch.mask))
    old, new = (float(torch.cat(rows).mean()) for rows in (before, after))
    return {"composite": old, "refined": new, "share": new / old}
