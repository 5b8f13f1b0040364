"""Build ``weights/edits.safetensors``: how a face moves when it smiles, opens its mouth, raises its brows.

    python weights/build/edits.py POOL weights/edits.safetensors

POOL is a folder of ``faceswap_cli.training.pool``.  From the crops of one person (pairs of stills, frames of
one clip) the person's mean is taken away, so that only what the face does is left.  One least-squares fit
then explains those canonical meshes by the four measures of ``faceswap_cli.swap.edits.measures`` and, so that
they do not leak in, by the three angles of the head.  The measures are linear in the points: the direction of
each changes its own measure by exactly 1 and the others not at all.  Directions are made symmetric.  Only
geometry is stored: 3 x 478 x 3 numbers, no picture and nothing of any one person.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from faceswap_cli.faces.landmarks import topology
from faceswap_cli.swap.edits import MEASURES, UNITS, measures
from faceswap_cli.swap.shape import remove_pose

FRONTAL_DEG = 20.0
CLIP_WEIGHT = 12
"""A clip of many frames counts as so many."""


def within_people(table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Meshes, regressors (measures, angles) and weights of nearly frontal crops, minus each person's mean."""
    posed = remove_pose(torch.from_numpy(table["landmarks"] / np.float32(256)))
    shapes, angles = posed.canonical.numpy(), posed.angles().numpy()
    told = np.concatenate([measures(shapes), angles], axis=1)
    group = np.where(table["clip"] >= 0, -1 - table["clip"], table["person"])
    frontal = np.abs(angles[:, 0]) < np.radians(FRONTAL_DEG)
    left, right, weight = [], [], []
    for one in np.unique(group):
        rows = np.flatnonzero((group == one) & frontal & ~table["held_out"])
        if len(rows) >= 2:
            left.append(shapes[rows] - shapes[rows].mean(axis=0))
            right.append(told[rows] - told[rows].mean(axis=0))
            weight.append(np.full(len(rows), min(CLIP_WEIGHT / len(rows), 1.0)))
    return np.concatenate(left), np.concatenate(right), np.concatenate(weight)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    with np.load(given.pool / "table.npz") as found:
        table = {name: found[name] for name in ("landmarks", "clip", "person", "held_out")}
    shapes, told, weight = within_people(table)
    mirror = topology().mirror
    flipped = shapes[:, mirror] * np.array([-1, 1, 1], np.float32)
    turned = told * np.array([1] * len(MEASURES) + [-1, 1, -1])  # yaw and roll change sign in a mirror
    a = np.concatenate([told, turned]) * np.sqrt(np.tile(weight, 2))[:, None]
    b = np.concatenate([shapes, flipped]).reshape(2 * len(shapes), -1) * np.sqrt(np.tile(weight, 2))[:, None]
    fit, *_ = np.linalg.lstsq(a, b, rcond=None)
    directions = fit[: len(UNITS)].reshape(-1, 478, 3).astype(np.float32)
    print(f"{len(shapes)} crops, response of the measures to the directions:")
    print(np.round(measures(directions), 3))
    save_file({"directions": directions}, given.out)


if __name__ == "__main__":
    main()
