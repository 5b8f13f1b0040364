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
from faceswap_cli.records import F32

_SIDE = 128
_TOLERANCE = (20.0, 12.0, 12.0)
"""L*, a*, b* differences that are still skin under local shadow or blush."""


def occluder_map(target: F32, light: F32, points: F32) -> F32:
    """(S, S) in [0, 1]: 1 where something lies in front of the face.

    ``target`` and ``light`` are Lab (S, S, 3); ``points`` (478, 2+) unit coordinates.
    """
    side = target.shape[0]
    n = min(_SIDE, side)
    small, expected = (cv2.resize(x, (n, n), interpolation=cv2.INTER_AREA) for x in (target, light))
    off = abs(small - expected) / _TOLERANCE
    odd = masks.smoothstep((off.max(axis=2) - 1.0) / 0.6)
    features = masks.grow(masks.union(points, parts.FEATURE_RINGS, n), 0.035 * n)
    odd = odd * (1.0 - masks.blur(features, 0.01 * n))
    odd = masks.grow(masks.grow(odd, -0.012 * n), 0.02 * n)
    # What surrounds a feature also lies over it: close the holes that were cut out above.
    reach = 0.055 * n
    odd = np.maximum(odd, masks.grow(masks.grow(odd, reach), -reach) * features)
    return masks.blur(cv2.resize(odd, (side, side), interpolation=cv2.INTER_LINEAR), 0.006 * side)
