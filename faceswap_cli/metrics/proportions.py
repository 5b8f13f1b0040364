"""Whose face shape does the result have?  The distance moved from the target's to the source's."""

from __future__ import annotations

import numpy as np

from faceswap_cli.faces import landmarks as index
from faceswap_cli.metrics.observations import Observations
from faceswap_cli.records import F32, F64, MESH_POINTS

INSIDE = tuple(sorted(set(range(MESH_POINTS)) - set(index.OVAL) - set(index.IRISES)))
OUTLINE = index.OVAL[index.OVAL.index(454) : index.OVAL.index(234) + 1]
"""From ear to ear along cheeks and jaw; the hairline is not the mesh's to know."""
LEAST_APART = 0.005
"""In eye distances (rms): closer shapes have no direction between them."""


def shape(seen: Observations) -> float:
    """Over the points inside the outline."""
    return _share(seen, INSIDE)


def outline(seen: Observations) -> float:
    """Over cheeks and jaw."""
    return _share(seen, OUTLINE)


def _share(seen: Observations, points: tuple[int, ...]) -> float:
    """<r - t, s - t> / |s - t|^2 of mean canonical meshes, weighted by the frames of each track."""
    rows = np.flatnonzero(seen.found)
    shares, weights = [], []
    for track in np.unique(seen.track[rows]):
        own = rows[seen.track[rows] == track]
        result, target = (
            _mean(heads.canonical[own], points) for heads in (seen.result_heads, seen.target_heads)
        )
        to_source = seen.source_shape(own)[list(points)] - target
        length = float((to_source**2).sum())
        if length > len(points) * LEAST_APART**2:  # False for NaN: no source
            shares.append(float(((result - target) * to_source).sum()) / length)
            weights.append(len(own))
    return float(np.average(shares, weights=weights)) if shares else float("nan")


def _mean(canonical: F32, points: tuple[int, ...]) -> F64:
    return np.asarray(canonical[:, list(points)].astype(np.float64).mean(axis=0))
