"""Glasses: whether a face wears any, and where their rims and lenses are."""

from __future__ import annotations

import cv2
import numpy as np

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
RIM_SOFT, LENS_SOFT = 0.001, 0.003
"""Softness of rims and lenses, as shares of the crop"""
GLASSES_FROM = (0.045, 0.07)
"""Evidence of rims from which a face wears glasses, perhaps and surely"""
BAND = (0.35, 0.55)
"""How far above and below the eyes glasses reach, in distances of the eyes' outer corners"""
_RIM = CLASSES.index("rim")


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

    The network at full size decides; hinges and bridges that only the head sees count where they do not have
    the skin's lightness.
    """
    size = (window.width, window.height)
    answer = rims_and_lenses(rgb, points, window, seen)
    rim, lens = cv2.split(cv2.resize(answer, size, interpolation=cv2.INTER_LINEAR))
    head_rim = seen.over(window, size, slice(_RIM, _RIM + 1))[..., 0]
    off = np.abs(appearance.lightness(rgb) - warp.enlarge(np.ascontiguousarray(light[..., 0]), window))
    missed = eased(head_rim, HEAD_SURE) * eased(off, _UNLIKE_SKIN) * (1.0 - eased(lens, LENS_SURE))
    band = eye_band(points, window)
    rims, lenses = np.maximum(eased(rim, RIM_SURE), missed) * band, eased(lens, LENS_SURE) * band
    return masks.blur(rims, RIM_SOFT * window.side), masks.blur(lenses, LENS_SOFT * window.side)


def eased(p: F32, bounds: tuple[float, float]) -> F32:
    """0 up to the first bound, 1 from the second, smooth between."""
    return masks.smoothstep((p - bounds[0]) / (bounds[1] - bounds[0]))
