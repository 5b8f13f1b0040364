"""The photograph where it saw the face, the network's picture where it did not.

The two are joined band by band (Burt and Adelson 1983), so no seam is left.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.records import F32

_LEVELS = 5
ALL_SEEN = 0.995
"""Visibility from which on there is nothing to fill in."""
_FEWER, _USUAL, _OTHER_TINT = 4, (1.0, 99.0), np.float32(2.0)
"""Of the colors of a photograph: how much smaller it is sampled, their percentiles, and a* and b* beyond
those that a network's picture may have"""


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
