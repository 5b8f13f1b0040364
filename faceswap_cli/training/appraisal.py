"""Teach the weight of a photograph (``nets.quality``) by its effect on the fused identity.

``python -m faceswap_cli.training.appraisal POOL OUT.safetensors [--steps N] [--seed S]``

Every picture of the pool is taken as it is and spoiled in several ways.  Sets of a person's pictures are
fused by the weights, and the fused embedding has to come close to the person's (DR-GAN: losses on the fused
and on each single one).  Only the frozen recognition network is looked through, so the file does not depend
on the weights of any swap network.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from faceswap_cli.errors import FaceswapError
from faceswap_cli.faces.crops import cut, width_px
from faceswap_cli.identity.embed import CHIP, chip_from_points, head_of, pooled_chips
from faceswap_cli.identity.quality import inputs, measured
from faceswap_cli.nets.quality import QualityHead
from faceswap_cli.records import F32, U8
from faceswap_cli.training.augment import Rng
from faceswap_cli.training.pool import Pool, open_pool

VARIANTS = 3
"""Spoiled copies of a person's only picture."""
PER_PERSON = 16
"""At most this many pictures of one person, each with one spoiled copy."""
NATURAL = 0.2
"""Distance that one photograph of a person has from another for no visible reason: a copy of the reference
itself must not look perfect."""
_SET = 4
_REGRESSION, _RANKING, _MARGIN = 0.5, 0.5, 0.1
_JITTER = 0.004
"""Of meshes, in widths of the face: those of bad pictures are found less exactly."""

log = logging.getLogger(__name__)


def spoiled(rgb: U8, mesh: F32, rng: Rng) -> tuple[U8, F32]:
    """A worse photograph of the same face: blur, size, noise, compression, light, cover or a cut."""
    kinds = (_blurred, _moved, _smaller, _noisy, _squeezed, _lit, _covered, _cropped)
    for kind in rng.choice(len(kinds), 1 + int(rng.random() < 0.4), replace=False):
        rgb, mesh = kinds[int(kind)](rgb, mesh, rng)
    noise = rng.standard_normal(mesh.shape).astype(np.float32) * np.float32(_JITTER * width_px(mesh))
    return rgb, mesh + noise


def _blurred(rgb: U8, mesh: F32, rng: Rng) -> tuple[U8, F32]:
    sigma = float(np.exp(rng.uniform(np.log(0.004), np.log(0.05)))) * float(width_px(mesh))
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8), mesh


def _moved(rgb: U8, mesh: F32, rng: Rng) -> tuple[U8, F32]:
    length = max(int(rng.uniform(0.02, 0.16) * float(width_px(mesh))), 3)
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    middle = np.full(2, (length - 1) / 2)
    ends = [tuple(int(v) for v in np.round(middle + sign * along)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return np.asarray(cv2.filter2D(rgb, -1, kernel / max(float(kernel.sum()), 1.0)), np.uint8), mesh


def _smaller(rgb: U8, mesh: F32, rng: Rng) -> tuple[U8, F32]:
    factor = float(np.exp(rng.uniform(np.log(24), np.log(130)))) / float(width_px(mesh))
    size = max(int(rgb.shape[1] * factor), 16), max(int(rgb.shape[0] * factor), 16)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8), mesh * np.float32(
        factor
    )


def _noisy(rgb: U8, mesh: F32, rng: Rng) -> tuple[U8, F32]:
    noise = rng.standard_normal(rgb.shape, dtype=np.float32) * float(rng.uniform(8, 60))
    return np.clip(rgb + noise, 0, 255).astype(np.uint8), mesh


def _squeezed(rgb: U8, mesh: F32, rng: Rng) -> tuple[U8, F32]:
    data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(3, 40))])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8), mesh


