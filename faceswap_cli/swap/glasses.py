"""Glasses: whether a face wears any, and where their rims and lenses are."""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.occluder import CLASSES
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import appearance
from faceswap_cli.swap.guided import follow_edges
from faceswap_cli.swap.occluder_head import Seen

RIM_SURE = (0.12, 0.3)
"""Probabilities of a rim from which its pixels are kept, a little and wholly: rims are thin"""
RIM_PEAK, RIM_NEAR_PEAK = 0.02, (0.35, 0.65)
"""How far around a place its peak is looked for, as a share of the crop; shares of that peak from which it is
a rim, a little and wholly"""
_SIDE = 256
"""Side of the crop at whose scale rims are followed in the picture"""
_REACH, _FLAT, _STEP = 11.0, 3.0, 2
"""Of ``guided.follow_edges`` at that scale"""
_PEAK, _ALIKE = 11, (0.4, 0.6)
"""How far around a place its peak is looked for, px at that scale; shares of that peak from which a place
looks like the rims there, a little and wholly"""
_MARGIN = 3
"""Width of what is kept of a rim's edge, inside and outside, px at that scale: without it rims fade"""
_THIN_CELLS = 5
"""Changes from lens to face wider than this, in cells of the answer, are not rims"""
RIM_SOFT, LENS_SOFT = 0.002, 0.003
"""Softness of rims and lenses, as shares of the crop"""
LENS_SURE = (0.35, 0.65)
_UNLIKE_SKIN = (28.0, 40.0)
"""L* above or below the skin's light from which a doubtful place is a rim, perhaps and surely"""
GLASSES_FROM = (0.045, 0.07)
"""Evidence of rims from which a face wears glasses, perhaps and surely"""
BAND = (0.35, 0.55)
"""How far above and below the eyes glasses reach, in distances of the eyes' outer corners"""
_FACE, _RIM, _LENS = (CLASSES.index(name) for name in ("face", "rim", "lens"))


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

    Where a lens ends there is a rim, even one too thin to be seen at the network's size; a wide change from
    lens to face is doubt, where a rim is what does not have the skin's color.  The network blurs thin rims:
    they are as wide as their probability stays near its peak, and as the picture looks alike there.
    """
    n = seen.shares.shape[0]
    face, rim, lens = (seen.shares[..., k] for k in (_FACE, _RIM, _LENS))
    change = 4.0 * lens * face
    cells = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_THIN_CELLS, _THIN_CELLS))
    thin = np.maximum(rim, cv2.morphologyEx(change, cv2.MORPH_TOPHAT, cells))
    peak = np.maximum(masks.blur(masks.grow(thin, RIM_PEAK * n), 0.5 * RIM_PEAK * n), RIM_SURE[0])
    maps = Seen(cv2.merge([thin, peak, np.maximum(rim, change), lens + 0.5 * rim]), seen.share)
    thin, peak, doubtful, lens = cv2.split(maps.over(window, (window.width, window.height)))
    off = np.abs(appearance.lightness(rgb) - warp.enlarge(np.ascontiguousarray(light[..., 0]), window))
    rims = np.maximum(
        eased(thin, RIM_SURE) * eased(thin / peak, RIM_NEAR_PEAK),
        eased(doubtful, RIM_SURE) * eased(off, _UNLIKE_SKIN),
    )
    rims *= _alike(rgb, window, Seen(maps.shares[..., :1], seen.share))
    band = eye_band(points, window)
    lenses = eased(lens, LENS_SURE) * band
    return masks.blur(rims * band, RIM_SOFT * window.side), masks.blur(lenses, LENS_SOFT * window.side)


def _alike(rgb: U8, window: Window, rim: Seen) -> F32:
    """(h, w) in [0, 1]: how far a place has the colors of the rims around it; ``rim`` (n, n, 1) as seen."""
    scale = _SIDE / window.side
    size = (max(round(window.width * scale), 1), max(round(window.height * scale), 1))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    lab = appearance.lab_from_rgb(np.asarray(small, np.uint8))
    found = follow_edges(rim.over(window, size), lab, _REACH, _FLAT, _STEP)[..., 0]
    box = (2 * _PEAK + 1,) * 2
    peak = cv2.blur(cv2.dilate(found, np.ones(box, np.uint8)), box)
    alike = eased(found / np.maximum(peak, RIM_SURE[0]), _ALIKE)
    alike = cv2.dilate(alike, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_MARGIN, _MARGIN)))
    return np.asarray(cv2.resize(alike, (window.width, window.height), interpolation=cv2.INTER_LINEAR))


def eased(p: F32, bounds: tuple[float, float]) -> F32:
    """0 up to the first bound, 1 from the second, smooth between."""
    return masks.smoothstep((p - bounds[0]) / (bounds[1] - bounds[0]))
