"""Hands, objects and masks that faces of a pool have in front of them already, marked by hand.

Without marks a hand at the chin counts as face, and the head learns to overlook it.  Marked ones are
also laid over other faces: drawn hands lack their wrinkles and their light.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.errors import InputError
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, masks
from faceswap_cli.records import F32, U8
from faceswap_cli.training.hands import Layer, Rng
from faceswap_cli.training.pool import Pool

KINDS = ("thing", "mask", "unknown")
MAP_SIDE = 128
"""Side of the maps; they show the pool's whole crop"""
_EDGE = 0.006
"""How far from a mark's edge nothing counts, as a share of the crop"""
_BEYOND = 0.4
"""Marks that end at the crop's border go on, by this share of it"""
_COLOR = (0.5, 2.0)
"""Limits of the factor that gives a hand the color of another face"""


@dataclass(frozen=True, slots=True, eq=False)
class OwnThings:
    """Marks of a pool's crops."""

    marks: dict[int, dict[str, list[F32]]] = field(repr=False)
    """Row -> kind -> polygons (K, 2), unit coordinates of the crop"""

    @classmethod
    def load(cls, path: Path, pool: Pool) -> OwnThings:
        """Read a JSON of marks; its digest is checked against ``pool``."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["pool"] != pool.digest:
            raise InputError(f"{path} marks the faces of another pool; make the pool of its recipe again")
        return cls(
            {
                int(face["row"]): {
                    kind: [np.array(polygon, np.float32) for polygon in face.get(kind, [])] for kind in KINDS
                }
                for face in stored["faces"]
            }
        )

    @property
    def rows(self) -> NDArray[np.int64]:
        """Faces with something in front"""
        return np.array(sorted(row for row, mark in self.marks.items() if mark["thing"] or mark["mask"]))

    def maps(self, row: int) -> U8:
        """(128, 128, 3) thing, mask, and where nothing counts, each 0 or 255."""
        planes = [_fill(self.marks[row][kind], MAP_SIDE) for kind in KINDS]
        inside = [masks.dilated(plane, -_EDGE * MAP_SIDE) for plane in planes[:2]]
        near = [masks.dilated(plane, _EDGE * MAP_SIDE) for plane in planes[:2]]
        known = np.maximum(*inside)
        unknown = np.maximum(np.maximum(*near), planes[2]) & ~known
        return np.asarray(cv2.merge([*inside, unknown]), np.uint8)

    def lay(self, pool: Pool, points: F32, side: int, skin: F32, rng: Rng) -> Layer:
        """Something that another face has in front, at the same place of this one.

        ``points`` (478, 3) px of a picture of ``side``; ``skin`` (3,) the face's color in [0, 1].
        """
        able = [row for row in self.rows if self.marks[int(row)]["thing"]]
        row = int(rng.choice(able))
        picture, mesh = np.asarray(pool.pixels[row], np.float32) / np.float32(255), pool.landmarks[row]
        size = picture.shape[0]
        inside = masks.dilated(_fill(self.marks[row]["thing"], size), -0.5 * _EDGE * size)
        alpha = np.asarray(inside, np.float32) / np.float32(255)
        cheeks = np.clip(mesh[[50, 280, 205, 425, 117, 346], :2], 0, size - 1).astype(int)
        tone = np.median(picture[cheeks[:, 1], cheeks[:, 0]], axis=0)
        if rng.random() < 0.5:
            picture, alpha = picture[:, ::-1], alpha[:, ::-1]
            mesh = parts.mirrored(mesh, size)
        matrix = _place(mesh, points, rng)
        border = cv2.BORDER_REFLECT
        rgb, alpha = (
            cv2.warpAffine(np.ascontiguousarray(x), matrix, (side, side), borderMode=border)
            for x in (picture, alpha)
        )
        if rng.random() < 0.85:
            rgb = rgb * np.clip(skin / np.maximum(tone, 0.02), *_COLOR)
        rgb = rgb * rng.uniform(0.85, 1.15)
        return np.asarray(np.clip(rgb, 0, 1), np.float32), masks.blur(np.asarray(alpha, np.float32), 0.6)


def _fill(polygons: list[F32], side: int) -> U8:
    canvas = np.zeros((side, side), np.uint8)
    for polygon in polygons:
        ends = np.where(polygon <= 0.0, -_BEYOND, np.where(polygon >= 1.0, 1.0 + _BEYOND, polygon))
        masks.fill_polygon(np.asarray(ends, np.float32), side, canvas)
    return canvas


def _place(mesh: F32, points: F32, rng: Rng) -> NDArray[np.float64]:
    """(2, 3) that takes the face ``mesh`` (478, 3) to about where ``points`` (478, 3) are."""
    there, here = (align.unit_from_points(x) for x in (mesh, points))
    matrix = np.linalg.inv(here) @ there
    center = points[:, :2].mean(axis=0)
    turn = cv2.getRotationMatrix2D((float(center[0]), float(center[1])), rng.normal(0, 10), 1.0)
    turn[:, :2] *= np.exp(rng.normal(0, 0.1))
    height = float(np.ptp(points[list(parts.OVAL), 1]))
    turn[:, 2] = center - turn[:, :2] @ center + rng.normal(0, 0.05, 2) * height
    return np.asarray((np.vstack([turn, (0, 0, 1)]) @ matrix)[:2], np.float64)
