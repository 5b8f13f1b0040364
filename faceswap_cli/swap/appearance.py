"""Light, color and sharpness of a face, measured robustly and laid over another one.

Work is done in CIE L*a*b* (float32, L in 0..100), where equal steps look equal and a change of
illumination by a factor is a factor on ``L + 16``.  Low frequencies (light, skin tone) are known
at mesh points, so they travel with the face and can be smoothed over time point by point; high
frequencies are described by the energy of three bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.numerics import finite
from faceswap_cli.records import F32, U8

LIGHT_SIDE = 96
"""Light is measured on crops reduced to this side; nothing finer matters to it."""
_LIGHT_MOST = 160
"""Larger pictures are reduced to this side before light is measured: it changes by 0.01 of L* at most."""
LIGHT_SIGMA, CHROMA_SIGMA = 0.07, 0.14
"""Blurs that separate light from structure, as shares of the crop's side: of L*, of a* and b*."""
BANDS = (1.0, 2.0, 4.0)
"""Gaussian sigmas in pixels that bound the three detail bands."""
OUTLIER = 2.6
"""Robust standard deviations at which a pixel starts to count less as skin."""
HAIR = 1.8
"""Times that for what is darker than shading above the brows and beside the mouth"""
SPREAD_FLOOR = np.array([2.0, 1.0, 1.0], np.float32)

FEW_PIXELS, FEW_COLORS = 64, 32
"""Fewer pixels say nothing about shading and detail, or about color."""
SOME_SKIN, OF_MOST = 0.05, 0.2
"""Share of skin from which a pixel is used, and weight, as a share of the largest, from which it shows
the spread."""
STEADY = 1e-3
"""Added to the diagonal of the fit: shading is flat where no pixel shows it"""
UNLIKELY_SKIN = 0.02
"""What skin above the brows counts at first: hair is likely there."""
DEVIATION = 1.4826
"""Of a normal distribution over its median size"""
LIGHT_TRUST = 0.35
"""Share of skin around from which on the narrow neighborhood shows the light"""
LEAST_BAND, LEAST_CHROMA = 1e-3, 0.3
GRAIN_TOP, GRAIN_BINS = 8.0, 4096
"""Of the histogram that the median of the grain is taken from"""
PALE = 0.02
"""Least (a, b) / (L + 16) of a skin that another's is compared with"""
GLOSS, RELIEF, DEEP = -1.0, -1.0, (18.0, 36.0)
"""Powers of the ratio of two lights that contrast of L* follows where the second is brighter: of what is
lighter than its surroundings, and of what is darker; L* by which that keeps it, a little and wholly"""
RATIO, FOLLOW = (0.3, 2.5), (0.7, 1.2)
"""Limits of the ratio of two lights, and of how far contrast of color follows it"""

USUAL_SHADE, SHADES = np.float32(-0.25), (-0.8, 0.3)
"""``measure_shade`` of most pictures, and its limits"""
FEW_SHADES, SHADE_MOST = np.float32(800.0), np.float32(8.0)
"""Sum of squared L* that says little about it, and the L* at which shade goes over into other things: hair,
nostrils"""

LAB_OFFSET = 16.0
"""L* + 16 is proportional to the cube root of luminance."""
EYES_OWN = 0.75
"""Share of an eye's own color that stays when the skin's is exchanged"""
SKINS = ((0.04, 0.32), (0.10, 0.42))
"""Between what a and b, over L + 16, skins lie in white light; what is beyond is the light's color."""


def _lightness_table() -> F32:
    gray = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    return np.ascontiguousarray(lab_from_rgb(gray)[0, :, 0])


def lab_from_rgb(rgb: U8) -> F32:
    """(..., 3) uint8 sRGB -> float32 L*a*b*."""
    return lab_from_float(rgb.astype(np.float32) / np.float32(255))


