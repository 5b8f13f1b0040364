"""Train the network that finds rims and lenses at full size.

``python -m faceswap_cli.training.rims POOL FOLDER [--images N] [--max-time 25m] [--start WEIGHTS]``

Samples are faces of the pool without glasses of their own, with drawn ones on; what the bundled occluder head
sees in them is blurred, moved and forgotten in places, so that the picture decides.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.occluder import CLASSES
from faceswap_cli.nets.rims import CROP_SIDE, RimNet
from faceswap_cli.records import F32, U8
from faceswap_cli.swap.glasses import rim_evidence
from faceswap_cli.swap.occluder_head import Seen, look
from faceswap_cli.swap.rims import net_input
from faceswap_cli.training.commands import run_command
from faceswap_cli.training.export import export_half
from faceswap_cli.training.glasses import Glasses, draw_glasses
from faceswap_cli.training.hands import Rng, noise
from faceswap_cli.training.masking import usable
from faceswap_cli.training.occluders import coded, streak
from faceswap_cli.training.pool import Pool, open_pool

WIDTH, HEIGHT = 320, 160
"""Of a sample, around the eyes"""
STYLE_SHARES = (0.25, 0.32, 0.12, 0.07, 0.08, 0.06, 0.1)
"""Of ``glasses.STYLES``: thin rims are the hard ones"""
VISIBLE = 2.0
"""Factor on the share of a rim in each pixel, so that blurred lines do not fade"""
OWN = 0.03
"""Evidence of rims from which a face of the pool wears glasses of its own"""
CHUNK, PASSES, BATCH, RATE = 128, 6, 4, 2e-3
_KEEP = 0.995
_SMALL = 4
"""Side of the pieces of another picture that lenses mirror, as a share of 1 / it"""

log = logging.getLogger(__name__)
Item = tuple[F32, F32]
"""(6, HEIGHT, WIDTH) input, (3, HEIGHT, WIDTH) shares of neither, rim and lens"""


def draw_item(pool: Pool, row: int, rng: Rng) -> Item | None:
    """One sample; None where the person wears glasses already."""
    source, points = np.asarray(pool.pixels[row]), pool.landmarks[row]
    if rng.random() < 0.5:
        source, points = np.ascontiguousarray(source[:, ::-1]), parts.mirrored(points, source.shape[1])
    n, side = source.shape[0], CROP_SIDE
    zoom = side / (n * align.SWAP_SCALE) * np.exp(rng.normal(0, 0.05))
    matrix = cv2.getRotationMatrix2D((n / 2, n / 2), rng.normal(0, 4), zoom)
    matrix[:, 2] += side / 2 - n / 2 + rng.normal(0, 8, 2)
    crop = cv2.warpAffine(source, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    flat = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    unit = (np.column_stack([flat, points[:, 2] * zoom]) / side).astype(np.float32)
    if rim_evidence(look(np.asarray(crop, np.uint8), unit), unit) > OWN:
        return None
    rgb = crop.astype(np.float32) / np.float32(255)
    layers = np.zeros((2, side, side), np.float32)
    if rng.random() < 0.95:
        pair = draw_glasses(rng, unit * side, _reflection(pool, rng), STYLE_SHARES)
        if rng.random() < 0.25:
            pair = _fade_rims(pair, rgb, rng)
        rgb = pair.over(rgb, unit * side, rng)
        layers = np.stack([pair.rim, pair.lens * (1 - pair.rim)])
    picture, layers = _camera(rgb, layers, rng)
    rim = np.minimum(VISIBLE * layers[0], 1)
    lens = np.minimum(layers[1], 1 - rim)
    shares = np.stack([1 - rim - lens, rim, lens])
    tracked = unit + rng.normal(0, 0.006, 3).astype(np.float32)
    seen = _degrade(look(picture, tracked), rng)
    middle = unit[[33, 263], :2].mean(axis=0) * side + (0, 16) + rng.normal(0, 10, 2)
    x, y = (round(float(c - s / 2)) for c, s in zip(middle, (WIDTH, HEIGHT), strict=True))
    window = Window(min(max(x, 0), side - WIDTH), min(max(y, 0), side - HEIGHT), WIDTH, HEIGHT, side)
    inside = np.s_[window.y : window.y + HEIGHT, window.x : window.x + WIDTH]
    return net_input(picture[inside], tracked, window, seen), np.ascontiguousarray(
        shares[:, inside[0], inside[1]]
    )


def _fade_rims(pair: Glasses, rgb: F32, rng: Rng) -> Glasses:
    """Rims that differ little from what is around them."""
    around = cv2.GaussianBlur(rgb, (0, 0), 6)
    gray = around.mean(axis=2, keepdims=True) * rng.uniform(0.6, 1.25)
    color = pair.color + np.float32(rng.uniform(0.5, 0.9)) * (gray - pair.color)
    return replace(pair, color=np.asarray(color, np.float32))


def _reflection(pool: Pool, rng: Rng) -> F32:
    """(S, S, 3): a piece of another picture."""
    source = pool.pixels[int(rng.integers(len(pool)))]
    n = int(rng.integers(32, source.shape[0] * 3 // _SMALL))
    y, x = rng.integers(0, source.shape[0] - n, 2)
    piece = cv2.resize(np.asarray(source[y : y + n, x : x + n]), (CROP_SIDE, CROP_SIDE))
    return np.asarray(piece, np.float32) / np.float32(255)


def _camera(rgb: F32, shares: F32, rng: Rng) -> tuple[U8, F32]:
    """Exposure, color cast, small faces, blur, grain and compression.

    What blurs the picture blurs ``shares`` (K, S, S).
    """
    side = rgb.shape[0]
    tone = rng.uniform(0.5, 1.15) * (1 + rng.normal(0, 0.06, 3))
    lit = np.asarray(np.clip(np.clip(rgb, 0, 1) ** rng.uniform(0.7, 1.5) * tone, 0, 1), np.float32)
    both = [lit, np.ascontiguousarray(shares.transpose(1, 2, 0))]
    if rng.random() < 0.5:
        n = int(rng.integers(70, 384))
        both = [cv2.resize(x, (n, n), interpolation=cv2.INTER_AREA) for x in both]
        both = [cv2.resize(x, (side, side), interpolation=cv2.INTER_CUBIC) for x in both]
    elif rng.random() < 0.6:
        sigma = rng.uniform(0.3, 2.0)
        both = [cv2.GaussianBlur(x, (0, 0), sigma) for x in both]
    if rng.random() < 0.1:
        kernel = streak(rng, 11)
        both = [cv2.filter2D(x, -1, kernel) for x in both]
    lit, shares = np.asarray(both[0], np.float32), both[1].transpose(2, 0, 1)
    return coded(lit, rng, 0.04), np.asarray(np.clip(shares, 0, 1), np.float32)


def _degrade(seen: Seen, rng: Rng) -> Seen:
    """What the head sees, less sure, moved a little, and forgotten in places."""
    shares = seen.shares.copy()
    n = shares.shape[0]
    glasses = slice(CLASSES.index("rim"), CLASSES.index("lens") + 1)
    known = np.ascontiguousarray(shares[..., glasses])
    if rng.random() < 0.4:
        known = masks.blur(known, rng.uniform(0.4, 1.6))
    if rng.random() < 0.6:
        shift = np.array([[1, 0, rng.normal(0, 0.6)], [0, 1, rng.normal(0, 0.6)]])
        known = cv2.warpAffine(known, shift, (n, n))
    if rng.random() < 0.6:
        cells = noise(rng, n, int(rng.integers(5, 16)))
        known = (
            known
            * (1 - rng.uniform(0.4, 1) * masks.smoothstep((cells - rng.uniform(0, 0.6)) / 0.3))[..., None]
        )
    shares[..., glasses] = known
    return Seen(shares, seen.share)


def loss_of(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross entropy, and one minus the overlap (Dice) of rims and lenses."""
    weights = torch.tensor([1.0, 1.5, 1.0])[:, None, None]
    entropy = -(shares * weights * F.log_softmax(logits, dim=1)).sum(1).mean()
    p, truth, dims = logits.softmax(1)[:, 1:], shares[:, 1:], (2, 3)
    dice = 1 - (2 * (p * truth).sum(dims) + 10) / (p.sum(dims) + truth.sum(dims) + 10)
    return entropy + 0.15 * dice.sum(1).mean()


