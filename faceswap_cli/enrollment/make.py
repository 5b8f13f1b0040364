"""From photographs to an enrolled person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli import __version__
from faceswap_cli.config import DetectOptions
from faceswap_cli.enrollment.views import weighed
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align
from faceswap_cli.identity.enrolled import Enrolled
from faceswap_cli.identity.faceid import Faceid
from faceswap_cli.identity.photos import read_photos
from faceswap_cli.records import F32, SourcePhoto
from faceswap_cli.swap import appearance
from faceswap_cli.swap.facespace import made, mapped
from faceswap_cli.swap.proportions import neutral_shape
from faceswap_cli.swap.texture import Texture, build_texture

KEPT_SIDE = 1024
"""Largest side of a kept photograph, in pixels."""
KEPT_SCALE = 1.4
"""What is kept of it, in FFHQ squares: room for every method's crop."""
AROUND = 64
"""Side of the surroundings that are kept: coarse enough that nobody's room or clothes are known by them."""
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class EnrollOptions:
    """How a person is enrolled."""

    keep_photos: bool = False
    picture: bool = True
    """False keeps no picture of the person: a face made from the embedding stands in the file instead."""
    same_person: bool = False
    """Do not refuse photographs that look like different people."""
    detect: DetectOptions = field(default_factory=DetectOptions)


def enroll(name: str, paths: Sequence[Path], options: EnrollOptions, tell: Tell) -> Faceid:
    """The person of the photographs ``paths``, ready to be written."""
    photos, notes = read_photos(paths, options.detect)
    used, shares, more = weighed(photos, same_person=options.same_person)
    tell("photos", len(photos), len(photos))
    embedding = mean_embedding(used)
    fused = build_texture(used) if options.picture else made(mapped(embedding))
    meshes = [photo.landmarks for photo in used] if options.picture else [fused.points]
    return Faceid(
        person=_person(name, fused, neutral_shape(np.stack(meshes))),
        embedding=embedding,
        embeddings=np.stack([photo.embedding for photo in photos]).astype(np.float32),
        shares=shares,
        photos=tuple(kept_photo(photo) for photo in used) if options.keep_photos else (),
        notes=(*notes, *more),
        made=datetime.now(timezone.utc).date().isoformat(),
        program=__version__,
    )


def mean_embedding(photos: Sequence[SourcePhoto]) -> F32:
    """(128,) by weight."""
    weights = np.array([photo.quality for photo in photos])
    return np.average(np.stack([p.embedding for p in photos]), axis=0, weights=weights).astype(np.float32)


def _person(name: str, fused: Texture, neutral: F32) -> Enrolled:
    around = cv2.resize(fused.surroundings, (AROUND, AROUND), interpolation=cv2.INTER_AREA)
    return Enrolled(
        name=name,
        texture=appearance.rgb_from_lab(fused.lab),
        surroundings=appearance.rgb_from_lab(around),
        points=np.asarray(fused.points, np.float32),
        light=np.asarray(fused.light, np.float32),
        neutral=neutral,
        seen=np.asarray(fused.seen, np.float32),
    )


def kept_photo(photo: SourcePhoto) -> SourcePhoto:
    """Only the face and what a method's crop needs around it."""
    unit = align.unit_from_points(photo.landmarks, KEPT_SCALE)
    _, _, half = align.square_from_unit(unit)
    side = int(min(max(2.0 * float(half), 64.0), KEPT_SIDE))
    matrix = align.scaled(unit, side)
    rgb = cut(photo.rgb, matrix, side, sharp=True)
    return replace(photo, rgb=rgb, landmarks=align.apply(matrix, photo.landmarks))
