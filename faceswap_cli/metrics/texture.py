"""How sharp the skin is, and edges that neither the source nor the target has."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as index
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import fill_polygon
from faceswap_cli.geometry.warp import enlarge, sample_map, scatter
from faceswap_cli.metrics.preservation import inner_oval
from faceswap_cli.metrics.views import (
    MOST_SIDE,
    SKIN_SIDE,
    FaceView,
    bare_skin,
    face_view,
    plain_skin,
    unit_square,
)
from faceswap_cli.records import F32, F64, SourcePhoto
from faceswap_cli.swap.appearance import BANDS, FEW_PIXELS, light_at, relit, split_bands

STEP_PX = 3
"""Length over which a step is measured, in pixels of a face crop of 256."""
STEEP_PERCENTILE = 95
_GRAIN = 1.5
"""Blur before steps are measured: what is finer depends on the footage's resolution."""
_NEAR, _LEAST_STEP = 2, 1.0
"""Pixels by which an edge may lie elsewhere, and the L* below which a step is not an edge."""
_FEATURES = (
    *(index.LEFT_EYE, index.RIGHT_EYE, index.LEFT_BROW_RING, index.RIGHT_BROW_RING),
    index.LIPS_OUTER,
)
_MARGIN = 0.03
_LIGHT_LEVELS, _LIGHT_SIDE = (2, 4, 8, 16), 64


def skin_bands(view: FaceView) -> F32:
    """(3,) median |L*| of each octave over plain skin, fine to coarse; NaN where little skin is seen."""
    chosen = plain_skin(view) > 0.5
    if np.count_nonzero(chosen) < FEW_PIXELS:
        return np.full(len(BANDS), np.nan, np.float32)
    layers = split_bands(np.ascontiguousarray(view.lab[..., 0]))[: len(BANDS)]
    return np.array([np.median(np.abs(layer[chosen])) for layer in layers], np.float32)


def steps(luma: F32) -> F32:
    """(S, S) L* -> (256, 256): the largest difference over the step in eight directions."""
    if luma.shape[0] != MOST_SIDE:
        luma = np.asarray(cv2.resize(luma, (MOST_SIDE, MOST_SIDE), interpolation=cv2.INTER_LINEAR))
    luma = np.asarray(cv2.GaussianBlur(luma, (0, 0), _GRAIN, borderType=cv2.BORDER_REPLICATE))
    largest = np.zeros_like(luma)
    half, other = STEP_PX // 2, STEP_PX - STEP_PX // 2
    for x, y in ((1, 0), (0, 1), (1, 1), (1, -1)):
        # A diagonal step of 2 by 2 is as long as one of 3 along an axis.
        near, far = (half, other) if x * y == 0 else (1, 1)
        ahead = np.roll(luma, (y * near, x * near), axis=(0, 1))
        behind = np.roll(luma, (-y * far, -x * far), axis=(0, 1))
        np.maximum(largest, np.abs(ahead - behind), out=largest)
    return largest


def invented_edges(result: F32, others: tuple[F32, ...], points: F32) -> float:
    """L* of the result and of the pictures it was made of, laid on its mesh ``points`` -> ratio.

    At every pixel of the inner face outside eyes, brows and lips: the result's step over the largest
    that one of the others has within ``_NEAR`` pixels.  Of those ratios, the 95th percentile.
    """
    inside = fill_polygon(inner_oval(points), MOST_SIDE) > 127
    inside &= masks.union(points, _FEATURES, MOST_SIDE, _MARGIN * MOST_SIDE) < 0.5
    if np.count_nonzero(inside) < FEW_PIXELS:
        return float("nan")
    known = np.maximum.reduce([steps(other) for other in others])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _NEAR + 1, 2 * _NEAR + 1))
    ratios = steps(result)[inside] / np.maximum(cv2.dilate(known, disc)[inside], _LEAST_STEP)
    return float(np.percentile(ratios, STEEP_PERCENTILE))


@lru_cache(maxsize=8)
def _photo_view(photo: SourcePhoto, side: int) -> FaceView:
    return face_view(photo.rgb, photo.landmarks, unit_square(photo.landmarks)[0], side)


def relit_warp(photo: SourcePhoto, result: FaceView, target: FaceView) -> F32:
    """L* (S, S) of the photograph bent to the result's mesh, in the target's low-frequency light."""
    side = result.side
    own = _photo_view(photo, side)
    here = np.ascontiguousarray(result.points[:, :2])
    field = scatter(here, own.points[:, :2] - here)
    lab = cv2.remap(
        own.lab, sample_map(field, side, side), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    lab = np.asarray(lab, np.float32)
    light = (_light(lab, bare_skin(lab, result.points), here), _light(target.lab, target.skin, target.points))
    both = np.stack(light, axis=1)
    fields = enlarge(scatter(here, both, levels=_LIGHT_LEVELS, side=_LIGHT_SIDE), side)
    return relit(lab[..., 0], fields[..., 0], fields[..., 1])[0]


def _light(lab: F32, skin: F32, points: F32) -> F32:
    """(478,) low-frequency L* at the points of the mesh."""
    small, weight = (
        np.asarray(cv2.resize(picture, (SKIN_SIDE, SKIN_SIDE), interpolation=cv2.INTER_AREA))
        for picture in (lab, skin)
    )
    return light_at(small, weight, np.ascontiguousarray(points[:, :2]))[:, 0]


def invented(photo: SourcePhoto, result: FaceView, target: FaceView) -> float:
    """:func:`invented_edges` of the result over the relit source and the target."""
    luma = tuple(np.ascontiguousarray(view.lab[..., 0]) for view in (result, target))
    return invented_edges(luma[0], (relit_warp(photo, result, target), luma[1]), result.points)


def sharpness_ratios(bands: F64) -> F64:
    """(Q, 2, 3) bands of result and target -> (3,) geometric mean of their ratios; NaN where unknown."""
    usable = np.asarray((bands > 0).all(axis=1))
    logs = np.log(np.where(usable[:, None], bands, 1.0))
    counts = usable.sum(axis=0)
    sums = ((logs[:, 0] - logs[:, 1]) * usable).sum(axis=0)
    return np.where(counts > 0, np.exp(sums / np.maximum(counts, 1)), np.nan)