def lab_from_float(rgb: F32) -> F32:
    """(..., 3) sRGB in [0, 1] -> float32 L*a*b*."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2LAB))


def lightness(rgb: U8) -> F32:
    """(..., 3) uint8 sRGB -> L* alone, from luma: enough to compare detail, and three times as fast."""
    gray = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    return np.asarray(LIGHTNESS.take(gray))


def rgb_from_lab(lab: F32) -> U8:
    """Inverse of :func:`lab_from_rgb`, clipped and rounded; :class:`NotFinite` for what has no color."""
    finite(lab, "a drawn face")
    rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return cv2.convertScaleAbs(rgb, alpha=255.0) if rgb.min() >= 0 else _to_u8(rgb)


def _to_u8(rgb: F32) -> U8:
    return (np.clip(rgb, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


LIGHTNESS = _lightness_table()


def skin_area(
    points: F32, side: int, features: Sequence[Sequence[int]] = parts.FEATURE_RINGS, around: float = 0.018
) -> F32:
    """Inside the face outline and outside its ``features``, whatever is seen there: (side, side) in [0, 1].

    ``around``: how far around features, as a share of the side.
    """
    hull = masks.union(points, (parts.OVAL,), side, -0.012 * side)
    return hull * (1.0 - masks.union(points, features, side, around * side))


def skin_weight(lab: F32, points: F32) -> F32:
    """Where skin is seen: (n, n) in [0, 1] from a Lab crop and its mesh (478, 2+) in unit coordinates.

    Inside the face outline, outside eyes, brows, lips and nostrils.  A smooth shading (quadratic
    across the face, linear below the brows, level above them) is fitted robustly, from below the
    brows first; what is far from it drops out: hair over the forehead, rims of glasses, cores of
    shadows and highlights.
    """
    skin = skin_area(points, lab.shape[0])
    return skin * _near_shading(lab, skin, float(points[list(parts.BROWS), 1].mean()), float(points[2, 1]))


def _near_shading(lab: F32, skin: F32, brow_line: float, nose_line: float) -> F32:
    """(n, n) weight: 1 close to the robust shading of the skin, 0 far from it."""
    rows, columns = np.nonzero(skin > SOME_SKIN)
    if len(rows) < FEW_PIXELS:
        return np.ones_like(skin)
    x, y = columns / skin.shape[1] - 0.5, rows / skin.shape[0]
    below = y - brow_line
    hairy = (below < 0.0) | (y > nose_line)
    basis = np.stack([np.ones_like(x), x, np.maximum(below, 0.0), x * x], axis=1).astype(np.float32)
    values = lab[rows, columns]
    inside = skin[rows, columns]
    weight = inside * np.where(below < 0.0, np.float32(UNLIKELY_SKIN), np.float32(1.0))
    # Medians first: least squares from the start would bend towards whatever covers a cheek.
    off = values - np.median(values[weight > 0.5], axis=0) if (weight > 0.5).any() else values
    for turn in range(3):
        if turn:
            normal = (basis * weight[:, None]).T @ basis + STEADY * np.eye(4, dtype=np.float32)
            off = values - basis @ np.linalg.solve(normal, (basis * weight[:, None]).T @ values)
        chosen = weight > OF_MOST * weight.max()
        spread = DEVIATION * np.median(np.abs(off[chosen]), axis=0) + SPREAD_FLOOR
        distance = (np.abs(off) / spread).max(axis=1)
        # What darkens a forehead is hair, and skin beside the mouth a beard, far more often than shadow.
        distance[hairy & (off[:, 0] < 0.0)] *= HAIR
        near = masks.smoothstep(OUTLIER + 1.0 - distance)
        weight = inside * near
    out = np.zeros_like(skin)
    out[rows, columns] = near
    return out


def light_at(lab: F32, skin: F32, points: F32) -> F32:
    """:func:`light_field` at the mesh points: (478, 3)."""
    if lab.shape[0] > _LIGHT_MOST:
        lab, skin = _reduced(lab, skin, _LIGHT_MOST)
    return masks.sample(light_field(lab, skin), points)


def light_field(lab: F32, skin: F32) -> F32:
    """Low-frequency Lab (n, n, 3) of a crop, from skin (n, n) only.

    Color is smoothed more widely than lightness, so that a beard's gray is not taken for light.
    Where little skin is near (eyes, lips, hair over the forehead), the wide neighborhood answers.
    """
    side = lab.shape[0]
    near, weight = masks.masked_blur(lab[..., 0], skin, LIGHT_SIGMA * side)
    light, _ = masks.masked_blur(lab, skin, CHROMA_SIGMA * side)
    trust = masks.smoothstep(weight / LIGHT_TRUST)
    light[..., 0] += (near[..., 0] - light[..., 0]) * trust
    return light


def _reduced(lab: F32, weight: F32, side: int) -> tuple[F32, F32]:
    """A picture (n, n, 3) and its weight (n, n) at a smaller ``side``; colors are weighted means."""
    size = (side, side)
    small = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(lab * weight[..., None], size, interpolation=cv2.INTER_AREA)
    return np.asarray(total / np.maximum(small, 1e-4)[..., None], np.float32), np.asarray(small, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Detail:
    """Standard deviations of L* per band (3,), and of fine grain on flat skin."""

    bands: F32
    grain: float


def split_bands(luma: F32, count: int = len(BANDS)) -> list[F32]:
    """(S, S) -> ``count`` detail layers, fine to coarse, and the rest: their sum is the input."""
    layers, current = [], luma
    for sigma in BANDS[:count]:
        smooth = cv2.GaussianBlur(current, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        layers.append(current - smooth)
        current = smooth
    return [*layers, current]


def measure_detail(layers: list[F32], inside: F32) -> Detail:
    """Energy of the bands inside a mask (S, S)."""
    chosen = inside > 0.5
    if np.count_nonzero(chosen) < FEW_PIXELS:
        return Detail(np.ones(len(BANDS), np.float32), 0.0)
    where = chosen.view(np.uint8)
    spread = [cv2.meanStdDev(layer, mask=where)[1].item() for layer in layers[: len(BANDS)]]
    bands = np.array([max(each, LEAST_BAND) for each in spread], np.float32)
    grain = DEVIATION * _median_size(layers[0], where)
    return Detail(bands, grain)


def _median_size(values: F32, where: U8) -> float:
    """Median of ``|values|`` (h, w) where ``where`` is not 0, from a histogram: within 0.002 below 8."""
    top, bins = GRAIN_TOP, GRAIN_BINS
    count = cv2.calcHist([cv2.absdiff(values, 0.0)], [0], where, [bins], [0.0, top]).ravel().cumsum()
    half = 0.5 * float(np.count_nonzero(where))
    if count[-1] <= half:
        return float(np.median(np.abs(values[where > 0])))
    return (float(np.searchsorted(count, half)) + 0.5) * top / bins


def measure_chroma(lab: F32, inside: F32) -> F32:
    """(2,) standard deviations of a* and b* inside a mask: how colorful lips, cheeks and eyes are."""
    chosen = lab[inside > 0.5]
    if len(chosen) < FEW_COLORS:
        return np.ones(2, np.float32)
    return np.asarray(np.maximum(chosen[:, 1:].std(axis=0), LEAST_CHROMA), np.float32)


def measure_shade(lab: F32, light: F32, skin: F32) -> F32:
    """(2,) a* and b* that shade on skin lacks for each L* that it is darker than the ``light`` around it.

    Beyond what a change of illumination explains: below 0 shade is redder and yellower than lit skin, as in
    warm surroundings, and above 0 grayer.  Cameras and grading differ in this more than skins do.  ``lab``
    and ``light`` (n, n, 3); ``skin`` (n, n) in [0, 1].
    """
    offset = np.float32(LAB_OFFSET)
    depth = shade_depth(lab[..., 0] - light[..., 0])
    hue = light[..., 1:] / np.maximum(light[..., :1] + offset, np.float32(1.0))
    contrast = lab[..., 1:] - hue * (lab[..., :1] + offset)
    weighted = skin * depth
    agreed = (weighted[..., None] * contrast).sum(axis=(0, 1)) + FEW_SHADES * USUAL_SHADE
    found = agreed / (float((weighted * depth).sum()) + FEW_SHADES)
    return np.asarray(np.clip(found, *SHADES), np.float32)


def shade_depth(detail: F32) -> F32:
    """L* over the light around, from ``-SHADE_MOST`` to 0."""
    return np.clip(detail, -SHADE_MOST, np.float32(0))


def relight(
    lab: F32,
    light_from: F32,
    light_to: F32,
    colorful: F32 | None = None,
    eyes: F32 | None = None,
    shades: tuple[F32, F32] | None = None,
) -> F32:
    """Move a Lab picture from one light field to another (all (h, w, 3)).

    ``L + 16`` is scaled by the ratio of the fields, as a change of illumination does.  Color is
    handled as ``(a, b) / (L + 16)``, which a shadow shares with the lit skin beside it: the skin's
    is exchanged, and the contrast to it follows the light.  ``colorful`` (2,) scales that contrast
    again: sepia footage has none.  In ``eyes`` (h, w) most of the exchange is left out, as far as
    it may be the skins': two people's skins differ, the whites of their eyes do not.  ``shades``:
    :func:`measure_shade` of the two pictures, whose hue of shade is exchanged as well.
    """
    offset = np.float32(LAB_OFFSET)
    drawn, old, new = (cv2.split(x) for x in (lab, light_from, light_to))
    light, ratio = relit(drawn[0], old[0], new[0])
    before = np.maximum(old[0] + offset, np.float32(1.0))
    after = np.maximum(new[0] + offset, np.float32(1.0))
    follow = np.clip(ratio, np.float32(FOLLOW[0]), np.float32(FOLLOW[1]))
    kept = None if eyes is None else np.float32(EYES_OWN) * eyes
    depths = [] if shades is None else [shade_depth(drawn[0] - old[0]), shade_depth(light - new[0])]
    planes = [light]
    for k in (1, 2):
        own = old[k] / before
        change = new[k] / after - own
        if kept is not None:
            low, high = (np.float32(v) for v in SKINS[k - 1])
            change = change - (np.clip(own + change, low, high) - np.clip(own, low, high)) * kept
        contrast = drawn[k] - own * (drawn[0] + offset)
        if shades is not None:
            contrast -= depths[0] * shades[0][k - 1]
        # What has less color than the skin around it keeps its share of it, or it would turn green or blue.
        paler = np.clip((own + change) / np.maximum(own, np.float32(PALE)), np.float32(0), np.float32(1))
        contrast *= np.where(contrast < 0, paler * ratio, follow)
        if colorful is not None:
            contrast *= colorful[k - 1]
        if shades is not None:
            contrast += depths[1] * shades[1][k - 1]
        planes.append((own + change) * (light + offset) + contrast)
    return np.asarray(cv2.merge(planes))


def relit(luma: F32, light_from: F32, light_to: F32) -> tuple[F32, F32]:
    """The L* of :func:`relight`, and the ratio of the fields; all (h, w)."""
    offset = np.float32(LAB_OFFSET)
    ratio = (light_to + offset) / np.maximum(light_from + offset, np.float32(1.0))
    np.clip(ratio, np.float32(RATIO[0]), np.float32(RATIO[1]), out=ratio)
    # Gloss is added to skin, not multiplied with it: on brighter skin it shows less, and so do dark patches.
    # What is darker still is hair, nostrils and the line between the lips.
    detail = luma - light_from
    deep = np.clip((detail + np.float32(DEEP[1])) / np.float32(DEEP[1] - DEEP[0]), 0, 1)
    power = np.where(detail > 0, np.float32(GLOSS), np.float32(RELIEF) * deep)
    contrast = np.where(ratio > 1, ratio**power, ratio)
    return np.asarray((light_from + offset) * ratio - offset + detail * contrast), ratio
