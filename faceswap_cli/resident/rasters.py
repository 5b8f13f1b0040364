"""What landmarks alone decide, drawn on the host as bytes: outlines, parts of the face, their moves.

Polygons are OpenCV's, so a mask here is the mask there; nothing of a picture is needed for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.fslsd256_encoders import SIDE, SKETCH
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import appearance, eyes, features, scene
from faceswap_cli.swap.lane import Lane
from faceswap_cli.swap.methods import mesh
from faceswap_cli.swap.methods.fslsd256 import TINT_SIDE
from faceswap_cli.swap.occluder_head import SIDE as LOOK_SIDE
from faceswap_cli.swap.occluder_head import inside_outline

FULL = (
    *("left_eye", "right_eye", "own_eyes", "irises", "inner_irises", "pupils", "own_irises", "own_whites"),
    *("eye_colour", "lip_colour", "lips", "own_lips", "inner", "mouth", "features"),
)
"""Masks of the crop's size: the eyes as drawn and as the frame shows them, irises, what of them may become
lighter and pupils as drawn, what the frame shows of irises and whites, what takes the source's colour around
eyes and lips, the lips as drawn (a little wider) and as the frame shows them, where detail is compared, the
mouth's inside, all features"""
MOVED = (parts.LIPS_INNER, parts.LEFT_EYE, parts.RIGHT_EYE)
"""Rings of what is taken from the frame"""
EYES = (parts.LEFT_EYE, parts.RIGHT_EYE)


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Of one batch, uint8 in 0..255."""

    full: Tensor
    """(N, len(FULL), S, S)"""
    tinted: Tensor
    """(N, 1, 128, 128) the eyes where colours are compared"""
    moves: Tensor
    """(N, 3, 2, 3) from the crop as drawn to the target's own, of each of ``MOVED``; float32"""
    known: Tensor
    """(N, 3) how far the frame shows the irises, and how far the left and the right eye are open"""


@dataclass(frozen=True, slots=True, eq=False)
class Shut:
    """Eyes of a batch that shut, one row for each."""

    faces: Tensor
    """(E,) numbers of the faces"""
    areas: Tensor
    """(E, 1, S, S) uint8: eyes with their lids, not yet soft"""
    moves: Tensor
    """(E, 2, 3)"""
    soft: Tensor
    """(E, 2) pixels: blurs of the area, and of the skin around"""
    amounts: Tensor
    """(E,) how far they are shut"""


def drawn_scene(points: Sequence[F32], lane: Lane) -> tuple[Tensor, Tensor]:
    """Meshes (478, >= 2) in unit coordinates -> sketches (N, 7, 128, 128), masks and what they hide
    (N, 2, 256, 256): see ``scene.Drawn``."""
    sketches = lane.staging(len(points), len(SKETCH), scene.SKETCH_SIDE, scene.SKETCH_SIDE, dtype=torch.uint8)
    layers = lane.staging(len(points), 2, SIDE, SIDE, dtype=torch.uint8)
    for one, sketched, layer in zip(points, sketches.numpy(), layers.numpy(), strict=True):
        sketched[:] = scene.sketch(one[:, :2])
        layer[0] = scene.face_mask(one[:, :2])
        layer[1] = scene.hidden_by(layer[0])
    return sketches, layers


def skin_masks(points: Sequence[F32]) -> tuple[Tensor, Tensor]:
    """Of targets: (N, 1, 96, 96) where skin may be seen, and where colours are compared; float32."""
    side = appearance.LIGHT_SIDE
    skin = np.stack([appearance.skin_area(one, side) for one in points])
    inner = np.stack([mesh.inner_face(one, Window.full(side)) for one in points])
    return torch.from_numpy(skin)[:, None], torch.from_numpy(inner)[:, None]


def inner_masks(points: Sequence[F32], side: int, lane: Lane) -> Tensor:
    """(N, 1, S, S) uint8, 0 or 255: where the targets' detail is measured."""
    out = lane.staging(len(points), 1, side, side, dtype=torch.uint8)
    for one, into in zip(points, out.numpy(), strict=True):
        _inner(one, side, into[0])
    return out


