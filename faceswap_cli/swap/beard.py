"""The target's beard, which stays as its hair does.

A beard goes on below the jaw, where no mask reaches: a smooth chin above it would end at a line.  So where
the lower face of the target is as rough as hair, its own pixels are shown, moved as the face is.  Roughness
is known at mesh points; it travels with the face and is smoothed over time like the light.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, MESH_POINTS
from faceswap_cli.swap import detail
from faceswap_cli.swap.appearance import LAB_OFFSET

HAIRY, ROUGH = (1.3, 1.7), (1.25, 1.55)
"""From where there is a beard, a little and wholly: the finest contrast (1 px) of chin and jaw over that of
the cheeks, plus ``DARK`` times by how much they are darker; and the next contrast (2 px) over that of the
cheeks"""
DARK = 4.0
PLACES = (1.0, 1.6)
"""The latter of the places where it grows"""
NUMBERS = MESH_POINTS + 2
NONE = np.zeros(NUMBERS, np.float32)
"""Of a face of which nothing is known"""
_INSIDE, _FEATURES, _AROUND = 0.035, 0.02, 0.02
"""How far inside the outline and beside features it is measured, and the blur of places, as shares of the
crop"""
_INNER = 0.85
"""Points of the outline take what lies inside, at this share of the way from the middle"""
_ABOVE_NOSE, _BELOW_LIPS = 0.05, 0.25
"""How far above the nose's base cheeks end, as a share of the way to the chin; where the chin begins, as a
share of that from the mouth"""
_LEVELS = (2, 4, 8, 16)
_SIDE = 64
_LEAST, _FEW, _SMOOTH = 0.05, 64, 0.0025
"""Least share that is drawn, fewest pixels that say something, and least contrast that cheeks count with"""
_LIPS, _LIPS_SOFT = 0.008, 0.005
"""How far around the lips the drawn face is shown, and how softly that ends, as shares of the crop"""


def measure_beard(octaves: detail.Bands, luma: F32, points: F32, window: Window) -> F32:
    """(NUMBERS,): how rough each point of the lower face is, in [0, 1]; then what ``HAIRY``, ``ROUGH`` judge.

    They are smoothed over time before they are judged.  ``octaves`` of the L* ``luma`` of ``window``;
    ``points`` (478, 2+) unit coordinates.
    """
    size = octaves.coarse[0].shape[::-1]
    planes = (luma, *(np.abs(layer) for layer in octaves.fine))
    level, finest, fine = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes)
    level += np.float32(LAB_OFFSET)
    finest, fine = finest / level, fine / level
    half = Window(window.x // 2, window.y // 2, size[0], size[1], window.side // 2)
    skin = masks.union(points, (parts.OVAL,), half, -_INSIDE * half.side)
    skin *= 1.0 - masks.union(points, parts.FEATURE_RINGS, half, _FEATURES * half.side)
    row = (half.y + np.arange(half.height) + 0.5) / half.side
    brows, nose, mouth, chin = (float(points[rows, 1].mean()) for rows in ([*parts.BROWS], 2, [61, 291], 152))
    cheeks = (skin > 0.5) & ((row > brows) & (row < nose - _ABOVE_NOSE * (chin - nose)))[:, None]
    below = (skin > 0.5) & (row > mouth + _BELOW_LIPS * (chin - mouth))[:, None]
    if min(np.count_nonzero(cheeks), np.count_nonzero(below)) < _FEW:
        return NONE
    light, dark = (float(np.median(level[where])) for where in (cheeks, below))
    usual = [max(float(np.median(plane[cheeks])), _SMOOTH) for plane in (finest, fine)]
    hairy, rough = (
        float(np.median(plane[below])) / u for plane, u in zip((finest, fine), usual, strict=True)
    )
    hairy += DARK * (light - dark) / light
    center = points[list(parts.OVAL), :2].mean(axis=0)
    inner = np.asarray(center + (points[:, :2] - center) * np.float32(_INNER), np.float32)
    where = half.pixels(inner)
    places, _ = masks.masked_blur(fine, skin + np.float32(1e-4), _AROUND * half.side)
    found = cv2.remap(places, where[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = masks.eased(found.ravel() / np.float32(usual[1]), PLACES) * lower_face()
    return np.append(share, np.array([hairy, rough], np.float32)).astype(np.float32)


@lru_cache(maxsize=1)
def lower_face() -> F32:
    """(478,) 1 where beards grow: below the nose, and along the jaw up to the ears."""
    mean = parts.topology().mean_shape
    nose, eyes = mean[2, 1], mean[list(parts.EYES), 1].mean()
    aside = np.clip((np.abs(mean[:, 0]) / np.abs(mean[parts.LEFT_EAR, 0]) - 0.6) / 0.3, 0.0, 1.0)
    top = nose - 0.4 * (nose - eyes) * aside
    return np.asarray(np.clip((mean[:, 1] - top) / (0.25 * (nose - eyes)), 0.0, 1.0), np.float32)


def keep_beard(lab: F32, target: F32, beard: F32, points: F32, drawn: F32, window: Window) -> None:
    """Show the target's beard in a drawn face, in place.

    ``lab``, ``target`` (h, w, 3) L*a*b* of ``window``; ``beard``: :func:`measure_beard`; ``points``,
    ``drawn`` (478, 2+): the target's mesh and the swapped face's, unit coordinates.
    """
    share = beard[:-2] * masks.eased(beard[-2:-1], HAIRY) * masks.eased(beard[-1:], ROUGH)
    if float(share.max()) < _LEAST:
        return
    spread = warp.Spread(drawn[:, :2])
    density = spread.field(share[:, None], levels=_LEVELS, side=_SIDE)[..., 0]
    own = warp.moved(target, spread.field(points[:, :2] - drawn[:, :2]), window)
    lips = masks.union(drawn, (parts.LIPS_OUTER,), window, _LIPS * window.side)
    lips = masks.blur(lips, _LIPS_SOFT * window.side)
    shown = np.clip(warp.enlarge(density, window), 0.0, 1.0) * (1.0 - lips)
    lab += (own - lab) * shown[..., None]
