"""The one alignment of the program: mesh points to an upright, face-sized square.

FFHQ convention (Karras et al. 2019, data preparation), from the mesh: the horizontal axis
mixes the line between the eyes with the normal of the line from eyes to mouth, the side is
the larger of 4.0 x the eye distance and 3.6 x the eye-to-mouth distance, the center lies a tenth of the way
from the eyes to the mouth.  A similarity: turned, scaled and moved, never sheared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.records import F64

EYE_IMAGE_LEFT = (33, 160, 158, 133, 153, 144)
"""The eye at the image's left, the subject's right eye."""
EYE_IMAGE_RIGHT = (362, 385, 387, 263, 373, 380)
MOUTH_CORNERS = (61, 291)

FFHQ_SCALE = 1.0
"""Of the square of the FFHQ pictures; 256 px training crops have this."""
SWAP_SCALE = 0.90
"""Of the square that is swapped: shoulders are not needed, but an open mouth's chin must fit."""


def unit_from_points(landmarks: NDArray[np.floating], scale: float = SWAP_SCALE) -> F64:
    """(..., 478, 2 or 3) points -> (..., 3, 3) similarity to the unit square [0, 1]^2.

    ``scale`` shrinks the FFHQ square about its center.  Reflections do not occur: the
    subject's right eye lies at the left of the unit square.
    """
    xy = np.asarray(landmarks, dtype=np.float64)[..., :2]
    left = xy[..., EYE_IMAGE_LEFT, :].mean(axis=-2)
    right = xy[..., EYE_IMAGE_RIGHT, :].mean(axis=-2)
    mouth = xy[..., MOUTH_CORNERS, :].mean(axis=-2)
    eyes = (left + right) / 2
    across, down = right - left, mouth - eyes
    # The normal of `down`, turned a quarter so that it points the way `across` does.
    axis = across + np.stack([down[..., 1], -down[..., 0]], axis=-1)
    axis /= np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)
    half = np.maximum(2.0 * np.linalg.norm(across, axis=-1), 1.8 * np.linalg.norm(down, axis=-1)) * scale
    return unit_from_square(eyes + 0.1 * down, axis, np.maximum(half, 1e-6))


def unit_from_square(center: F64, axis: F64, half: F64) -> F64:
    """Square given by center (..., 2), unit horizontal axis (..., 2), half side (...,) -> (..., 3, 3)."""
    c, s = axis[..., 0], axis[..., 1]
    k = 0.5 / half
    matrix = np.zeros((*half.shape, 3, 3))
    matrix[..., 0, 0], matrix[..., 0, 1] = k * c, k * s
    matrix[..., 1, 0], matrix[..., 1, 1] = -k * s, k * c
    matrix[..., 0, 2] = 0.5 - k * (c * center[..., 0] + s * center[..., 1])
    matrix[..., 1, 2] = 0.5 - k * (-s * center[..., 0] + c * center[..., 1])
    matrix[..., 2, 2] = 1.0
    return matrix


def square_from_unit(unit_from_image: F64) -> tuple[F64, F64, F64]:
    """Inverse of :func:`unit_from_square`: center (..., 2), axis (..., 2), half side (...,)."""
    a, b = unit_from_image[..., 0, 0], unit_from_image[..., 0, 1]
    k = np.hypot(a, b)
    axis = np.stack([a, b], axis=-1) / k[..., None]
    back = np.linalg.inv(unit_from_image)
    center = (back @ np.array([0.5, 0.5, 1.0]))[..., :2]
    return center, axis, 0.5 / k


def rescaled(matrix: F64, have: float, wanted: float) -> F64:
    """Unit-square matrix of scale ``have`` -> the same square about its center at scale ``wanted``."""
    k = have / wanted
    return np.array([[k, 0, (1 - k) / 2], [0, k, (1 - k) / 2], [0, 0, 1.0]]) @ matrix


def scaled(matrix: F64, side: float) -> F64:
    """Unit-square matrix -> matrix to a crop of ``side`` pixels."""
    return np.diag([side, side, 1.0]) @ matrix


def apply(matrix: NDArray[np.floating[Any]], points: NDArray[np.floating]) -> NDArray[np.float32]:
    """(3, 3) similarity on (..., 2 or 3) points; a third coordinate (depth) is scaled alike."""
    points = np.asarray(points)
    xy = points[..., :2] @ matrix[:2, :2].T + matrix[:2, 2]
    if points.shape[-1] == 2:
        return np.asarray(xy, np.float32)
    scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    return np.asarray(np.concatenate([xy, points[..., 2:] * scale], axis=-1), np.float32)
