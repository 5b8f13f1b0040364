"""Edits of expression, gaze and head pose.

Smile, mouth, brows and pose are made before anything is drawn (:func:`edited`): a target crop goes in, out
comes the crop as it would be if the person had smiled or turned.  Its landmarks are moved and its picture is
warped along, so that light and the mouth's inside are found where the landmarks say; whatever draws the face
needs to know nothing of edits.  Only what must not move (what passes in front of the face, the outline that
has to be covered) is looked up in ``FaceCrop.before``.

Lids slide over eyes and irises under lids, which no smooth warp can do: they are moved in the drawn face
(:func:`looking`), exactly.

Expressions follow directions fitted on what people's meshes do (``weights/build/edits.py``).  Each changes
its own measure and none of the others.  A head cannot turn inside hair and ears that stay: a pose edit turns
the inner face and fades out towards the outline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from faceswap_cli.config import EditOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32, U8, FaceCrop, RenderedFace
from faceswap_cli.swap.shape import remove_pose
from faceswap_cli.weights.registry import bundled

FILE = "edits.safetensors"
MEASURES = ("smile", "mouth", "brow", "lids")
UNITS = {"smile": 0.22, "mouth": 0.25, "brow": 0.06}
"""Change of a measure that counts as 1, in distances of the outer eye corners.  Of a smile: what one in ten
of the London faces shows between its neutral and its smiling picture; of mouth and brows: a little more than
the range that lively speakers use."""
GAZE_REACH = (0.25, 0.10)
"""Move of an iris that counts as 1, across and up, in widths of the eye."""
_LID_LIFT = 0.12
"""Share of an eye's opening by which the lower lid comes up when it shuts."""
_LID_FOLLOWS = 0.35
"""Share of a blink that a full glance down is."""
_LID_SKIN = (0.6, 0.25)
"""Skin that moves with the lids: above, as a share of the way to the brow; below, in widths of the eye."""
_IRIS_MARGIN = 1.25
"""Radii of an iris that are moved whole; the white of the eye beside it is stretched."""
_HEAD_AXIS = 0.55
"""Depth of the axis of a turning head behind the mean of the mesh, in distances of the outer eye corners."""
_TURN_REACH = 0.35
"""Distance from the outline at which the face turns fully, in the same unit."""
_OWN_MOUTH = (0.25, 0.6)
"""Opening that the target's mouth had, as a share of the wanted one, below which nothing of its inside can be
shown, and from which all can."""
_CAVITY_TOP, _CAVITY_LOW = (0.20, 0.10, 0.10), (0.42, 0.22, 0.22)
"""R'G'B' of an open mouth's inside, as shares of the skin's: dark behind the upper lip, the tongue below."""
_ANCHORS = 16
_EYES = (
    (
        *(33, 133, parts.RIGHT_IRIS, parts.RIGHT_BROW),
        *((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155)),
    ),
    (
        *(362, 263, parts.LEFT_IRIS, parts.LEFT_BROW),
        *((398, 384, 385, 386, 387, 388, 466), (382, 381, 380, 374, 373, 390, 249)),
    ),
)
"""Corners from the image's left, iris, brow, upper and lower lid between the corners."""


