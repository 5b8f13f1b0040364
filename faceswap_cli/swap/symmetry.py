"""What one half of the source's face shows, and the other does not.

The two halves of a face have nearly the same skin and the same brows.  So the other half knows what is
missing where hair hangs over a brow or the sun bleaches it.  What differs elsewhere is mostly light: a lamp
at one side, the edge of a patch of sunlight, the shadow of the nose.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.fft import dctn, idctn

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance

_SIDE = 160
"""Side at which the halves are compared"""
_FINE = 1.0
"""Blur, in pixels of that side, of what is compared: moles and pores are finer, and stay"""
_STEEPER = 0.3
"""L* per pixel by which a change must be steeper than the mirrored one"""
_SHARE = 0.5
"""Part of a one-sided change that is taken off: no face is quite symmetric"""
_HARD = (0.6, 1.4)
"""L* per pixel by which it must be steeper to be an edge of sunlight, which goes wholly"""
_BROAD, _SOFT = 0.09, 0.007
"""Blurs of the light that differs between the halves, and around what the other brow gives, in sides"""
_BLEACHED = (5.0, 11.0)
"""L* by which a brow is lighter than the other from which it takes of that, and takes all"""
_BETTER, _WELL = (0.15, 0.45), (0.6, 0.9)
"""How much better the other brow must be seen, and how well, to stand in for one that is covered"""
_AROUND_BROW = 0.035
_LEVELS = (2, 4, 8, 16)


def even_halves(lab: F32, points: F32, seen: F32) -> F32:
    """A texture (S, S, 3) L*a*b* with mesh ``points`` (478, 3), with whole brows and less one-sided light.

    ``seen`` (478,) in [0, 1]: how well the photographs show each point.
    """
    lab = _whole_brows(lab, points, seen)
    return lab + _one_sided_light(lab, points, seen)


def _whole_brows(lab: F32, points: F32, seen: F32) -> F32:
    """Takes from the other brow, in the light of its own half, where a brow is bleached or covered."""
    image = _mirrored(lab, points)
    small, other = _small(lab), _small(image)
    skin = appearance.skin_weight(small, points) * appearance.skin_weight(other, points)
    light = masks.masked_blur(small - other, skin + np.float32(1e-4), _BROAD * _SIDE)[0]
    lighter = masks.blur((small - other - light)[..., 0], _SOFT * _SIDE)
    own_seen, other_seen = _shown(points, seen), _shown(points, seen[parts.topology().mirror])
    brows = parts.FEATURE_RINGS[2:4]
    bleached = masks.eased(lighter, _BLEACHED) * masks.eased(other_seen, (0.85, 1.0))
    bleached *= masks.union(points, brows, _SIDE)
    covered = masks.eased(other_seen - own_seen, _BETTER) * masks.eased(other_seen, _WELL)
    covered *= masks.blur(masks.union(points, brows, _SIDE, _AROUND_BROW * _SIDE), 2.0)
    taken = masks.blur(masks.grow(np.maximum(bleached, covered), _SOFT * _SIDE), _SOFT * _SIDE)
    side = lab.shape[0]
    share = np.clip(warp.enlarge(taken, side), 0.0, 1.0)[..., None]
    return np.asarray(lab + share * (image + warp.enlarge(light, side) - lab), np.float32)


def _one_sided_light(lab: F32, points: F32, seen: F32) -> F32:
    """(S, S, 3) to be added.

    Where colors change more steeply than at the mirrored place, they are made to change as they do there, and
    the picture is put together again from these gradients (Weiss, "Deriving intrinsic images from image
    sequences", ICCV 2001, with the face and its mirror image as the sequence).
    """
    small = _small(lab)
    soft = masks.blur(small, _FINE)
    both = _shown(points, seen * seen[parts.topology().mirror])
    beside_lips = masks.union(points, (parts.LIPS_OUTER,), _SIDE, 0.035 * _SIDE)
    beside_lips *= 1.0 - masks.union(points, (parts.LIPS_OUTER,), _SIDE, 0.004 * _SIDE)
    skin = np.maximum(masks.grow(appearance.skin_area(points, _SIDE), -0.01 * _SIDE), beside_lips)
    skin = masks.blur(skin, 1.0) * both
    own, other = _gradients(soft), _gradients(_mirrored(soft, points))
    steep, usual = (np.hypot(across[..., 0], down[..., 0]) for across, down in (own, other))
    more = steep - usual
    share = skin * masks.smoothstep(more / _STEEPER)
    share *= _SHARE + (1.0 - _SHARE) * masks.eased(more, _HARD)
    share = share[..., None]
    change = _from_gradients(share * (other[0] - own[0]), share * (other[1] - own[1]))
    weight = appearance.skin_weight(small, points)[..., None]
    change -= (change * weight).sum(axis=(0, 1)) / np.maximum(weight.sum(), 1.0)
    inside = masks.blur(masks.union(points, (parts.OVAL,), _SIDE), 1.0)
    return warp.enlarge(np.asarray(change * inside[..., None], np.float32), lab.shape[0])


def _small(lab: F32) -> F32:
    return np.asarray(cv2.resize(lab, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32)


def _shown(points: F32, seen: F32) -> F32:
    """``seen`` (478,) as a picture (n, n)."""
    field = warp.scatter(points[:, :2], seen[:, None], levels=_LEVELS)
    return np.clip(warp.enlarge(field[..., 0], _SIDE), 0.0, 1.0)


def _mirrored(lab: F32, points: F32) -> F32:
    """The mirror image of a face (n, n, 3) in the geometry of the face."""
    other = points[parts.topology().mirror, :2].copy()
    other[:, 0] = 1.0 - other[:, 0]
    where = warp.sample_map(warp.scatter(points[:, :2], other - points[:, :2]), lab.shape[0], lab.shape[0])
    image = np.ascontiguousarray(lab[:, ::-1])
    return np.asarray(cv2.remap(image, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def _gradients(picture: F32) -> tuple[F32, F32]:
    """Steps to the next pixel across and down, 0 in the last column and row."""
    across, down = np.zeros_like(picture), np.zeros_like(picture)
    across[:, :-1], down[:-1] = np.diff(picture, axis=1), np.diff(picture, axis=0)
    return across, down


def _from_gradients(across: F32, down: F32) -> F32:
    """The picture (n, n, 3) of mean 0 with gradients nearest to these: Poisson's equation, by cosines."""
    divergence = across + down
    divergence[:, 1:] -= across[:, :-1]
    divergence[1:] -= down[:-1]
    waves = 2.0 * np.cos(np.pi * np.arange(len(across)) / len(across)) - 2.0
    scale = (waves[:, None] + waves)[..., None]
    scale[0, 0] = 1.0
    cosines = dctn(divergence, axes=(0, 1)) / scale
    cosines[0, 0] = 0.0
    return np.asarray(idctn(cosines, axes=(0, 1)), np.float32)
