"""The shape of a swapped face: the source's proportions, the target's movement.

The result's mesh is the target's mesh of the frame plus one offset that is constant over a track, so the
shape cannot wobble: the identity part of the difference between the two people's neutral shapes.  Which part
of a difference is identity was estimated from many faces (``weights/build/proportions.py``).  Lids and lips
then open as far as the target's do, relative to their own size.

Everything is canonical (``geometry.canonical``): pose removed, outer eye corners 1 apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry.canonical import remove_pose
from faceswap_cli.records import F32
from faceswap_cli.weights.registry import bundled

FILE = "proportions.safetensors"
INNER, OUTLINE = 0.8, 0.6
"""Default share of the source's proportions: inside the face, and along jaw and cheeks."""
_SURE = 1.72
"""The split was estimated from single pictures, and shrinks what noise and expression make uncertain there;
the shapes compared here are medians of a track and of photographs."""
_WHOLE = 1 / INNER
"""An offset may go as far as, at the default share, the whole visible difference, and never against it: an
expression that the split takes away may not turn the difference between two people round."""
_OUTLINE_REACH = 0.35
"""Distance from the outline at which the inner share is reached."""
_MOST_OUTLINE = 0.10
"""The outline moves by no more than this."""
_OPENING_EYES, _OPENING_MOUTH = (0.87, 1.15), (0.85, 1.12)
"""Limits of the factor between the openings of the result and of the target."""
TURNED_DEG = (52.0, 66.0)
"""Angle between the head's axis and the viewer from which a swap fades, and at which it is gone."""
_ROWS = 240
"""Frames of a track that its neutral shape is taken from; most frontal half of them."""

_EYE_PAIRS = (
    *((246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155)),
    *((466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381), (398, 382)),
)
_LIP_PAIRS = (
    *((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324)),
)
_MOUTH_CORNERS = (78, 308)
_IRISES = ((parts.RIGHT_EYE, parts.RIGHT_IRIS), (parts.LEFT_EYE, parts.LEFT_IRIS))


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of the source's proportions a face takes."""

    inner: float = INNER
    """Eyes, nose, mouth and cheeks: 0 to 1.5"""
    outline: float = OUTLINE
    """Jaw and the outline of the cheeks: 0 to 1"""


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    components: F32 = field(repr=False)
    """(K, 1434)"""
    gain: F32 = field(repr=False)
    """(K, K)"""


@lru_cache(maxsize=1)
def _split() -> _Split:
    from safetensors.numpy import load_file

    stored = load_file(bundled(FILE))
    return _Split(stored["components"].astype(np.float32), stored["gain"].astype(np.float32))


def facing(points: F32) -> float:
    """How far a head with mesh ``points`` (478, 3) is turned to the viewer: 1, or less beyond ``TURNED_DEG``.

    What lies beyond was in no photograph, and a drawn nose would cross the cheek: the swap fades.
    """
    away = float(np.degrees(np.arccos(np.clip(remove_pose(points)[1].rotation[2, 2], -1.0, 1.0))))
    return float(np.clip((TURNED_DEG[1] - away) / (TURNED_DEG[1] - TURNED_DEG[0]), 0.0, 1.0))


def neutral_shape(landmarks: F32, trusted: F32 | None = None) -> F32:
    """(T, 478, 3) meshes of one person in any unit -> (478, 3) median canonical shape.

    Of the more frontal half of the frames: the depth of turned heads is a guess.  ``trusted`` (T,) is 0 for
    frames to leave out where there are others.
    """
    rows = np.flatnonzero(np.ones(len(landmarks)) if trusted is None else trusted)
    rows = rows if len(rows) else np.arange(len(landmarks))
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, _ROWS).round().astype(int))]
    canonical, pose = remove_pose(landmarks[rows])
    frontal = pose.rotation[:, 2, 2]
    return np.asarray(np.median(canonical[frontal >= np.median(frontal)], axis=0), np.float32)


def identity_offset(apart: F32) -> F32:
    """(478, 3) identity part of what :func:`difference` gives; irises move with their eyes."""
    split = _split()
    found = split.components.T @ (split.gain @ (split.components @ apart.reshape(-1)))
    most = _WHOLE * apart
    offset = np.clip(_SURE * found.reshape(-1, 3), np.minimum(most, 0.0), np.maximum(most, 0.0))
    for ring, iris in _IRISES:
        offset[list(iris)] = offset[list(ring)].mean(axis=0)
    return np.asarray(offset, np.float32)


