"""The texture that a source is drawn from: of photographs, of an enrollment, of an embedding, or mixed."""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.geometry import warp
from faceswap_cli.records import F32, SourceIdentity
from faceswap_cli.swap.texture import Texture, build_texture, from_enrolled


def source_texture(source: SourceIdentity, share: float) -> Texture:
    """The face of ``source``, edits of its appearance made.

    ``share``: how much of it the mapper makes of the embedding alone.
    """
    plain, changes = _plain(source, share), dict(source.changes)
    if not any(changes.values()):
        return plain
    # Networks are loaded only where they are needed.
    from faceswap_cli.swap.retouch import retouched

    return retouched(plain, changes)


def _plain(source: SourceIdentity, share: float) -> Texture:
    if share == 1.0:
        return _of_embedding(source)
    known = source.enrolled
    own = build_texture(source.photos) if known is None else from_enrolled(known)
    if share == 0.0:
        return own
    return morph(own, _of_embedding(source), share)


def _of_embedding(source: SourceIdentity) -> Texture:
    from faceswap_cli.swap import facespace

    return facespace.made(facespace.mapped(source.embedding))


def morph(first: Texture, second: Texture, share: float) -> Texture:
    """A face between two: ``share`` of the second.  Both are brought to the points in between, then mixed."""
    points = first.points + np.float32(share) * (second.points - first.points)
    side = max(first.lab.shape[0], second.lab.shape[0])
    a, b = (_brought(face, face.lab, points, side) for face in (first, second))
    around = second if share > 0.5 else first
    return Texture(
        np.asarray(a + np.float32(share) * (b - a), np.float32),
        points,
        np.asarray(first.light + np.float32(share) * (second.light - first.light), np.float32),
        _brought(around, around.surroundings, points, side),
    )


def _brought(face: Texture, picture: F32, points: F32, side: int) -> F32:
    """``picture`` (S, S, 3), in the geometry of ``face``, in that of ``points``, (side, side, 3)."""
    field = warp.scatter(points[:, :2], face.points[:, :2] - points[:, :2])
    where = warp.sample_map(field, side, picture.shape[0])
    return np.asarray(
        cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), np.float32
    )
