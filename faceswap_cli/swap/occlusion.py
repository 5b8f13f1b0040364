"""What passes in front of the face: hands, hair, glasses, microphones.

Two witnesses.  A small network has learned what things look like in front of a face, whatever their colour
(``swap.occluder_head``); it decides.  The skin's expected colour, the target's own light field
(smoothed over time, so the test does not flicker), finds the edges of what differs strongly from skin;
alone it would take hard shadows and highlights for things, so it counts only near what the network doubts.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap.occluder_head import Seen

SIDE = 128
TOLERANCE = (20.0, 12.0, 12.0)
"""L*, a*, b* differences that are still skin under local shadow or blush."""
SURE = (0.5, 0.8)
"""Probabilities from which something counts as in front, a little and wholly."""
DOUBT = (0.08, 0.25)
"""Probabilities nearby from which the colour test counts."""
NEAR = 0.03
"""How near, as a share of the crop."""
EDGE_RADIUS, EDGE_NOISE = 0.03, 12.0
"""Reach of the edge refinement as a share of the crop, and the variance of L* that it takes for flat."""
SOFT = 0.006
"""Softness of what lies in front, as a share of the crop"""
ODD = 0.6
"""Differences beyond the tolerance, in tolerances, from which a colour is wholly another"""
SPECK, GROWN, CLOSED = 0.012, 0.02, 0.055
"""Odd areas narrower than this are left out, the others grow, and holes are closed: shares of the crop."""
FEATURE_REACH, FEATURE_SOFT = 0.035, 0.01
"""How far around a feature its colour tells nothing, and how softly that ends, likewise."""


def reduced(window: Window) -> tuple[int, int]:
    """(width, height) at which a window is looked at."""
    scale = min(SIDE / window.side, 1.0)
    return max(round(window.width * scale), 1), max(round(window.height * scale), 1)


def occluder_map(target: F32, light: F32, points: F32, window: Window, seen: Seen) -> F32:
    """(h, w) in [0, 1]: 1 where something lies in front of the face.

    ``target`` and ``light`` are Lab (h, w, 3) of ``window``, as large as it or :func:`reduced`;
    ``points`` (478, 2+) unit coordinates; ``seen`` is what the network says of the whole crop.
    """
    size = reduced(window)
    n = min(SIDE / window.side, 1.0) * window.side
    small, expected = (
        x if x.shape[1::-1] == size else cv2.resize(x, size, interpolation=cv2.INTER_AREA)
        for x in (target, light)
    )
    told = seen.over(window, size)
    front = _eased(_along_edges(told, small, EDGE_RADIUS * n), SURE)
    doubt = _eased(masks.blur(masks.grow(told, NEAR * n), 0.5 * NEAR * n), DOUBT)
    if doubt.any():
        front = np.maximum(front, doubt * _odd_colour(small, expected, points, window, n))
    if not front.any():
        return np.zeros(window.shape, np.float32)
    whole = cv2.resize(front, (window.width, window.height), interpolation=cv2.INTER_LINEAR)
    return masks.blur(whole, SOFT * window.side)


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


def _odd_colour(small: F32, expected: F32, points: F32, window: Window, n: float) -> F32:
    """Where the colour is not the skin's, (h, w) in [0, 1]; ``n`` px are the side of the crop.

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
