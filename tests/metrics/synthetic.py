"""Synthetic faces and pictures for the tests of the figures."""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces.landmarks import bounds, topology
from faceswap_cli.metrics.observations import FaceRow
from faceswap_cli.records import F32, U8, Face


def face(width: float = 100.0, center: tuple[float, float] = (100.0, 100.0)) -> F32:
    """(478, 3) mean face whose outer eye corners are ``width`` px apart."""
    return np.asarray(topology().mean_shape * width + np.array([*center, 0]), dtype=np.float32)


def turned(points: F32, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> F32:
    """The points turned about their middle, angles in degrees."""
    center = points.mean(axis=0)
    rotation = cv2.Rodrigues(np.radians([pitch, yaw, roll]))[0]
    return np.asarray((points - center) @ rotation.T + center, dtype=np.float32)


def found(points: F32) -> Face:
    return Face(box=bounds(points), landmarks=points)


def texture(size: int = 200, seed: int = 0, blur: float = 2.0) -> U8:
    """(size, size, 3) smooth random picture with plenty of detail."""
    noise = np.random.default_rng(seed).normal(0, 1, (size, size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    return np.asarray(np.clip(128 + 50 * smooth / smooth.std(), 0, 255), dtype=np.uint8)


def shifted(rgb: U8, x: float, y: float) -> U8:
    """The picture moved by (x, y) pixels."""
    matrix = np.array([[1, 0, x], [0, 1, y]], dtype=np.float64)
    moved = cv2.warpAffine(
        rgb, matrix, rgb.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved, dtype=np.uint8)


def row(track: int = 0, changed: bool = True, **values: object) -> FaceRow:
    """A row of a swapped face; ``values`` replace fields."""
    usual: dict[str, object] = {
        "track": track,
        "change": 9.0 if changed else 0.3,
        "changed": changed,
        "target_points": face(),
        "result_points": face(),
        "to_source": 0.4,
        "to_target": 0.8,
        "detail": 2.0,
        "luma": (120.0, 120.0),
        "warp": (50.0, 50.0),
        "warp_weight": 10.0,
    }
    return FaceRow(**{**usual, **values})  # type: ignore[arg-type]
