"""Scenes of drawn faces, and devices, for tests of frames that stay on one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faceswap_cli import colour
from faceswap_cli.config import JobOptions, PasteOptions, SmoothOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align
from faceswap_cli.records import (
    Analysis,
    Clip,
    ColourTags,
    FaceTrack,
    Frame,
    Person,
    Planes,
    Shot,
)
from faceswap_cli.resident.tables import Tables
from faceswap_cli.swap.engine import Scene, StageClock, Stages, Swapped, build_scene, render_frames
from faceswap_cli.swap.lane import Lane, Visit
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from tests.swap.drawn import identity, mesh_points, photo, picture

TAGS = ColourTags(matrix=1)
STEP = 40
"""Ticks between frames"""


def on_device(name: str) -> str:
    """``name`` if there is such a device; the test is skipped else, or fails where one is required."""
    if name == "cpu" or torch.cuda.is_available():
        return "cuda:0" if name == "cuda" else name
    if os.environ.get("FACESWAP_REQUIRE_GPU") == "1":
        pytest.fail("FACESWAP_REQUIRE_GPU is set and there is no CUDA device")
    pytest.skip("no CUDA device")


class Bench:
    """A device with its tables: arrays go there as pictures of a batch and come back."""

    def __init__(self, name: str) -> None:
        self.device = on_device(name)
        self.tables, self.lane, self.visit = Tables(self.device), Lane(self.device), Visit(self.device)

    def up(self, *pictures: np.ndarray) -> torch.Tensor:
        """(H, W) or (H, W, C) each -> (N, C, H, W)."""
        stack = np.stack([x if x.ndim == 3 else x[..., None] for x in pictures]).transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(stack)).to(self.device)

    def there(self, values: Any) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    @staticmethod
    def down(x: torch.Tensor) -> list[np.ndarray]:
        """(N, C, H, W) -> N times (H, W, C), or (H, W) of one channel."""
        found = x.cpu().numpy().transpose(0, 2, 3, 1)
        return [one[..., 0] if one.shape[-1] == 1 else one for one in found]


class Nowhere(Lane):
    """To a device that keeps shapes only: what asks it for a number, or mixes it with the host, raises."""

    @contextmanager
    def visit(self):  # type: ignore[no-untyped-def]
        class There(Visit):
            def up(self, x: torch.Tensor) -> torch.Tensor:
                return x.to("meta")

            def down(self, x: torch.Tensor) -> torch.Tensor:
                return torch.ones(x.shape, dtype=x.dtype)

        yield There("meta")


def planes_of(rgb: np.ndarray, bit_depth: int = 8, step: tuple[int, int] = (2, 2)) -> Planes:
    return colour.planes_region_from_rgb(rgb, TAGS, bit_depth, step)


def within(found: np.ndarray, wanted: np.ndarray, most: float, share: float, near: float = 1.0) -> None:
    """At least ``share`` of the numbers differ by ``near`` or less, and none by more than ``most``."""
    off = np.abs(np.asarray(found, np.float64) - np.asarray(wanted, np.float64))
    assert off.max() <= most, f"{off.max():.3g} apart at {np.unravel_index(off.argmax(), off.shape)}"
    assert (off <= near).mean() >= share, f"only {(off <= near).mean():.5f} within {near:g}"


def decibels(found: np.ndarray, wanted: np.ndarray, top: float = 255.0) -> float:
    error = np.square(np.asarray(found, np.float64) - wanted).mean()
    return float(10 * np.log10(top**2 / max(error, 1e-9)))


def blinking(points: np.ndarray) -> np.ndarray:
    """The mesh with its right eye all but shut."""
    shut = points.copy()
    middle = shut[list(parts.RIGHT_EYE), 1].mean()
    shut[list(parts.RIGHT_EYE), 1] = middle + 0.12 * (shut[list(parts.RIGHT_EYE), 1] - middle)
    return shut


def speaking(points: np.ndarray, side: int) -> np.ndarray:
    """The mesh with its mouth open."""
    opened = points.copy()
    opened[[14, 87, 178, 88, 95, 317, 402, 318, 324], 1] += 0.04 * side
    return opened


def clip_of(width: int, height: int, count: int, bit_depth: int = 8) -> Clip:
    return Clip(
        path=Path("x.mp4"), container="mp4", codec="h264", width=width, height=height,
        pixel_format="yuv420p", work_format="yuv420p", bit_depth=bit_depth, time_base=Fraction(1, 1000),
        start_pts=0, average_rate=Fraction(25), frames=count, duration_s=count / 25, rotation=0,
        sample_aspect=Fraction(1), colour=TAGS, streams=(), video_stream=0,
    )  # fmt: skip


def track_of(number: int, person: int, points: Sequence[np.ndarray], opacity: float = 1.0) -> FaceTrack:
    """Meshes (478, 3) of successive frames."""
    stack = np.stack(points).astype(np.float32)
    units = np.stack([align.unit_from_points(p, align.FFHQ_SCALE) for p in points])
    ones = np.ones(len(points), np.float32)
    pts = np.arange(len(points), dtype=np.int64) * STEP
    return FaceTrack(number, person, pts, stack, units, ones, ones * opacity, np.zeros(128, np.float32))


def made_scene(method: Fslsd256Method, tracks: Sequence[FaceTrack], clip: Clip, people: int = 1) -> Scene:
    """Everybody gets the face of a drawn source of his own."""
    pts = np.arange(clip.frames, dtype=np.int64) * STEP
    persons = tuple(
        Person(k, (k,), clip.frames, 100.0, 50.0, np.zeros(128, np.float32)) for k in range(people)
    )
    analysis = Analysis(pts, (Shot(0, clip.frames * STEP),), tuple(tracks), persons)
    points = mesh_points()
    prepared = {
        k: method.prepare(identity(photo(picture(points, (150 + 40 * k, 110, 90), seed=k + 1), points)))
        for k in range(people)
    }
    return build_scene(clip, analysis, method, prepared, SmoothOptions(code_radius=2))


def frames_of(
    pictures: Sequence[np.ndarray], bit_depth: int = 8, step: tuple[int, int] = (2, 2)
) -> list[Frame]:
    return [
        Frame(k, k * STEP, Fraction(1, 1000), planes_of(rgb, bit_depth, step))
        for k, rgb in enumerate(pictures)
    ]


def rendered(
    frames: Sequence[Frame], scene: Scene, stages: Stages[Any] | None, workers: int = 1
) -> list[Swapped]:
    return list(render_frames(frames, scene, 0, len(frames) * STEP, workers, StageClock(), stages))


def method_with(weights: Path, device: str, occlusion: bool = True, batch: int = 3) -> Fslsd256Method:
    from faceswap_cli.swap.batches import Batches

    method = Fslsd256Method(JobOptions(device=device), PasteOptions(occlusion=occlusion), weights)
    method.batches = Batches(batch)  # a processor takes one at a time by itself
    return method


def spoken_frames(side: int, count: int = 4) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures (side, side, 3) and meshes of somebody who speaks, blinks and moves a little."""
    points = mesh_points(side)
    meshes = []
    for k in range(count):
        moved = points + np.array([1.7 * k, -0.6 * k, 0], np.float32)
        moved = speaking(moved, side) if k % 2 else moved
        meshes.append(blinking(moved) if k == count - 1 else moved)
    return [picture(p, side=side, seed=k) for k, p in enumerate(meshes)], meshes
