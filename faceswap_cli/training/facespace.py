"""Fit the space of faces and teach its mapper (``nets.facespace``).

``python -m faceswap_cli.training.facespace POOL OUT.safetensors [--steps N] [--seed S]``

Textures and shapes of a pool's people give the space (principal components).  The mapper learns from an
identity embedding which code a person has: losses on the code, on the identity that a code shows (a frozen
regressor from codes to embeddings), and a critic that holds its codes among those of real faces.  Neither
needs a swap network, so new weights of one leave this file as it is.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from faceswap_cli.errors import FaceswapError
from faceswap_cli.faces.landmarks import topology
from faceswap_cli.identity.pose import pose
from faceswap_cli.nets.facespace import AROUND_SIDE, EMBEDDING, SHAPE, TEXTURE, CodeCritic, FaceSpace
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance
from faceswap_cli.swap.facespace import detail_of, flat, pixels
from faceswap_cli.swap.shape import remove_pose
from faceswap_cli.training.pool import SIDE, Pool, open_pool

PER_PERSON = 4
MOST_YAW = 28.0
"""Degrees; of faces turned further one half is guessed."""
OUTLIER = 1.3
"""Textures further from the mean than this, in medians, are drawn in: sunglasses are nobody's face."""
RIDGE = 5.0
_IDENTITY, _CRITIC, _GRADIENT = 3.0, 0.2, 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Faces:
    """Pictures of a pool, looked at once."""

    rows: NDArray[np.int64] = field(repr=False)
    texture: F32 = field(repr=False)
    """(M, P)"""
    shape: F32 = field(repr=False)
    """(M, 478, 3) canonical, symmetric"""
    embedding: F32 = field(repr=False)
    """(M, 128)"""
    skin: F32 = field(repr=False)
    """(3,) median low-frequency Lab"""
    around: F32 = field(repr=False)
    """(AROUND_SIDE, AROUND_SIDE, 3) the mean picture"""


def looked_at(pool: Pool, *, held_out: bool) -> Faces:
    """Texture and shape of the pool's frontal pictures, a few of each person."""
    rows = [int(r) for r in _chosen(pool, held_out=held_out)]
    texture = np.empty((len(rows), pixels()), np.float32)
    skins, around = [], np.zeros((AROUND_SIDE, AROUND_SIDE, 3))
    for k, row in enumerate(rows):
        lab = appearance.lab_from_rgb(np.asarray(pool.pixels[row]))
        points = pool.landmarks[row] / np.float32(SIDE)
        texture[k] = flat(detail_of(lab, points))
        inner = lab[96:176, 88:168]
        skins.append(np.median(inner.reshape(-1, 3), axis=0))
        around += _reduced(lab)
        if k % 1000 == 999:
            log.info("%d of %d pictures looked at", k + 1, len(rows))
    shape = remove_pose(torch.from_numpy(pool.landmarks[rows] / np.float32(SIDE))).canonical.numpy()
    mirror = shape[:, topology().mirror] * np.array([-1, 1, 1], np.float32)
    return Faces(
        np.array(rows),
        texture,
        (shape + mirror) / 2,
        np.asarray(pool.embedding[rows], np.float32),
        np.median(skins, axis=0).astype(np.float32),
        np.asarray((around + around[:, ::-1]) / (2 * len(rows)), np.float32),
    )


def _chosen(pool: Pool, *, held_out: bool) -> NDArray[np.int64]:
    rows = pool.rows(held_out=held_out)
    rows = rows[np.abs(pose(pool.landmarks[rows]).yaw) < MOST_YAW]
    kept = []
    for person in np.unique(pool.person[rows]):
        own = rows[pool.person[rows] == person]
        kept.append(own[np.linspace(0, len(own) - 1, min(len(own), PER_PERSON)).round().astype(int)])
    return np.concatenate(kept)


def _reduced(lab: F32) -> F32:
    """The swap crop of an FFHQ crop, small."""
    from faceswap_cli.geometry.align import SWAP_SCALE

    edge = round(SIDE * (1 - SWAP_SCALE) / 2)
    whole = torch.from_numpy(lab[edge:-edge, edge:-edge]).permute(2, 0, 1)[None]
    return np.asarray(
        F.interpolate(whole, (AROUND_SIDE, AROUND_SIDE), mode="area")[0].permute(1, 2, 0).numpy()
    )


def fitted(faces: Faces) -> FaceSpace:
    """The space of ``faces``, its mapper still empty."""
    net = FaceSpace(pixels())
    net.mean.copy_(torch.from_numpy(faces.texture.mean(0)))
    net.basis.copy_(torch.from_numpy(_components(faces.texture, TEXTURE)))
    shapes = faces.shape.reshape(len(faces.shape), -1)
    net.shape_mean.copy_(torch.from_numpy(faces.shape.mean(0)))
    net.shape_basis.copy_(torch.from_numpy(_components(shapes, SHAPE).reshape(SHAPE, -1, 3)))
    net.skin.copy_(torch.from_numpy(faces.skin))
    net.around.copy_(torch.from_numpy(faces.around))
    net.mapper.mean_embedding.copy_(torch.from_numpy(faces.embedding.mean(0)))
    return net


