"""What lies in front of a face: glasses, hair, hands, objects, masks.

Two witnesses.  A small network knows what things look like in front of a face, whatever their color
(``swap.occluder_head``); it decides.  Of hair it is less sure, so there the skin's expected color, the
target's own light field (smoothed over time, so the test does not flicker), finds strands and the hairline.
Elsewhere color would take hard shadows, beards, and highlights for things.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.occluder import CLASSES
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import appearance
from faceswap_cli.swap.glasses import (
    LENS_SOFT,
    RIM_SOFT,
    eye_band,
    find_glasses,
    rim_evidence,
    wears_glasses,
)
from faceswap_cli.swap.occluder_head import Seen

SIDE = 128
TOLERANCE = (20.0, 12.0, 12.0)
"""L*, a*, b* differences that are still skin under local shadow or blush."""
SURE = (0.4, 0.7)
"""Probabilities from which something counts as in front, a little and wholly."""
DOUBT = (0.08, 0.25)
"""Probabilities of hair nearby from which the color test counts."""
NEAR = 0.01
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
SHOWN = 0.005
"""Share of a face below which what covers it is not reported"""
SHADOW = 0.02
"""How far around what is in front its shadow reaches, as a share of the crop"""
_COVERED = (0.12, 0.3)
"""Probabilities from which light is not measured near a place, in part and wholly"""
_REACH = 0.17
"""What :func:`_others` looks at around doubtful places, as a share of the crop"""
_FAINT = 0.04
"""Probability of glasses below which neither rims nor lenses can come out"""
_REMOVED = 0.012
"""How far around removed rims the face is drawn"""
_SHARES_SIDE = 64
_RIM, _LENS, _HAIR = (CLASSES.index(name) for name in ("rim", "lens", "hair"))


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """What lies in front of a face in one window of its crop."""

    matte: F32 = field(repr=False)
    """(h, w) in [0, 1]: how far the target's own pixels stay"""
    lens: F32 | None = field(repr=False, default=None)
    """(h, w) inside of the lenses; None without glasses"""
    removed: F32 | None = field(repr=False, default=None)
    """(h, w) rims that are to be drawn over, up to the face's outline; None where none are"""
    shares: F32 = field(repr=False, default_factory=lambda: np.zeros((1, 1, len(CLASSES)), np.float32))
    """(n, m, 6) what the network sees, over the window; classes as in ``nets.occluder``"""


def share_by_class(front: Front, mask: F32) -> dict[str, float]:
    """Share of ``mask`` (h, w) under each class; those below half a percent are left out."""
    size = front.shares.shape[1::-1]
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    total = np.tensordot(small, front.shares, 2) / max(float(small.sum()), 1e-6)
    found = {name: round(float(v), 4) for name, v in zip(CLASSES, total, strict=True)}
    return {name: v for name, v in found.items() if v >= SHOWN and name != "face"}


def occluder_map(rgb: U8, light: F32, points: F32, window: Window, seen: Seen) -> F32:
    """(h, w) in [0, 1]: :attr:`Front.matte` of :func:`find_front`."""
    return find_front(rgb, light, points, window, seen).matte


def find_front(
    rgb: U8,
    light: F32,
    points: F32,
    window: Window,
    seen: Seen,
    *,
    worn: float | None = None,
    glasses: bool = True,
) -> Front:
    """What lies in front of the face.

    ``rgb`` (h, w, 3) shows ``window``; ``light`` (n, n, 3) Lab is the skin's over the whole crop; ``points``
    (478, 2+) unit coordinates; ``seen`` is what the network sees in the whole crop.  ``worn``: how far the
    person wears glasses, where more than this crop says so.  Without ``glasses`` rims and lenses count as
    face.
    """
    matte = _others(rgb, light, points, window, seen)
    worn = wears_glasses(rim_evidence(seen, points)) if worn is None else worn
    scale = min(_SHARES_SIDE / window.side, 1.0)
    shares = seen.over(window, (max(round(window.width * scale), 1), max(round(window.height * scale), 1)))
    shares[..., [_RIM, _LENS]] *= np.float32(worn)
    if worn <= 0.0:
        return Front(matte, shares=shares)
    rims, lens = (np.zeros(window.shape, np.float32) for _ in range(2))
    cells = seen.shares[..., _RIM] + seen.shares[..., _LENS] > _FAINT
    part = _around(cells, seen, window, 4 * LENS_SOFT + _REMOVED)
    if part is not None:
        found = find_glasses(_view(rgb, window, part), light, points, part, seen)
        for whole, own in zip((rims, lens), found, strict=True):
            _view(whole, window, part)[:] = own * np.float32(worn)
    if not glasses:
        return Front(matte, removed=_drawn_over(rims, points, window) * (1.0 - matte), shares=shares)
    lens *= (1.0 - matte) * (1.0 - rims)
    return Front(np.maximum(matte, rims), lens, shares=shares)


def _drawn_over(rims: F32, points: F32, window: Window) -> F32:
    """(h, w): rims and what is close to them, inside the face's outline."""
    near = masks.grow(rims, _REMOVED * window.side) * masks.union(points, (parts.OVAL,), window)
    return masks.blur(np.asarray(near, np.float32), RIM_SOFT * window.side)


