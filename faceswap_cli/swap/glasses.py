"""Glasses: whether a face wears any, and where their rims and lenses are."""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.occluder import CLASSES
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import appearance
from faceswap_cli.swap.occluder_head import Seen
from faceswap_cli.swap.rims import rims_and_lenses

RIM_SURE, LENS_SURE = (0.3, 0.6), (0.35, 0.65)
"""Probabilities of rims and lenses from which something counts as one, a little and wholly"""
HEAD_SURE = (0.5, 0.75)
"""The same of rims that only the head sees"""
_UNLIKE_SKIN = (28.0, 40.0)
"""L* above or below the skin's light from which that place is a rim, perhaps and surely"""
_BROW_REACH, _BROW_SOFT = 0.012, 0.003
"""How far around the brows colors say how wide rims are, and how softly that ends, as shares of the crop"""
_AROUND = 0.02
"""Reach of the colors of a rim and of what is around it, as a share of the crop"""
_CORE = (0.7, 1.0)
"""Probabilities of rims from which a color counts as theirs, a little and wholly"""
_APART = (0.1, 0.25)
"""The same from which a color no longer counts as that of what is around, in part and wholly"""
_PART = 1 / 3
"""Of a pixel: a rim that covers as much as this keeps all of it, or its edges would lose their contrast"""
_UNLIKE = (0.7, 1.0)
"""Distance from what is around, over the rim's, from which any color is a rim's: gloss, or a second color"""
SMALL = 192
"""Side of a crop below which pixels are as wide as rims: their colors say little, and rims look different in
every frame (``small_glasses``)"""
_SMALL_SURE, _BROW_SURE = (0.2, 0.6), (0.6, 0.9)
"""RIM_SURE of small crops, where rims cover parts of pixels; and over their brows, which look like rims when
they are blurred"""
_COLOR_NOISE = 4.0
"""Distance of the two colors at which half of what they say counts"""
_WIDE = 0.012
"""What is this far inside of a rim is its own whatever its color, as a share of the crop"""
RIM_SOFT, LENS_SOFT = 0.001, 0.003
"""Softness of rims and lenses, as shares of the crop"""
GLASSES_FROM = (0.02, 0.04)
"""Evidence of rims from which a face wears glasses, perhaps and surely"""
BAND = (0.35, 0.55)
"""How far above and below the eyes glasses reach, in distances of the eyes' outer corners"""
_RIM, _LENS = CLASSES.index("rim"), CLASSES.index("lens")


def rim_evidence(seen: Seen, points: F32) -> float:
    """Area of rims seen around the eyes of a mesh (478, 2+) in unit coordinates, a soft count.

    In squares of the distance of the eyes' outer corners.  Dark eye sockets in blurred footage look like
    lenses; they do not have rims.
    """
    n = seen.shares.shape[0]
    inner = ((points[:, :2] - np.float32(0.5)) / np.float32(seen.share) + np.float32(0.5)).astype(np.float32)
    apart = float(np.hypot(*(inner[263] - inner[33]))) * n
    area = float((seen.shares[..., _RIM] * eye_band(inner, Window.full(n))).sum())
    return area / float(max(apart, 1.0) ** 2)


def wears_glasses(evidence: float) -> float:
    """0 to 1, from :func:`rim_evidence`."""
    low, high = GLASSES_FROM
    return min(max((evidence - low) / (high - low), 0.0), 1.0)


def eye_band(points: F32, window: Window) -> F32:
    """(h, w) in [0, 1]: how near to the height of the eyes; glasses lie there, whatever rims look like."""
    eyes = points[[33, 263], :2]
    middle = eyes.mean(axis=0)
    across = eyes[1] - eyes[0]
    apart = max(float(np.hypot(*across)), 1e-6)
    down = np.array([-across[1], across[0]]) / apart
    x, y = (np.arange(k, dtype=np.float32) + 0.5 for k in (window.width, window.height))
    px, py = (x + window.x) / window.side - middle[0], (y + window.y) / window.side - middle[1]
    depth = (px[None, :] * down[0] + py[:, None] * down[1]) / apart
    inside = np.minimum(depth + BAND[0], BAND[1] - depth)
    return masks.smoothstep(inside / 0.08)


