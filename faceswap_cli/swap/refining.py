"""What the refiner sees of a drawn face, and what its answer does to it.

Training makes its pairs through the same functions, so that it learns from what it will see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.refiner import INPUTS, SIDE
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import appearance

Refine = Callable[[U8], F32]
""":func:`stacked` (22, 128, 128) -> (64, 64, 3) change of L*, a*, b*"""
LAB_SCALE = np.array([255 / 100, 1.0, 1.0], np.float32)
LAB_ZERO = np.array([0.0, 128.0, 128.0], np.float32)
_DRAWN_PARTS = (
    (parts.FEATURE_RINGS[2:4]),
    (parts.LEFT_EYE, parts.RIGHT_EYE),
    (parts.LIPS_OUTER,),
    (parts.LIPS_INNER,),
)


def coded(lab: F32) -> U8:
    """(..., 3) L*a*b* as bytes."""
    return np.asarray(np.clip(lab * LAB_SCALE + LAB_ZERO + 0.5, 0, 255), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """What the refiner sees beside the drawn face."""

    target: F32 = field(repr=False)
    """(SIDE, SIDE, 3) L*a*b* of the whole crop"""
    seen: F32 = field(repr=False)
    """(SIDE, SIDE) in [0, 1]: how far a photograph is shown"""
    light: F32 = field(repr=False)
    """(n, n, 3) low-frequency L*a*b* of the target's skin"""
    source_light: F32 = field(repr=False)
    """(n, n, 3) the same of the photograph, carried to the drawn face"""
    network: F32 = field(repr=False)
    """(m, m, 3) R'G'B' in [0, 1]: the network's picture of the whole crop"""
    points: F32 = field(repr=False)
    """(478, 3) the drawn mesh, unit coordinates"""


def refine_drawn(lab: F32, mask: F32, front: F32, around: Around, window: Window, refine: Refine) -> None:
    """Fit a drawn face (h, w, 3) of ``window`` to what is around it; in place.

    ``mask`` (h, w) where it will be pasted; ``front`` (h, w) what lies in front of it.
    """
    pasted, share = composite(lab, mask, around.target, window)
    lab += warp.enlarge(refine(stacked(pasted, share, onto_crop(front, window), around)), window)


def composite(drawn: F32, mask: F32, target: F32, window: Window) -> tuple[F32, F32]:
    """A drawn face (h, w, 3) of ``window`` laid into the whole crop, L*a*b* at ``SIDE``, and its mask.

    ``mask`` (h, w); ``target`` (SIDE, SIDE, 3) the crop.
    """
    layers = np.concatenate([drawn, mask[..., None]], axis=2)
    placed = onto_crop(layers, window)
    share = placed[..., 3:]
    return np.asarray(target + (placed[..., :3] - target) * share, np.float32), share[..., 0]


def onto_crop(picture: F32, window: Window) -> F32:
    """(h, w[, D <= 4]) of ``window`` -> (SIDE, SIDE[, D]) of the whole crop, 0 outside the window."""
    scale = SIDE / window.side
    size = (max(round(window.width * scale), 1), max(round(window.height * scale), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    across, down = window.width * scale / size[0], window.height * scale / size[1]
    matrix = np.array(
        [
            [across, 0, window.x * scale + 0.5 * across - 0.5],
            [0, down, window.y * scale + 0.5 * down - 0.5],
        ]
    )
    return np.asarray(cv2.warpAffine(small, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.float32)


def stacked(pasted: F32, mask: F32, front: F32, around: Around) -> U8:
    """(22, SIDE, SIDE) bytes in the order of ``nets.refiner.INPUTS``.

    ``pasted`` (SIDE, SIDE, 3) L*a*b*; ``mask`` and ``front`` (SIDE, SIDE) in [0, 1].
    """
    light, points = around.light, around.points
    normals = warp.vertex_normals(points, parts.topology().triangles)
    facing = warp.scatter(points[:, :2], normals, levels=(2, 4, 8, 16), side=light.shape[0])
    inside = masks.union(points, (parts.OVAL,), light.shape[0])[..., None]
    fields = warp.enlarge(np.ascontiguousarray(facing * inside), SIDE) * 127.5 + 127.5
    out = np.empty((len(INPUTS), SIDE, SIDE), np.uint8)
    out[:3] = coded(pasted).transpose(2, 0, 1)
    out[3:6] = np.clip(np.stack([mask, around.seen, front]) * 255 + 0.5, 0, 255)
    out[6:9] = coded(warp.enlarge(light, SIDE)).transpose(2, 0, 1)
    out[9:12] = np.clip(fields + 0.5, 0, 255).transpose(2, 0, 1)
    for k, rings in enumerate(_DRAWN_PARTS, start=12):
        out[k] = 0
        for ring in rings:
            masks.fill_polygon(points[list(ring), :2], SIDE, out[k])
    network = cv2.resize(around.network, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    out[16:19] = coded(appearance.lab_from_float(network)).transpose(2, 0, 1)
    out[19:22] = coded(warp.enlarge(around.source_light, SIDE)).transpose(2, 0, 1)
    return out