def _inner(points: F32, side: int, into: U8) -> None:
    np.multiply(mesh.inner_area(points, Window.full(side)).view(np.uint8), np.uint8(255), out=into)


def face_masks(
    wanted: Sequence[F32], own: Sequence[F32], usual: Sequence[tuple[float, float]], side: int, lane: Lane
) -> Masks:
    """Of meshes (478, >= 2) in unit coordinates, as drawn and as the frame shows them.

    ``usual``: how far the eyes mostly are open.
    """
    full = lane.staging(len(wanted), len(FULL), side, side, dtype=torch.uint8)
    tinted = lane.staging(len(wanted), 1, TINT_SIDE, TINT_SIDE, dtype=torch.uint8)
    full.zero_()
    tinted.zero_()
    known = []
    rows = zip(wanted, own, usual, full.numpy(), tinted.numpy(), strict=True)
    for points, there, opened, layers, small in rows:
        layer = dict(zip(FULL, layers, strict=True))
        around, reach = features.LIDS * side, features.LIPS_REACH * side
        for name, eye in zip(("left_eye", "right_eye"), EYES, strict=True):
            _filled(layer[name], points, (eye,))
        shut = features.shut_eyes(parts.eye_apertures(there), np.array(opened, np.float32))
        known.append([_irises(layer, points, there), *(1.0 - shut).tolist()])
        _filled(layer["own_eyes"], there, EYES)
        _filled(layer["eye_colour"], points, EYES, around)
        _filled(layer["lip_colour"], points, (parts.LIPS_OUTER,), around)
        _filled(layer["mouth"], points, (parts.LIPS_INNER,))
        for feature in parts.FEATURE_RINGS:
            masks.fill_polygon(points[list(feature), :2], side, layer["features"])
        _filled(layer["lips"], points, (parts.LIPS_OUTER,), reach, parts.LIPS_INNER)
        _filled(layer["own_lips"], there, (parts.LIPS_OUTER,), 0.0, parts.LIPS_INNER)
        _inner(points, side, layer["inner"])
        _filled(small[0], points, EYES)
    moves = [
        [moved(there, points, ring, side) for ring in MOVED]
        for points, there in zip(wanted, own, strict=True)
    ]
    moved_by = torch.from_numpy(np.array(moves, np.float32))
    return Masks(full, tinted, moved_by, torch.tensor(known, dtype=torch.float32))


def _irises(layer: dict[str, U8], points: F32, there: F32) -> float:
    """Draw the irises and whites; how far the frame shows the irises."""
    side = len(layer["irises"])
    for ring, iris in eyes.EYES:
        disc = eyes.moved_iris(there, points, ring, iris)
        if disc.min() > 0.0 and disc.max() < 1.0:
            part = Window.around(disc, side, 2 / side)
            for name, scale in (("irises", 1.0), ("inner_irises", eyes.LIMBUS), ("pupils", eyes.PUPIL)):
                into = part.of(layer[name])
                np.maximum(into, _bytes(eyes.disc(disc, part, scale)), out=into)
    around = eyes.part_of(there, Window.full(side))
    if around is None:
        return 0.0
    irises, whites, known = eyes.seen_parts(there, around)
    around.of(layer["own_irises"])[:] = _bytes(irises)
    around.of(layer["own_whites"])[:] = _bytes(whites)
    return known


def _bytes(mask: F32) -> U8:
    return np.asarray(np.clip(mask, 0.0, 1.0) * 255 + 0.5, np.uint8)


