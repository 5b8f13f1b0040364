"""Train the occluder head.

``python -m faceswap_cli.training.masking POOL FOLDER [--images N] [--max-time 25m] [--start WEIGHTS]
[--things MARKS]``

POOL is a folder made by ``faceswap train RECIPE.toml --prepare``.  Samples are drawn in chunks, each seen
several times (drawing one costs as much as learning from it).  Chance depends on the seed and the
number of images seen only, so the same command continues where the last one stopped, with the same numbers.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from faceswap_cli.errors import InputError
from faceswap_cli.geometry import masks
from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.occluder import CLASSES, SIDE_OUT, OccluderHead
from faceswap_cli.records import F32
from faceswap_cli.swap.occluder_head import head_input, inside_outline
from faceswap_cli.training.commands import run_command
from faceswap_cli.training.export import export_half
from faceswap_cli.training.occluders import Sample, draw_sample
from faceswap_cli.training.own_glasses import OwnGlasses, find_own
from faceswap_cli.training.own_things import OwnThings
from faceswap_cli.training.pool import Pool, open_pool
from faceswap_cli.training.state import load_state, save_state

METRICS = "occluder.ndjson"
_EXAM_SEED = 999
_IMPORTANCE = (1.0, 1.0, 1.0, 1.3, 1.6, 1.3)
"""Weights of the classes: to draw over a hand is worse than to leave some skin as it is."""
_HELD = 0.04
"""Share of samples whose faces have marked things in front of them"""
_OVERLAP = 0.15
"""Weight of the overlap: more of it makes thin rims thick."""
_KEEP = 0.995
"""Of the averaged weights per step."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """The options of a run.  ``images`` must be known from the start: the learning rate falls towards it."""

    images: int = 100_000
    batch: int = 16
    rate: float = 2.5e-3
    seed: int = 0
    chunk: int = 512
    """Samples drawn at a time."""
    passes: int = 3
    """Times each sample is seen, mirrored by chance."""
    save_every_s: float = 120.0
    exam: int = 192
    """Samples of held-out people for the figures."""

    def __post_init__(self) -> None:
        if self.chunk % self.batch or self.batch < 2:
            raise InputError(
                f"chunk ({self.chunk}) must be a multiple of batch ({self.batch}), which is 2 or more"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """(N, 5, 192, 192) input; (N, 6, 96, 96) shares of the classes; (N, 1, 96, 96) weight."""

    x: Tensor
    shares: Tensor
    weight: Tensor


def to_batch(samples: Sequence[Sample], mirror: Sequence[bool]) -> Batch:
    """Samples as tensors, some of them mirrored."""
    columns: tuple[list[F32], ...] = ([], [], [])
    for sample, flip in zip(samples, mirror, strict=True):
        values = (head_input(sample.rgb, sample.points), _half(sample.shares), _half(sample.weight[None]))
        for column, value in zip(columns, values, strict=True):
            column.append(np.ascontiguousarray(value[..., ::-1]) if flip else value)
    x, shares, weight = (torch.from_numpy(np.stack(column)) for column in columns)
    return Batch(x.contiguous(memory_format=torch.channels_last), shares, weight)


def _half(maps: F32) -> F32:
    """(C, 192, 192) -> (C, 96, 96): means of 2 x 2."""
    count, side = maps.shape[0], SIDE_OUT
    return np.asarray(maps.reshape(count, side, 2, side, 2).mean(axis=(2, 4)), np.float32)


def loss_of(logits: Tensor, batch: Batch) -> Tensor:
    """Weighted cross entropy, and one minus the overlap (Dice) of each class that a picture holds."""
    weighted = batch.shares * batch.weight
    importance = torch.tensor(_IMPORTANCE)[:, None, None]
    entropy = -(weighted * importance * F.log_softmax(logits, dim=1)).sum(1).mean()
    p, dims = (logits.softmax(1) * batch.weight)[:, 1:], (2, 3)
    truth = weighted[:, 1:]
    both = (p * batch.shares[:, 1:]).sum(dims)
    dice = 1 - (2 * both + 10) / (p.sum(dims) + truth.sum(dims) + 10)
    return entropy / batch.weight.mean() + dice.sum(1).mean() * _OVERLAP


def usable(pool: Pool, *, held_out: bool) -> NDArray[np.int64]:
    """Rows of stills: in clips hands pass the face, and nobody has marked where."""
    rows = pool.rows(held_out=held_out)
    return rows[pool.clip[rows] < 0]


class Run:
    """Network, its average and the optimizer, and where they stand."""

    def __init__(
        self,
        pool: Pool,
        folder: Path,
        options: MaskOptions,
        start: Path | None = None,
        things: OwnThings | None = None,
    ) -> None:
        torch.manual_seed(options.seed)
        self.pool, self.folder, self.options = pool, folder, options
        self.net = channels_last(OccluderHead())
        self.average = channels_last(OccluderHead())
        self.average.load_state_dict(self.net.state_dict())
        self.optimizer = torch.optim.AdamW(self.net.parameters(), options.rate, weight_decay=1e-3)
        self.images = 0
        if not len(usable(pool, held_out=False)):
            raise InputError(f"the pool of {len(pool)} faces holds no stills to train on; add pictures to it")
        state = load_state(folder)
        if state is not None:
            self._restore(state)
        elif start is not None:
            stored = {name: value.float() for name, value in load_file(start).items()}
            for net in (self.net, self.average):
                net.load_state_dict(stored, strict=False)
        self.own, self.things = self._own_glasses(start), things

    def _restore(self, state: dict[str, Any]) -> None:
        if (state["pool"], state["seed"]) != (self.pool.digest, self.options.seed):
            raise InputError(f"{self.folder} holds a run on another pool or seed; choose another folder")
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimiser"])
        self.images = int(state["images"])

    def _own_glasses(self, start: Path | None) -> OwnGlasses | None:
        """The pool's own, as the weights to start from see them; kept beside the state of the run."""
        kept = self.folder / "own_glasses.npz"
        if not kept.is_file():
            if start is None:
                return None
            self.folder.mkdir(parents=True, exist_ok=True)
            find_own(self.net, self.pool).save(kept)
        return OwnGlasses.load(kept)

    def save(self) -> None:
        save_state(
            self.folder,
            {
                "net": self.net.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimizer.state_dict(),
                "images": self.images,
                "pool": self.pool.digest,
                "seed": self.options.seed,
            },
        )
        export_half(self.average, self.folder / "occluder.safetensors", self.images)

    def batches(self) -> Iterator[Batch]:
        """Batches from where the run stands; the current chunk is drawn again after a restart."""
        o = self.options
        rows = usable(self.pool, held_out=False)
        while True:
            chunk, inside = divmod(self.images, o.chunk * o.passes)
            rng = np.random.default_rng([o.seed, chunk])
            chosen = rng.choice(rows, o.chunk)
            if self.things is not None:
                held = rng.random(o.chunk) < _HELD
                chosen[held] = rng.choice(self.things.rows, held.sum())
            samples = [draw_sample(self.pool, int(row), rng, self.own, self.things) for row in chosen]
            order = np.concatenate([rng.permutation(o.chunk) for _ in range(o.passes)])
            flips = rng.random(len(order)) < 0.5
            for start in range(inside, len(order), o.batch):
                part = slice(start, start + o.batch)
                yield to_batch([samples[k] for k in order[part]], flips[part].tolist())

    def step(self, batch: Batch) -> float:
        """One step of the optimizer; returns the loss."""
        o = self.options
        done = min(self.images / o.images, 1.0)
        rate = o.rate * min(1.0, self.images / 1000 + 0.05) * max(0.5 + 0.5 * math.cos(math.pi * done), 0.01)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.cpu._is_avx512_bf16_supported())):
            logits = self.net(batch.x)
        loss = loss_of(logits.float(), batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimizer.step()
        keep = min(_KEEP, 1 - 1 / (self.images / o.batch + 1))
        with torch.no_grad():
            for old, new in zip(
                self.average.state_dict().values(), self.net.state_dict().values(), strict=True
            ):
                if old.is_floating_point():
                    old.lerp_(new, 1 - keep)
        self.images += o.batch
        return float(loss.detach())

    def go(self, max_time_s: float = math.inf) -> dict[str, float]:
        """Train until ``options.images`` or the time is up; the state is saved.  Returns the figures."""
        torch.set_num_threads(1)
        o, started = self.options, time.monotonic()
        saved = noted = started
        losses: list[float] = []
        for batch in self.batches():
            if self.images >= o.images or time.monotonic() - started > max_time_s:
                break
            losses.append(self.step(batch))
            if self.images // o.batch % 50 == 0:
                now = time.monotonic()
                self._note(loss=float(np.mean(losses)), images_per_s=len(losses) * o.batch / (now - noted))
                losses, noted = [], now
            if time.monotonic() - saved > o.save_every_s:
                self.save()
                saved = time.monotonic()
        self.save()
        figures = exam(self.average, self.pool, o.exam)
        self._note(**figures)
        return figures

    def _note(self, **values: float) -> None:
        row = {"images": self.images, **{name: round(value, 5) for name, value in values.items()}}
        log.info("%s", row)
        with (self.folder / METRICS).open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")


@torch.inference_mode()
def exam(net: OccluderHead, pool: Pool, count: int) -> dict[str, float]:
    """Overlap (IoU) by class inside the outline of held-out people, and the share of clear faces taken."""
    rng = np.random.default_rng(_EXAM_SEED)
    rows = usable(pool, held_out=True)
    net.eval()
    both, either = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
    clear = taken = 0.0
    for row in rng.choice(rows if len(rows) else usable(pool, held_out=False), count):
        sample = draw_sample(pool, int(row), rng)
        batch = to_batch([sample], [False])
        found = np.eye(len(CLASSES), dtype=bool)[net(batch.x)[0].argmax(0).numpy()]
        truth = np.eye(len(CLASSES), dtype=bool)[batch.shares[0].argmax(0).numpy()]
        hull = masks.grow(inside_outline(sample.points, SIDE_OUT), -1) > 0.5
        counts = (hull & (batch.weight[0, 0].numpy() > 0.5))[..., None]
        both += (found & truth & counts).sum((0, 1))
        either += ((found | truth) & counts).sum((0, 1))
        if truth[hull][:, 0].all():
            clear += float(counts.sum())
            taken += float((~found[..., :1] & counts).sum())
    overlap = {name: float(b / max(e, 1.0)) for name, b, e in zip(CLASSES, both, either, strict=True)}
    return {**overlap, "taken_from_clear": taken / max(clear, 1.0)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; figures go to the log and to ``FOLDER/occluder.ndjson``."""

    def train(given: argparse.Namespace, limit_s: float) -> None:
        options = MaskOptions(images=given.images, seed=given.seed)
        pool = open_pool(given.pool)
        things = OwnThings.load(given.things, pool) if given.things else None
        Run(pool, given.folder, options, given.start, things).go(limit_s)

    files = {"things": "marks (JSON) of what faces of the pool have in front of them"}
    return run_command("faceswap_cli.training.masking", __doc__, 100_000, train, arguments, files)


if __name__ == "__main__":
    raise SystemExit(main())
