"""The light of the source photograph, taken off its texture once, by half.

What the light of the room did to the skin would be shown in every scene.  Two faults are told apart from the
person's own relief: the two halves of a face mirror each other, so what differs between them is light (a dark
side, a shadow's border); and what is lighter and paler than the skin around it is a highlight.  Half of each
is taken off: the rest may be the person, and recognition suffers from more.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance
from faceswap_cli.swap.appearance import LAB_OFFSET

SHARE = 0.5
"""Of a fault that is taken off."""
_SIDE = 160
_FINE = 0.045
"""Blur that separates light from form, as a share of the texture's side."""
_MOST_SIDE = 0.5
"""Log ratio of L* + 16 between the halves beyond which it is not light: hair, a hand."""
_MIDDLE = 0.12
"""Distance from the face's middle line, in eye distances, at which sides are fully compared."""
_HIGHLIGHT, _PALE = 3.0, 12.0
"""L* above the skin around from which skin shines, and over which its color goes."""
_BASE, _GLOSS = 0.06, 0.008
"""Blurs of the skin around a highlight and of the highlight, as shares of the side."""
_SPOT = 0.85
_GRAY = 0.6
"""Of the color that skin lacks beside the face's median, put back."""
_LEVELS = (2, 4, 8, 16)


def even_out(lab: F32, points: F32) -> F32:
    """A texture (S, S, 3) L*a*b* with mesh ``points`` (478, 3), its own light taken off by half."""
    return _without_highlights(_without_side_light(lab, points), points)


def _without_side_light(lab: F32, points: F32) -> F32:
    small = cv2.resize(lab, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    skin = appearance.skin_area(points, _SIDE)
    blurred, weight = masks.masked_blur(small, skin + np.float32(1e-4), _FINE * _SIDE)
    light, known = masks.sample(blurred, points), np.clip(masks.sample(weight, points) / 0.3, 0.0, 1.0)
    mirror, mean = parts.topology().mirror, parts.topology().mean_shape
    level = np.maximum(light[:, 0] + LAB_OFFSET, 1.0)
    sides = np.clip(np.log(level / level[mirror]), -_MOST_SIDE, _MOST_SIDE)
    trust = known * known[mirror] * np.clip(np.abs(mean[:, 0]) / _MIDDLE, 0.0, 1.0)
    scale = np.exp(-0.5 * SHARE * sides * trust)
    chroma = light[:, 1:] / level[:, None]
    other = chroma[mirror]
    chroma = chroma + 0.5 * SHARE * trust[:, None] * (other - chroma)
    after = np.column_stack([level * scale - LAB_OFFSET, chroma * (level * scale)[:, None]])
    fields = warp.scatter(
        points[:, :2], np.column_stack([light, after]).astype(np.float32), levels=_LEVELS, side=64
    )
    size = lab.shape[0]
    before, changed = (
        warp.enlarge(np.ascontiguousarray(fields[..., part]), size) for part in (slice(3), slice(3, 6))
    )
    inside = masks.blur(masks.union(points, (parts.OVAL,), _SIDE), 0.02 * _SIDE)
    inside = warp.enlarge(inside, size)[..., None]
    return np.asarray(lab + (appearance.relight(lab, before, changed) - lab) * inside, np.float32)


def _without_highlights(lab: F32, points: F32) -> F32:
    side, n = lab.shape[0], 96
    small = cv2.resize(lab, (n, n), interpolation=cv2.INTER_AREA)
    weight = appearance.skin_weight(small, points) + np.float32(1e-3)
    base = warp.enlarge(masks.masked_blur(small, weight, _BASE * n)[0], side)
    features = masks.union(points, (parts.LEFT_EYE, parts.RIGHT_EYE, parts.LIPS_OUTER), side, 0.012 * side)
    skin = masks.union(points, (parts.OVAL,), side, -0.012 * side) * (
        1.0 - masks.blur(features, 0.006 * side)
    )
    gloss = np.maximum(masks.blur(lab[..., 0], _GLOSS * side) - base[..., 0] - _HIGHLIGHT, 0.0) * skin
    out = lab.copy()
    out[..., 0] -= SHARE * _SPOT * gloss
    toward = SHARE * np.clip(gloss / _PALE, 0.0, _SPOT)
    out[..., 1:] += (base[..., 1:] - lab[..., 1:]) * toward[..., None]
    # Gray of stubble and of shadows in blue light would be a stain on other skin and in other light.
    level = np.maximum(out[..., :1], 0.0) + LAB_OFFSET
    inside = weight > 0.5
    if inside.any():
        usual = np.median(small[inside][:, 1:] / (small[inside][:, :1] + LAB_OFFSET), axis=0)
        gray = masks.blur(np.maximum(usual * level - out[..., 1:], 0.0), _GLOSS * side)
        out[..., 1:] += _GRAY * gray * skin[..., None]
    return np.asarray(out, np.float32)
