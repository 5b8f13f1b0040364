"""What no photograph of a source shows, in one line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, SourcePhoto
from faceswap_cli.swap.occluder_head import look

_SIDE = 192
_HIDDEN = 0.45
"""Share of a part that is covered from which it counts as hidden"""
_GROWN = 0.015
"""How far around its outline a part is looked at, as a share of the crop"""
_WORDS = {3: "hair", 4: "a hand or an object", 5: "a mask"}
"""By row of ``nets.occluder.CLASSES``"""
_PARTS = {
    "the left eye": parts.LEFT_EYE,
    "the right eye": parts.RIGHT_EYE,
    "the left brow": parts.FEATURE_RINGS[2],
    "the right brow": parts.FEATURE_RINGS[3],
    "the mouth": parts.LIPS_OUTER,
    "the nose": (168, 351, 429, 358, 327, 2, 98, 129, 209, 122),
}


def hidden_notes(photos: Sequence[SourcePhoto]) -> tuple[str, ...]:
    """A line where something covers parts of the face in every photograph."""
    if not photos:
        return ()
    covered = np.stack([_covered(photo) for photo in photos])
    best = covered.sum(axis=2).argmin(axis=0)
    found: dict[str, list[str]] = {}
    for k, name in enumerate(_PARTS):
        shares = covered[best[k], k]
        if shares.sum() > _HIDDEN:
            found.setdefault(list(_WORDS.values())[int(shares.argmax())], []).append(name)
    if not found:
        return ()
    text = "; ".join(f"{what} covers {' and '.join(names)}" for what, names in found.items())
    where = f" in {photos[0].path.name}" if len(photos) == 1 else " in every photo"
    return (f"{text}{where}; another photograph would help",)


def _covered(photo: SourcePhoto) -> F32:
    """(parts, classes): share of each part that each class of ``_WORDS`` covers."""
    matrix = align.scaled(align.unit_from_points(photo.landmarks, align.SWAP_SCALE), _SIDE)
    points = np.asarray(align.apply(matrix, photo.landmarks) / _SIDE, np.float32)
    shares = look(cut(photo.rgb, matrix, _SIDE), points).over(Window.full(_SIDE), (_SIDE, _SIDE))
    rows = []
    for ring in _PARTS.values():
        inside = masks.union(points, (ring,), _SIDE, _GROWN * _SIDE)
        total = max(float(inside.sum()), 1e-6)
        rows.append([float((shares[..., k] * inside).sum()) / total for k in _WORDS])
    return np.array(rows, np.float32)
