"""The target's beard and moustache, which stay as its hair does.

A beard goes on below the jaw, where no mask reaches: a smooth chin above it would end at a line.  So where
hair grows on the target's lower face, its own pixels are shown, moved as the face is.  Hair is known at mesh
points (``nets.beard``); it travels with the face and is smoothed over time like the light.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.beard import SIDE_OUT, BeardReader
from faceswap_cli.records import F32, MESH_POINTS
from faceswap_cli.swap.occluder_head import Seen
from faceswap_cli.weights.load import load_half
from faceswap_cli.weights.registry import bundled

FILE = "beard.safetensors"
PLACES = (-4.0, -1.5)
"""Log odds from which hair is shown at a place, a little and wholly"""
GROWN = (-0.4, 0.6)
"""The same of the mean over the chin, or over the upper lip: less is stubble, or the folds of an old chin"""
NUMBERS = MESH_POINTS + 2
NONE = np.full(NUMBERS, PLACES[0], np.float32)
"""Of a face of which nothing is known"""
_BELOW_LIPS = 0.25
"""Where the chin begins, as a share of the way from the mouth to its tip"""
_UPPER_LIP = (98, 97, 2, 326, 327, 410, 409, 270, 269, 267, 0, 37, 39, 40, 185, 186)
_AROUND = 0.05
"""Blur of the map, as a share of the crop"""
_INNER = 0.85
"""Points of the outline take what lies inside, at this share of the way from the middle"""
_LEVELS = (2, 4, 8, 16, 32)
_SIDE = 64
_LEAST = 0.05
"""Least share that is drawn"""
_LIPS, _LIPS_SOFT = 0.008, 0.005
"""How far around the lips the drawn face is shown, and how softly that ends, as shares of the crop"""


def measure_beard(seen: Seen, points: F32) -> F32:
    """(NUMBERS,): log odds of hair at each point of a face; then of its chin and of its upper lip.

    They are smoothed over time before they are judged.  ``points`` (478, 2+) in unit coordinates of the crop.
    """
    if not seen.levels:
        return NONE
    mesh = (points[:, :2] - np.float32(0.5)) / np.float32(seen.share) + np.float32(0.5)
    cheeks, *regions = regions_of(mesh)
    with torch.inference_mode():
        odds = beard_reader()(seen.levels, as_weights(cheeks))[0].numpy()
    inside = masks.union(mesh, (parts.OVAL,), SIDE_OUT) + np.float32(1e-3)
    places, _ = masks.masked_blur(odds, inside, _AROUND * SIDE_OUT)
    center = mesh[list(parts.OVAL)].mean(axis=0)
    where = Window.full(SIDE_OUT).pixels(center + (mesh - center) * np.float32(_INNER))
    found = cv2.remap(places, where[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    means = [float((odds * region).sum() / max(float(region.sum()), 1.0)) for region in regions]
    return np.append(found.ravel(), means).astype(np.float32)


def regions_of(points: F32) -> tuple[F32, F32, F32]:
    """Cheeks, chin with jaw, and upper lip of a mesh (478, 2+): (SIDE_OUT, SIDE_OUT) each, in [0, 1]."""
    inside = masks.union(points, (parts.OVAL,), SIDE_OUT)
    row = ((np.arange(SIDE_OUT) + 0.5) / SIDE_OUT)[:, None]
    brows, nose, mouth, chin = (float(points[rows, 1].mean()) for rows in ([*parts.BROWS], 2, [61, 291], 152))
    cheeks = inside * ((row > brows) & (row < nose))
    below = inside * (row > mouth + _BELOW_LIPS * (chin - mouth))
    return cheeks, below, masks.union(points, (_UPPER_LIP,), SIDE_OUT)


def as_weights(region: F32) -> Tensor:
    """(n, n) -> (1, 1, n, n) of sum 1."""
    return torch.from_numpy(region / max(float(region.sum()), 1e-3))[None, None]


@lru_cache(maxsize=1)
def beard_reader() -> BeardReader:
    """The bundled reader."""
    return load_half(BeardReader, bundled(FILE))


@lru_cache(maxsize=1)
def _growing() -> tuple[F32, F32]:
    """(478,) twice: 1 where a beard grows, below the mouth and up the jaw to the ears; on the upper lip."""
    mean = parts.topology().mean_shape
    nose, eyes = mean[2, 1], mean[list(parts.EYES), 1].mean()
    aside = np.clip((np.abs(mean[:, 0]) / np.abs(mean[parts.LEFT_EAR, 0]) - 0.6) / 0.3, 0.0, 1.0)
    top = nose - 0.4 * (nose - eyes) * aside
    low = np.clip((mean[:, 1] - top) / (0.25 * (nose - eyes)), 0.0, 1.0)
    mouth, corner = mean[[61, 291], 1].mean(), np.abs(mean[291, 0])
    on_lip = (mean[:, 1] < mouth) & (np.abs(mean[:, 0]) < 1.2 * corner)
    lip = on_lip * np.clip((mean[:, 1] - nose) / (0.06 * (nose - eyes)), 0.0, 1.0)
    return np.asarray(low * ~on_lip, np.float32), np.asarray(lip, np.float32)


def keep_beard(lab: F32, target: F32, beard: F32, points: F32, drawn: F32, window: Window) -> None:
    """Show the target's beard in a drawn face, in place.

    ``lab``, ``target`` (h, w, 3) L*a*b* of ``window``; ``beard``: :func:`measure_beard`; ``points``,
    ``drawn`` (478, 2+): the target's mesh and the swapped face's, unit coordinates.
    """
    chin, lip = masks.eased(beard[-2:], GROWN)
    low, above = _growing()
    share = masks.eased(beard[:-2], PLACES) * (low * chin + above * lip)
    if float(share.max()) < _LEAST:
        return
    spread = warp.Spread(drawn[:, :2])
    density = spread.field(share[:, None], levels=_LEVELS, side=_SIDE)[..., 0]
    own = warp.moved(target, spread.field(points[:, :2] - drawn[:, :2]), window)
    lips = masks.union(drawn, (parts.LIPS_OUTER,), window, _LIPS * window.side)
    lips = masks.blur(lips, _LIPS_SOFT * window.side)
    shown = np.clip(warp.enlarge(density, window), 0.0, 1.0) * (1.0 - lips)
    lab += (own - lab) * shown[..., None]
