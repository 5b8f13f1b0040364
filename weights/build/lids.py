"""Measure how far the lids of the face mesh are off: prints ``MOVES`` of ``faceswap_cli/faces/lids.py``.

    python weights/build/lids.py POOL weights/build/lids.json

``lids.json`` holds curves drawn by eye along the lids of 125 faces of the training pool, without seeing any
mesh, in pixels of the pool's pictures.  Meshes as mediapipe measures them are compared with those; the mean
difference per point is what counts.  The distances before and after are of faces that did not count in the
mean.

Lips were marked in the same way.  Moving them gained less (across: .025 -> .022 and .017 -> .016 of their
width), and teeth of smiling photographs showed where the target's mouth is shut: they stay as measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from faceswap_cli.faces.landmarks import mirrored
from faceswap_cli.faces.lids import LOWER, POINTS, UPPER, frame_of
from faceswap_cli.training.pool import open_pool

FOLDS = 8
Points = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path)
    parser.add_argument("marks", type=Path)
    given = parser.parse_args(arguments)
    pool, faces = open_pool(given.pool), json.loads(given.marks.read_text(encoding="utf-8"))["faces"]
    rows = [
        (number, apart)
        for number, face in enumerate(faces)
        for apart in differences(face, pool.landmarks[face["pool_row"]], pool.pixels.shape[2])
    ]
    fold, apart = np.array([number for number, _ in rows]) % FOLDS, np.array([found for _, found in rows])
    left = np.concatenate([apart[fold == k] - apart[fold != k].mean(axis=0) for k in range(FOLDS)])
    for name, distances in (("before", apart), ("after", left)):
        along, down = np.abs(distances).mean(axis=(0, 1))
        print(f"{name}: {along:.4f} along and {down:.4f} down, in widths of the eye ({len(distances)} eyes)")
    print("MOVES:", np.round(apart.mean(axis=0), 3).tolist())


def differences(face: dict[str, Any], landmarks: NDArray[np.float32], side: int) -> Iterator[Points]:
    """(16, 2) curves less mesh, in widths of the eye: of each eye that is marked, left ones mirrored."""
    for name in ("right", "left"):
        if name not in face:
            continue
        mesh = landmarks if name == "right" else mirrored(landmarks[None], side)[0]
        axes, width = frame_of(mesh)
        found = np.zeros((len(POINTS), 2))
        for curve, rows in (("upper", UPPER), ("lower", LOWER)):
            drawn = np.array(face[name][curve], float)
            if name == "left":
                drawn[:, 0] = side - drawn[:, 0]
            own = mesh[list(rows), :2].astype(float)
            # Corners stand in both curves.
            share = np.array([0.5 if row in (UPPER[0], UPPER[-1]) else 1.0 for row in rows])[:, None]
            found[[POINTS.index(row) for row in rows]] += share * (beside(drawn, own) - own)
        yield found @ axes.T / width


def beside(curve: Points, own: Points) -> Points:
    """(P, 2): the points of ``curve`` (K, 2) that are as far along it as ``own`` are between their ends."""
    curve = curve[np.argsort(curve[:, 0], kind="stable")]
    curve = curve[np.r_[True, np.diff(curve[:, 0]) > 0.05]]
    across = own[-1] - own[0]
    share = np.clip((own - own[0]) @ across / max(float(across @ across), 1e-9), 0.0, 1.0)
    x = curve[0, 0] + share * (curve[-1, 0] - curve[0, 0])
    return np.column_stack([x, PchipInterpolator(curve[:, 0], curve[:, 1])(x)])


if __name__ == "__main__":
    main()
