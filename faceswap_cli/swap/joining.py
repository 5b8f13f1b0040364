"""Where the photograph is shown and where the network's picture is.

The photograph's own detail lies over the network's low band, which knows the scene's light and tone best,
held to a bounded distance from the relit photograph.  Where no photograph showed the face, the network's
picture is shown whole.  The two are joined band by band (Burt and Adelson 1983), so no seam is left.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32

LIGHT, COLOR = 0.05, 0.02
"""Gaussians that separate the low bands of L* and of a*, b*, as shares of the crop's side.  L* on skin only:
brows, lips and nostrils of two pictures differ, and a blur of the difference would be a halo around them."""
MOST = np.array([8.0, 9.0, 9.0], np.float32)
"""The network's low band may differ by this much (L*, a*, b*) from the relit photograph."""
_TRUST = 0.25
"""Share of skin around from which on the near neighborhood decides."""
_LEVELS = 5
_REDUCED = 4
"""Factor by which pictures are reduced before their low band is taken."""
_ALL_SEEN = 0.995


def join(photo: F32, network: F32, seen: F32, skin: F32) -> F32:
    """(n, n, 3) L*a*b* of both as one picture.

    ``photo`` and ``network`` (n, n, 3) L*a*b* of the whole crop; ``seen`` (n, n) in [0, 1];
    ``skin`` (n, n) where the face shows skin.
    """
    side = photo.shape[0] // _REDUCED
    small = cv2.resize(network - photo, (side, side), interpolation=cv2.INTER_AREA)
    weight = cv2.resize(skin, (side, side), interpolation=cv2.INTER_AREA)
    near, reach = masks.masked_blur(small[..., 0], weight, LIGHT * side)
    wide, _ = masks.masked_blur(small[..., 0], weight, 3 * LIGHT * side)
    light = wide + (near - wide) * masks.smoothstep(reach / _TRUST)[..., None]
    low = np.concatenate([light, masks.blur(small[..., 1:], COLOR * side)], axis=2)
    difference = warp.enlarge(np.asarray(low, np.float32), photo.shape[0])
    shown = photo + MOST * np.tanh(difference / MOST)
    if float(seen.min()) >= _ALL_SEEN:
        return np.asarray(shown, np.float32)
    return _pyramid_blend(shown, network, seen)


def _pyramid_blend(first: F32, second: F32, share: F32) -> F32:
    """``first`` where ``share`` (n, n) is 1, ``second`` where it is 0, one octave at a time."""
    a, b, m = [np.asarray(first, np.float32)], [second], [share]
    for _ in range(_LEVELS):
        for pyramid in (a, b, m):
            pyramid.append(np.asarray(cv2.pyrDown(pyramid[-1]), np.float32))
    out = b[-1] + (a[-1] - b[-1]) * m[-1][..., None]
    for k in range(_LEVELS - 1, -1, -1):
        size = a[k].shape[1::-1]
        fine = [x[k] - cv2.pyrUp(x[k + 1], dstsize=size) for x in (a, b)]
        out = cv2.pyrUp(out, dstsize=size) + fine[1] + (fine[0] - fine[1]) * m[k][..., None]
    return np.asarray(out, np.float32)
