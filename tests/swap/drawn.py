"""Drawn faces for tests of swap methods: known geometry, plain skin, no picture of anybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from faceswap_cli import color
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.landmarks import OVAL, topology
from faceswap_cli.geometry import align, masks
from faceswap_cli.records import ColorTags, FaceCrop, SourceIdentity, SourcePhoto

SIDE = 160


def mesh_points(side: int = SIDE) -> np.ndarray:
    """(478, 3) the mean face in the middle of a picture of ``side`` pixels."""
    shape = topology().mean_shape
    return (shape * 0.36 * side + [0.5 * side, 0.55 * side, 0.0]).astype(np.float32)


def picture(
    points: np.ndarray, skin: tuple[int, int, int] = (200, 150, 130), side: int = SIDE, seed: int = 0
) -> np.ndarray:
    """A drawn face: skin, dark eyes and brows, red lips, a little texture, gray background."""
    unit = points / side
    rgb = np.full((side, side, 3), 90.0)
    face = masks.union(unit, (OVAL,), side)[..., None]
    rgb = rgb * (1 - face) + np.array(skin) * face
    dark = masks.union(unit, (parts.LEFT_EYE, parts.RIGHT_EYE, *parts.FEATURE_RINGS[2:4]), side)[..., None]
    lips = masks.union(unit, (parts.LIPS_OUTER,), side)[..., None]
    rgb = rgb * (1 - dark) + np.array((50, 40, 40)) * dark
    rgb = rgb * (1 - lips) + np.array((170, 60, 70)) * lips
    rgb += np.random.default_rng(seed).normal(0, 2.0, rgb.shape)
    return np.clip(rgb, 0, 255).astype(np.uint8)


def photo(rgb: np.ndarray, points: np.ndarray, quality: float = 1.0) -> SourcePhoto:
    return SourcePhoto(Path("p.png"), rgb, points, np.zeros(128, np.float32), quality)


def crop(rgb: np.ndarray, points: np.ndarray, side: int = SIDE) -> FaceCrop:
    matrix = align.scaled(align.unit_from_points(points), side)
    planes = color.planes_region_from_rgb(rgb, ColorTags(), chroma_step=(1, 1))
    return FaceCrop(0, color.warp_rgb(planes, ColorTags(), matrix, side), matrix, align.apply(matrix, points))


def identity(*photos: SourcePhoto) -> SourceIdentity:
    return SourceIdentity("s", photos, np.zeros(128, np.float32))
