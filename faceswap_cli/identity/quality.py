"""How much a photograph tells about a face: one number in (0, 1] from what can be measured."""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces.crops import cut, upright_crop, width_px
from faceswap_cli.identity.pose import pose
from faceswap_cli.records import F32, U8

SIDE = 128
FULL_SIZE_PX = 220.0
"""Meshes this wide lose nothing at the 256 px of the networks."""
SHARP = 120.0
"""Variance of the Laplacian of an aligned 128 px face from which on a picture counts as sharp."""


def quality(rgb: U8, mesh: F32) -> float:
    """Picture (H, W, 3) and mesh (478, 3) in its pixels -> (0, 1]; 1: sharp, large, frontal, well lit.

    The factors multiply, so one bad property is enough to make a photograph a bad one.
    """
    face = cut(rgb, upright_crop(mesh, SIDE, 1.15), SIDE)
    grey = np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.float32)
    factors = sharpness(grey), size(mesh), frontality(mesh), exposure(grey), completeness(mesh, rgb)
    return float(np.clip(np.prod(factors), 0.01, 1.0))


def sharpness(grey: F32) -> float:
    """(128, 128) -> (0, 1]; contrast is taken out, so that dim light is not called blur."""
    even = (grey - grey.mean()) * (40.0 / max(float(grey.std()), 5.0))
    return float(np.clip(np.sqrt(cv2.Laplacian(even, cv2.CV_32F).var() / SHARP), 0.05, 1.0))


def size(mesh: F32) -> float:
    """Square root of the mesh's width over the width from which more pixels do not help."""
    return float(np.sqrt(np.clip(width_px(mesh) / FULL_SIZE_PX, 0.02, 1.0)))


def frontality(mesh: F32) -> float:
    """1 for a frontal face, 0.5 at about 40 degrees of yaw."""
    turned = pose(mesh)
    return float(np.exp(-((float(turned.yaw) / 48) ** 2) - (float(turned.pitch) / 48) ** 2))


def exposure(grey: F32) -> float:
    """1 for a face with mid-tones; lower when many pixels are clipped or the whole is dark."""
    clipped = float(((grey < 6) | (grey > 250)).mean())
    dark = float(np.clip(grey.mean() / 70.0, 0.1, 1.0))
    return float(np.clip((1 - clipped) * np.sqrt(dark), 0.05, 1.0))


def completeness(mesh: F32, rgb: U8) -> float:
    """Share of the mesh inside the picture, squared: a cut face is worth little."""
    height, width = rgb.shape[:2]
    inside = ((mesh[:, :2] >= 0) & (mesh[:, :2] <= (width, height))).all(axis=1).mean()
    return float(inside**2)
