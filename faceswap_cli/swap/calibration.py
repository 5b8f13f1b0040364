"""What has to be asked of a network so that its faces are seen where they were wanted.

A drawn face follows the landmarks that were asked for, and yet a landmarker sees it elsewhere by an amount
that hardly changes over a clip: a source with high brows and a long nose reads as a head tilted up, full lips
as a mouth a little more open.  So a few faces are drawn first and looked at, and the offset is taken off
what is asked.  Only the part of it that belongs to the target is: place, size and direction of the head, and
what speaks: lips, lids, brows and irises.  Nose and cheeks stay where the source's own are seen, for they are
the person.

Everything is canonical (``swap.shape``): the pose taken off, the distance of the outer eye corners 1.

The same is done with the likeness: what the identity of the drawn faces lacks of the source's is added to the
identity code that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.records import F32, F64
from faceswap_cli.swap.shape import remove_pose, speaking

_MOST_TURN, _MOST_SPOKEN, _MOST_IRIS = float(np.radians(5.0)), 0.08, 0.05
"""A head is not turned (radians) and features are not moved by more: larger offsets are faces that were not
recognised."""
_LIKENESS, _MOST_LIKENESS = 0.7, 1.0
"""Share of what is missing that is added, and how long the addition may be; the code has the length 1."""
_SEEN_AT_ALL = 0.85
"""Distance from which a face is a covered one: strangers lie at .8."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A few drawn faces, looked at; meshes (N, 478, 3) in crop sides."""

    found: Tensor = field(repr=False)
    """As they are shown"""
    wanted: Tensor = field(repr=False)
    """As they were asked for, with proportions of the source"""
    target: Tensor = field(repr=False)
    """The target's own"""
    embeddings: F32 = field(repr=False)
    """(N, 128) identities of the faces as they are shown"""

    @classmethod
    def joined(cls, looks: Sequence[Seen]) -> Seen:
        found, wanted, target = (
            torch.cat([getattr(one, name) for one in looks]) for name in ("found", "wanted", "target")
        )
        return cls(found, wanted, target, np.concatenate([one.embeddings for one in looks]))


def missing_likeness(seen: Seen, identity: F32, mean: F32) -> F32 | None:
    """What to add to the identity code of unit length, (128,); None where no face is to be recognised.

    ``identity``: that of the source; ``mean``: of all people, from which codes are reckoned.  A median over
    the faces, since some may be covered.
    """
    known = seen.embeddings[np.linalg.norm(seen.embeddings - identity, axis=1) < _SEEN_AT_ALL]
    if not len(known):
        return None
    missing = identity - np.median(known, axis=0)
    length = max(float(np.linalg.norm(identity - mean)), 1e-9)
    return np.asarray(_held(_LIKENESS * missing / length, _MOST_LIKENESS), np.float32)


def correction(looks: Seen, open_eyes: NDArray[np.bool_]) -> F32:
    """What to add to canonical target meshes, (478, 3).

    ``open_eyes`` (N, 2), left and right: whether an eye of the target was open, and its iris to be seen.
    Medians over the faces, since some may be covered.
    """
    found, wanted, target = looks.found, looks.wanted, looks.target
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
    """(478,) 1 on what moves of its own accord, but for the irises; soft around."""
    share = speaking().numpy().copy()
    share[list(parts.IRISES)] = 0.0
    return np.asarray(share, np.float32)


def moved(points: Tensor, corrections: Sequence[F32 | None]) -> Tensor:
    """Target meshes (N, 478, 3) with the correction of each, in their own poses."""
    if all(one is None for one in corrections):
        return points
    none = np.zeros((points.shape[1], 3), np.float32)
    stack = torch.from_numpy(np.stack([none if one is None else one for one in corrections])).to(points)
    return points + remove_pose(points).direct(stack)
