"""Hands drawn from capsules: bones with a radius, lit as a height field, in a given skin color.

Everything works on square crops of ``side`` pixels; a layer is (rgb (S, S, 3) in [0, 1], alpha (S, S)).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.geometry.masks import blur, smoothstep
from faceswap_cli.records import F32

Rng = np.random.Generator
Layer = tuple[F32, F32]

_KNUCKLES = np.array([[-0.17, 0.47], [-0.06, 0.50], [0.05, 0.49], [0.15, 0.44]])
"""First joints of index, middle, ring and little finger; wrist at 0, fingers along +y, hand 1 long"""
_LENGTHS = np.array([0.42, 0.47, 0.43, 0.34])
_PHALANGES = np.array([0.46, 0.30, 0.24])
_FINGER_RADIUS = 0.050


def bones(rng: Rng) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Capsules of one hand, 1 long: (K, 2, 2) ends and (K, 2) radii; fist, fan, pointing, flat."""
    ends: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    radii: list[tuple[float, float]] = []
    spread = rng.uniform(0.0, 0.28)
    # Flat, half closed, or a fist with some fingers out.
    half_closed = rng.random() < 0.7
    curl = rng.random(4) ** rng.choice([0.4, 2.0]) if half_closed else (rng.random(4) < 0.6) * 1.0
    thick = _FINGER_RADIUS * rng.uniform(0.85, 1.25)
    for knuckle in _KNUCKLES:
        ends.append((np.array([0.55 * knuckle[0], 0.08]), knuckle))
        radii.append((0.085, 0.070))
    for i, (start, length) in enumerate(zip(_KNUCKLES, _LENGTHS, strict=True)):
        heading = (i - 1.5) * spread * 0.9 + rng.normal(0, 0.05)
        at, radius = start, thick * (1.08, 1.1, 1.05, 0.9)[i]
        for share in _PHALANGES:
            # A curled finger is seen shortened and bends to one side.
            step = length * share * (1 - 0.75 * curl[i])
            heading += rng.normal(0, 0.06 + 0.3 * curl[i])
            end = at + step * np.array([np.sin(heading), np.cos(heading)])
            ends.append((at, end))
            radii.append((radius, radius * 0.93))
            at, radius = end, radius * 0.93
    ends += _thumb(rng)
    radii += [(0.085, 0.075), (0.062, 0.058), (0.058, 0.050)]
    ends.append((np.array([0.0, 0.05]), np.array([rng.uniform(-0.3, 0.3), -1.6])))
    radii.append((0.125, rng.uniform(0.14, 0.22)))
    return np.array(ends), np.array(radii)


def _thumb(rng: Rng) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    heading = rng.uniform(-1.2, 0.1)
    at, out = np.array([-0.08, 0.10]), []
    for length, bend in ((0.22, -0.3), (0.17, 0.15), (0.14, 0.2)):
        heading += bend * rng.random()
        end = at + length * np.array([np.sin(heading), np.cos(heading)])
        out.append((at, end))
        at = end
    return out


def height_field(ends: F32, radii: F32, side: int) -> tuple[F32, F32]:
    """Capsules in pixels -> (height in pixels (S, S), 0 outside; signed distance to the rim, inside > 0)."""
    y, x = np.mgrid[:side, :side].astype(np.float32) + np.float32(0.5)
    height, inside = np.zeros((side, side), np.float32), np.full((side, side), -1e3, np.float32)
    for (a, b), (ra, rb) in zip(ends, radii, strict=True):
        reach = max(ra, rb) + 2.0
        low = np.clip(np.floor(np.minimum(a, b) - reach), 0, side).astype(int)
        high = np.clip(np.ceil(np.maximum(a, b) + reach), 0, side).astype(int)
        if (high <= low).any():
            continue
        part = np.s_[low[1] : high[1], low[0] : high[0]]
        px, py, d = x[part] - a[0], y[part] - a[1], b - a
        along = np.clip((px * d[0] + py * d[1]) / max(float(d @ d), 1e-6), 0, 1)
        radius = ra + (rb - ra) * along
        squared = (px - along * d[0]) ** 2 + (py - along * d[1]) ** 2
        # Flatter than a ball: fingers and the back of a hand are.
        height[part] = np.maximum(height[part], 0.8 * np.sqrt(np.maximum(radius**2 - squared, 0)))
        inside[part] = np.maximum(inside[part], radius - np.sqrt(squared))
    return height, inside