def _lit(rgb: U8, mesh: F32, rng: Rng) -> tuple[U8, F32]:
    gain = (
        float(np.exp(rng.uniform(np.log(0.04), np.log(0.5)))) if rng.random() < 0.5 else rng.uniform(1.5, 4)
    )
    return np.clip(rgb * gain, 0, 255).astype(np.uint8), mesh


def _covered(rgb: U8, mesh: F32, rng: Rng) -> tuple[U8, F32]:
    """Something of one color or of noise over a part of the face."""
    point = mesh[int(rng.integers(len(mesh))), :2]
    axes = rng.uniform(0.12, 0.4, 2) * float(width_px(mesh))
    mask = np.zeros(rgb.shape[:2], np.uint8)
    middle = (int(point[0]), int(point[1]))
    cv2.ellipse(mask, middle, (int(axes[0]), int(axes[1])), float(rng.uniform(0, 180)), 0, 360, 255, -1)
    color = rng.integers(0, 256, 3) + rng.standard_normal(rgb.shape) * rng.uniform(0, 30)
    return np.where(mask[..., None] > 0, np.clip(color, 0, 255), rgb).astype(np.uint8), mesh


def _cropped(rgb: U8, mesh: F32, rng: Rng) -> tuple[U8, F32]:
    low, high = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
    axis, share = int(rng.integers(2)), float(rng.uniform(0.15, 0.55))
    at = int(low[axis] + share * (high[axis] - low[axis]))
    moved = mesh.copy()
    if rng.random() < 0.5:
        rgb, moved[:, axis] = (rgb[at:] if axis else rgb[:, at:]), mesh[:, axis] - at
    else:
        at = int(high[axis] - share * (high[axis] - low[axis]))
        rgb = rgb[:at] if axis else rgb[:, :at]
    return np.ascontiguousarray(rgb), moved


@dataclass(frozen=True, eq=False)
class Table:
    """Every picture, good or spoiled, as the network sees it."""

    x: Tensor = field(repr=False)
    """(M, ``nets.quality.INPUTS``)"""
    z: Tensor = field(repr=False)
    """(M, 128) embeddings"""
    reference: Tensor = field(repr=False)
    """(M, 128) the person by other pictures, or by the good one where there is no other"""
    groups: tuple[NDArray[np.int64], ...] = field(repr=False)
    """Rows of each person"""

    @property
    def distance(self) -> Tensor:
        found: Tensor = (self.z - self.reference).norm(dim=1)
        return found


