"""Polygons and soft masks of a face, in crop space.

Points are unit-square crop coordinates; masks are float32 in [0, 1] of a given side, with the
pixel center of column i at (i + 0.5) / side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.records import F32, U8

_SUBPIXEL_BITS = 6
LEAST_WEIGHT = 1e-4
"""Lower bound of weights where something is divided by them."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a square crop: work is done on the face's bounds, not on the whole square."""

    x: int
    y: int
    width: int
    height: int
    side: int
    """Of the whole crop in pixels"""

    @classmethod
    def full(cls, side: int) -> Window:
        return cls(0, 0, side, side, side)

    @classmethod
    def around(cls, points: F32, side: int, margin: float = 0.02) -> Window:
        """Bounds of unit-square ``points`` (P, 2+) with a margin, inside the crop."""
        low = np.clip(np.floor((points[:, :2].min(axis=0) - margin) * side), 0, side - 2).astype(int)
        high = np.clip(np.ceil((points[:, :2].max(axis=0) + margin) * side), low + 2, side).astype(int)
        return cls(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]), side)

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    def of(self, image: NDArray[Any]) -> NDArray[Any]:
        """The part of a (side, side[, D]) image, a view."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]

    def pixels(self, points: F32) -> F32:
        """Unit-square points (P, 2+) -> (P, 2) pixels of the window, centers at integers."""
        return np.asarray(points[:, :2] * self.side - (self.x + 0.5, self.y + 0.5), np.float32)


def fill_polygon(points: F32, window: Window | int, into: U8 | None = None) -> U8:
    """Closed polygon (P, 2) -> (height, width) uint8, 255 inside; drawn with subpixel corners."""
    window = Window.full(window) if isinstance(window, int) else window
    canvas = np.zeros(window.shape, np.uint8) if into is None else into
    fixed = np.round(window.pixels(points) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 255, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
    return canvas


def union(landmarks: F32, rings: Sequence[Sequence[int]], window: Window | int, grown: float = 0.0) -> F32:
    """Union of the polygons through ``rings`` of mesh indices -> (height, width) in [0, 1].

    ``grown`` pixels wider, as :func:`grow` does: bytes take a quarter of the time of floats.
    """
    window = Window.full(window) if isinstance(window, int) else window
    canvas = np.zeros(window.shape, np.uint8)
    for ring in rings:
        fill_polygon(landmarks[list(ring), :2], window, canvas)
    return dilated(canvas, grown).astype(np.float32) / np.float32(255)


def soften(mask: F32, width: float) -> F32:
    """Soft inner edge: distance from the edge over ``width`` pixels, eased; outside stays 0."""
    inside = (mask > 0.5).astype(np.uint8)
    # A frame of zeros: a face cut by the border of the crop must fade out there too.
    padded = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return smoothstep(distance / max(width, 1e-3))


def smoothstep(x: NDArray[np.floating[Any]]) -> F32:
    """0 below 0, 1 above 1, 3x^2 - 2x^3 between."""
    t = np.clip(x, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def eased(x: F32, bounds: tuple[float, float]) -> F32:
    """0 up to the first bound, 1 from the second, smooth between."""
    return smoothstep((x - np.float32(bounds[0])) / np.float32(bounds[1] - bounds[0]))


def grow(mask: F32, pixels: float) -> F32:
    """Dilate by about ``pixels`` (shrink when negative)."""
    return np.asarray(dilated(mask, pixels))


def dilated(mask: NDArray[Any], pixels: float) -> NDArray[Any]:
    """:func:`grow` of bytes or floats."""
    size = 2 * round(abs(pixels)) + 1
    if size <= 1:
        return mask
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.dilate(mask, kernel) if pixels > 0 else cv2.erode(mask, kernel))


def blur(image: F32, sigma: float) -> F32:
    """Gaussian blur with replicated border; sigma in pixels."""
    if sigma < 0.3:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def masked_blur(image: F32, weight: F32, sigma: float) -> tuple[F32, F32]:
    """Normalized blur: (weighted mean (S, S, D), blurred weight (S, S))."""
    many = image if image.ndim == 3 else image[..., None]
    top: F32 = blur(many * weight[..., None], sigma)
    bottom = blur(weight, sigma)
    if top.ndim == 2:
        top = top[..., None]
    mean: F32 = np.divide(top, np.maximum(bottom, LEAST_WEIGHT)[..., None], dtype=np.float32)
    return mean, bottom


def sample(image: F32, points: F32) -> F32:
    """Bilinear values of (n, n[, D]) at unit-square points (P, 2) -> (P[, D]); borders replicate."""
    side = image.shape[0]
    where = (points[:, :2] * side - 0.5).astype(np.float32)
    found = cv2.remap(image, where[:, None, :], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found).reshape(len(points), *image.shape[2:])
