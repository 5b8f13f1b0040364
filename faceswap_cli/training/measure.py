"""Figures on held-out people, and the pictures that go with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from faceswap_cli.faces.landmarks import EYES, LEFT_IRIS, LIPS, RIGHT_IRIS
from faceswap_cli.nets.fslsd256 import Fslsd256, composite
from faceswap_cli.swap.scene import gaze
from faceswap_cli.swap.shape import remove_pose
from faceswap_cli.training import losses
from faceswap_cli.training.batches import Batch, Sampler
from faceswap_cli.training.observers import Observers
from faceswap_cli.training.terms import Step, forward


def fixed_batches(sampler: Sampler, size: int, count: int) -> list[Batch]:
    """The same held-out batches every time: made pairs and cross pairs by turns."""
    state = sampler.rng.bit_generator.state
    sampler.rng = np.random.default_rng(1234)
    sampler.clean = True
    kinds = list(sampler.kinds({"self": 1.0, "cross": 1.0}))
    batches = [sampler.batch(kinds[i % len(kinds)], size) for i in range(count)]
    sampler.clean = False
    sampler.rng = np.random.default_rng()
    sampler.rng.bit_generator.state = state
    return batches


@torch.no_grad()
def measure(net: Fslsd256, eyes: Observers, batches: list[Batch]) -> dict[str, float]:
    """Means over ``batches``; see :func:`_same_figures` and :func:`cross_figures`."""
    net.eval()
    rows: dict[str, list[float]] = {}
    for batch in batches:
        with torch.autocast(batch.target.device.type, torch.bfloat16):
            step = forward(net, batch)
        found = _same_figures(step) if batch.same else cross_figures(step.result.float(), batch, eyes)
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    net.train()
    return {name: float(np.mean(values)) for name, values in rows.items()}


def _same_figures(step: Step) -> dict[str, float]:
    """psnr: inside the mask, dB; psnr_base: the same without a network; ssim: inside."""
    batch = step.batch
    inside = batch.scene.mask * batch.valid

    def psnr(picture: Tensor) -> float:
        error = losses.mean_over((picture.float() - batch.target).square() / 4, inside)
        return float(-10 * torch.log10(error.clamp_min(1e-8)))

    return {
        "psnr": psnr(step.out.face),
        "psnr_base": psnr(step.out.base),
        "ssim": float(1 - losses.structure(step.result.float(), batch.target, inside, scales=1)),
    }


def cross_figures(result: Tensor, batch: Batch, eyes: Observers) -> dict[str, float]:
    """Of pictures (N, 3, 256, 256) that claim to be the batch's swaps.

    identity: distance to the source's embedding (same person < 0.6); rho: swap ratio, 0 the target,
    1 the source; landmarks: mean error of lips and eyes in eye distances, %; expression: the same
    without pose; gaze: % of the eye's width; pose: degrees; sharpness: energy of the finest band
    inside the mask against the target's.
    """
    points = eyes.points(result, batch.wanted)
    found, _ = eyes.look(result, points)
    target, _ = eyes.look(batch.target, batch.target_points)
    own, other = (found - batch.embedding).norm(dim=1), (found - target).norm(dim=1)
    named = list(LIPS + EYES)
    eye = (batch.wanted[:, RIGHT_IRIS[0], :2] - batch.wanted[:, LEFT_IRIS[0], :2]).norm(dim=1)
    error = (points[:, named, :2] - batch.wanted[:, named, :2]).norm(dim=2).mean(1) / eye
    a, b = remove_pose(points), remove_pose(batch.wanted)
    turn = a.rotation.transpose(1, 2) @ b.rotation
    angle = torch.acos(((turn.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1))
    mask = batch.scene.mask
    return {
        "identity": float(own.mean()),
        "verified": float((own < 0.6).float().mean()),
        "rho": float((other / (own + other)).mean()),
        "landmarks": float(error.mean() * 100),
        "expression": float((a.canonical - b.canonical)[:, named, :2].norm(dim=2).mean() * 100),
        "gaze": float((gaze(points) - gaze(batch.wanted)).norm(dim=1).mean() * 100),
        "pose": float(angle.mean() * 180 / np.pi),
        "sharpness": float((_fine(result, mask) / _fine(batch.target, mask).clamp_min(1e-4)).mean()),
    }


def _fine(rgb: Tensor, mask: Tensor) -> Tensor:
    """(N,) mean absolute high-pass of the gray picture inside the mask."""
    gray = rgb.mean(1, keepdim=True)
    high = (gray - losses.blur(gray, 5, 1.0)).abs()
    return (high * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp_min(1)


@torch.no_grad()
def sheet(net: Fslsd256, batches: list[Batch], path: Path, rows: int = 12) -> None:
    """A PNG with one row per sample: source, target, warped source pasted, side output, result."""
    net.eval()
    lines: list[Tensor] = []
    for batch in batches:
        with torch.autocast(batch.target.device.type, torch.bfloat16):
            step = forward(net, batch)
        base = composite(step.out.base.float(), batch.target, batch.scene.mask)
        pictures = (batch.source, batch.target, base, step.out.side, step.result)
        lines += [torch.cat([p[i].float().cpu() for p in pictures], dim=2) for i in range(len(batch.target))]
        if len(lines) >= rows:
            break
    net.train()
    image = ((torch.cat(lines[:rows], dim=1).clamp(-1, 1) + 1) * 127.5).round().byte()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


@torch.no_grad()
def feature_margins(sampler: Sampler, eyes: Observers, batches: int = 12, size: int = 8) -> Tensor:
    """IFSR margins: mean layer distance between different people whose poses are alike, per layer."""
    pool = sampler.pool
    state = sampler.rng.bit_generator.state
    angles = remove_pose(torch.from_numpy(pool.landmarks[sampler.rows] / np.float32(256))).angles()
    total, count = None, 0
    sampler.clean = True
    for _ in range(batches):
        first = sampler.rng.integers(0, len(sampler.rows), size)
        gap = (angles[first][:, None] - angles[None]).abs().amax(2)
        gap[torch.arange(size), torch.from_numpy(first)] = 9.0
        second = gap.argmin(1).numpy()
        maps = []
        for rows in (first, second):
            rgb, points = (x.to(eyes.device) for x in sampler.plain(sampler.rows[rows]))
            maps.append(eyes.look(rgb, points)[1][1:])
        rows_ = [
            1 - torch.cosine_similarity(a.flatten(1), b.flatten(1)).mean() for a, b in zip(*maps, strict=True)
        ]
        total = torch.stack(rows_) if total is None else total + torch.stack(rows_)
        count += 1
    sampler.clean = False
    sampler.rng.bit_generator.state = state
    if total is None:
        raise ValueError("no batches")
    return total / count


__all__ = ["cross_figures", "feature_margins", "fixed_batches", "measure", "sheet"]