def difference(source: F32, target: F32) -> F32:
    """(478, 3) ``source - target``, both canonical, as far as it is symmetric.

    The rest is mostly a head turned a little in one photograph, or half a smile: the target keeps its own.
    """
    apart = source - target
    mirrored = apart[parts.topology().mirror] * np.array([-1, 1, 1], np.float32)
    return np.asarray((apart + mirrored) / 2, np.float32)


def result_mesh(points: F32, source: F32, target: F32, shares: Shares) -> F32:
    """(478, 3) mesh of the swapped face, in the unit of ``points``.

    ``points`` (478, 3): the target in this frame; ``source``, ``target`` (478, 3): canonical neutral shapes.
    """
    canonical, pose = remove_pose(points)
    apart, weights = difference(source, target), _weights(shares)
    offset = identity_offset(apart) * weights
    outline = list(parts.OVAL)
    length = np.linalg.norm(offset[outline], axis=1, keepdims=True)
    offset[outline] *= np.minimum(1.0, _MOST_OUTLINE / np.maximum(length, 1e-6))
    lips = (apart[_LIP_OUTER] - apart[_LIP_INNER]) * weights[_LIP_OUTER]
    return np.asarray(points + pose.direct(_with_openings(offset, canonical, target, lips)), np.float32)


@lru_cache(maxsize=64)
def _weights(shares: Shares) -> F32:
    """(478, 1): ``inner`` well inside, ``outline`` on jaw and cheeks, 0 on the outline above the brows."""
    mean = parts.topology().mean_shape[:, :2]
    apart = np.linalg.norm(mean[:, None] - mean[None, list(parts.OVAL)], axis=-1).min(axis=1)
    inside = np.clip(apart / _OUTLINE_REACH, 0.0, 1.0)
    brow, chin = mean[list(parts.BROWS), 1].mean(), mean[152, 1]
    low = np.clip(2.0 * (mean[:, 1] - brow) / (chin - brow), 0.0, 1.0)
    weight = shares.inner * inside + shares.outline * (1.0 - inside) * low
    return np.asarray(weight[:, None], np.float32)


def _with_openings(offset: F32, canonical: F32, neutral: F32, lips: F32) -> F32:
    """``offset`` changed so that lids and lips are open as the target's, in proportion to their new size.

    ``lips`` (18, 3) is added to the lips' thickness: what is left of an open mouth in the source's shape
    would swell lips that are shut.
    """
    moved = neutral + offset
    gaps = canonical[_UPPER] - canonical[_LOWER]
    factors = np.empty((len(_UPPER), 1), np.float32)
    for rows in _EYES:
        opening = [
            float(np.linalg.norm(m[_UPPER[rows]] - m[_LOWER[rows]], axis=1).sum()) for m in (moved, neutral)
        ]
        factors[rows] = np.clip(opening[0] / max(opening[1], 1e-4), *_OPENING_EYES)
    left, right = _MOUTH_CORNERS
    width = [float(np.linalg.norm(m[left] - m[right])) for m in (moved, neutral)]
    factors[_MOUTH] = np.clip(width[0] / max(width[1], 1e-4), *_OPENING_MOUTH)
    middle, half = (offset[_UPPER] + offset[_LOWER]) / 2, (factors - 1) * gaps / 2
    change = np.zeros_like(offset)
    change[_UPPER], change[_LOWER] = middle + half - offset[_UPPER], middle - half - offset[_LOWER]
    change[_LIP_OUTER] = (offset + change)[_LIP_INNER] + lips - offset[_LIP_OUTER]
    out = offset + _follow() @ change[_MOVED]
    for ring, iris in _IRISES:
        out[list(iris)] = out[list(ring)].mean(axis=0)
    return np.asarray(out, np.float32)


_LIP_INNER, _LIP_OUTER = (
    np.array([k for k in ring if k not in (78, 308, 61, 291)])
    for ring in (parts.LIPS_INNER, parts.LIPS_OUTER)
)
_UPPER, _LOWER = (np.array(column) for column in zip(*_EYE_PAIRS, *_LIP_PAIRS, strict=True))
_EYES = (slice(0, 7), slice(7, 14))
_MOUTH = slice(14, None)
_MOVED = np.concatenate([_UPPER, _LOWER, _LIP_OUTER])


@lru_cache(maxsize=1)
def _follow() -> F32:
    """(478, 64): how far each point follows the moved lids and lips, ``_MOVED``."""
    return parts.following(_MOVED.tolist())
