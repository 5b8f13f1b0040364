"""Each photograph on its own: what it contributes, and what a better set of photographs would hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from faceswap_cli.errors import NoFaceFound
from faceswap_cli.faces.crops import cut, upright_crop, width_px
from faceswap_cli.identity import quality
from faceswap_cli.identity.advice import advice
from faceswap_cli.identity.agreement import agreement
from faceswap_cli.identity.embed import SAME_PERSON
from faceswap_cli.identity.enrolled import Share
from faceswap_cli.identity.pose import pose
from faceswap_cli.records import F64, SourcePhoto

SMALL_PX = 120.0
"""A face narrower than this is enlarged for the network."""
BLURRED = 0.35
"""Sharpness (``identity.quality``) below which a photograph is named."""
_SIDE_YAW, _FRONT_YAW = 22.0, 18.0
"""Degrees from which a photograph shows a side, and up to which it shows the front."""
_CLOSED = 0.01
"""Agreement up to which a photograph shows another person."""
_NAMED = 4
"""Photographs named in a message"""


def weighed(
    photos: Sequence[SourcePhoto], *, same_person: bool = False
) -> tuple[tuple[SourcePhoto, ...], tuple[Share, ...], list[str]]:
    """The photographs with their weights as quality; what each contributes; what is odd.

    :class:`NoFaceFound` when they show different people, unless ``same_person`` vouches for them.
    """
    raw = np.array([photo.quality for photo in photos])
    factor, apart = agreement(np.stack([photo.embedding for photo in photos]), raw)
    if same_person:
        factor = np.ones(len(photos))
    elif strangers := _strangers(photos, factor, apart):
        raise NoFaceFound(
            f"{strangers}; give photographs of one person, or --same-person if they do show one"
        )
    weights = raw * factor
    shares = tuple(
        _share(photo, float(weight), float(distance))
        for photo, weight, distance in zip(photos, weights / weights.sum(), apart, strict=True)
    )
    used = tuple(
        replace(photo, quality=float(max(weight, 1e-3)))
        for photo, weight in zip(photos, weights, strict=True)
    )
    notes = [*_doubtful(shares, factor), *_weak(photos, shares), *advice(used), *missing_views(shares)]
    return used, shares, notes


def _share(photo: SourcePhoto, weight: float, distance: float) -> Share:
    return Share(
        file=photo.path.name,
        weight=round(weight, 4),
        quality=round(photo.quality, 4),
        yaw=round(float(pose(photo.landmarks).yaw), 1),
        width_px=round(float(width_px(photo.landmarks)), 1),
        distance=round(distance, 4),
    )


def _strangers(photos: Sequence[SourcePhoto], factor: F64, apart: F64) -> str:
    """Which photographs show another person, in words; empty when they agree well enough."""
    others = np.flatnonzero(factor <= _CLOSED)
    names = [photo.path.name for photo in photos]
    if len(others):
        found = ", ".join(f"{names[row]} (distance {apart[row]:.2f})" for row in others[:_NAMED])
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        return f"{found}{more}: not the person in the other photographs"
    differing = np.flatnonzero(apart > SAME_PERSON)
    if len(differing) and (factor == 1.0).all():  # no majority
        found = " and ".join(names[row] for row in differing[:_NAMED])
        return f"{found} show different people (distance {apart.max():.2f}; one person: below {SAME_PERSON})"
    return ""


def _doubtful(shares: Sequence[Share], factor: F64) -> list[str]:
    return [
        f"{share.file} counts little: it may show another person ({share.distance:.2f} from the other photos)"
        for share, trust in zip(shares, factor, strict=True)
        if trust < 0.9
    ]


def _weak(photos: Sequence[SourcePhoto], shares: Sequence[Share]) -> list[str]:
    """Photographs too small or too blurred to contribute much."""
    notes = []
    for photo, share in zip(photos, shares, strict=True):
        if share.width_px < SMALL_PX:
            notes.append(f"{share.file}: the face is only {share.width_px:.0f} px wide; use a larger picture")
        if sharpness(photo) < BLURRED:
            notes.append(f"{share.file} is blurred; use a sharper picture")
    return notes


def sharpness(photo: SourcePhoto) -> float:
    """in (0, 1], as the quality counts it."""
    side = quality.SIDE
    face = cut(photo.rgb, upright_crop(photo.landmarks, side, 1.15), side)
    return quality.sharpness(np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.float32))


def missing_views(shares: Sequence[Share]) -> list[str]:
    """Which sides of the face no photograph shows well; in one line."""
    yaws = [share.yaw for share in shares if share.weight > 0]
    missing = []
    if min(abs(yaw) for yaw in yaws) > _FRONT_YAW:
        missing.append("no frontal photo")
    if max(yaws) < _SIDE_YAW:
        missing.append("no left profile")
    if min(yaws) > -_SIDE_YAW:
        missing.append("no right profile")
    if not missing:
        return []
    return [f"{', '.join(missing)}: what no photo shows is guessed from the other side of the face"]
