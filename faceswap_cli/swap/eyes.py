"""What is seen between open lids: the target's own eyes, with irises of the source's color.

So few pixels are the first that people look at and the hardest to draw.  Gaze, reflections, the form of the
iris and the light on the whites are the target's, moved to the new lids.  Across an eye the shading is that
of the drawn face.  Each iris is as dark and as colored, beside the white of its eye, as the source's is
beside its own: whites are lit by what lights the irises.  From the pupil to the rim it is as light and dark
as the source's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, FaceCrop
from faceswap_cli.swap.appearance import LAB_OFFSET
from faceswap_cli.swap.features import MOUTH_EDGE, cut_part, own_part, part_around, plane_of, shut_eyes

EYES = ((parts.LEFT_EYE, parts.LEFT_IRIS), (parts.RIGHT_EYE, parts.RIGHT_IRIS))
PUPIL, RIM, WHITE = 0.4, 0.95, 1.15
"""Radii of an iris between which its own tone is seen, and from which on the white is."""
RINGS = 6
"""Rings of an iris whose lightness is measured, from the middle to the rim"""
RING_LEVEL = 40.0
"""Percentile of L* that is a ring's: reflections lie in the upper half."""
ROUND = (3.0, 7.0)
"""Radius of an iris in pixels below which its rings do not count, and from which on they count fully"""
AROUND = 0.01
"""How far around both eyes is looked, as a share of the crop"""
INSIDE = 0.004
"""How far from the lids that is looked for, as a share of the crop: lashes lie there."""
LIT = 10.0
"""L* over which the darker part of the white, in the shadow of the lids, counts less and less."""
SEEN = (0.2, 0.5)
"""Share of an iris between open lids up to which it is ignored, and from which on it counts fully."""
APART = (4.0, 10.0)
"""L* between white and iris, the same two limits: less is a blur, or dark glasses."""
TINTED = 0.5
"""How far the color of an iris follows that of the whites: skin shines into those too."""
IRISES = np.array([(-0.12, -0.2), (0.2, 0.3)], np.float32)
"""Limits of a and b, over L + 16, of irises, less those of their whites; a graded photograph exceeds them"""
SHARE = 0.7
"""Of the difference that is made up for: a whole one looks painted."""
MOST = 18.0
"""An iris changes by no more (L*, a*, b*)."""
ALIKE = 20.0
"""L* from the mean of an iris at which a pixel of it changes by e^-1 as much: reflections stay."""
SHADING, SOFT = 0.012, 0.003
"""Blur that separates shading from form, and softness of an iris' rim, as shares of the crop"""
STRAY = 8.0
"""a* and b* by which two eyes may differ: more is a reflection of the sky on glasses."""
UNEVEN = 2.0
"""L* by which the drawn face's shading of an eye may differ from its mean over both, beside the target's own
difference: more is a lamp beside the source, and eyes that differ are seen at once"""
LEVEL = 12.0
"""L* by which the mean of that may change the target's eyes: all whites are about as white, and those of the
target show its light better than those of a photograph, relit"""
LEAST_WHITE = 0.002
"""What the shading of other parts of an eye counts beside that of its white"""
OWN_SHADE = 0.7
"""Share of the drawn face's shading that an iris does without: its tone is known"""
FEW = 4.0
"""Fewer pixels are ignored"""


@dataclass(frozen=True, slots=True, eq=False)
class EyeTones:
    """Mean L*a*b* of irises and whites, each (3,), and how far they are known, 0 to 1."""

    iris: F32 = field(repr=False)
    white: F32 = field(repr=False)
    known: float
    rings: F32 = field(repr=False, default_factory=lambda: np.zeros(RINGS, np.float32))
    """(RINGS,) L* from the pupil to the rim, above the mean of the iris; 0 where irises are a few pixels"""


UNKNOWN = EyeTones(np.zeros(3, np.float32), np.full(3, 50, np.float32), 0.0)


def eye_tones(lab: F32, points: F32, window: Window) -> EyeTones:
    """Of both eyes of a mesh (478, 2+) in unit coordinates, in the Lab picture (h, w, 3) of ``window``."""
    part = part_of(points, window)
    if part is None:
        return UNKNOWN
    irises, whites, known = seen_parts(points, part)
    if min(float(irises.sum()), float(whites.sum())) < FEW:
        return UNKNOWN
    seen = cut_part(lab, part, window)
    iris, white = tone_of(seen, irises), _lit_tone(seen, whites)
    rings = _rings(seen[..., 0], points, part, float(iris[0]))
    return EyeTones(iris, white, known * _ramp(float(white[0] - iris[0]), APART), rings)


