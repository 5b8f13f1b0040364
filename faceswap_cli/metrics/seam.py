"""Is the edge of the swap visible?  Steps of L* across the places where it can lie.

A metric does not know the mask, but masks follow the face.  Rings around the middle of the face's
outline are laid from ``FIRST`` of the way to the outline itself; on each, the step of L* across the ring
is averaged along short arcs, so that texture cancels out and a line that runs along the ring does not.
Cheeks are round: their shading makes steps too, which change slowly from ring to ring.  A parabola over
the rings is taken off in each arc, else a dark swap would hide its edge in the light that falls off there.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as index
from faceswap_cli.metrics.views import MOST_SIDE, FaceView
from faceswap_cli.records import F32, F64
from faceswap_cli.swap.appearance import DEVIATION, FEW_PIXELS, LAB_OFFSET

FIRST, RINGS = 0.70, 31
"""The rings: 0.70 to 1.00 of the outline.  Beyond it the jaw's own edge would be measured."""
ARCS, SAMPLES = 18, 8
"""Arcs around the face, and samples along each."""
STEP_PX = 3
"""Length over which a step is measured, in pixels of a face crop of 256."""
FULL_ARC, LEAST_RINGS = 0.6, 8
"""Share of skin from which an arc of a ring counts, and rings from which those of a direction do."""
FAINT = 0.1
"""L*; added to every step, so that one of 0 does not rule the geometric mean."""
_CHROMA_REACH, _CHROMA_FLOOR, _LIGHT_REACH = 4.0, 0.01, 0.35
"""Skin by color: within 4 robust deviations in (a, b) / (L + 16), and L + 16 within a factor of 1.4."""


@lru_cache(maxsize=1)
def forehead_arcs() -> NDArray[np.bool_]:
    """(ARCS,) those above the temples, counted from the middle of the hairline."""
    from faceswap_cli.faces.landmarks import topology

    along = _along(topology().mean_shape)
    left, right = along[index.OVAL.index(284)], along[index.OVAL.index(54)]
    middle = (np.arange(ARCS) + 0.5) / ARCS
    return np.asarray((middle <= left) | (middle >= right))


def _along(points: F32) -> F64:
    """(37,) position of the points of the outline along it, 0 to 1."""
    ring = points[[*index.OVAL, index.OVAL[0]], :2].astype(np.float64)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1))])
    return np.asarray(lengths / max(lengths[-1], 1e-9))


def arc_steps(view: FaceView) -> F32:
    """(RINGS, ARCS) distance of the mean step of L* along each arc from shading; NaN where skin is hidden."""
    rim = points_on_outline(view.points)
    middle = view.points[list(index.OVAL), :2].mean(axis=0)
    shares = np.linspace(FIRST, 1.0, RINGS)[:, None, None]
    at = (middle + shares * (rim - middle)) * view.side - 0.5
    outward = (rim - middle) / np.maximum(np.linalg.norm(rim - middle, axis=1, keepdims=True), 1e-9)
    step = outward * (STEP_PX / MOST_SIDE * view.side)
    steps = _read(view.lab[..., 0], at + step / 2) - _read(view.lab[..., 0], at - step / 2)
    skin = skin_by_color(view)
    on_skin = np.minimum(_read(skin, at + step), _read(skin, at - step)) > 0.9
    count = on_skin.reshape(RINGS, ARCS, SAMPLES).sum(axis=2)
    total = (steps * on_skin).reshape(RINGS, ARCS, SAMPLES).sum(axis=2)
    return off_shading(total / np.maximum(count, 1), count >= FULL_ARC * SAMPLES)


def off_shading(steps: F64, known: NDArray[np.bool_]) -> F32:
    """(RINGS, ARCS) steps, and where they are known -> their distance from a parabola over the rings."""
    at = np.linspace(-1.0, 1.0, RINGS)
    basis = np.stack([np.ones_like(at), at, at * at], axis=1)
    square = np.einsum("rk,ra,rl->akl", basis, known, basis) + 1e-9 * np.eye(3)
    right = np.einsum("rk,ra->ak", basis, steps * known)
    shading = basis @ np.linalg.solve(square, right[..., None])[..., 0].T
    kept = known & (known.sum(axis=0) >= LEAST_RINGS)
    return np.where(kept, np.abs(steps - shading), np.nan).astype(np.float32)


def points_on_outline(points: F32) -> F64:
    """(ARCS * SAMPLES, 2) evenly along the outline."""
    ring = points[[*index.OVAL, index.OVAL[0]], :2]
    along, positions = _along(points), (np.arange(ARCS * SAMPLES) + 0.5) / (ARCS * SAMPLES)
    return np.stack([np.interp(positions, along, ring[:, k]) for k in (0, 1)], axis=1)


def _read(picture: F32, at: F64) -> F32:
    x, y = (np.ascontiguousarray(at[..., k], np.float32) for k in (0, 1))
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def skin_by_color(view: FaceView) -> F32:
    """(S, S) 1 where the color is that of the face's skin, also close to the outline."""
    known = view.skin > 0.5
    if np.count_nonzero(known) < FEW_PIXELS:
        return np.zeros_like(view.skin)
    light = view.lab[..., 0] + LAB_OFFSET
    chroma = view.lab[..., 1:] / light[..., None]
    usual = np.median(chroma[known], axis=0)
    spread = DEVIATION * np.median(np.abs(chroma[known] - usual), axis=0) + _CHROMA_FLOOR
    near = (np.abs(chroma - usual) < _CHROMA_REACH * spread).all(axis=2)
    lit = np.abs(np.log(light / np.median(light[known]))) < _LIGHT_REACH
    return np.asarray(near & lit, np.float32)


def strength(steps: F32) -> float:
    """(Q, RINGS, ARCS) of many frames -> over the rings, the RMS of the mean over frames and arcs.

    That mean is geometric: a few strong arcs (a rim of glasses, a wrinkle) must not hide all others.
    """
    known = ~np.isnan(steps)
    count = known.sum(axis=(0, 2))
    logs = np.log(np.where(known, steps, 1.0) + FAINT)
    rings = np.exp(np.where(known, logs, 0.0).sum(axis=(0, 2))[count > 0] / count[count > 0])
    return float(np.sqrt((rings**2).mean())) if len(rings) else float("nan")


def seam_ratio(steps: F32, arcs: NDArray[np.bool_]) -> float:
    """(Q, 2, RINGS, ARCS) of result and target -> ratio of their strengths over the chosen arcs.

    Over the arcs that show skin in both.
    """
    both = steps[..., arcs]
    both = np.where(np.isnan(both).any(axis=1, keepdims=True), np.nan, both)
    ours, theirs = strength(both[:, 0]), strength(both[:, 1])
    return ours / theirs if theirs > 0 else float("nan")
