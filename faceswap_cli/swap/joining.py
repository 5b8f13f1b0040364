"""The photograph where it saw the face, the network's picture where it did not.

The two are joined band by band (Burt and Adelson 1983), so no seam is left.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.records import F32

_LEVELS = 5
ALL_SEEN = 0.995
"""Visibility from which on there is nothing to fill in."""


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