def _rings(luma: F32, points: F32, window: Window, middle: float) -> F32:
    """(RINGS,) :attr:`EyeTones.rings` of both eyes in L* (h, w) of ``window``."""
    levels, radii, large = [], [], 0.0
    for ring, iris in EYES:
        inside = masks.union(points, (ring,), window, -INSIDE * window.side) > 0.5
        apart, radius = from_middle(points[list(iris)], window)
        inside &= apart < 1.0
        levels.append(luma[inside])
        radii.append(apart[inside])
        large = max(large, radius)
    level, at = np.concatenate(levels), np.minimum(np.concatenate(radii) * RINGS, RINGS - 1).astype(int)
    rows = [k for k in range(RINGS) if np.count_nonzero(at == k) >= FEW]
    if not rows or large <= ROUND[0]:
        return np.zeros(RINGS, np.float32)
    found = [float(np.percentile(level[at == k], RING_LEVEL)) - middle for k in rows]
    return np.asarray(np.interp(range(RINGS), rows, found) * _ramp(large, ROUND), np.float32)


def from_middle(iris: F32, window: Window) -> tuple[F32, float]:
    """(h, w) distance from the middle of an iris (5, 2+) in its radii, and its radius in pixels."""
    pixels = window.pixels(iris)
    radius = float(np.linalg.norm(pixels[1:] - pixels[0], axis=1).mean())
    y, x = np.ogrid[: window.height, : window.width]
    apart = np.hypot(x - pixels[0, 0], y - pixels[0, 1])
    return np.asarray(apart / max(radius, 1e-3), np.float32), radius


def part_of(points: F32, window: Window) -> Window | None:
    """The part of ``window`` with both eyes and irises; None when it is outside."""
    rings = (parts.EYES, parts.IRISES)
    return part_around(points, rings, window, AROUND * window.side)


def seen_parts(points: F32, window: Window) -> tuple[F32, F32, float]:
    """Masks (h, w) of irises and whites between the lids, and how far the irises are seen, 0 to 1."""
    irises, whites = np.zeros(window.shape, np.float32), np.zeros(window.shape, np.float32)
    whole = 0.0
    for ring, iris in EYES:
        lids = masks.union(points, (ring,), window, -INSIDE * window.side)
        tone = disc(points[list(iris)], window, RIM) - disc(points[list(iris)], window, PUPIL)
        irises += tone * lids
        whole += float(tone.sum())
        whites += lids * (1.0 - disc(points[list(iris)], window, WHITE))
    return irises, whites, _ramp(float(irises.sum()) / max(whole, 1.0), SEEN)


def disc(iris: F32, window: Window, scale: float) -> F32:
    """(h, w) in [0, 1]: the circle through an iris' points (5, 2+), the first its middle, times ``scale``."""
    apart, radius = from_middle(iris, window)
    return np.asarray(np.clip((np.float32(scale) - apart) * np.float32(radius) + 0.5, 0.0, 1.0), np.float32)


def _ramp(value: float, bounds: tuple[float, float]) -> float:
    return min(max((value - bounds[0]) / (bounds[1] - bounds[0]), 0.0), 1.0)


def tone_of(lab: F32, weight: F32) -> F32:
    """(3,) mean by weight."""
    return np.asarray((lab * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-3), np.float32)


def _lit_tone(lab: F32, weight: F32) -> F32:
    return tone_of(lab, weight * _lit(lab, weight))


def _lit(lab: F32, weight: F32) -> F32:
    """(h, w) in [0, 1]: what is not darker than the mean by weight."""
    middle = tone_of(lab[..., :1], weight)
    return np.asarray(np.clip((lab[..., 0] - middle) / np.float32(LIT) + 0.5, 0.0, 1.0), np.float32)


def iris_change(own: EyeTones, source: EyeTones) -> F32:
    """(3,) what to add to the target's irises so that beside their whites they are like the source's."""
    offset = np.float32(LAB_OFFSET)
    level = (own.white[0] + offset) * (source.iris[0] + offset) / (source.white[0] + offset)
    white, iris, pale = (x[1:] / (x[0] + offset) for x in (own.white, source.iris, source.white))
    iris = pale + np.clip(iris - pale, *IRISES)
    color = (iris + np.float32(TINTED) * (white - pale)) * level
    change = np.array([level - offset, *color], np.float32) - own.iris
    return np.asarray(np.clip(SHARE * change, -MOST, MOST) * np.float32(own.known * source.known), np.float32)