def _others(rgb: U8, light: F32, points: F32, window: Window, seen: Seen) -> F32:
    """(h, w) in [0, 1]: hair, hands, objects, masks, at up to ``SIDE`` px and only where there may be any."""
    matte = np.zeros(window.shape, np.float32)
    hair, thing, mask = (seen.shares[..., k] for k in range(_HAIR, len(CLASSES)))
    hair = np.float32(HAIR_GAIN) * hair
    part = _around(hair + thing + mask > DOUBT[0], seen, window, _REACH)
    if part is None:
        return matte
    scale = min(SIDE / window.side, 1.0)
    size, n = (max(round(part.width * scale), 1), max(round(part.height * scale), 1)), scale * window.side
    small = appearance.lab_from_rgb(cv2.resize(_view(rgb, window, part), size, interpolation=cv2.INTER_AREA))
    both = np.stack([hair + thing + mask, hair], axis=-1)
    in_front, hair = cv2.split(np.minimum(Seen(both, seen.share).over(part, size), 1.0))
    front = masks.eased(_along_edges(np.asarray(in_front, np.float32), small, EDGE_RADIUS * n), SURE)
    near = masks.blur(masks.grow(np.asarray(hair, np.float32), NEAR * n), 0.5 * NEAR * n)
    doubt = masks.eased(near, DOUBT)
    if doubt.any():
        expected = warp.enlarge(light, part, size)
        front = np.maximum(front, doubt * _odd_color(small, expected, points, part, n))
    if front.any():
        whole = cv2.resize(front, (part.width, part.height), interpolation=cv2.INTER_LINEAR)
        _view(matte, window, part)[:] = masks.blur(whole, SOFT * window.side)
    return matte


def _around(cells: NDArray[np.bool_], seen: Seen, window: Window, reach: float) -> Window | None:
    """The part of ``window`` within ``reach`` (a share of the crop) of ``cells`` (n, n) of an answer."""
    n, bounds = cells.shape[0], []
    for axis, start, length in ((1, window.x, window.width), (0, window.y, window.height)):
        rows = np.flatnonzero(cells.any(axis=1 - axis))
        if not len(rows):
            return None
        low, high = rows[0] - 1, rows[-1] + 2
        # What lies outside the answer takes the value at its border.
        first = 0.0 if low < 0 else (low / n - 0.5) * seen.share + 0.5 - reach
        last = 1.0 if high > n else (high / n - 0.5) * seen.share + 0.5 + reach
        begin = max(int(first * window.side), start)
        bounds.append((begin, min(int(last * window.side) + 1, start + length) - begin))
    (x, width), (y, height) = bounds
    return Window(x, y, width, height, window.side) if min(width, height) > 0 else None


def _view(image: NDArray[Any], window: Window, part: Window) -> NDArray[Any]:
    """What an image (h, w[, D]) of ``window`` shows in ``part``, a view."""
    y, x = part.y - window.y, part.x - window.x
    return image[y : y + part.height, x : x + part.width]


def bare_skin(seen: Seen, points: F32, side: int, worn: float) -> F32:
    """(side, side) in [0, 1]: where a crop's light may be measured.

    Not through lenses, and not near rims, hair, hands and objects: they cast shadows.  ``points`` (478, 2+)
    unit coordinates; ``worn``: how far the person wears glasses.
    """
    n = seen.shares.shape[0]
    front = 1.0 - seen.shares[..., :_HAIR].sum(axis=-1)
    if worn > 0.0:
        glasses = seen.shares[..., _RIM] + seen.shares[..., _LENS]
        inner = (points[:, :2] - np.float32(0.5)) / np.float32(seen.share) + np.float32(0.5)
        front += glasses * np.float32(worn) * eye_band(np.asarray(inner, np.float32), Window.full(n))
    if front.max() < DOUBT[1]:
        return np.ones((side, side), np.float32)
    covered = masks.grow(masks.eased(front, _COVERED), SHADOW * n)
    bare = 1.0 - masks.blur(covered, 0.5 * SHADOW * n)
    return Seen(bare[..., None], seen.share).over(Window.full(side), (side, side))[..., 0]


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
    features = masks.dilated(_features(points, window, size), FEATURE_REACH * n)
    allowed = 1.0 - masks.blur(features.astype(np.float32) / np.float32(255), FEATURE_SOFT * n)
    odd = (masks.smoothstep((off.max(axis=2) - 1.0) / ODD) * allowed * 255 + 0.5).astype(np.uint8)
    odd = masks.dilated(masks.dilated(odd, -SPECK * n), GROWN * n)
    # What surrounds a feature also lies over it: close the holes that were cut out above.
    reach = CLOSED * n
    closed = cv2.multiply(masks.dilated(masks.dilated(odd, reach), -reach), features, scale=1 / 255)
    return np.asarray(np.maximum(odd, closed).astype(np.float32) / np.float32(255), np.float32)


def _features(points: F32, window: Window, size: tuple[int, int]) -> U8:
    """Eyes, brows, lips and nostrils over ``window``, (height, width) of ``size`` (width, height)."""
    scale = np.array([size[0] / window.width, size[1] / window.height])
    placed = (points[:, :2] * window.side - (window.x, window.y)) * scale
    canvas = np.zeros(size[::-1], np.uint8)
    for ring in parts.FEATURE_RINGS:
        masks.fill_polygon(np.asarray(placed[list(ring)], np.float32), Window(0, 0, *size, 1), canvas)
    return canvas