def _filled(
    into: U8, points: F32, rings: Sequence[Sequence[int]], grown: float = 0.0, hole: Sequence[int] = ()
) -> None:
    """The union of ``rings``, without the ``hole``, ``grown`` by so many pixels; drawn where it lies."""
    side = len(into)
    chosen = points[[k for ring in rings for k in ring]]
    if not ((chosen[:, :2].max(axis=0) > 0).all() and (chosen[:, :2].min(axis=0) < 1).all()):
        return
    part = Window.around(chosen, side, (grown + 3) / side)
    area = np.zeros(part.shape, np.uint8)
    for ring in rings:
        masks.fill_polygon(points[list(ring), :2], part, area)
    if hole:
        inside = masks.fill_polygon(points[list(hole), :2], part)
        area = cv2.multiply(area, 255 - inside, scale=1 / 255)
    part.of(into)[:] = masks.dilated(area, grown)


def moved(points: F32, wanted: F32, ring: Sequence[int], side: int) -> F32:
    """(2, 3): from pixels around a ``ring`` of the mesh as ``wanted`` to those of the target's ``points``.

    As ``features`` moves what it keeps.
    """
    slope, start = np.split(features.plane_of(points, wanted, ring), [2])
    move = np.concatenate([slope, start * side + 0.5 * slope.sum(axis=0)])
    return np.asarray(move.T + np.eye(2, 3), np.float32)


def shut_eyes(
    wanted: Sequence[F32], own: Sequence[F32], usual: Sequence[tuple[float, float]], side: int
) -> Shut | None:
    """The eyes that shut, measured as the host measures it; None without any."""
    rows: list[tuple[int, U8, F32, tuple[float, float], float]] = []
    for k, (points, there, opened) in enumerate(zip(wanted, own, usual, strict=True)):
        shut = features.shut_eyes(parts.eye_apertures(there), np.array(opened, np.float32))
        for ring, amount in zip(EYES, shut.tolist(), strict=True):
            if amount > 0.0:
                width = float(np.ptp(points[list(ring), 0])) * side
                reach = features.EYE_REACH * width
                area = np.zeros((side, side), np.uint8)
                _filled(area, points, (ring,), reach)
                soft = (features.EYE_SOFT * reach, features.LID_BLUR * width)
                rows.append((k, area, moved(there, points, ring, side), soft, amount))
    if not rows:
        return None
    faces, areas, moves, soft, amounts = zip(*rows, strict=True)
    return Shut(
        torch.tensor(faces),
        torch.from_numpy(np.stack(areas))[:, None],
        torch.from_numpy(np.stack(moves)),
        torch.tensor(soft, dtype=torch.float32),
        torch.tensor(amounts, dtype=torch.float32),
    )


def outlines(points: Sequence[F32]) -> Tensor:
    """(N, 2, 128, 128) in [-1, 1]: outline of the face and its features, as ``OccluderHead`` takes them."""
    found = [
        (inside_outline(one, LOOK_SIDE), masks.union(one, parts.FEATURE_RINGS, LOOK_SIDE)) for one in points
    ]
    return torch.from_numpy(2 * np.array(found, np.float32) - 1)


def noise(
    wanted: Sequence[F32], seeds: Sequence[int], most: Sequence[float], side: int, lane: Lane
) -> Tensor:
    """(N, 1, S, S) float32: the grain that the host would add to these faces, where it draws them.

    ``most``: the grain that each shall have; what is less than is worth adding needs no noise.
    """
    out = lane.staging(len(wanted), 1, side, side, dtype=torch.float32).zero_()
    for points, seed, grain, into in zip(wanted, seeds, most, out.numpy(), strict=True):
        if grain > mesh.GRAIN_SEEN:
            window = Window.around(points[list(parts.OVAL)], side)
            window.of(into[0])[:] = mesh.noise(window.shape, seed)
    return out


def mask_bounds(mask: U8, side: int) -> tuple[float, ...]:
    """x0, y0, x1, y1 in pixels of a crop of ``side`` beyond which its mask, drawn as (n, n) bytes, is 0."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0.0, 0.0, 1.0, 1.0
    scale, margin = side / len(mask), 2  # a cubic reaches two pixels further
    return tuple(
        float(np.clip(v * scale, 0, side))
        for v in (columns[0] - margin, rows[0] - margin, columns[-1] + 1 + margin, rows[-1] + 1 + margin)
    )