def batches(pool: Pool, rows: NDArray[np.int64], seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(BATCH, 6, HEIGHT, WIDTH) and (BATCH, 3, HEIGHT, WIDTH), without end."""
    rng = np.random.default_rng(seed)
    while True:
        items = [
            one for row in rng.choice(rows, CHUNK) if (one := draw_item(pool, int(row), rng)) is not None
        ]
        for _ in range(PASSES):
            order = rng.permutation(len(items))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                x, shares = (
                    torch.from_numpy(np.stack([items[k][m] for k in order[start : start + BATCH]]))
                    for m in (0, 1)
                )
                yield x.contiguous(memory_format=torch.channels_last), shares


def train(pool: Pool, folder: Path, images: int, limit_s: float, start: Path | None, seed: int = 0) -> RimNet:
    """Train until ``images`` were seen or the time is up; writes ``rims.safetensors``."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    net, average = (channels_last(RimNet()) for _ in range(2))
    if start is not None:
        net.load_state_dict({name: v.float() for name, v in load_file(start).items()}, strict=False)
    average.load_state_dict(net.state_dict())
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-3)
    seen, began, saved, losses = 0, time.monotonic(), time.monotonic(), list[float]()
    net.train()
    for x, shares in batches(pool, usable(pool, held_out=False), seed):
        spent = time.monotonic() - began
        done = max(seen / images, spent / limit_s)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, seen / 500 + 0.05) * max(0.5 + 0.5 * math.cos(math.pi * done), 0.01)
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.cpu._is_avx512_bf16_supported())):
            logits = net(x)
        loss = loss_of(logits.float(), shares)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        seen += len(x)
        keep = min(_KEEP, 1 - 1 / (seen / BATCH + 1))
        with torch.no_grad():
            for old, new in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                if old.is_floating_point():
                    old.lerp_(new, 1 - keep)
        losses.append(float(loss.detach()))
        if len(losses) == 50:
            log.info("%d images, %.1f a second, loss %.4f", seen, seen / spent, np.mean(losses))
            losses.clear()
        if time.monotonic() - saved > 120:
            export_half(average, folder / "rims.safetensors", seen)
            saved = time.monotonic()
    export_half(average, folder / "rims.safetensors", seen)
    return average


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; ``FOLDER/rims.safetensors`` is written as it goes."""

    def run(given: argparse.Namespace, limit_s: float) -> None:
        train(open_pool(given.pool), given.folder, given.images, limit_s, given.start, given.seed)

    return run_command("faceswap_cli.training.rims", __doc__, 60_000, run, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