def shaded(height: F32, rng: Rng) -> F32:
    """(S, S) factors of light around 1 on a height field under a random lamp."""
    soft = blur(height, rng.uniform(0.8, 1.8))
    dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.125)
    lamp = rng.normal((0, -0.4), 0.5)
    facing = (1 - dx * lamp[0] - dy * lamp[1]) / np.sqrt(1 + dx * dx + dy * dy)
    ambient = rng.uniform(0.3, 0.75)
    return np.asarray(ambient + (1 - ambient) * np.clip(facing, 0, 2.0), np.float32)


def noise(rng: Rng, side: int, cells: int) -> F32:
    """(S, S) smooth noise of unit deviation with ``cells`` bumps across."""
    grid = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC))


def hand(rng: Rng, skin: F32, hull_center: F32, face: float, side: int, touched: F32 | None = None) -> Layer:
    """A hand in front of the face.

    ``skin`` (3,) mean color in [0, 1]; ``hull_center`` (2,) px; ``face`` height of the face outline in px.
    ``touched`` (2,) px: fingers lie across this place, from below or from a side.
    """
    ends, radii = bones(rng)
    if rng.random() < 0.5:
        ends[..., 0] *= -1
    size = face * rng.uniform(0.7, 1.5)
    if touched is None:
        angle = rng.normal(0, 1.0) if rng.random() < 0.75 else rng.uniform(-np.pi, np.pi)
        at = hull_center + rng.uniform(-0.45, 0.45, 2) * face
        anchor = np.array([0.0, rng.uniform(0.3, 0.95)])
    else:
        angle = rng.choice((-1, 1)) * rng.normal(1.1, 0.45)
        at = touched + rng.normal(0, 0.06, 2) * face
        anchor = np.array([rng.uniform(-0.15, 0.15), rng.uniform(0.5, 0.95)])
    c, s = np.cos(angle), np.sin(angle)
    # Image y points down: fingers point up when the angle is 0.
    turn = np.array([[c, s], [s, -c]]) * size
    ends = (ends - anchor) @ turn.T + at
    height, inside = height_field(ends.astype(np.float32), (radii * size).astype(np.float32), side)
    light = shaded(height, rng) * (1 + rng.uniform(0, 0.06) * noise(rng, side, int(rng.integers(4, 24))))
    # Fingers on the lips differ least from the face.
    off = 0.08 if touched is not None and rng.random() < 0.5 else 0.25
    tint = skin * rng.uniform(1 - off, 1 + off) * (1 + rng.normal(0, 0.16 * off, 3))
    rgb = np.clip(light[..., None] * tint, 0, 1).astype(np.float32)
    _details(rng, rgb, ends, radii * size)
    # Rims of fingers against each other and against the face are a little darker.
    rim = 1 - rng.uniform(0, 0.35) * (1 - smoothstep(inside / rng.uniform(1.0, 3.0)))
    return rgb * rim[..., None], np.clip(inside + 0.5, 0, 1)


def _details(rng: Rng, rgb: F32, ends: NDArray[np.float64], radii: NDArray[np.float64]) -> None:
    """Creases over the joints and nails, in place."""
    creases = np.zeros(rgb.shape[:2], np.uint8)
    nails = rng.random() < 0.5
    for k in range(4, 16):
        (a, b), r = ends[k], radii[k, 1]
        d = (b - a) / max(float(np.hypot(*(b - a))), 1e-6)
        across = np.array([-d[1], d[0]]) * r * 0.8
        p, q = ((b + sign * across) * 16 for sign in (-1, 1))
        last = (k - 4) % 3 == 2
        if not last:
            cv2.line(creases, p.astype(int).tolist(), q.astype(int).tolist(), 255, 1, cv2.LINE_AA, 4)
        elif nails:
            color = np.clip(rgb.reshape(-1, 3).mean(0) * rng.uniform(1.0, 1.3) + rng.uniform(0, 0.15), 0, 1)
            center = ((b - d * 0.1 * r) * 16).astype(int).tolist()
            axes = (int(max(0.75 * r * 16, 8)), int(max(0.55 * r * 16, 8)))
            degrees = float(np.degrees(np.arctan2(d[1], d[0])))
            cv2.ellipse(rgb, center, axes, degrees, 0, 360, color.tolist(), -1, cv2.LINE_AA, 4)
    dark = blur(creases.astype(np.float32) / np.float32(255), rng.uniform(0.4, 1.2)) * rng.uniform(0, 0.4)
    rgb *= 1 - dark[..., None]
