"""A small pool of drawn faces: enough structure for every code path, made in a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from faceswap_cli.faces.landmarks import topology
from faceswap_cli.training.options import DataOptions, LossWeights, Phase, TrainOptions
from faceswap_cli.training.pool import Item, Pool, pack

EYE_DISTANCE_PX = 78.0


def mesh(rng: np.random.Generator, yaw: float = 0.0) -> np.ndarray:
    """(478, 3) px: the mean face, a little different each time, placed as in a 256 px FFHQ crop."""
    shape = topology().mean_shape.astype(np.float64) * (1 + 0.04 * rng.standard_normal((1, 3)))
    c, s = np.cos(yaw), np.sin(yaw)
    turned = shape @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    turned = turned * EYE_DISTANCE_PX
    eyes = turned[[33, 263], :2].mean(0)
    turned[:, :2] += np.array([128.0, 118.0]) - eyes
    return turned.astype(np.float32)


def picture(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A face of flat shapes in random colors on a random background."""
    from faceswap_cli.swap.scene import sketch

    canvas = np.full((256, 256, 3), rng.integers(0, 255, 3), np.uint8)
    for layer in sketch(points[:, :2] / 256, 256):
        color = rng.integers(0, 255, 3).astype(np.float32)
        share = layer[..., None].astype(np.float32) / 255
        canvas = (canvas * (1 - share) + color * share).astype(np.uint8)
    return cv2.GaussianBlur(canvas, (0, 0), 1.0)


def drawn_items(people: int = 6, frames: int = 7) -> Iterator[Item]:
    """Stills of ``people`` persons, two of one, and a clip."""
    rng = np.random.default_rng(3)
    for i in range(people):
        points = mesh(rng, yaw=float(rng.uniform(-0.3, 0.3)))
        yield Item(picture(points, rng), points, f"person{i}")
    points = mesh(rng)
    yield Item(picture(points, rng), points, "person0")
    look = rng.integers(0, 1000)
    for k in range(frames):
        points = mesh(np.random.default_rng(9), yaw=0.03 * k)
        yield Item(picture(points, np.random.default_rng(look)), points, "filmed", clip="clip", order=2 * k)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return pack(drawn_items(), tmp_path_factory.mktemp("run") / "pool", held_out_share=0.0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quick_options(folder: Path, **changes: object) -> TrainOptions:
    """The tiny preset, every batch kind and every loss."""
    mix = {"self": 0.3, "pair": 0.2, "cross": 0.3, "video": 0.2}
    phase = Phase(name="P", images=10**6, mix=mix, weights=LossWeights(), third_player=True)
    base: dict[str, object] = {
        "data": DataOptions(pictures=(folder,)), "folder": folder, "phases": (phase,), "preset": "tiny",
        "batch": 2, "processes": 1, "sheet_every": 10**6, "measure_every": 10**6, "penalty_every": 2,
        "device": "cpu", "shares_every": 3,
    }  # fmt: skip
    return TrainOptions(**{**base, **changes})  # type: ignore[arg-type]
