"""Brows stand out from the skin as far as the target's do, about.

They belong to the hair, and that stays the target's: dark brows under blond hair, or fair ones under black
hair, are seen at once.  Their form is the source's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import appearance
from faceswap_cli.swap.features import cut_part, part_around
from faceswap_cli.swap.occluder_head import Seen
from faceswap_cli.swap.skin import whole_brows

AS_TARGET = 0.6
"""How far their contrast to the skin follows the target's: its logarithm, and its hue"""
GAIN, HUE = (0.6, 2.0), np.float32(6.0)
"""Limits of the ratio of the contrasts, and of the difference in a* and b*"""
_REACH, _AROUND = 0.006, 0.04
"""Softness of brows, and blur of the skin around, as shares of the crop"""
_LEAST = 1.0
"""L* of contrast that is as good as none"""
_DARK, _LIGHT = 6.0, 0.05
"""L* below the skin from which hair counts wholly, and what lighter places count"""
_SMALLEST = 8
"""Pixels"""
NONE = np.zeros(4, np.float32)
"""Of brows that are not known"""
_KNOWN, _LITTLE = (0.4, 0.8), 0.02
"""Shares of the brows that must be bare to be known a little and wholly, and what is as good as unknown"""


@dataclass(frozen=True, slots=True, eq=False)
class _Brows:
    area: F32 = field(repr=False)
    """(h, w) in [0, 1]"""
    skin: F32 = field(repr=False)
    """(h, w) L* of the skin around, continued under them"""
    contrast: F32
    """(3,) as in :func:`measure_contrast`"""


def measure_contrast(rgb: U8, points: F32, seen: Seen | None = None) -> F32:
    """(4,) how far the brows of a crop (S, S, 3) are known, 0 to 1; times that, their contrast to the skin.

    L* by which they are darker, a* and b* by which they are redder and yellower.  ``points`` (478, 2+) unit
    coordinates; rims and hair over brows, which ``seen`` knows, do not count.
    """
    part = _part(points, Window.full(rgb.shape[0]))
    if part is None:
        return NONE
    bare = np.ones(part.shape, np.float32)
    if seen is not None:
        bare = seen.over(part, (part.width, part.height), slice(0, 1))[..., 0]
    found = _find(appearance.lab_from_rgb(part.of(rgb)), points, part, bare)
    share = (found.area * bare).sum(keepdims=True) / max(float(found.area.sum()), 1.0)
    known = masks.eased(np.asarray(share.ravel(), np.float32), _KNOWN)
    return np.concatenate([known, known * found.contrast])


def tone_brows(lab: F32, measured: F32, points: F32, window: Window) -> None:
    """Bring the contrast of drawn brows near the target's, in place, as far as that is known.

    ``lab`` (h, w, 3) L*a*b* of ``window``; ``measured``: :func:`measure_contrast` of the target; ``points``
    (478, 2+): the drawn mesh, unit coordinates.
    """
    part, known = _part(points, window), float(measured[0])
    if part is None or known < _LITTLE:
        return
    seen, contrast = cut_part(lab, part, window), measured[1:] / known
    drawn = _find(seen, points, part, np.ones(part.shape, np.float32))
    ratio = max(float(contrast[0]), _LEAST) / max(float(drawn.contrast[0]), _LEAST)
    share = np.float32(AS_TARGET * min(known, 1.0))
    gain = np.float32(np.clip(ratio, *GAIN)) ** share - np.float32(1.0)
    seen[..., 1:] += np.clip(share * (contrast - drawn.contrast)[1:], -HUE, HUE) * drawn.area[..., None]
    seen[..., 0] += (seen[..., 0] - drawn.skin) * gain * drawn.area


def _part(points: F32, window: Window) -> Window | None:
    part = part_around(points, parts.FEATURE_RINGS[2:4], window, 6 * _REACH * window.side)
    return None if part is None or min(part.shape) < _SMALLEST else part


def _find(seen: F32, points: F32, part: Window, counts: F32) -> _Brows:
    """Those of a mesh in the picture (h, w, 3) of ``part``; ``counts`` (h, w) in [0, 1]."""
    reach = _REACH * part.side
    area = masks.blur(whole_brows((points,), part, reach), reach)
    bare = masks.union(points, (parts.OVAL,), part, -reach)
    bare *= 1.0 - np.minimum(2.0 * masks.grow(area, reach), 1.0)
    bare *= counts * (1.0 - masks.union(points, (parts.LEFT_EYE, parts.RIGHT_EYE), part, 2 * reach))
    skin, _ = masks.masked_blur(seen, (bare + 1e-4).astype(np.float32), _AROUND * part.side)
    weight = counts * area * np.clip((skin[..., 0] - seen[..., 0]) / _DARK, _LIGHT, 1.0)
    apart = (seen - skin) * np.array([-1, 1, 1], np.float32)
    contrast = (apart * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1.0)
    return _Brows(area, skin[..., 0], np.asarray(contrast, np.float32))
