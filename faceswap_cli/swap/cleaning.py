"""The light of the source photograph that would be a stain in any other scene, taken off its texture once.

- Strong highlights: what is much lighter and paler than the skin around it.  Small differences stay: they are
  the form of the face.
- The same, finer, beside brows, lids and lips: white hairs of brows, wet lids, shine along lips.
- Red lines along folds and lids, which stand out on any other skin.
- A part of deep shadows: eye sockets, folds and what a hard lamp leaves dark.
- Wrinkles of the forehead and of a frown.
- Strong tints of the skin: blue stubble beside a blue shirt, orange sockets.  They are the colors of several
  lamps; a little of each stays, as skin is not one color.  Lips, brows and eyes keep theirs.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance

_FROM, _PALE = 8.0, 12.0
"""L* above the skin around from which skin shines, and over which its color goes"""
_SHARE = 0.6
"""Part of a highlight that is taken off"""
_AROUND, _FINE = 0.06, 0.008
"""Blurs of the skin around a highlight and of the highlight, as shares of the side"""
_RIM, _RIM_FROM, _RIM_FINE = 0.022, 2.0, 0.0025
"""The same around brows, lids and lips: how far, in sides, from what L*, and the blur"""
_HAIR, _HAIR_FROM = 0.012, 2.0
"""Blur of a brow, as a share of the side, and L* above it from which a hair is white"""
_LIPS, _GLOSS_FROM = 0.04, 4.0
"""The same of lips: they shine in one light, and not in another"""
_TINT, _SKIN = 0.03, 0.27
"""Blurs of a tint and of the whole skin, as shares of the side"""
_MOST = 0.08
"""a* and b* over L* + 16 by which the skin of one face varies; more is another lamp or a shirt"""
_DARK, _SHADE_SHARE, _SHADED, _SHADE_FINE = 6.0, 0.4, 0.1, 0.012
"""The same of shadows: L* below the skin around, the part taken off, and the two blurs"""
_LINE, _MOST_LINE = 0.02, 0.02
"""Blur of the hue around a line, as a share of the side, and how far a line's may be from it, in the unit of
``_MOST``"""
_FOREHEAD = (
    *(124, 46, 53, 52, 65, 55, 8, 285, 295, 282, 283, 276, 353),
    *(389, 251, 284, 332, 297, 338, 10, 109, 67, 103, 54, 21, 162),
)
"""Below along the brows, above along the outline."""
_WRINKLE, _MOST_WRINKLE, _BESIDE_BROW = 0.03, np.float32(2.5), 0.012
"""Blur of the skin around a wrinkle, in sides, the L* by which one may differ from it, and what around the
brows is left as it is"""
_SIDE = 96


def cleaned(lab: F32, points: F32) -> F32:
    """A texture (S, S, 3) L*a*b* with mesh ``points`` (478, 3), less the highlights, shadows and tints."""
    small = cv2.resize(lab, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    area = appearance.skin_area(points, _SIDE)
    skin = warp.enlarge(area, lab.shape[0])
    weight = appearance.skin_weight(small, points) + np.float32(1e-3)
    out = _without_highlights(lab, small, weight, skin, points)
    out = _without_shadows(out, small, weight, skin)
    out[..., 0] = _calm_forehead(out[..., 0], points)
    out[..., 1:] = _hue_without_lines(out, points) * _level(out)
    small = cv2.resize(out, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    hue = small[..., 1:] / _level(small)
    tint, _ = masks.masked_blur(hue, area + np.float32(1e-4), _TINT * _SIDE)
    skin, _ = masks.masked_blur(hue, weight, _SKIN * _SIDE)
    own = _MOST * np.tanh((tint - skin) / _MOST)
    change = (skin + own - tint) * masks.blur(area, 1.0)[..., None]
    out[..., 1:] += warp.enlarge(np.asarray(change, np.float32), lab.shape[0]) * _level(out)
    return out


def _level(lab: F32) -> F32:
    """L* + 16, to which a* and b* of one skin are proportional in any amount of light; (h, w, 1)."""
    return np.maximum(lab[..., :1], 0.0) + np.float32(appearance.LAB_OFFSET)


def _without_shadows(lab: F32, small: F32, weight: F32, skin: F32) -> F32:
    side = lab.shape[0]
    base = warp.enlarge(masks.masked_blur(small, weight, _SHADED * _SIDE)[0], side)
    shade = np.maximum(base[..., 0] - masks.blur(lab[..., 0], _SHADE_FINE * side) - _DARK, 0.0) * skin
    out = lab.copy()
    out[..., 0] += _SHADE_SHARE * shade
    hue, usual = lab[..., 1:] / _level(lab), base[..., 1:] / _level(base)
    share = np.clip(shade / _PALE, 0.0, _SHADE_SHARE)[..., None]
    out[..., 1:] = (hue + (usual - hue) * share) * _level(out)
    return out


def _hue_without_lines(lab: F32, points: F32) -> F32:
    """(S, S, 2) a* and b* over the level; folds and lids are redder than skin by ``_MOST_LINE`` at most."""
    side = lab.shape[0]
    hue = lab[..., 1:] / _level(lab)
    colored = masks.union(points, (parts.LEFT_EYE, parts.RIGHT_EYE, parts.LIPS_OUTER), side, 0.008 * side)
    area = masks.union(points, (parts.OVAL,), side) * (1.0 - colored)
    fine = hue - masks.masked_blur(hue, area + np.float32(1e-4), _LINE * side)[0]
    change = _MOST_LINE * np.tanh(fine / _MOST_LINE) - fine
    return np.asarray(hue + change * masks.blur(area, 0.004 * side)[..., None], np.float32)


def _without_highlights(lab: F32, small: F32, weight: F32, skin: F32, points: F32) -> F32:
    side = lab.shape[0]
    base = warp.enlarge(masks.masked_blur(small, weight, _AROUND * _SIDE)[0], side)
    shine = np.maximum(masks.blur(lab[..., 0], _FINE * side) - base[..., 0] - _FROM, 0.0) * skin
    fine = masks.blur(lab[..., 0], _RIM_FINE * side)
    shine = np.maximum(shine, (fine - base[..., 0] - _RIM_FROM) * _beside_features(points, side))
    shine = np.maximum(shine, _white_hairs(lab[..., 0], points))
    lips, level = _smooth_lips(lab, points)
    gloss = np.maximum(fine - level[..., 0] - _GLOSS_FROM, 0.0) * lips
    base += (level - base) * np.clip(gloss, 0.0, 1.0)[..., None]
    shine = np.maximum(shine, gloss)
    out = lab.copy()
    out[..., 0] -= _SHARE * shine
    out[..., 1:] += (base[..., 1:] - lab[..., 1:]) * np.clip(shine / _PALE, 0.0, _SHARE)[..., None]
    return out


def _white_hairs(luma: F32, points: F32) -> F32:
    """(S, S) L* of white hairs over the dark ones of a brow."""
    side = luma.shape[0]
    brows = masks.union(points, parts.FEATURE_RINGS[2:4], side, 0.5 * _RIM * side)
    lighter = np.maximum(luma - masks.blur(luma, _HAIR * side) - _HAIR_FROM, 0.0)
    return np.asarray(lighter * masks.blur(brows, 0.004 * side), np.float32)


def _smooth_lips(lab: F32, points: F32) -> tuple[F32, F32]:
    """Lips (S, S), and their color (S, S, 3) without the shine, which would lift a mean."""
    side = lab.shape[0]
    lips = masks.union(points, (parts.LIPS_OUTER,), side, 0.004 * side)
    lips *= 1.0 - masks.union(points, (parts.LIPS_INNER,), side)
    weight, sigma = lips + np.float32(1e-4), _LIPS * side
    level = masks.masked_blur(lab, weight, sigma)[0]
    matt = weight * masks.smoothstep(1.0 - (lab[..., 0] - level[..., 0]) / _GLOSS_FROM)
    return masks.blur(lips, 0.003 * side), masks.masked_blur(lab, matt, sigma)[0]


def _calm_forehead(luma: F32, points: F32) -> F32:
    """(S, S) L*, whose wrinkles on the forehead and between the brows are held to ``_MOST_WRINKLE``.

    They are raised brows and frowns, which the target may not make, and they end where the face does: over a
    smooth forehead they look like second brows.
    """
    side = luma.shape[0]
    area = masks.union(points, (_FOREHEAD,), side)
    area *= 1.0 - masks.union(points, parts.FEATURE_RINGS[2:4], side, _BESIDE_BROW * side)
    level = masks.masked_blur(luma, area + np.float32(1e-4), _WRINKLE * side)[0][..., 0]
    change = _MOST_WRINKLE * np.tanh((luma - level) / _MOST_WRINKLE) - (luma - level)
    return np.asarray(luma + change * masks.blur(area, 0.006 * side), np.float32)


def _beside_features(points: F32, side: int) -> F32:
    """(S, S) 1 on brows and around lids and lips, 0 in eyes and on lips."""
    around = masks.union(points, parts.FEATURE_RINGS[:5], side, _RIM * side)
    open_eyes = masks.union(points, (parts.LEFT_EYE, parts.RIGHT_EYE), side, 0.004 * side)
    lips = masks.union(points, (parts.LIPS_OUTER,), side, -0.004 * side)
    around *= 1.0 - np.maximum(open_eyes, lips)
    return masks.blur(around, 0.004 * side)
