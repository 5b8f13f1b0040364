"""A source person as the renderer takes them: one clean texture, its light, and the neutral shape."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, SourceIdentity
from faceswap_cli.swap import appearance
from faceswap_cli.swap.cleaning import cleaned
from faceswap_cli.swap.eyes import EyeTones, eye_tones
from faceswap_cli.swap.proportions import neutral_shape
from faceswap_cli.swap.relighting import SourceLight, source_light
from faceswap_cli.swap.skin import inner_face
from faceswap_cli.swap.sourcing import source_texture
from faceswap_cli.swap.symmetry import even_halves
from faceswap_cli.swap.texture import Texture

_SMALLEST = 96


@dataclass(frozen=True, slots=True, eq=False)
class SourceFace:
    """Arrays only: worker processes map them instead of copying."""

    texture: Texture
    """Without strong highlights and tints"""
    pyramid: tuple[F32, ...] = field(repr=False)
    """L*a*b* textures, each half as large as the one before"""
    lumas: tuple[F32, ...] = field(repr=False)
    """Their L* alone"""
    light: SourceLight
    neutral: F32 = field(repr=False)
    """(478, 3) canonical shape"""
    chroma: F32 = field(repr=False)
    """(2,) spread of a* and b* over the face"""
    shade: F32
    """(2,) hue of its shade (``appearance.measure_shade``)"""
    tones: EyeTones


def source_face(source: SourceIdentity, mapper: float) -> SourceFace:
    """Fuse the photographs of ``source`` into one texture, or make one up from the embedding.

    ``mapper``: how much of the face is made from the embedding alone (``--mapper``).
    """
    raw = source_texture(source, mapper)
    lab = even_halves(cleaned(raw.lab, raw.points), raw.points, raw.seen)
    light = appearance.light_at(lab, appearance.skin_weight(lab, raw.points), raw.points)
    texture = replace(raw, lab=lab, light=light)
    pyramid = [lab]
    while pyramid[-1].shape[0] > _SMALLEST:
        half = pyramid[-1].shape[0] // 2
        pyramid.append(cv2.resize(pyramid[-1], (half, half), interpolation=cv2.INTER_AREA))
    chroma, shade = _color(texture)
    return SourceFace(
        texture=texture,
        pyramid=tuple(pyramid),
        lumas=tuple(np.ascontiguousarray(level[..., 0]) for level in pyramid),
        light=source_light(texture.light, texture.points),
        neutral=_neutral(source, texture, mapper),
        chroma=chroma,
        shade=shade,
        tones=eye_tones(lab, texture.points, Window.full(lab.shape[0])),
    )


def _neutral(source: SourceIdentity, texture: Texture, mapper: float) -> F32:
    """Median shape over the photographs: expressions differ from one to the next, the person does not."""
    if mapper > 0.0 or source.changes:
        return neutral_shape(texture.points[None])
    if source.enrolled is not None:
        return source.enrolled.neutral
    return neutral_shape(np.stack([photo.landmarks for photo in source.photos]))


def _color(texture: Texture) -> tuple[F32, F32]:
    n, points = appearance.LIGHT_SIDE, texture.points
    small = cv2.resize(texture.lab, (n, n), interpolation=cv2.INTER_AREA)
    inside, skin = inner_face(points, Window.full(n)), appearance.skin_weight(small, points)
    shade = appearance.measure_shade(small, appearance.light_field(small, skin), skin * inside)
    return appearance.measure_chroma(small, inside), shade
