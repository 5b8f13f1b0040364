"""Other light on a picture of a face, by its mesh: what a refiner must learn to take off.

A lamp and ambient light of other colors (Lambert on the mesh's normals), the border of a cast shadow, a
highlight (Blinn 1977).  Pictures are multiplied in linear light.
"""

from __future__ import annotations

import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import warp
from faceswap_cli.records import F32, U8

Rng = np.random.Generator
_GAMMA = 2.2
_ACROSS, _ABOVE = 1.35, (-0.3, 0.9)
"""Largest angle of the lamp to the side, and the range of that above, in radians"""
_TINT = 0.16
"""Deviation of the logarithm of each light's color"""
_SHADOW, _HIGHLIGHT = 0.45, 0.35
"""Probabilities of a cast shadow and of a highlight"""


def relit(rgb: U8, points: F32, rng: Rng, strength: float = 1.0, *, hard: bool = True) -> U8:
    """``rgb`` (S, S, 3) with mesh ``points`` (478, 3; unit coordinates) in random light.

    ``strength`` 0 to 1; ``hard``: also cast shadows and highlights.
    """
    normals = warp.vertex_normals(points, parts.topology().triangles)
    across, above = rng.uniform(-_ACROSS, _ACROSS), rng.uniform(*_ABOVE)
    lamp = np.array([np.sin(across) * np.cos(above), -np.sin(above), np.cos(across) * np.cos(above)])
    lambert = np.maximum(normals @ lamp, 0.0)
    share = strength * rng.uniform(0.1, 0.8)
    if hard and rng.random() < _SHADOW:
        lambert = lambert * _cast(points, rng)
    tint = np.exp(rng.normal(0, _TINT * strength, (2, 3)))
    light = (1 - share) * tint[0] + share * 1.4 * lambert[:, None] * tint[1]
    light *= np.exp(rng.normal(0, 0.15 * strength)) / max(float(np.median(light)), 0.1)
    gloss = np.zeros(len(points))
    if hard and rng.random() < _HIGHLIGHT:
        middle = lamp + np.array([0.0, 0.0, 1.0])
        shine = np.maximum(normals @ (middle / np.linalg.norm(middle)), 0.0) ** rng.uniform(12, 50)
        gloss = shine * rng.uniform(0.05, 0.3) * strength
    levels = (2, 4, 8, 16, 32) if hard else (2, 4)
    values = np.column_stack([np.log(np.maximum(light, 0.08)), gloss]).astype(np.float32)
    field = warp.enlarge(warp.scatter(points[:, :2], values, levels=levels), rgb.shape[0])
    linear = (rgb.astype(np.float32) / 255) ** _GAMMA
    linear = linear * np.exp(np.clip(field[..., :3], -2.0, 0.9)) + np.maximum(field[..., 3:], 0.0)
    # A camera's shoulder: highlights run into white softly.
    linear = np.where(linear > 0.7, 0.7 + 0.3 * np.tanh((linear - 0.7) / 0.3), linear)
    return np.asarray(np.clip(linear, 0, 1) ** (1 / _GAMMA) * 255 + 0.5, np.uint8)


def _cast(points: F32, rng: Rng) -> F32:
    """(478,) of the lamp's light that passes the straight, soft border of a shadow."""
    xy = points[:, :2] - points[list(parts.OVAL), :2].mean(axis=0)
    angle = rng.uniform(-np.pi, np.pi)
    depth = xy @ (np.cos(angle), np.sin(angle)) / float(np.ptp(points[list(parts.OVAL), 1]))
    border = (depth - rng.uniform(-0.15, 0.35)) / rng.uniform(0.015, 0.2)
    return np.asarray(1 - rng.uniform(0.4, 1.0) / (1 + np.exp(-4 * np.clip(border, -8, 8))), np.float32)
