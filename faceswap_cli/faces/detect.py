"""Find the faces of one picture, with patience: turned, small, several, broken light."""

from __future__ import annotations

from contextlib import closing, nullcontext

import cv2
import numpy as np

from faceswap_cli.config import DetectOptions
from faceswap_cli.faces.crops import cut, same_face, width_px, without_doubles
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.faces.lids import with_true_lids
from faceswap_cli.records import F32, U8, Face

OVERVIEW = 1280
"""Long side of the picture in which all faces are looked for at once."""
TILE_SHARES = (0.5, 0.19)
"""Sides of the tiles, as shares of the picture's long side."""
SMALLEST_TILE = 128
_LARGEST_PADDED = 8192
SMALLEST_PICTURE = 192
"""Pictures whose short side is below this are enlarged before they are searched."""


def find_faces(
    rgb: U8, options: DetectOptions | None = None, finder: FaceFinder | None = None
) -> tuple[Face, ...]:
    """(H, W, 3) uint8, upright -> its faces, largest first, in pixels of ``rgb``.

    Pass ``finder`` to keep the models in memory over several pictures.
    """
    options = options or DetectOptions()
    with nullcontext(finder) if finder else closing(FaceFinder(options)) as models:
        height, width = rgb.shape[:2]
        seen = _candidates(rgb, models)
        exact = [_exact(mesh, rgb, models) for mesh in seen]
        faces = models.accept([mesh for mesh in exact if mesh is not None], (width, height))
        return tuple(with_true_lids(face) for face in faces)


def _candidates(rgb: U8, finder: FaceFinder) -> list[F32]:
    """Rough meshes in pixels of ``rgb``, each face once."""
    overview, scale = _resized(rgb)
    found = [_scaled(mesh, 1 / scale) for mesh in finder.any_way_up(overview)]
    long_side = max(rgb.shape[:2])
    for share in TILE_SHARES:
        side = round(long_side * share)
        if side < SMALLEST_TILE:
            break
        # A tile shows small faces only: what is large has been seen in the whole picture.
        small = [mesh for mesh in finder.in_tiles(rgb, side) if width_px(mesh) < 0.5 * side]
        found += [mesh for mesh in small if not any(same_face(mesh, other) for other in found)]
    return without_doubles(found) or _padded(rgb, finder)


def _exact(mesh: F32, rgb: U8, finder: FaceFinder) -> F32 | None:
    """``mesh`` measured twice more on upright crops; None when the first of them shows no face."""
    first = finder.confirmed(mesh, lambda matrix: cut(rgb, matrix))
    if first is None:
        return None
    first = finder.right_way_up(first, lambda matrix: cut(rgb, matrix))
    second = finder.again(first, lambda matrix: cut(rgb, matrix))
    return first if second is None else second


def _padded(rgb: U8, finder: FaceFinder) -> list[F32]:
    """Faces that fill the picture or are cut by its edge: seen with room around them."""
    shrunk = 1.0
    if max(rgb.shape[:2]) > _LARGEST_PADDED:  # room on all sides makes a long strip a huge square
        rgb, shrunk = _resized(rgb)
    overview, scale = _resized(rgb)
    return [_scaled(mesh, 1 / (scale * shrunk)) for mesh in finder.padded(overview)]


def _resized(rgb: U8) -> tuple[U8, float]:
    """At most ``OVERVIEW`` on the long side, at least ``SMALLEST_PICTURE`` on the short one."""
    scale = min(1.0, OVERVIEW / max(rgb.shape[:2]))
    if min(rgb.shape[:2]) < SMALLEST_PICTURE:
        scale = min(SMALLEST_PICTURE / min(rgb.shape[:2]), OVERVIEW / max(rgb.shape[:2]))
    if scale == 1.0:
        return rgb, 1.0
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    height, width = (max(round(side * scale), 1) for side in rgb.shape[:2])
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8), scale


def _scaled(mesh: F32, factor: float) -> F32:
    return (mesh * np.float32(factor)).astype(np.float32)
