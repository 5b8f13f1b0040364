"""The person who was put in, as the figures need them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from faceswap_cli.config import DetectOptions
from faceswap_cli.errors import FaceswapError
from faceswap_cli.identity.embed import EMBEDDING
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.metrics.heads import heads
from faceswap_cli.metrics.likeness import likeness_code, mean_code
from faceswap_cli.nets.faceres import FEATURES
from faceswap_cli.records import F32, MESH_POINTS, SourceIdentity, SourcePhoto


def _unknown(*shape: int) -> F32:
    return np.full(shape, np.nan, np.float32)


def nobody() -> F32:
    """A gallery without people: (0, 1024)."""
    return np.zeros((0, FEATURES), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """NaN and None stand for what is not known, and for all of it when nobody was named."""

    embedding: F32 = field(repr=False, default_factory=lambda: _unknown(EMBEDDING))
    """(128,) of the network that swaps are trained with"""
    code: F32 = field(repr=False, default_factory=lambda: _unknown(FEATURES))
    """(1024,) of the recognition network, mean of the photographs, of unit length"""
    shape: F32 = field(repr=False, default_factory=lambda: _unknown(MESH_POINTS, 3))
    """(478, 3) canonical mesh, median of the photographs"""
    photo: SourcePhoto | None = field(repr=False, default=None)
    """The best photograph"""
    gallery: F32 = field(repr=False, default_factory=nobody)
    """(G, 1024) codes of other people"""


def load_source(paths: Sequence[Path], detect: DetectOptions, gallery: F32) -> Source:
    """Photographs of one person, or their enrollment file; nobody when ``paths`` is empty."""
    if not paths:
        return Source()
    return replace(source_from(load_photos(paths, detect)), gallery=gallery)


def source_from(person: SourceIdentity) -> Source:
    """An enrollment file without photographs has a shape, but no code: there is nothing to look at."""
    if not person.photos:
        shape = person.enrolled.neutral if person.enrolled is not None else _unknown(MESH_POINTS, 3)
        return Source(embedding=person.embedding, shape=shape)
    meshes = heads(np.stack([photo.landmarks for photo in person.photos])).canonical
    return Source(
        embedding=person.embedding,
        code=mean_code([likeness_code(photo.rgb, photo.landmarks) for photo in person.photos]),
        shape=np.median(meshes, axis=0).astype(np.float32),
        photo=max(person.photos, key=lambda photo: photo.quality),
    )


def portrait_codes(portraits: Iterable[Path], detect: DetectOptions) -> dict[Path, F32]:
    """The code of every portrait that shows a face."""
    codes = {}
    for path in portraits:
        try:
            (photo, *_) = load_photos([path], detect).photos
        except FaceswapError:
            continue
        codes[path] = likeness_code(photo.rgb, photo.landmarks)
    return codes
