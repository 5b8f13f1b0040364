"""What lies in front of a face: glasses, hair, hands, objects, masks.

Two witnesses.  A small network knows what things look like in front of a face, whatever their color
(``swap.occluder_head``); it decides.  The skin's expected color, the target's own light field (smoothed over
time, so the test does not flicker), finds the edges of what differs strongly from skin; alone it would take
hard shadows and highlights for things, so it counts only near what the network doubts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.occluder import CLASSES
from faceswap_cli.records import F32
from faceswap_cli.swap.occluder_head import Seen

SIDE = 128
TOLERANCE = (20.0, 12.0, 12.0)
"""L*, a*, b* differences that are still skin under local shadow or blush."""
SURE = (0.5, 0.8)
"""Probabilities from which something counts as in front, a little and wholly."""
DOUBT = (0.08, 0.25)
"""Probabilities nearby from which the color test counts."""
NEAR = 0.03
"""How near, as a share of the crop."""
EDGE_RADIUS, EDGE_NOISE = 0.03, 12.0
"""Reach of the edge refinement as a share of the crop, and the variance of L* that it takes for flat."""
SOFT = 0.006
"""Softness of what lies in front, as a share of the crop"""
ODD = 0.6
"""Differences beyond the tolerance, in tolerances, from which a color is wholly another"""
SPECK, GROWN, CLOSED = 0.012, 0.02, 0.055
"""Odd areas narrower than this are left out, the others grow, and holes are closed: shares of the crop."""
FEATURE_REACH, FEATURE_SOFT = 0.035, 0.01
"""How far around a feature its color is ignored, and how softly that ends, in the same unit."""
HAIR_GAIN = 2.5
"""The network is unsure of hair: the pool's own fringes, which it learns from, were judged by color alone"""
RIM_SURE = (0.15, 0.4)
"""Probabilities of a rim from which its pixels are kept, a little and wholly: rims are thin"""
RIM_SOFT = 0.003
"""Softness of rims, as a share of the crop"""
LENS_SURE = (0.35, 0.65)
SHOWN = 0.005
"""Share of a face below which what covers it is not reported"""
GLASSES_FROM = (0.045, 0.07)
"""Evidence of rims from which a face wears glasses, perhaps and surely"""
BAND = (0.35, 0.55)
"""How far above and below the eyes glasses reach, in distances of the eyes' outer corners"""
_FACE, _RIM, _LENS, _HAIR = (CLASSES.index(name) for name in ("face", "rim", "lens", "hair"))


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """What lies in front of a face in one window of its crop."""

    matte: F32 = field(repr=False)
    """(h, w) in [0, 1]: how far the target's own pixels stay"""
    lens: F32 | None = field(repr=False, default=None)
    """(h, w) inside of the lenses; None without glasses"""
    shares: F32 = field(repr=False, default_factory=lambda: np.zeros((1, 1, len(CLASSES)), np.float32))
    """(n, m, 6) what the network sees, over the window; classes as in ``nets.occluder``"""


def reduced(window: Window) -> tuple[int, int]:
    """(width, height) at which a window is looked at."""
    scale = min(SIDE / window.side, 1.0)
    return max(round(window.width * scale), 1), max(round(window.height * scale), 1)


def share_by_class(front: Front, mask: F32) -> dict[str, float]:
    """Share of ``mask`` (h, w) under each class; those below half a percent are left out."""
    size = front.shares.shape[1::-1]
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    total = (front.shares * small[..., None]).sum(axis=(0, 1)) / max(float(small.sum()), 1e-6)
    found = {name: round(float(v), 4) for name, v in zip(CLASSES, total, strict=True)}
    return {name: v for name, v in found.items() if v >= SHOWN and name != "face"}


def occluder_map(target: F32, light: F32, points: F32, window: Window, seen: Seen) -> F32:
    """(h, w) in [0, 1]: :attr:`Front.matte` of :func:`find_front`."""
    return find_front(target, light, points, window, seen).matte


