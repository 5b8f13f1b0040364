"""Build ``faceswap_cli/faces/topology.npz``: triangles, mirror permutation and mean shape of the face mesh.

    python weights/build/topology.py LANDMARKS.npz MANIFEST.csv faceswap_cli/faces/topology.npz

The triangles are those of mediapipe's Apache-2.0 tesselation (listed edge by edge), plus strips
that close the eyes and the mouth.  The mean shape is the Procrustes mean of meshes measured on
frontal faces of a CC0 set of computer-made portraits (``faker`` in the manifest), made symmetric.
The mirror permutation pairs the points of that mean.  (The triangulation alone would not do: the
diagonals of six quadrangles run differently on the two sides.)
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from mediapipe.tasks.python.vision.face_landmarker import FaceLandmarksConnections

EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
MOUTH = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
PAIRS = {33: 263, 133: 362, 61: 291, 234: 454, 468: 473}
KNOWN_PAIRS = PAIRS | {b: a for a, b in PAIRS.items()} | {k: k for k in (10, 152, 1, 168)}

Rows = slice | np.ndarray | list[int]
EVERY = slice(None)


def tesselation() -> list[tuple[int, int, int]]:
    """Triangles of the mesh without eyes and mouth: every three edges of the list close one."""
    edges = [(edge.start, edge.end) for edge in FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION]
    triangles = []
    for (a, b), (b2, c), (c2, a2) in zip(edges[::3], edges[1::3], edges[2::3], strict=True):
        if (b, c, a) != (b2, c2, a2):
            raise SystemExit("the tesselation no longer lists its edges triangle by triangle")
        triangles.append((a, b, c))
    return triangles


def strip(ring: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Fill a ring that begins at one corner: rungs join the points facing one another above and below."""
    half = len(ring) // 2
    lower, upper = ring[: half + 1], (ring[0], *reversed(ring[half:]))
    triangles = [(ring[0], lower[1], upper[1])]
    for k in range(1, half - 1):
        triangles += [(lower[k], lower[k + 1], upper[k]), (upper[k], lower[k + 1], upper[k + 1])]
    return [*triangles, (lower[half - 1], ring[half], upper[half - 1])]


def oriented(triangles: list[tuple[int, int, int]], shape: np.ndarray) -> np.ndarray:
    """(K, 3) all turning the same way in the image (y down) of the frontal ``shape``."""
    rows = np.array(triangles)
    a, b, c = (shape[rows[:, k], :2] for k in range(3))
    turn = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    rows[turn < 0] = rows[turn < 0][:, ::-1]
    return rows.astype(np.uint16)


def mirror(mean: np.ndarray) -> np.ndarray:
    """(478,) index of each point's mirror image: the nearest point after reflecting the mean shape.

    The reflection is fitted first on points known to be pairs, then on all of them.
    """
    pairs = np.arange(478)
    pairs[list(KNOWN_PAIRS)] = list(KNOWN_PAIRS.values())
    known = list(KNOWN_PAIRS)
    for _ in range(4):
        reflected = aligned(mean * [-1, 1, 1], mean, of=pairs[known], onto=known)
        pairs = np.linalg.norm(mean[:, None] - reflected[None], axis=-1).argmin(axis=1)
        known = list(range(478))
    if not (pairs[pairs] == np.arange(478)).all():
        raise SystemExit("the mean shape is not symmetric enough to pair its points")
    return pairs


def measured(landmarks: Path, manifest: Path) -> np.ndarray:
    """(N, 478, 3) meshes of frontal faces of the CC0 set, crop pixels."""
    stored = np.load(landmarks)
    with manifest.open(newline="") as lines:
        rows = [
            row for row in csv.DictReader(lines) if row["set"] == "faker" and abs(float(row["yaw"])) < 0.25
        ]
    order = [int(row["lm_index"]) for row in rows]
    return np.concatenate(
        [stored["xy_x64"][order] / 64.0, stored["z"][order][..., None].astype(float)], axis=-1
    )


def aligned(points: np.ndarray, reference: np.ndarray, of: Rows = EVERY, onto: Rows = EVERY) -> np.ndarray:
    """(478, 3) ``points`` moved, turned and scaled so that rows ``of`` fit rows ``onto`` of ``reference``."""
    center, target = points[of].mean(0), reference[onto].mean(0)
    p, q = points[of] - center, reference[onto] - target
    u, s, vt = np.linalg.svd(p.T @ q)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * np.diag(flip)).sum() / (p**2).sum()
    return scale * (points - center) @ (u @ flip @ vt) + target


def mean_shape(meshes: np.ndarray) -> np.ndarray:
    """(478, 3) Procrustes mean; centered, distance of the outer eye corners 1, y down, z towards the back."""
    mean = meshes[0]
    for _ in range(10):
        mean = np.mean([aligned(mesh, mean) for mesh in meshes], axis=0)
        mean = (mean - mean.mean(0)) / np.linalg.norm(mean[263] - mean[33])
    return mean


def symmetric(mean: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """``mean`` averaged with its mirror image, plane of symmetry x = 0."""
    for _ in range(10):
        mean = (mean + aligned(mean[mirrored] * [-1, 1, 1], mean)) / 2
    mean = upright(mean)
    return (mean + mean[mirrored] * [-1, 1, 1]) / 2


def upright(mean: np.ndarray) -> np.ndarray:
    """Turned so that the plane of symmetry is x = 0, with the pitch of the measured meshes."""
    x = (mean[263] - mean[33]) / np.linalg.norm(mean[263] - mean[33])
    z = np.array([0.0, 0.0, 1.0]) - x[2] * x
    z /= np.linalg.norm(z)
    return mean @ np.stack([x, np.cross(z, x), z], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("landmarks", "manifest", "output"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    skin = tesselation()
    measured_mean = mean_shape(measured(options.landmarks, options.manifest))
    mirrored = mirror(measured_mean)
    shape = symmetric(measured_mean, mirrored)
    fill = [triangle for ring in (*EYES, MOUTH) for triangle in strip(ring)]
    np.savez_compressed(
        options.output,
        skin=oriented(skin, shape),
        fill=oriented(fill, shape),
        mirror=mirrored.astype(np.uint16),
        mean_shape=shape.astype(np.float32),
    )


if __name__ == "__main__":
    main()
