"""What is on a face and not in front of it: shadows, bright spots, stubble, make-up, lines, freckles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.nets.occluder import SIDE
from faceswap_cli.records import F32
from faceswap_cli.training.hands import Rng, noise

PX = SIDE / 128
"""Lengths in pixels are those of crops of 128 px, times this."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    rgb: F32
    points: F32
    skin: F32
    """(3,) median color of the cheeks"""
    center: F32
    """(2,) px"""
    height: float
    """px of the face outline"""
    worn: F32 | None = field(repr=False, default=None)
    """(S, S, 2) probabilities of rim and lens where the person wears glasses"""
    things: F32 | None = field(repr=False, default=None)
    """(S, S, 3) thing, mask, and where nothing counts, where the face has something in front of it"""


def filled(polygon: NDArray[np.floating[Any]]) -> F32:
    return masks.fill_polygon(np.asarray(polygon / SIDE, np.float32), SIDE).astype(np.float32) / np.float32(
        255
    )


def skin_things(face: Face, rng: Rng) -> F32:
    """Shadows, bright spots, stubble, lipstick, freckles: on the face, not in front of it."""
    rgb = face.rgb.copy()
    if rng.random() < 0.35:
        angle, offset = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.3) * face.height
        y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
        reach = (x - face.center[0]) * np.cos(angle) + (y - face.center[1]) * np.sin(angle) - offset
        shade = masks.smoothstep(reach / (face.height * rng.uniform(0.02, 0.6)) + 0.5)
        rgb *= 1 - (rng.uniform(0.1, 0.8) * shade)[..., None] * rng.uniform(0.85, 1, 3).astype(np.float32)
    if rng.random() < 0.15:
        spots = np.maximum(noise(rng, SIDE, int(rng.integers(3, 10))) - 0.5, 0)
        rgb += (rng.uniform(-0.2, 0.25) * spots)[..., None]
    if rng.random() < 0.15:
        lower = masks.blur(masks.union(face.points, (parts.OVAL[8:29],), SIDE), 3 * PX)
        lips = masks.grow(masks.union(face.points, (parts.LIPS_OUTER,), SIDE), 2 * PX)
        grain = rng.uniform(0, 0.5) * masks.blur(rng.standard_normal((SIDE, SIDE), np.float32), 0.6)
        coarse = np.clip(0.6 + grain + 0.2 * noise(rng, SIDE, 8), 0, 1.2)
        rgb *= 1 - (rng.uniform(0.1, 0.75) * lower * (1 - lips) * coarse)[..., None].astype(np.float32)
    if rng.random() < 0.3:
        _fade_eyes(face, rgb, rng)
    if rng.random() < 0.25:
        _draw_lines(face, rgb, rng)
    if rng.random() < 0.12:
        lips = masks.blur(masks.union(face.points, (parts.LIPS_OUTER,), SIDE), 1)[..., None]
        rgb += lips * 0.5 * (np.array([rng.uniform(0.2, 0.8), 0.05, 0.15]) - rgb)
    if rng.random() < 0.06:
        dots = (rng.random((SIDE, SIDE)) < 0.02).astype(np.float32)
        rgb *= 1 - masks.blur(dots, 0.7)[..., None] * rng.uniform(0.2, 0.7)
    return np.clip(rgb, 0, 1).astype(np.float32)


def _draw_lines(face: Face, rgb: F32, rng: Rng) -> None:
    """Heavy brows, painted lids, bags under the eyes, folds: lines near the eyes, not rims; in place."""
    lines = np.zeros((SIDE, SIDE), np.uint8)
    sides = ((parts.RIGHT_BROW, parts.RIGHT_EYE), (parts.LEFT_BROW, parts.LEFT_EYE))
    brows, lids, bags, folds = rng.random(4) < (0.5, 0.4, 0.4, 0.3)
    for brow, eye in sides:
        if brows:
            ring = cv2.convexHull(face.points[list(brow), :2] + rng.normal(0, 0.004, 2).astype(np.float32))
            cv2.fillPoly(lines, [np.round(ring * SIDE * 16).astype(np.int32)], 220, cv2.LINE_AA, 4)
        ring = face.points[list(eye), :2] * SIDE
        if lids:
            fixed = [np.round(ring * 16).astype(np.int32)]
            cv2.polylines(lines, fixed, True, 200, int(rng.integers(1, 4)), cv2.LINE_AA, 4)
        middle, half = ring.mean(axis=0), np.ptp(ring[:, 0]) * rng.uniform(0.4, 0.7)
        arc = np.linspace(-1, 1, 9)
        if bags:
            bag = middle + np.stack([arc, 0.45 + rng.uniform(0.1, 0.4) * (1 - arc**2)], 1) * half
            fixed = [np.round(bag * 16).astype(np.int32)]
            cv2.polylines(lines, fixed, False, 90, int(rng.integers(1, 3)), cv2.LINE_AA, 4)
        if folds:
            out = np.sign(middle[0] - face.points[168, 0] * SIDE)
            fold = middle + np.stack([out * (1.2 + 0.4 * arc), rng.normal(0, 0.3) * arc], 1) * half
            cv2.polylines(lines, [np.round(fold * 16).astype(np.int32)], False, 70, 1, cv2.LINE_AA, 4)
    soft = masks.blur(lines.astype(np.float32) / np.float32(255), rng.uniform(0.5, 2.0))
    tone = face.skin * rng.uniform(0.1, 0.6)
    rgb += (rng.uniform(0.3, 0.9) * soft)[..., None] * (tone - rgb)


def _fade_eyes(face: Face, rgb: F32, rng: Rng) -> None:
    """One or both eyes lost in blur and the shadow of their socket; in place.

    Without these, an eye that cannot be seen would be one that something covers.
    """
    rings = (parts.LEFT_EYE + parts.LEFT_BROW, parts.RIGHT_EYE + parts.RIGHT_BROW)
    chosen = rings if rng.random() < 0.4 else (rings[int(rng.integers(2))],)
    area = np.zeros((SIDE, SIDE), np.float32)
    for ring in chosen:
        corners = cv2.convexHull(face.points[list(ring), :2])[:, 0]
        area = np.maximum(area, filled(corners * SIDE))
    area = masks.blur(masks.grow(area, rng.uniform(1, 5) * PX), rng.uniform(1.5, 4) * PX)[..., None]
    tone = rng.uniform(0.55, 1.1) + rng.uniform(0, 0.04) * rng.standard_normal(3)
    soft = masks.blur(rgb, rng.uniform(2, 8) * PX) * (1 + (tone - 1) * area)
    rgb += area * rng.uniform(0.6, 1.0) * (soft - rgb)