def find_front(
    target: F32,
    light: F32,
    points: F32,
    window: Window,
    seen: Seen,
    *,
    worn: float | None = None,
    glasses: bool = True,
) -> Front:
    """What lies in front of the face.

    ``target`` and ``light`` are Lab (h, w, 3) of ``window``, as large as it or :func:`reduced`;
    ``points`` (478, 2+) unit coordinates; ``seen`` is what the network sees in the whole crop.
    ``worn``: how far the person wears glasses, where more than this crop says so.  Without ``glasses`` rims
    and lenses count as face.
    """
    size = reduced(window)
    n = min(SIDE / window.side, 1.0) * window.side
    small, expected = (
        x if x.shape[1::-1] == size else cv2.resize(x, size, interpolation=cv2.INTER_AREA)
        for x in (target, light)
    )
    shares = seen.over(window, size)
    told = np.minimum(shares[..., _HAIR:].sum(axis=-1) + (HAIR_GAIN - 1) * shares[..., _HAIR], 1.0)
    front = _eased(_along_edges(told, small, EDGE_RADIUS * n), SURE)
    doubt = _eased(masks.blur(masks.grow(told, NEAR * n), 0.5 * NEAR * n), DOUBT)
    if doubt.any():
        front = np.maximum(front, doubt * _odd_color(small, expected, points, window, n))
    matte = np.zeros(window.shape, np.float32)
    if front.any():
        whole = cv2.resize(front, (window.width, window.height), interpolation=cv2.INTER_LINEAR)
        matte = masks.blur(whole, SOFT * window.side)
    worn = wears_glasses(rim_evidence(seen, points)) if worn is None else worn
    shares[..., [_RIM, _LENS]] *= np.float32(worn)
    if not glasses or worn <= 0.0:
        return Front(matte, None, shares)
    rim, lens = _glasses(seen, points, window)
    rim, lens = rim * np.float32(worn), lens * np.float32(worn) * (1.0 - matte)
    return Front(np.maximum(matte, rim), np.asarray(lens * (1.0 - rim), np.float32), shares)


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


def _glasses(seen: Seen, points: F32, window: Window) -> tuple[F32, F32]:
    """(h, w) rims and lenses, at full size.

    Where a lens ends there is a rim, even one too thin to be seen at the network's size.
    """
    band = eye_band(points, window)
    shares = seen.over(window, (window.width, window.height), slice(_FACE, _LENS + 1))
    face, rim, lens = (shares[..., k] for k in (_FACE, _RIM, _LENS))
    rim, lens = np.maximum(rim, 4.0 * lens * face), lens + 0.5 * rim
    rim, lens = _eased(rim, RIM_SURE) * band, _eased(lens, LENS_SURE) * band
    return masks.blur(rim, RIM_SOFT * window.side), masks.blur(lens, RIM_SOFT * window.side)


def _eased(p: F32, bounds: tuple[float, float]) -> F32:
    return masks.smoothstep((p - bounds[0]) / (bounds[1] - bounds[0]))


def _along_edges(p: F32, lab: F32, radius: float) -> F32:
    """``p`` (h, w) with its edges moved to those of the picture (guided filter on L*; He et al. 2010)."""
    size = (2 * max(round(radius), 1) + 1,) * 2
    guide = np.ascontiguousarray(lab[..., 0])

    def mean(x: F32) -> F32:
        return np.asarray(cv2.blur(x, size, borderType=cv2.BORDER_REFLECT))

    middle, level = mean(guide), mean(p)
    spread = mean(guide * guide) - middle * middle + np.float32(EDGE_NOISE)
    slope = np.asarray((mean(guide * p) - middle * level) / spread, np.float32)
    return np.asarray(mean(slope) * guide + mean(level - slope * middle), np.float32)


def _odd_color(small: F32, expected: F32, points: F32, window: Window, n: float) -> F32:
    """Where the color is not the skin's, (h, w) in [0, 1]; ``n`` px are the side of the crop.

    Outside eyes, brows, lips and nostrils, and coherent areas only: single pixels are noise.
    """
    size = (small.shape[1], small.shape[0])
    off = np.abs(small - expected) / np.array(TOLERANCE, np.float32)
    odd = masks.smoothstep((off.max(axis=2) - 1.0) / ODD)
    features = masks.union(points, parts.FEATURE_RINGS, window)
    features = masks.grow(cv2.resize(features, size, interpolation=cv2.INTER_AREA), FEATURE_REACH * n)
    odd = odd * (1.0 - masks.blur(features, FEATURE_SOFT * n))
    odd = masks.grow(masks.grow(odd, -SPECK * n), GROWN * n)
    # What surrounds a feature also lies over it: close the holes that were cut out above.
    reach = CLOSED * n
    return np.asarray(np.maximum(odd, masks.grow(masks.grow(odd, reach), -reach) * features), np.float32)
