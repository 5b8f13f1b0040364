"""Does the result move as the target does?  Expression and pose, as movement about their own means.

Subtracting each clip's own mean leaves out what distinguishes two people: a swap that takes on the
source's lips or brow is not charged for it.  Every figure pools the unbroken runs of a face.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from faceswap_cli.faces import landmarks as index
from faceswap_cli.metrics.observations import Observations
from faceswap_cli.records import F64

LEAST_RUN = 3
"""Frames; shorter runs have no mean to move about."""
MOVING = (*index.LIPS_OUTER, *index.LIPS_INNER, *index.EYES, *index.BROWS)
PERCENT = 100.0
"""Canonical meshes have outer eye corners about 1 apart."""


def _movements(seen: Observations) -> Iterator[tuple[F64, F64]]:
    """Result and target per run: (T, P, 3) about their means, in % of the eye distance."""
    for rows in seen.runs():
        if len(rows) >= LEAST_RUN:
            ours, theirs = (
                PERCENT * heads.canonical[rows][:, list(MOVING)].astype(np.float64)
                for heads in (seen.result_heads, seen.target_heads)
            )
            yield ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)


def expression(seen: Observations) -> float:
    """Mean distance between the movements of the result and of the target, % of the eye distance."""
    apart = [np.linalg.norm(ours - theirs, axis=-1).ravel() for ours, theirs in _movements(seen)]
    return float(np.concatenate(apart).mean()) if apart else float("nan")


def _products(seen: Observations) -> tuple[float, float, float]:
    """Sums over all runs, points and axes: result x result, result x target, target x target."""
    sums = [
        ((ours * ours).sum(), (ours * theirs).sum(), (theirs * theirs).sum())
        for ours, theirs in _movements(seen)
    ]
    own, both, target = np.array(sums).reshape(-1, 3).sum(axis=0)
    return float(own), float(both), float(target)


def expression_gain(seen: Observations) -> float:
    """Slope of the regression of the result's movement on the target's."""
    _, both, target = _products(seen)
    return both / target if target > 0 else float("nan")


def expression_correlation(seen: Observations) -> float:
    """Correlation of the two movements."""
    own, both, target = _products(seen)
    return both / float(np.sqrt(own * target)) if own > 0 and target > 0 else float("nan")


def pose(seen: Observations) -> float:
    """Mean angle between the turns of the two heads, each relative to its own mean rotation, degrees."""
    angles = []
    for rows in seen.runs():
        if len(rows) >= LEAST_RUN:
            ours, theirs = (_turns(heads.rotation[rows]) for heads in (seen.result_heads, seen.target_heads))
            # |A - B| = 2 sqrt(2) sin(angle / 2) for rotations (Frobenius norm).
            sine = np.linalg.norm(ours - theirs, axis=(1, 2)) / np.sqrt(8)
            angles.append(2 * np.degrees(np.arcsin(np.clip(sine, 0, 1))))
    return float(np.concatenate(angles).mean()) if angles else float("nan")


def _turns(rotation: F64) -> F64:
    """(T, 3, 3) -> each rotation after the inverse of their mean.

    The mean is the rotation nearest to the arithmetic one.  A constant difference in the heads' own
    frames, as another face shape makes it, cancels out.
    """
    u, _, vt = np.linalg.svd(rotation.mean(axis=0))
    mean = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return np.asarray(rotation @ mean.T)
