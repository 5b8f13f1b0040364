"""What passes in front of the face: hair, glasses, microphones, hands.

The skin's expected colour at each pixel is the target's own light field (smoothed over time, so
the test does not flicker); what differs strongly from it outside eyes, brows, lips and nostrils
is taken for something in front.  Coherent areas only: single pixels are noise.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32

_SIDE = 128
_TOLERANCE = (20.0, 12.0, 12.0)
"""L*, a*, b* differences that are still skin under local shadow or blush."""


def occluder_map(target: F32, light: F32, points: F32, window: Window) -> F32:
    """(h, w) in [0, 1]: 1 where something lies in front of the face.

    ``target`` and ``light`` are Lab (h, w, 3) of ``window``; ``points`` (478, 2+) unit coordinates.
    """
    scale = min(_SIDE / window.side, 1.0)
    size = (max(round(window.width * scale), 1), max(round(window.height * scale), 1))
    n = scale * window.side
    small, expected = (cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (target, light))
    off = np.abs(small - expected) / np.array(_TOLERANCE, np.float32)
    odd = masks.smoothstep((off.max(axis=2) - 1.0) / 0.6)
    features = masks.union(points, parts.FEATURE_RINGS, window)
    features = masks.grow(cv2.resize(features, size, interpolation=cv2.INTER_AREA), 0.035 * n)
    odd = odd * (1.0 - masks.blur(features, 0.01 * n))
    odd = masks.grow(masks.grow(odd, -0.012 * n), 0.02 * n)
    # What surrounds a feature also lies over it: close the holes that were cut out above.
    reach = 0.055 * n
    odd = np.maximum(odd, masks.grow(masks.grow(odd, reach), -reach) * features)
    if not odd.any():
        return np.zeros(window.shape, np.float32)
    whole = cv2.resize(odd, (window.width, window.height), interpolation=cv2.INTER_LINEAR)
    return masks.blur(whole, 0.006 * window.side)