def measures(canonical: F32) -> F32:
    """(N, 478, 3) canonical meshes -> (N, 4) smile, mouth, brow, lids; linear in the points.

    Width of the mouth plus rise of its corners; gap of the inner lips; height of the brows over the corners
    of the eyes; gap of the lids.  In distances of the outer eye corners; works on differences as well.
    """
    x, y = canonical[..., 0], canonical[..., 1]
    smile = x[:, 291] - x[:, 61] + y[:, 13] - (y[:, 61] + y[:, 291]) / 2
    brow = y[:, [33, 133, 362, 263]].mean(axis=1) - y[:, list(parts.BROWS)].mean(axis=1)
    lids = (y[:, 145] - y[:, 159] + y[:, 374] - y[:, 386]) / 2
    return np.stack([smile, y[:, 14] - y[:, 13], brow, lids], axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def directions() -> F32:
    """(3, 478, 3) canonical move for a change of 1 in smile, mouth, brow."""
    from safetensors.numpy import load_file

    return np.asarray(load_file(bundled(FILE))["directions"], np.float32)


# Before drawing: skin.


def edited(crop: FaceCrop, edits: EditOptions) -> FaceCrop:
    """``crop`` as it would be after the edits of expression and pose; itself where there are none."""
    if not (edits.smile or edits.mouth or edits.brow or edits.yaw or edits.pitch or edits.roll):
        return crop
    side = np.float32(crop.rgb.shape[0])
    had = np.asarray(crop.landmarks / side, np.float32)
    wanted = moved(had, edits)
    rgb = _moved_picture(crop.rgb, had, wanted)
    missing = 1.0 - _mouth_share(had, wanted)
    if missing > 0.0:
        rgb = _with_cavity(rgb, wanted, missing)
    return replace(crop, rgb=rgb, landmarks=wanted * side, before=crop)


def moved(points: F32, edits: EditOptions) -> F32:
    """Mesh (478, 3), in any unit, after the edits of expression and pose."""
    posed = remove_pose(torch.from_numpy(np.asarray(points, np.float32))[None])
    had: F32 = posed.canonical[0].numpy()
    now = measures(had[None])[0]
    change = np.array([getattr(edits, name) * unit for name, unit in UNITS.items()], np.float32)
    gap = MEASURES.index("mouth")
    change[gap] = max(change[gap], -now[gap])  # shut is shut
    offset = _turned(had + np.tensordot(change, directions(), axes=1), edits) - had
    placed = posed.direct(torch.from_numpy(np.asarray(offset, np.float32))[None])[0].numpy()
    return np.asarray(points + placed, np.float32)


def _turned(shape: F32, edits: EditOptions) -> F32:
    """The inner face turned about the axis of the head; the outline stays."""
    if edits.yaw == edits.pitch == edits.roll == 0.0:
        return shape
    turn = _rotation(edits.yaw, edits.pitch, edits.roll)
    center = np.array([0.0, 0.0, _HEAD_AXIS], np.float32)
    away = (shape - center) @ turn.T + center - shape
    return np.asarray(shape + away * _inner()[:, None], np.float32)


@lru_cache(maxsize=1)
def _inner() -> F32:
    """(478,) how far a point turns with the head: 0 on the outline, 1 well inside."""
    mean = parts.topology().mean_shape[:, :2]
    reach = np.linalg.norm(mean[:, None] - mean[None, list(parts.OVAL)], axis=-1).min(axis=1)
    return masks.smoothstep(reach / _TURN_REACH)


def _rotation(yaw: float, pitch: float, roll: float) -> F32:
    """Degrees, signs as in ``identity.pose`` -> (3, 3); roll after yaw after pitch."""
    y, p, r = np.radians([yaw, -pitch, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, np.float32)


def _moved_picture(rgb: U8, had: F32, wanted: F32) -> U8:
    """``rgb`` (S, S, 3) with what was at ``had`` carried to ``wanted``, unit coordinates; borders stay."""
    side = rgb.shape[0]
    t = ((np.arange(_ANCHORS) + 0.5) / _ANCHORS).astype(np.float32)
    zero, one = np.zeros_like(t), np.ones_like(t)
    border = np.concatenate([np.c_[t, zero], np.c_[t, one], np.c_[zero, t], np.c_[one, t]])
    points = np.concatenate([wanted[:, :2], border])
    moves = np.concatenate([had[:, :2] - wanted[:, :2], np.zeros_like(border)])
    where = warp.sample_map(warp.scatter(points, moves), side, side)
    return np.asarray(cv2.remap(rgb, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _mouth_share(had: F32, wanted: F32) -> float:
    """How much of the wanted mouth's inside the target's own mouth can show."""
    low, high = _OWN_MOUTH
    ratio = parts.mouth_opening(had) / max(parts.mouth_opening(wanted), 1e-6)
    return float(masks.smoothstep(np.array((ratio - low) / (high - low))))


def _with_cavity(rgb: U8, wanted: F32, share: float) -> U8:
    """A dark inside where a shut mouth was opened: there is nothing to show, and lips must not stretch."""
    side = rgb.shape[0]
    inside = masks.blur(masks.union(wanted, (parts.LIPS_INNER,), side), 0.006 * side)
    cheeks = masks.sample(rgb.astype(np.float32), wanted[[50, 280]]).mean(axis=0)
    down = wanted[14, :2] - wanted[13, :2]
    y, x = (np.mgrid[:side, :side].astype(np.float32) + 0.5) / side
    along = ((x - wanted[13, 0]) * down[0] + (y - wanted[13, 1]) * down[1]) / max(float(down @ down), 1e-9)
    low = masks.smoothstep((along - 0.2) / 0.8)[..., None]
    top, bottom = np.array(_CAVITY_TOP, np.float32), np.array(_CAVITY_LOW, np.float32)
    dark = cheeks * (top + (bottom - top) * low)
    return np.asarray(rgb + (dark - rgb) * (inside * np.float32(share))[..., None] + 0.5, np.uint8)


# After drawing: eyes.


@dataclass(frozen=True, slots=True, eq=False)
class _Eye:
    """One eye in its own axes: u from corner to corner to the image's right, v down; px from the first."""

    frame: F32
    """(2, 2) rows are the axes"""
    origin: F32
    width: float
    upper: F32
    """(9, 2) lid from corner to corner, v of the same u in ``lower``"""
    lower: F32
    iris: F32
    """(2,)"""
    radius: float
    skin: tuple[float, float]
    """Reach of the moved skin above the upper and below the lower lid"""

    @classmethod
    def of(cls, points: F32, eye: int) -> _Eye:
        first, last, iris, brow, upper, lower = _EYES[eye]
        xy = points[:, :2]
        across = xy[last] - xy[first]
        width = max(float(np.linalg.norm(across)), 1e-3)
        u = across / width
        frame = np.array([u, [-u[1], u[0]]], np.float32)
        own = (xy - xy[first]) @ frame.T
        lids = [own[[first, *rows, last]] for rows in (upper, lower)]
        rim = np.linalg.norm(own[list(iris[1:])] - own[iris[0]], axis=1).mean()
        to_brow = float(lids[0][:, 1].min() - own[list(brow), 1].mean())
        skin = (max(_LID_SKIN[0] * to_brow, 0.1 * width), _LID_SKIN[1] * width)
        return cls(frame, xy[first], width, lids[0], lids[1], own[iris[0]], float(rim), skin)

    def lids_at(self, u: F32) -> tuple[F32, F32]:
        """v of upper and lower lid at ``u``; they meet in the corners and beyond."""
        top, low = (np.interp(u, lid[:, 0], lid[:, 1]).astype(np.float32) for lid in (self.upper, self.lower))
        return np.minimum(top, low), np.maximum(top, low)


def looking(face: RenderedFace, edits: EditOptions) -> RenderedFace:
    """A drawn face after the edits of gaze and lids; itself where there are none."""
    if not (edits.blink or edits.gaze_x or edits.gaze_y):
        return face
    points = face.crop.landmarks if face.drawn is None else face.drawn
    rgb = face.rgb
    for number in range(2):
        eye = _Eye.of(points, number)
        if edits.gaze_x or edits.gaze_y:
            rgb = _moved_iris(rgb, eye, (edits.gaze_x * GAZE_REACH[0], -edits.gaze_y * GAZE_REACH[1]))
        # A glance up lifts the upper lid, one down lowers it.
        if blink := edits.blink - _LID_FOLLOWS * edits.gaze_y * (1.0 - max(edits.blink, 0.0)):
            rgb = _moved_lids(rgb, eye, blink)
    return replace(face, rgb=rgb)


def _area(rgb: U8, eye: _Eye) -> tuple[tuple[slice, slice], F32, F32] | None:
    """The part of ``rgb`` around an eye, and u and v of its pixels; None when it is not in the picture."""
    u0, u1 = -0.1 * eye.width, 1.1 * eye.width
    v0 = float(eye.upper[:, 1].min()) - eye.skin[0] - 2
    v1 = float(eye.lower[:, 1].max()) + eye.skin[1] + 2
    corners = np.array([[u0, v0], [u1, v0], [u0, v1], [u1, v1]], np.float32) @ eye.frame + eye.origin
    size = np.array(rgb.shape[1::-1])
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, size)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, size)
    if (high <= low).any():
        return None
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32) + np.float32(0.5)
    away = np.stack([x, y], axis=-1) - eye.origin
    own = away @ eye.frame.T
    return np.s_[low[1] : high[1], low[0] : high[0]], own[..., 0], own[..., 1]


def _sampled(rgb: U8, eye: _Eye, u: F32, v: F32) -> F32:
    """``rgb`` where ``u`` and ``v`` point."""
    where = np.stack([u, v], axis=-1) @ eye.frame + eye.origin - np.float32(0.5)
    found = cv2.remap(rgb, where.astype(np.float32), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _moved_lids(rgb: U8, eye: _Eye, blink: float) -> U8:
    """Lids together by the share ``blink`` of their gap, over an eye that stays; apart where negative."""
    found = _area(rgb, eye)
    if found is None:
        return rgb
    area, u, v = found
    top, low = eye.lids_at(u)
    meet = low + _LID_LIFT * (top - low)
    new_top, new_low = top + blink * (meet - top), low + blink * (meet - low)
    start, end = top - eye.skin[0], low + eye.skin[1]
    above = start + (v - start) * eye.skin[0] / (new_top - start)
    below = end - (end - v) * eye.skin[1] / (end - new_low)
    # A lid slides over the eye; where it opens wider there is nothing to uncover: the eye is stretched.
    stretch = (low - top) / np.maximum(new_low - new_top, 1e-3)
    inside = v if blink > 0 else top + (v - new_top) * stretch
    source = np.select([v < start, v < new_top, v <= new_low, v <= end], [v, above, inside, below], v)
    out = rgb.copy()
    out[area] = np.clip(_sampled(rgb, eye, u, source.astype(np.float32)) + 0.5, 0, 255)
    return out


def _moved_iris(rgb: U8, eye: _Eye, move: tuple[float, float]) -> U8:
    """The iris moved by ``move`` (across, down; in widths of the eye) under the lids."""
    found = _area(rgb, eye)
    if found is None:
        return rgb
    area, u, v = found
    middle = float(eye.iris[0])
    across = float(np.clip(middle + move[0] * eye.width, 0.12 * eye.width, 0.88 * eye.width)) - middle
    down = _kept_between(eye, middle + across, move[1] * eye.width)
    from_u = _stretched_beside(eye, across, u)
    near = masks.smoothstep((1.6 * eye.radius - np.abs(u - middle - across)) / (0.6 * eye.radius))
    top, low = eye.lids_at(u)
    was_top, was_low = eye.lids_at(from_u)
    # Lids keep their shape while the eye turns below them; the iris itself moves as a whole.
    share = (v - top) / np.maximum(low - top, 1e-3)
    beside = was_top + share * (was_low - was_top)
    edge = 0.12 * (was_low - was_top)
    from_v = beside + (np.clip(v - down, was_top + edge, was_low - edge) - beside) * near
    soft = _inside_lids(rgb.shape[:2], eye)[area][..., None]
    out = rgb.copy()
    shown = _sampled(rgb, eye, from_u, np.asarray(from_v, np.float32))
    out[area] = np.clip(out[area] + (shown - out[area]) * soft + 0.5, 0, 255)
    return out


def _stretched_beside(eye: _Eye, across: float, u: F32) -> F32:
    """Where ``u`` was before the iris moved ``across``: the iris whole, the white on both sides stretched."""
    middle, reach = float(eye.iris[0]), _IRIS_MARGIN * eye.radius
    first = max(middle + across - reach, 0.02 * eye.width)
    last = max(min(middle + across + reach, 0.98 * eye.width), first + 1e-3)
    new = np.array([0.0, first, last, eye.width])
    return np.asarray(np.interp(u, new, new - [0.0, across, across, 0.0]), np.float32)


def _inside_lids(shape: tuple[int, int], eye: _Eye) -> F32:
    """(H, W) soft opening of the eye."""
    ring = np.concatenate([eye.upper, eye.lower[::-1]]) @ eye.frame + eye.origin
    inside = np.zeros(shape, np.float32)
    cv2.fillPoly(inside, [np.round((ring - 0.5) * 16).astype(np.int32)], 1.0, cv2.LINE_8, 4)
    return masks.blur(inside, max(0.02 * eye.width, 0.4))


def _kept_between(eye: _Eye, u: float, down: float) -> float:
    """``down`` as far as the center of an iris at ``u`` stays between the lids."""
    top, low = (float(lid[0]) for lid in eye.lids_at(np.array([u], np.float32)))
    margin = 0.2 * (low - top)
    at = float(np.clip(float(eye.iris[1]) + down, top + margin, max(low - margin, top + margin)))
    return at - float(eye.iris[1])


# Measuring.


def attributes(landmarks: NDArray[np.floating]) -> dict[str, float]:
    """What a mesh (478, 3) shows, in the units of the edits (``lids``: as measured); see :func:`changes`."""
    from faceswap_cli.identity.pose import pose

    points = np.asarray(landmarks, np.float32)
    shape: F32 = remove_pose(torch.from_numpy(points)[None]).canonical[0].numpy()
    told = dict(zip(MEASURES, measures(shape[None])[0].tolist(), strict=True))
    told |= {name: told[name] / unit for name, unit in UNITS.items()}
    eyes = [_Eye.of(points, number) for number in range(2)]
    told["gaze_x"] = float(np.mean([eye.iris[0] / eye.width for eye in eyes])) / GAZE_REACH[0]
    told["gaze_y"] = -float(np.mean([eye.iris[1] / eye.width for eye in eyes])) / GAZE_REACH[1]
    angles = pose(points)
    return told | {"yaw": float(angles.yaw), "pitch": float(angles.pitch), "roll": float(angles.roll)}


def changes(before: NDArray[np.floating], after: NDArray[np.floating]) -> dict[str, float]:
    """What changed from one mesh to another of the same face, in the units of ``--edit``."""
    old, new = attributes(before), attributes(after)
    told = {name: new[name] - old[name] for name in old if name != "lids"}
    return told | {"blink": 1.0 - new["lids"] / max(old["lids"], 1e-6)}