def find_glasses(rgb: U8, light: F32, points: F32, window: Window, seen: Seen) -> tuple[F32, F32]:
    """(h, w) rims and lenses; arguments as those of ``occlusion.find_front``.

    The network at full size decides where; in small crops ``seen`` has its answer.  Over brows colors decide
    how wide a rim is, for skin that stays beside it breaks the brow behind it.  Hinges and bridges that only
    the head sees count where they do not have the skin's lightness.
    """
    size, band = (window.width, window.height), eye_band(points, window)
    if window.side < SMALL:
        rim, lens = cv2.split(seen.over(window, size, slice(_RIM, _LENS + 1)))
        rims = masks.eased(rim, _SMALL_SURE)
        brows = masks.union(points, parts.FEATURE_RINGS[2:4], window)
        rims = np.asarray((rims - brows * (rims - masks.eased(rim, _BROW_SURE))) * band, np.float32)
    else:
        rim, lens = cv2.split(
            cv2.resize(rims_and_lenses(rgb, points, window, seen), size, interpolation=cv2.INTER_LINEAR)
        )
        missed = _missed(rgb, light, window, seen) * (1.0 - masks.eased(lens, LENS_SURE))
        rims = np.asarray(np.maximum(masks.eased(rim, RIM_SURE), missed) * band, np.float32)
        _narrow_at_brows(rims, rim, rgb, points, window)
    lenses = masks.eased(lens, LENS_SURE) * band
    return masks.blur(rims, RIM_SOFT * window.side), masks.blur(lenses, LENS_SOFT * window.side)


def _missed(rgb: U8, light: F32, window: Window, seen: Seen) -> F32:
    """(h, w): rims that the head is sure of, where the lightness is not the skin's."""
    rim = seen.over(window, (window.width, window.height), slice(_RIM, _RIM + 1))[..., 0]
    off = np.abs(appearance.lightness(rgb) - warp.enlarge(np.ascontiguousarray(light[..., 0]), window))
    return np.asarray(masks.eased(rim, HEAD_SURE) * masks.eased(off, _UNLIKE_SKIN))


def _narrow_at_brows(rims: F32, rim: F32, rgb: U8, points: F32, window: Window) -> None:
    """Take what is not of a rim's color from ``rims`` (h, w) around each brow, in place."""
    for ring in parts.FEATURE_RINGS[2:4]:
        brow = masks.union(points, (ring,), window, _BROW_REACH * window.side)
        brow = masks.blur(brow, _BROW_SOFT * window.side)
        rows, columns = (np.flatnonzero((rims * brow > 0).any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        edge = int(2 * _AROUND * window.side)
        part = tuple(np.s_[max(int(k[0]) - edge, 0) : int(k[-1]) + edge + 1] for k in (rows, columns))
        share = _share_by_color(rim[part], appearance.lab_from_rgb(rgb[part]), window.side)
        rims[part] *= 1.0 - brow[part] * (1.0 - share)


def _share_by_color(rim: F32, lab: F32, side: int) -> F32:
    """(h, w): how much of each pixel a rim covers, from its colors (h, w, 3); ``rim`` (h, w) probabilities.

    The network sees thin rims wider than they are; the rest is skin that would stay as a light seam.
    """
    # Both colors change slowly: half the size will do.
    size, reach = tuple(max(n // 2, 1) for n in rim.shape[::-1]), 0.5 * _AROUND * side
    small_lab, small = (cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (lab, rim))
    beside = masks.masked_blur(small_lab, np.float32(1.0) - masks.eased(small, _APART), reach)[0]
    off = small_lab - beside
    # The skin at the edges of a rim has colors between the two.
    own = masks.masked_blur(off, masks.eased(small, _CORE) * np.linalg.norm(off, axis=-1), reach)[0]
    beside, own = (cv2.resize(x, rim.shape[::-1], interpolation=cv2.INTER_LINEAR) for x in (beside, own))
    off = lab - beside
    distance = np.sqrt((off * off).sum(axis=-1))
    whole = (own * own).sum(axis=-1)
    share = np.clip((off * own).sum(axis=-1) / np.maximum(_PART * whole, 1.0), 0.0, 1.0)
    share = np.maximum(share, masks.eased(distance / np.sqrt(np.maximum(whole, 1.0)), _UNLIKE))
    inside = masks.grow(masks.eased(rim, RIM_SURE), -_WIDE * side)
    known = whole / (whole + np.float32(_COLOR_NOISE**2))
    return np.asarray(1.0 - known * (1.0 - np.maximum(share, inside)), np.float32)