def keep_eyes(lab: F32, target: F32, crop: FaceCrop, wanted: F32, window: Window, source: EyeTones) -> None:
    """Put the target's eyes between the lids of a drawn Lab picture (h, w, 3), as far as open; in place.

    ``target`` is what the frame shows in the same ``window``; the mesh ``wanted`` (478, 2+) lies in unit
    coordinates of the whole crop.
    """
    points = crop.landmarks / np.float32(crop.rgb.shape[0])
    own = eye_tones(target, points, window)
    change, rings = iris_change(own, source), ring_change(own, source)
    opened = 1.0 - shut_eyes(parts.eye_apertures(points), np.array(crop.open_eyes, np.float32))
    inside = [masks.blur(masks.union(wanted, (ring,), window), MOUTH_EDGE * window.side) for ring, _ in EYES]
    found = [
        own_part(target, points, wanted, ring, share, window)
        for (ring, _), share in zip(EYES, inside, strict=True)
    ]
    _agree([(eye, share[..., 0]) for _, eye, share in filter(None, found)])
    lit = []
    for (ring, iris), seen, amount in zip(EYES, found, opened, strict=True):
        if seen is None:
            continue
        area, eye, share = seen
        part = Window(
            window.x + area[1].start, window.y + area[0].start, eye.shape[1], eye.shape[0], window.side
        )
        there = moved_iris(points, wanted, ring, iris)
        soft = _repaint(eye, there, part, own, change, rings)
        drawn = lab[area]
        # The source may look elsewhere: under either iris nothing is known of the shading of the white.
        white = (np.float32(1.0) - soft) * _lit(drawn, share[..., 0]) + np.float32(LEAST_WHITE)
        white *= share[..., 0]
        shade = shading(drawn[..., 0] - eye[..., 0], white, SHADING * window.side)
        level = float(tone_of(shade[..., None], white)[0])
        lit.append((area, eye, share * amount, shade, soft, level))
    middle = sum(level for *_, level in lit) / max(len(lit), 1)
    for area, eye, share, shade, soft, level in lit:
        kept = _within(middle, LEVEL) + _within(level - middle, UNEVEN)
        eye[..., 0] += (shade + np.float32(kept - level)) * (1.0 - np.float32(OWN_SHADE) * soft)
        lab[area] += (eye - lab[area]) * share


def _within(value: float, most: float) -> float:
    return min(max(value, -most), most)


def ring_change(own: EyeTones, source: EyeTones) -> F32:
    """(RINGS,) what to add to L* of each ring of the target's irises, beside :func:`iris_change`."""
    offset = np.float32(LAB_OFFSET)
    level = (own.white[0] + offset) / (source.white[0] + offset)
    both = np.float32(own.known * source.known) if own.rings.any() and source.rings.any() else np.float32(0)
    change = source.rings * level - own.rings
    return np.asarray(np.clip(SHARE * change, -MOST, MOST) * both, np.float32)


def _repaint(eye: F32, iris: F32, part: Window, own: EyeTones, change: F32, rings: F32) -> F32:
    """Change the ``iris`` (5, 2) in the L*a*b* ``eye`` (h, w, 3) of ``part``, in place.

    Where it is, (h, w) in [0, 1].
    """
    soft = masks.blur(disc(iris, part, 1.0), SOFT * part.side)
    at = from_middle(iris, part)[0] * RINGS - 0.5
    middle, form = (np.interp(at, range(RINGS), x).astype(np.float32) for x in (own.rings, rings))
    toned = soft * np.exp(-np.square((eye[..., 0] - own.iris[0] - middle) / np.float32(ALIKE)))
    eye[..., 0] += (change[0] + form) * toned
    eye[..., 1:] += change[1:] * toned[..., None]
    return soft


def _agree(pair: Sequence[tuple[F32, F32]]) -> None:
    """Bring the color of the bluer one of two eyes, Lab and weight each, near the other's; in place."""
    if len(pair) < 2:
        return
    tones = [tone_of(eye, weight)[1:] for eye, weight in pair]
    warm = tones[int(tones[1][1] > tones[0][1])]
    for (eye, _), tone in zip(pair, tones, strict=True):
        apart = tone - warm
        eye[..., 1:] -= apart - np.clip(apart, -STRAY, STRAY)


def moved_iris(points: F32, wanted: F32, ring: Sequence[int], iris: Sequence[int]) -> F32:
    """(5, 2) the target's iris where it lies between the new lids."""
    own = points[list(iris), :2]
    return np.asarray(own - np.c_[own, np.ones(len(own))] @ plane_of(points, wanted, ring), np.float32)


def shading(change: F32, share: F32, sigma: float) -> F32:
    """(h, w) ``change`` without its form: smooth inside ``share``."""
    around = np.maximum(masks.blur(share, sigma), 1e-3)
    return np.asarray(masks.blur(change * share, sigma) / around, np.float32)