def _components(rows: F32, count: int) -> F32:
    """(M, P) -> (count, P) principal directions, each as long as its deviation."""
    away = rows - rows.mean(axis=0)
    length = np.linalg.norm(away, axis=1, keepdims=True)
    away = away * np.minimum(1.0, OUTLIER * np.median(length) / np.maximum(length, 1e-6))
    gram = torch.from_numpy(away @ away.T)
    values, vectors = torch.linalg.eigh(gram.double())
    order = torch.argsort(values, descending=True)[:count]
    scale = values[order].clamp_min(1e-9).sqrt().numpy()
    found = (vectors[:, order].numpy().T @ away) / scale[:, None] * (scale / np.sqrt(len(rows)))[:, None]
    out = np.zeros((count, rows.shape[1]), np.float32)
    out[: len(found)] = found
    # A space of more dimensions than pictures has directions of no length: they must still divide.
    out[np.abs(out).sum(axis=1) == 0, 0] = 1e-3
    return out


def codes_of(net: FaceSpace, faces: Faces) -> Tensor:
    """(M, CODE), outliers drawn in."""
    with torch.no_grad():
        return net.code(torch.from_numpy(faces.texture), torch.from_numpy(faces.shape)).clamp(-3.5, 3.5)


def ridge(x: Tensor, y: Tensor, weight: float = RIDGE) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) of the regularised least-squares map from ``x`` to ``y``."""
    mean, target = x.mean(0), y.mean(0)
    a, b = (x - mean).double(), (y - target).double()
    found = torch.linalg.solve(a.T @ a + weight * torch.eye(a.shape[1], dtype=torch.float64), a.T @ b)
    out = found.T.float()
    return out, target - out @ mean


def teach(net: FaceSpace, faces: Faces, steps: int, seed: int = 0) -> None:
    """The mapper, in place: from ridge regression on, then all losses."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mapper, critic = net.mapper, CodeCritic()
    codes, embedding = codes_of(net, faces), torch.from_numpy(faces.embedding)
    z = F.normalize(embedding - mapper.mean_embedding, dim=1)
    weight, bias = ridge(z, codes)
    mapper.straight.weight.data.copy_(weight)
    mapper.straight.bias.data.copy_(bias)
    seen, off = ridge(codes, z, 50.0)
    # Directions in which a face is seen to differ count by what they show.
    size = torch.cat([net.basis.square().mean(1), torch.full((SHAPE,), float(net.basis.square().mean()))])
    size = size / size.mean()
    adam = torch.optim.AdamW(mapper.parameters(), lr=5e-4, weight_decay=0.05, betas=(0.5, 0.99))
    judge = torch.optim.Adam(critic.parameters(), lr=4e-4, betas=(0.5, 0.99))
    for step in range(steps):
        rows = torch.from_numpy(rng.integers(len(codes), size=256))
        real, noisy = codes[rows], embedding[rows] + 0.015 * torch.randn(256, EMBEDDING)
        fake = mapper(noisy)
        judge.zero_grad()
        torch.autograd.backward(_judged(critic, real, fake.detach()))
        judge.step()
        alike = F.cosine_similarity(fake @ seen.T + off, z[rows], dim=1)
        loss = (size * (fake - real).square()).mean() + _IDENTITY * (1 - alike).mean()
        loss = loss + _CRITIC * F.softplus(-critic(fake)).mean()
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
        if step % 500 == 499:
            log.info("step %d loss %.4f identity %.4f", step + 1, float(loss), float(alike.mean()))
    net.eval()


def _judged(critic: CodeCritic, real: Tensor, fake: Tensor) -> Tensor:
    """Non-saturating loss of the critic with R1 (Mescheder et al. 2018)."""
    real = real.clone().requires_grad_(True)
    score = critic(real)
    (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
    total: Tensor = F.softplus(-score).mean() + F.softplus(critic(fake)).mean()
    return total + _GRADIENT / 2 * slope.square().sum(1).mean()


@torch.inference_mode()
def exam(net: FaceSpace, faces: Faces) -> dict[str, float]:
    """On people not learned from: share of the texture explained by its code and by the embedding alone, and
    how often the right one of 20 people is found by the mapped code."""
    codes, guessed = codes_of(net, faces), net.mapper(torch.from_numpy(faces.embedding))
    truth = torch.from_numpy(faces.texture)
    spread = float((truth - truth.mean(0)).square().sum())
    figures = {
        "texture_by_code": 1 - float((truth - net.texture(codes)).square().sum()) / spread,
        "texture_by_embedding": 1 - float((truth - net.texture(guessed)).square().sum()) / spread,
        "length": float(guessed.norm(dim=1).mean() / codes.norm(dim=1).mean()),
    }
    near = F.cosine_similarity(guessed[:, None], codes[None], dim=2)
    rng = np.random.default_rng(0)
    hits = []
    for k in range(len(codes)):
        others = rng.choice(np.delete(np.arange(len(codes)), k), min(19, len(codes) - 1), replace=False)
        hits.append(bool(near[k, k] > near[k, torch.from_numpy(others)].max()))
    return figures | {"told_among_20": float(np.mean(hits))}


def write(net: FaceSpace, path: Path) -> None:
    """The file; the basis in 8 bits, the rest in 16.  It appears whole or not at all."""
    state = {name: value.detach().half().contiguous() for name, value in net.state_dict().items()}
    scale = net.basis.abs().amax(1) / 127
    state["basis"] = (net.basis / scale[:, None]).round().to(torch.int8)
    state["basis_scale"] = scale.float()
    part = path.with_name(f".{path.name}.part")
    save_file(state, part)
    os.replace(part, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m faceswap_cli.training.facespace", description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        pool = open_pool(given.pool)
        faces = looked_at(pool, held_out=False)
        net = fitted(faces)
        teach(net, faces, given.steps, given.seed)
        if len(pool.rows(held_out=True)) > 1:
            log.info("held-out people: %s", exam(net, looked_at(pool, held_out=True)))
        write(net, given.out)
    except FaceswapError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
