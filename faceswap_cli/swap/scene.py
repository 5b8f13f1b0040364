"""From a target crop and its landmarks to what the swap network may know of it.

Shared by training, enrollment and swapping, so that they cannot disagree.  Landmarks are unit
coordinates of the 256 px crop; pictures (N, 3, 256, 256) RGB in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceswap_cli.faces.landmarks import (
    LEFT_BROW_RING,
    LEFT_EYE,
    LEFT_IRIS,
    LIPS_INNER,
    LIPS_OUTER,
    NOSE,
    OVAL,
    RIGHT_BROW_RING,
    RIGHT_EYE,
    RIGHT_IRIS,
    topology,
)
from faceswap_cli.nets.fslsd256 import Scene, resized, skin_weight
from faceswap_cli.nets.fslsd256_encoders import HINT_SIDE, PARTS_SIDE, SIDE, SKETCH
from faceswap_cli.nets.meshfield import displacement, enlarged, light_map, visibility
from faceswap_cli.swap.shape import Posed, proportions, remove_pose, retarget, shape_inputs

SKETCH_SIDE = SIDE // 2
_SHIFT = 5
FOREHEAD = 0.75
"""Upper edge of the mask: this share of the way from the brows to the top of the mesh (hair begins there)."""
MASK_BLUR_PX = 3.0
_DARK, _MOST_GAIN = 0.35, 5.0
"""A face darker than this (mean R'G'B') is brightened for the network, at most this far: it has learned from
pictures that people could see."""
_HIDDEN = np.ones((9, 9), np.uint8)
_BROW_TOP = (105, 334)
_PARTS = ((RIGHT_EYE, 0.9), (LEFT_EYE, 0.9), (LIPS_OUTER, 0.7))
"""Points of a part and half the side of its window, in widths of the part."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rasters of one batch of landmarks."""

    sketch: Tensor = field(repr=False)
    """(N, 7, 128, 128)"""
    mask: Tensor = field(repr=False)
    """(N, 1, 256, 256) soft"""
    hidden: Tensor = field(repr=False)
    """(N, 1, 256, 256) what is erased before the network looks: a little more than the mask"""


@dataclass(frozen=True, eq=False)
class Pairing:
    """A source mesh brought together with target meshes."""

    wanted: Tensor = field(repr=False)
    """(N, 478, 3) landmarks that the result shall have"""
    shape: Tensor = field(repr=False)
    flow: Tensor = field(repr=False)
    visible: Tensor = field(repr=False)


def _fixed(points: NDArray[np.float32], side: int) -> NDArray[np.int32]:
    return np.round((points * side - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _fill(canvas: NDArray[np.uint8], points: NDArray[np.float32], rings: tuple[tuple[int, ...], ...]) -> None:
    for ring in rings:
        cv2.fillPoly(canvas, [_fixed(points[list(ring)], len(canvas))], 255, cv2.LINE_AA, _SHIFT)


def sketch(points: NDArray[np.float32], side: int = SKETCH_SIDE) -> NDArray[np.uint8]:
    """Landmarks (478, 2) as filled shapes, (7, side, side) uint8 in the order of ``SKETCH``."""
    out = np.zeros((len(SKETCH), side, side), np.uint8)
    rings = {
        "face": (OVAL,),
        "brows": (RIGHT_BROW_RING, LEFT_BROW_RING),
        "eyes": (RIGHT_EYE, LEFT_EYE),
        "lips": (LIPS_OUTER,),
        "mouth": (LIPS_INNER,),
    }
    for name, shapes in rings.items():
        _fill(out[SKETCH.index(name)], points, shapes)
    eyes = out[SKETCH.index("eyes")]
    discs = out[SKETCH.index("irises")]
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        radius = np.linalg.norm(points[list(iris[1:])] - points[iris[0]], axis=1).mean() * side
        center = _fixed(points[iris[0]], side)
        cv2.circle(
            discs, (int(center[0]), int(center[1])), int(radius * (1 << _SHIFT)), 255, -1, cv2.LINE_AA, _SHIFT
        )
    np.minimum(discs, eyes, out=discs)
    line = _fixed(points[list(NOSE[:8])], side)
    cv2.polylines(out[SKETCH.index("nose")], [line], False, 255, 2, cv2.LINE_AA, _SHIFT)
    base = _fixed(points[[98, 97, 2, 326, 327]], side)
    cv2.polylines(out[SKETCH.index("nose")], [base], False, 255, 2, cv2.LINE_AA, _SHIFT)
    return out


def face_mask(points: NDArray[np.float32], side: int = SIDE) -> NDArray[np.uint8]:
    """Soft mask (side, side) uint8 of the face that is replaced: the oval with a lowered forehead."""
    ring = points[list(OVAL)].copy()
    top = points[10] - points[list(_BROW_TOP)].mean(axis=0)
    up = top / max(float(np.linalg.norm(top)), 1e-6)
    brow = points[list(_BROW_TOP)].mean(axis=0)
    height = (ring - brow) @ up
    ring -= np.where(height > 0, height * (1 - FOREHEAD), 0.0)[:, None] * up
    canvas = np.zeros((side, side), np.uint8)
    cv2.fillPoly(canvas, [_fixed(ring.astype(np.float32), side)], 255, cv2.LINE_AA, _SHIFT)
    canvas = cv2.erode(canvas, np.ones((3, 3), np.uint8), iterations=2)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), MASK_BLUR_PX * side / SIDE), np.uint8)


