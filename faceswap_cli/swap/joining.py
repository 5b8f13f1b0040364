"""The photograph where it saw the face, the network's picture where it did not.

The two are joined band by band (Burt and Adelson 1983), so no seam is left.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance

_LEVELS = 5
ALL_SEEN = 0.995
"""Visibility from which on there is nothing to fill in."""
_FEWER, _USUAL, _OTHER_TINT = 4, (1.0, 99.0), np.float32(2.0)
"""Of the colors of a photograph: how much smaller it is sampled, their percentiles, and a* and b* beyond
those that a network's picture may have"""

_LEVEL_BLUR, _OTHER_LEVEL, _OTHER_HUE = 0.015, 6.0, 8.0
"""Blur of a network's picture, as a share of the side, the L* by which it may differ from the light on skin
there, and the L* beyond that from which its hue is not skin's either"""


def join(photo: F32, network: F32, seen: F32) -> F32:
    """(n, n, 3) ``photo`` where ``seen`` (n, n) is 1, ``network`` where it is 0, one octave at a time."""
    a, b, m = [np.asarray(photo, np.float32)], [network], [seen]
    for _ in range(_LEVELS):
        for pyramid in (a, b, m):
            pyramid.append(np.asarray(cv2.pyrDown(pyramid[-1]), np.float32))
    out = b[-1] + (a[-1] - b[-1]) * m[-1][..., None]
    for k in range(_LEVELS - 1, -1, -1):
        size = a[k].shape[1::-1]
        fine = [x[k] - cv2.pyrUp(x[k + 1], dstsize=size) for x in (a, b)]
        out = cv2.pyrUp(out, dstsize=size) + fine[1] + (fine[0] - fine[1]) * m[k][..., None]
    return np.asarray(out, np.float32)


def limit_tints(network: F32, photo: F32, points: F32) -> None:
    """Bound a* and b* of a ``network``'s picture (n, n, 3) by those of the face in the ``photo``, in place.

    Networks of this size put violet and blue fringes around lips, eyes and nostrils.  ``points`` (478, 2+):
    the drawn mesh, unit coordinates.
    """
    n = photo.shape[0] // _FEWER
    inside = masks.union(points, (parts.OVAL,), n) > 0.5
    if inside.any():
        colors = cv2.resize(photo[..., 1:], (n, n), interpolation=cv2.INTER_AREA)[inside]
        low, high = np.percentile(colors, _USUAL, axis=0).astype(np.float32)
        network[..., 1:] = np.clip(network[..., 1:], low - _OTHER_TINT, high + _OTHER_TINT)


def limit_levels(network: F32, light: F32, points: F32) -> None:
    """Bound L* of skin in a ``network``'s picture (n, n, 3) by the ``light`` (m, m, 3) there, in place.

    At the far side of a turned head it draws the hair that it sees in the target.  ``points`` (478, 2+): the
    drawn mesh, unit coordinates.
    """
    n = network.shape[0] // _FEWER
    small = cv2.resize(network, (n, n), interpolation=cv2.INTER_AREA)
    lit = cv2.resize(light, (n, n), interpolation=cv2.INTER_LINEAR)
    skin = masks.union(points, (parts.OVAL,), n, 0.02 * n) * (
        1.0 - masks.union(points, parts.FEATURE_RINGS, n, 0.02 * n)
    )
    apart = masks.blur(small[..., 0], _LEVEL_BLUR * n) - lit[..., 0]
    beyond = (apart - np.clip(apart, -_OTHER_LEVEL, _OTHER_LEVEL)) * masks.blur(skin, 0.01 * n)
    if not beyond.any():
        return
    hue = lit[..., 1:] / (lit[..., :1] + np.float32(appearance.LAB_OFFSET))
    fields = np.dstack([beyond, np.clip(np.abs(beyond) / _OTHER_HUE, 0.0, 1.0), hue]).astype(np.float32)
    fields = cv2.resize(fields, network.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    network[..., 0] -= fields[..., 0]
    own = fields[..., 2:] * (network[..., :1] + np.float32(appearance.LAB_OFFSET))
    network[..., 1:] += (own - network[..., 1:]) * fields[..., 1:2]