def table(pool: Pool, *, held_out: bool, seed: int = 0) -> Table:
    """Pictures of the pool with spoiled copies, looked at once."""
    rng = np.random.default_rng([seed, int(held_out)])
    rows = pool.rows(held_out=held_out)
    x: list[F32] = []
    z: list[F32] = []
    reference: list[F32] = []
    groups: list[NDArray[np.int64]] = []
    for number, person in enumerate(np.unique(pool.person[rows])):
        own = rows[pool.person[rows] == person]
        own = own[np.linspace(0, len(own) - 1, min(len(own), PER_PERSON)).round().astype(int)]
        first, second = _looked_at(pool, own, VARIANTS if len(own) == 1 else 1, rng)
        good = second[: len(own)]
        spread = good.sum(axis=0)[None] - np.tile(good, (len(second) // len(own), 1))
        start = sum(len(group) for group in groups)
        x.append(first)
        z.append(second)
        reference.append(spread / (len(own) - 1) if len(own) > 1 else np.tile(good, (len(second), 1)))
        groups.append(np.arange(start, start + len(second)))
        if number % 500 == 499:
            log.info("%d people looked at", number + 1)
    columns = [torch.from_numpy(np.concatenate(part).astype(np.float32)) for part in (x, z, reference)]
    return Table(columns[0], columns[1], columns[2], tuple(groups))


def _looked_at(pool: Pool, rows: NDArray[np.int64], copies: int, rng: Rng) -> tuple[F32, F32]:
    """Inputs and embeddings of the pictures ``rows``, then of as many spoiled ones, ``copies`` times."""
    photos = [(np.asarray(pool.pixels[row]), pool.landmarks[row]) for row in rows]
    photos += [spoiled(*photos[k], rng) for _ in range(copies) for k in range(len(rows))]
    chips = np.stack([cut(rgb, chip_from_points(mesh), CHIP) for rgb, mesh in photos])
    pooled = pooled_chips(chips)
    hand = np.stack([measured(rgb, mesh) for rgb, mesh in photos])
    return inputs(pooled, hand), head_of(pooled).mean(axis=1)


def train(data: Table, steps: int, seed: int = 0) -> QualityHead:
    """A head taught on ``data``; one minute for 4,000 steps."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = QualityHead()
    net.mean.copy_(data.x.mean(0))
    net.spread.copy_(data.x.std(0).clamp_min(1e-3))
    adam = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for step in range(steps):
        rows = torch.from_numpy(_sets(data, 128, rng))
        loss = _loss(net, data, rows, rng)
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
        fall.step()
        if step % 500 == 499:
            log.info("step %d loss %.4f", step + 1, float(loss))
    return net.eval()


def _sets(data: Table, count: int, rng: Rng) -> NDArray[np.int64]:
    """(count, 4) rows of one person each; of fewer than four some come twice."""
    people = rng.integers(len(data.groups), size=count)
    return np.stack(
        [rng.choice(group, _SET, replace=len(group) < _SET) for group in (data.groups[k] for k in people)]
    )


def _loss(net: QualityHead, data: Table, rows: Tensor, rng: Rng) -> Tensor:
    """Fused against reference, each single weight against its own error, and good before bad."""
    weight: Tensor = net(data.x[rows.flatten()]).reshape(rows.shape)
    # Sets of two to four: the others do not take part.
    keep = torch.arange(_SET)[None] < torch.from_numpy(rng.integers(2, _SET + 1, len(rows)))[:, None]
    noise = torch.from_numpy(rng.standard_normal((*rows.shape, data.z.shape[1])).astype(np.float32))
    seen = data.z[rows] + noise * (NATURAL / noise.shape[-1] ** 0.5)
    share = weight * keep
    fused = (share[..., None] * seen).sum(1) / (share.sum(1, keepdim=True) + 1e-6)
    effect = (fused - data.reference[rows[:, 0]]).square().sum(1).mean()
    distance = data.distance[rows]
    alone = F.mse_loss(weight, NATURAL**2 / (NATURAL**2 + distance.square()))
    worse = distance[:, :1] - distance[:, 1:] > _MARGIN
    order = (F.relu(_MARGIN + weight[:, :1] - weight[:, 1:]) * worse).mean()
    total: Tensor = effect / NATURAL**2 + _REGRESSION * alone + _RANKING * order
    return total


@torch.inference_mode()
def exam(net: QualityHead, data: Table, seed: int = 0) -> dict[str, float]:
    """On people not learned from: error of the fused identity, by the weights and by equal ones."""
    rng = np.random.default_rng(seed)
    rows = torch.from_numpy(_sets(data, 2000, rng))
    weight = net(data.x[rows.flatten()]).reshape(rows.shape)[..., None]
    reference = data.reference[rows[:, 0]]

    def error(share: Tensor) -> float:
        return float(((share * data.z[rows]).sum(1) / share.sum(1) - reference).norm(dim=1).mean())

    return {"equal": error(torch.ones_like(weight)), "weighted": error(weight)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m faceswap_cli.training.appraisal", description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        pool = open_pool(given.pool)
        net = train(table(pool, held_out=False, seed=given.seed), given.steps, given.seed)
        log.info("held-out people: %s", exam(net, table(pool, held_out=True, seed=given.seed)))
    except FaceswapError as error:
        log.error("%s", error)
        return error.exit_code
    part = given.out.with_name(f".{given.out.name}.part")
    save_file({name: v.detach().half().contiguous() for name, v in net.state_dict().items()}, part)
    os.replace(part, given.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
