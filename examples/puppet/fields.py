"""Smooth displacement fields, their inverses, and soft masks; all arrays are (H, W) float32."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[Any]
"""float32 arrays; loosely typed, as arithmetic on them widens and narrows all the time."""


def smoothstep(x: F32) -> F32:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0.0, 1.0)
    return (x * x * (3.0 - 2.0 * x)).astype(np.float32)


def grid(shape: tuple[int, int]) -> tuple[F32, F32]:
    """x and y of the pixel centers of a picture of ``shape`` (H, W), in remap's convention."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return x, y


def sample(picture: F32, x: F32, y: F32, flags: int = cv2.INTER_CUBIC) -> F32:
    """``picture`` at (x, y), edges repeated."""
    found = cv2.remap(picture, np.float32(x), np.float32(y), flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, dtype=np.float32)


def inverse(dx: F32, dy: F32, rounds: int = 12) -> tuple[F32, F32]:
    """Forward displacement (H, W) each -> where each pixel came from, by fixed-point iteration."""
    x, y = grid(dx.shape)
    from_x, from_y = x - dx, y - dy
    for _ in range(rounds):
        from_x, from_y = (
            x - sample(dx, from_x, from_y, cv2.INTER_LINEAR),
            y - sample(dy, from_x, from_y, cv2.INTER_LINEAR),
        )
    return from_x, from_y


def curve(points: F32, x: F32) -> F32:
    """y of the open curve through ``points`` (K, 2) at ``x``; constant beyond its ends."""
    order = np.argsort(points[:, 0])
    return np.interp(x, points[order, 0], points[order, 1]).astype(np.float32)


def edge_mask(distance: F32, soft: float = 1.6) -> F32:
    """1 where ``distance`` (px) is positive, 0 where negative, a ramp of ``soft`` px between."""
    return np.clip(distance / soft + 0.5, 0, 1).astype(np.float32)


def over(below: F32, above: F32, alpha: F32) -> F32:
    return below + (above - below) * alpha[..., None]


@dataclass(frozen=True, eq=False)
class Warp:
    """Where the pixels of one layer came from."""

    x: F32 = field(repr=False)
    y: F32 = field(repr=False)

    @classmethod
    def of(cls, dx: F32, dy: F32) -> Warp:
        return cls(*inverse(dx, dy))

    def __call__(self, picture: F32) -> F32:
        return sample(picture, self.x, self.y)
