"""What has to be asked of a network so that its faces are seen where they were wanted.

A drawn face follows the landmarks that were asked for, and yet a landmarker sees it elsewhere by an amount
that hardly changes over a clip: a source with high brows and a long nose reads as a head tilted up, full lips
as a mouth a little more open.  So a few faces are drawn first and looked at, and the offset is taken off
what is asked.  Only the part of it that belongs to the target is: place, size and direction of the head,
lips, brows and irises.  Nose, cheeks and lids stay where the source's own are seen, for they are the person.

Everything is canonical (``swap.shape``): the pose taken off, the distance of the outer eye corners 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.records import F32, F64
from faceswap_cli.swap.shape import remove_pose

_REACH = 0.08
"""How far around lips and brows the skin goes along."""
_MOST_TURN, _MOST_SPOKEN, _MOST_IRIS = float(np.radians(5.0)), 0.08, 0.05
"""A head is not turned (radians) and lips, brows and irises are not moved by more: larger offsets are faces
that were not recognised."""


def correction(found: Tensor, wanted: Tensor, target: Tensor, open_eyes: NDArray[np.bool_]) -> F32:
    """What to add to canonical target meshes, (478, 3).

    Meshes (N, 478, 3) of N faces: as drawn faces are seen, as they were wanted (with proportions of the
    source), and the target's own.  ``open_eyes`` (N, 2), left and right: whether an eye of the target was
    open, and its iris to be seen.  Medians over the faces, since some may be covered.
    """
    seen, theirs, asked = (remove_pose(points) for points in (found, target, wanted))
    # A head is turned as the target's, whatever the source's proportions make of that.
    turns = Rotation.from_matrix((theirs.rotation.transpose(1, 2) @ seen.rotation).double().numpy())
    turn = _held(np.median(turns.as_rotvec(), axis=0), _MOST_TURN)
    mean = parts.topology().mean_shape
    moved = mean - Rotation.from_rotvec(turn).inv().apply(mean)
    offset = (((found - wanted) @ asked.rotation) / asked.scale).numpy()
    rest = np.stack([one - _as_a_head(one) for one in offset])
    moved += _held(np.median(rest, axis=0), _MOST_SPOKEN) * _spoken()[:, None]
    for k, iris in enumerate((parts.LEFT_IRIS, parts.RIGHT_IRIS)):
        looking = rest[open_eyes[:, k]]
        if len(looking):
            # Its rim goes with its centre: an iris keeps its size.
            moved[list(iris)] += _held(np.median(looking[:, list(iris)].mean(axis=1), axis=0), _MOST_IRIS)
    return np.asarray(-moved, np.float32)


def _held(move: F32 | F64, most: float) -> F64:
    """``move`` (..., 3), no longer than ``most``."""
    length = np.linalg.norm(move, axis=-1, keepdims=True)
    return np.asarray(move * np.minimum(1.0, most / np.maximum(length, 1e-9)), np.float64)


def _as_a_head(field: F32) -> F32:
    """The part of a field of moves (478, 3) that a small move, turn and change of size explain."""
    basis = _rigid()
    surface = slice(0, 468)
    found, *_ = np.linalg.lstsq(basis[surface].reshape(-1, 7), field[surface].ravel(), rcond=None)
    return np.asarray(basis @ found, np.float32)


@lru_cache(maxsize=1)
def _rigid() -> F32:
    """(478, 3, 7): moves of the mean face's points along and about the three axes, and of its size."""
    mean = parts.topology().mean_shape
    x, y, z = (mean - mean.mean(axis=0)).T
    none = np.zeros_like(x)
    turns = [np.stack(t, axis=1) for t in ((none, -z, y), (z, none, -x), (-y, x, none))]
    moves = [np.broadcast_to(row, mean.shape) for row in np.eye(3)]
    return np.stack([*moves, *turns, np.stack([x, y, z], axis=1)], axis=2).astype(np.float32)


@lru_cache(maxsize=1)
def _spoken() -> F32:
    """(478,) 1 on lips and brows, which speak; soft around, but for the irises."""
    mean = parts.topology().mean_shape[:, :2]
    speaking = mean[[*parts.LIPS, *parts.BROWS]]
    reach = np.linalg.norm(mean[:, None] - speaking[None], axis=-1).min(axis=1)
    share = np.exp(-((reach / _REACH) ** 2) / 2)
    share[list(parts.IRISES)] = 0.0
    return np.asarray(share, np.float32)


def moved(points: Tensor, corrections: Sequence[F32 | None]) -> Tensor:
    """Target meshes (N, 478, 3) with the correction of each, in their own poses."""
    if all(one is None for one in corrections):
        return points
    none = np.zeros((points.shape[1], 3), np.float32)
    stack = torch.from_numpy(np.stack([none if one is None else one for one in corrections])).to(points)
    return points + remove_pose(points).direct(stack)
