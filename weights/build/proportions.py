"""Build ``weights/proportions.safetensors``: which part of a shape difference is identity.

    python weights/build/proportions.py POOL weights/proportions.safetensors

POOL is a folder written by ``faceswap_cli.training.pool``.  Let S_total be the covariance of canonical meshes
over people and S_expr that of one person's meshes about the person's mean.  The identity part of a difference
d of two meshes is then the Wiener estimate ``(I - S_expr S_total^-1) d``: every direction is shared between
identity and expression by weight, none is assigned to one of them.  It is computed on the first principal
components, made symmetric, and held between 0 and 1.  Stills show little speech, so the residuals of clips
count as well.  Only geometry is stored: no picture and nothing of any one person.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from faceswap_cli.faces.landmarks import topology
from faceswap_cli.geometry.canonical import remove_pose

COMPONENTS = 60
FRONTAL = 0.9
"""Least z of the rotated viewing axis: about 25 degrees."""
FAR = 0.45
"""Meshes with a point farther than this from the median, in eye distances, are detection errors."""
ROWS_OF_ONE = 6
"""Pictures of one person count as no more than this many."""
EXPRESSION_IN_CLIPS = 0.25
"""Weight of the residuals of clips beside those of stills."""

Array = NDArray[np.float64]


def within(shapes: Array, groups: NDArray[np.int64]) -> Array:
    """Residuals (M, D) of the rows of each group of two or more about its mean, unbiased."""
    found = []
    for group in np.unique(groups[groups >= 0]):
        rows = shapes[groups == group]
        if len(rows) >= 2:
            residual = (rows - rows.mean(axis=0)) * np.sqrt(len(rows) / (len(rows) - 1))
            found.append(residual * np.sqrt(min(ROWS_OF_ONE / len(rows), 1.0)))
    return np.concatenate(found)


def mirror(shapes: Array) -> Array:
    """(M, 1434) canonical meshes -> those of the mirrored faces."""
    points = shapes.reshape(-1, 478, 3)[:, topology().mirror] * np.array([-1.0, 1.0, 1.0])
    return np.asarray(points.reshape(len(shapes), -1))


def covariance(rows: Array, count: float) -> Array:
    return np.asarray(rows.T @ rows / count)


def identity_gain(total: Array, expression: Array) -> Array:
    """I - S_expr S_total^-1 with eigenvalues in [0, 1]; ``total`` (K,) is diagonal."""
    scale = np.sqrt(total + 1e-12)
    whitened = np.eye(len(total)) - expression / np.outer(scale, scale)
    values, vectors = np.linalg.eigh((whitened + whitened.T) / 2)
    kept = (vectors * np.clip(values, 0.0, 1.0)) @ vectors.T
    return np.asarray(scale[:, None] * kept / scale[None])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    with np.load(given.pool / "table.npz") as table:
        points = table["landmarks"].astype(np.float32) / np.float32(256)
        person, clip, held_out = (table[name] for name in ("person", "clip", "held_out"))
    canonical, pose = remove_pose(points)
    shapes = canonical.reshape(len(points), -1).astype(np.float64)
    keep = (pose.rotation[:, 2, 2] > FRONTAL) & ~held_out
    keep &= np.abs(shapes - np.median(shapes, axis=0)).max(axis=1) < FAR
    stills = keep & (clip < 0)
    faces = np.concatenate([shapes[stills], mirror(shapes[stills])])
    _, spread, components = np.linalg.svd(faces - faces.mean(axis=0), full_matrices=False)
    components, total = components[:COMPONENTS], spread[:COMPONENTS] ** 2 / len(faces)
    expression = np.zeros((COMPONENTS, COMPONENTS))
    for chosen, groups, weight in ((stills, person, 1.0), (keep & (clip >= 0), clip, EXPRESSION_IN_CLIPS)):
        rows = within(shapes[chosen], groups[chosen])
        both = np.concatenate([rows, mirror(rows)]) @ components.T
        # A row was weighted as part of its person: the count of people's rows is the sum of those weights.
        weights = sum(min(n, ROWS_OF_ONE) for n in np.unique(groups[chosen], return_counts=True)[1] if n > 1)
        part = covariance(both, 2 * weights)
        print(f"{len(rows)} residuals of one person or clip, deviation {np.sqrt(np.trace(part)):.3f}")
        expression += weight * part
    gain = identity_gain(total, expression)
    print(f"{len(faces)} faces; identity share of the variance {np.trace(gain * total) / total.sum():.2f}")
    state = {"components": components.astype(np.float16), "gain": gain.astype(np.float32)}
    save_file(state, given.out)


if __name__ == "__main__":
    main()
