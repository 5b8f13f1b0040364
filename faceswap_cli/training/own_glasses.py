"""The glasses that faces of a pool wear already, found by a head that has learned from drawn ones.

One round of self-training: what it is sure of becomes truth, what it doubts counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.occluder import SIDE, OccluderHead
from faceswap_cli.records import F32, U8
from faceswap_cli.swap.glasses import eye_band, rim_evidence, wears_glasses
from faceswap_cli.swap.occluder_head import Seen, classify
from faceswap_cli.training.pool import Pool

MAP_SIDE = 128
"""Side of the kept maps; they show the pool's whole crop."""
DOUBTED = 0.004
"""Area of rims and lenses from which glasses are suspected, in squares of the eyes' distance"""


@dataclass(frozen=True, slots=True, eq=False)
class OwnGlasses:
    """Maps over the pool's crops."""

    maps: dict[int, U8] = field(repr=False)
    """Row -> (128, 128, 2) probabilities of rim and lens, 255 is 1; faces that wear glasses"""
    doubted: frozenset[int] = field(repr=False)
    """Rows of faces that may wear some"""

    def save(self, path: Path) -> None:
        rows = np.array(sorted(self.maps), np.int64)
        maps = (
            np.stack([self.maps[int(row)] for row in rows]) if len(rows) else np.zeros((0, 1, 1, 2), np.uint8)
        )
        np.savez_compressed(path, rows=rows, maps=maps, doubted=np.array(sorted(self.doubted), np.int64))

    @classmethod
    def load(cls, path: Path) -> OwnGlasses:
        with np.load(path) as stored:
            rows, maps, doubted = (stored[name] for name in ("rows", "maps", "doubted"))
        return cls(
            {int(row): one for row, one in zip(rows, maps, strict=True)},
            frozenset(int(row) for row in doubted),
        )


@torch.inference_mode()
def find_own(net: OccluderHead, pool: Pool) -> OwnGlasses:
    """Look at every crop of ``pool``."""
    maps, doubted = {}, set()
    net.eval()
    for row in range(len(pool)):
        rgb, points = np.asarray(pool.pixels[row]), pool.landmarks[row]
        seen = _look(net, rgb, points)
        unit = points / np.float32(rgb.shape[0])
        if wears_glasses(rim_evidence(seen, unit)) >= 1.0:
            window = Window.full(MAP_SIDE)
            shares = seen.over(window, (MAP_SIDE, MAP_SIDE), slice(1, 3)) * eye_band(unit, window)[..., None]
            maps[row] = (shares * 255 + 0.5).astype(np.uint8)
        elif _area(seen, unit) > DOUBTED:
            doubted.add(row)
    return OwnGlasses(maps, frozenset(doubted))


def _look(net: OccluderHead, rgb: U8, points: F32) -> Seen:
    """The head on a pool's crop (FFHQ), seen as it learns: through the swap crop; mean with its mirror."""
    share = align.SWAP_SCALE / align.FFHQ_SCALE
    side = rgb.shape[0]
    scale = SIDE / (side * share)
    shift = SIDE / 2 - scale * side / 2
    matrix = np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1.0]])
    small = cut(rgb, matrix, SIDE)
    unit = np.asarray((points[:, :2] * scale + shift) / SIDE, np.float32)
    flipped = unit * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    both = classify(net, small, unit).shares
    other = classify(net, np.ascontiguousarray(small[:, ::-1]), flipped).shares[:, ::-1]
    return Seen(np.asarray((both + other) / 2, np.float32), share)


def _area(seen: Seen, points: F32) -> float:
    n = seen.shares.shape[0]
    inner = ((points[:, :2] - np.float32(0.5)) / np.float32(seen.share) + np.float32(0.5)).astype(np.float32)
    apart = float(np.hypot(*(inner[263] - inner[33]))) * n
    found = seen.shares[..., 1:3].sum(axis=-1) * eye_band(inner, Window.full(n))
    return float(np.count_nonzero(found > 0.35)) / float(max(apart, 1.0) ** 2)


def placed(maps: U8, matrix: F32, mirrored: bool, side: int) -> F32:
    """Maps (n, n, 2) of a pool's crop, carried by ``matrix`` (2, 3) to (side, side, 2) in [0, 1]."""
    source = np.ascontiguousarray(maps[:, ::-1]) if mirrored else maps
    found = cv2.warpAffine(source, matrix, (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(found, np.float32) / np.float32(255)