def draw(points: Tensor, also: Tensor | None = None) -> Drawn:
    """Rasters of meshes (N, 478, >= 2), made on the CPU.  ``also``: meshes whose outline is masked too."""
    flat = points[..., :2].detach().cpu().numpy().astype(np.float32)
    maps = torch.from_numpy(np.stack([sketch(p) for p in flat]))
    masks = [face_mask(p) for p in flat]
    if also is not None:
        more = also[..., :2].detach().cpu().numpy().astype(np.float32)
        masks = [np.maximum(mask, face_mask(p)) for mask, p in zip(masks, more, strict=True)]
    hidden = [hidden_by(mask) for mask in masks]
    layers = [maps, *(torch.from_numpy(np.stack(m))[:, None] for m in (masks, hidden))]
    return Drawn(*(layer.to(points.device).float() / 255 for layer in layers))


def hidden_by(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is erased under a mask (S, S): 0 or 255."""
    return np.asarray(cv2.dilate(np.where(mask > 8, np.uint8(255), np.uint8(0)), _HIDDEN), np.uint8)


def pair(source: Tensor, target: Tensor, basis: Tensor, mix: Tensor, offset: Tensor | None = None) -> Pairing:
    """Meshes (N, 478, 3) of source and target; ``mix`` (478, 1) or (N, 478, 1), see ``swap.shape``.

    ``offset``: the proportions' difference where it is known already (smoothed over time).
    """
    own, theirs = remove_pose(source), remove_pose(target)
    if offset is None:
        offset = proportions(own, theirs, basis)
    return pair_to(source, target, basis, retarget(theirs, target, offset, mix))


def pair_to(source: Tensor, target: Tensor, basis: Tensor, wanted: Tensor) -> Pairing:
    """The same for results whose meshes (N, 478, 3) are known."""
    own, theirs = remove_pose(source), remove_pose(target)
    visible = visibility(source, wanted, torch.from_numpy(topology().triangles).to(source.device))
    return Pairing(
        wanted=wanted,
        shape=shape_inputs(own, theirs, basis, (source, wanted)),
        flow=displacement(source, wanted),
        visible=visible,
    )


def openings(points: Tensor) -> Tensor:
    """(N, 3): opening of right eye, left eye and mouth over their widths."""
    rows = ((159, 145, 33, 133), (386, 374, 362, 263), (13, 14, 78, 308))
    upper, lower, a, b = (list(column) for column in zip(*rows, strict=True))
    gap: Tensor = (points[:, upper, :2] - points[:, lower, :2]).norm(dim=-1)
    width: Tensor = (points[:, a, :2] - points[:, b, :2]).norm(dim=-1)
    return gap / width.clamp_min(1e-4)


def gaze(points: Tensor) -> Tensor:
    """(N, 2): mean offset of the irises from the middle of the eye corners, in eye widths."""
    offsets: list[Tensor] = []
    for iris, (a, b) in ((RIGHT_IRIS[0], (33, 133)), (LEFT_IRIS[0], (362, 263))):
        width = (points[:, a, :2] - points[:, b, :2]).norm(dim=-1, keepdim=True).clamp_min(1e-4)
        offsets.append((points[:, iris, :2] - (points[:, a, :2] + points[:, b, :2]) / 2) / width)
    return (offsets[0] + offsets[1]) / 2


def gated(visible: Tensor, drawn: Drawn, source: Tensor, wanted: Tensor) -> Tensor:
    """Lower the visibility in mouth and eyes where the source's differ: there is nothing to copy."""
    return lowered(visible, drawn, unlike(source, wanted))


def unlike(source: Tensor, wanted: Tensor) -> Tensor:
    """(N, 2) in [0, 1]: how far eyes and mouth of two meshes differ."""
    change = (openings(source) - openings(wanted)).abs()
    look: Tensor = (gaze(source) - gaze(wanted)).norm(dim=-1)
    losses = [4 * change[:, :2].amax(1) + 6 * look, 5 * change[:, 2]]
    return torch.stack(losses, dim=1).clamp(0, 1)


def lowered(visible: Tensor, drawn: Drawn, losses: Tensor) -> Tensor:
    """The visibility (N, 1, n, n), less those ``losses`` (N, 2) in eyes and mouth."""
    side = visible.shape[-1]
    eyes = resized(drawn.sketch[:, SKETCH.index("eyes"), None], side)
    mouth = resized(drawn.sketch[:, SKETCH.index("mouth"), None], side)
    eye_loss, mouth_loss = (x[:, None, None, None] for x in losses.unbind(1))
    return visible * (1 - eyes * eye_loss) * (1 - mouth * mouth_loss)


def part_windows(points: Tensor) -> Tensor:
    """(N, 3, 3): middle (x, y) and half the side of the windows, in unit coordinates."""
    found = []
    for ring, reach in _PARTS:
        p = points[:, list(ring), :2]
        half = reach * (p[..., 0].amax(1) - p[..., 0].amin(1)).clamp_min(0.02)
        found.append(torch.cat([p.mean(1), half[:, None]], dim=1))
    return torch.stack(found, dim=1)


def cut_windows(rgb: Tensor, windows: Tensor) -> Tensor:
    """What ``rgb`` shows in ``windows`` (N, K, 3), (N, 3 K, 32, 32)."""
    axis = (torch.arange(PARTS_SIDE, device=rgb.device) + 0.5) / PARTS_SIDE * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    unit = torch.stack([x, y], -1)
    cuts = []
    for window in windows.unbind(1):
        grid = (window[:, None, None, :2] + window[:, None, None, 2:] * unit) * 2 - 1
        cuts.append(F.grid_sample(rgb, grid, padding_mode="border", align_corners=False))
    return torch.cat(cuts, dim=1)


def face_light(rgb: Tensor, drawn: Drawn) -> Tensor:
    """(N, 3, 8, 8) light map of the face in the crop."""
    return light_map(rgb, skin_weight(drawn.sketch, SIDE) * drawn.mask)


def erase(rgb: Tensor, drawn: Drawn, light: Tensor) -> Tensor:
    """The crop with its face replaced by the light map."""
    return torch.lerp(rgb, enlarged(light, SIDE), drawn.hidden)


def build_scene(
    rgb: Tensor, target: Tensor, pairing: Pairing, drawn: Drawn, light: Tensor | None = None
) -> Scene:
    """Everything the network may know.  ``target`` (N, 478, 3) unit landmarks of ``rgb``.

    ``light``: the light map where it is known already (smoothed over time).
    """
    if light is None:
        light = face_light(rgb, drawn)
    return scene_of(rgb, part_windows(target), pairing, drawn, light)


def scene_of(rgb: Tensor, windows: Tensor, pairing: Pairing, drawn: Drawn, light: Tensor) -> Scene:
    """The same with the :func:`part_windows` of the target's mesh."""
    mouth = resized(drawn.sketch[:, SKETCH.index("mouth"), None], HINT_SIDE)
    return Scene(
        erased=erase(rgb, drawn, light),
        mask=drawn.mask,
        light=light,
        hint=resized(rgb, HINT_SIDE) * mouth,
        parts=cut_windows(rgb, windows),
        sketch=drawn.sketch,
        flow=pairing.flow,
        visible=pairing.visible,
        shape=pairing.shape,
    )


__all__ = ["Drawn", "Pairing", "Posed", "build_scene", "draw", "face_light", "gated", "pair"]


def gain_of(light: Tensor) -> Tensor:
    """(N, 1, 1, 1) factor on R'G'B' that brings a dark face, known by its light map in [-1, 1], into view."""
    mean = (light.mean((1, 2, 3), keepdim=True) + 1) / 2
    return (_DARK / mean.clamp_min(1e-3)).clamp(1.0, _MOST_GAIN)


def brighter(rgb: Tensor, gain: Tensor) -> Tensor:
    """``rgb`` in [-1, 1] with its R'G'B' multiplied."""
    if rgb.device.type == "cpu" and bool((gain == 1.0).all()):
        return rgb
    return brightened(rgb, gain)


def brightened(rgb: Tensor, gain: Tensor) -> Tensor:
    """:func:`brighter` without asking whether anything changes."""
    return torch.where(gain == 1.0, rgb, ((rgb + 1) * gain - 1).clamp(-1.0, 1.0))
