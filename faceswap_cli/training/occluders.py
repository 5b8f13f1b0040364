"""Faces with something in front of them, made from clear ones: what the occluder head learns from.

A sample begins with a picture of the pool.  Beards, make-up, shadows and bright spots are laid on the
skin first: they are part of the face.  Then hands, things, hair or glasses are laid in front, with
their shadows; last the whole picture goes through a bad camera.
Layers are (rgb in [0, 1] (S, S, 3), alpha (S, S)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, masks
from faceswap_cli.nets.occluder import SIDE
from faceswap_cli.records import F32, U8
from faceswap_cli.training.covering import already_covered, outline_weight
from faceswap_cli.training.hands import Layer, Rng, hand, noise
from faceswap_cli.training.pool import Pool

CLEAR = 0.22
"""Share of samples with nothing in front."""
_ADDED = 1.7
"""Weight of what is covered: to draw over a hand is worse than to leave some skin as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training picture."""

    rgb: U8 = field(repr=False)
    """(128, 128, 3)"""
    points: F32 = field(repr=False)
    """(478, 2) unit coordinates, displaced a little, as a tracker would under an occluder"""
    covered: F32 = field(repr=False)
    """(128, 128) share of each pixel that something covers"""
    weight: F32 = field(repr=False)
    """(128, 128) how much each pixel counts"""


@dataclass(frozen=True, slots=True, eq=False)
class _Face:
    rgb: F32
    points: F32
    skin: F32
    """(3,) median colour of the cheeks"""
    centre: F32
    """(2,) px"""
    height: float
    """px of the face outline"""


def _cut(pool: Pool, row: int, rng: Rng) -> _Face:
    """A random similarity around the swap crop, mirrored half of the time, at 128 px."""
    source, points = np.asarray(pool.pixels[row]), pool.landmarks[row]
    if rng.random() < 0.5:
        source, points = np.ascontiguousarray(source[:, ::-1]), parts.mirrored(points, source.shape[1])
    size = source.shape[0]
    zoom = 2 * SIDE / (size * align.SWAP_SCALE) * np.exp(rng.normal(0, 0.05))
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 4), zoom)
    matrix[:, 2] += SIDE - size / 2 + rng.normal(0, 3, 2)
    big = cv2.warpAffine(source, matrix, (2 * SIDE, 2 * SIDE), borderMode=cv2.BORDER_REFLECT)
    small = cv2.resize(big, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    unit = ((points[:, :2] @ matrix[:, :2].T + matrix[:, 2]) / (2 * SIDE)).astype(np.float32)
    oval = unit[list(parts.OVAL)] * SIDE
    cheeks = np.clip(unit[[50, 280, 205, 425, 117, 346, 199]] * SIDE, 0, SIDE - 1).astype(int)
    skin = np.median(small[cheeks[:, 1], cheeks[:, 0]], axis=0).astype(np.float32) / 255
    rgb = small.astype(np.float32) / np.float32(255)
    return _Face(rgb, unit, skin, oval.mean(axis=0), float(np.ptp(oval[:, 1])))


def _cloth(pool: Pool, rng: Rng) -> F32:
    """(S, S, 3) of some surface: a piece of another picture, a plain colour, stripes."""
    kind = rng.random()
    if kind < 0.55:
        source = pool.pixels[int(rng.integers(len(pool)))]
        n = int(rng.integers(24, 200))
        y, x = rng.integers(0, source.shape[0] - n, 2)
        piece = cv2.resize(np.asarray(source[y : y + n, x : x + n]), (SIDE, SIDE)).astype(np.float32) / 255
        turned = np.rot90(piece, int(rng.integers(4))) * rng.uniform(0.5, 1.2)
        return np.asarray(np.clip(turned * (1 + rng.normal(0, 0.1, 3)), 0, 1), np.float32)
    plain = rng.random(3) * rng.uniform(0.1, 1) if kind < 0.85 else np.full(3, rng.random())
    rgb = np.broadcast_to(plain.astype(np.float32), (SIDE, SIDE, 3)).copy()
    if rng.random() < 0.3:
        waves = np.sin(np.arange(SIDE) * rng.uniform(0.1, 1.2))[:, None, None] > rng.uniform(-0.8, 0.8)
        rgb = np.where(waves if rng.random() < 0.5 else waves.transpose(1, 0, 2), rgb, rng.random(3))
    light = 1 + rng.uniform(0, 0.3) * noise(rng, SIDE, int(rng.integers(2, 9)))
    return np.clip(rgb * light[..., None], 0, 1).astype(np.float32)


def _filled(polygon: NDArray[np.floating[Any]]) -> F32:
    return masks.fill_polygon(np.asarray(polygon / SIDE, np.float32), SIDE).astype(np.float32) / np.float32(
        255
    )


def _blob(pool: Pool, face: _Face, rng: Rng) -> Layer:
    """A polygon, angular or round, somewhere over the face."""
    count = int(rng.integers(3, 12))
    angle = np.sort(rng.uniform(0, 2 * np.pi, count))
    radius = face.height * rng.uniform(0.12, 0.5) * rng.uniform(0.6, 1.2, count)
    centre = face.centre + rng.uniform(-0.55, 0.55, 2) * face.height
    shape = _filled(centre + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None])
    if rng.random() < 0.6:
        shape = masks.smoothstep((masks.blur(shape, rng.uniform(2, 7)) - 0.4) / 0.2)
    return _cloth(pool, rng), shape


def _bar(pool: Pool, face: _Face, rng: Rng) -> Layer:
    """A stick, perhaps with a ball on its end: microphones, pens, straws, spoons."""
    angle = rng.uniform(-np.pi, np.pi)
    out = np.array([np.cos(angle), np.sin(angle)])
    tip = face.centre + rng.uniform(-0.4, 0.4, 2) * face.height
    thick = face.height * rng.uniform(0.02, 0.14)
    across = np.array([-out[1], out[0]]) * thick / 2
    far = tip + out * 2 * SIDE
    shape = _filled(np.array([tip + across, far + across * 1.3, far - across * 1.3, tip - across]))
    rgb = _cloth(pool, rng)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    if rng.random() < 0.5:
        radius = thick * rng.uniform(0.8, 1.8)
        ball = np.clip(radius - np.hypot(x - tip[0], y - tip[1]) + 0.5, 0, 1).astype(np.float32)
        mesh = rng.random() * (1 + 0.3 * np.sign(np.sin(x * 2) * np.sin(y * 2)))[..., None]
        rgb = np.where(ball[..., None] > 0.5, mesh, rgb).astype(np.float32)
        shape = np.maximum(shape, ball)
    across_it = ((x - tip[0]) * across[0] + (y - tip[1]) * across[1]) / max(float(across @ across), 1e-3)
    return np.clip(rgb * (1 - 0.3 * np.clip(across_it, -1.5, 1.5)[..., None]), 0, 1).astype(np.float32), shape


def _cup(pool: Pool, face: _Face, rng: Rng) -> Layer:
    """A cup, bottle or telephone at the lower face, or any upright box."""
    width = face.height * rng.uniform(0.2, 0.6)
    top = face.centre + np.array([rng.uniform(-0.3, 0.3), rng.uniform(-0.2, 0.35)]) * face.height
    tall, taper = face.height * rng.uniform(0.3, 1.2), rng.uniform(0.6, 1.1)
    corners = np.array([[-1, 0], [1, 0], [taper, 1], [-taper, 1]]) * (width / 2, tall)
    c, s = np.cos(t := rng.normal(0, 0.4)), np.sin(t)
    shape = _filled(corners @ np.array([[c, s], [-s, c]]) + top)
    x = (np.arange(SIDE) - top[0]) / width
    round_it = (
        1 - rng.uniform(0, 1.2) * np.clip(x, -0.7, 0.7) ** 2 + rng.uniform(-0.5, 0.5) * np.clip(x, -1, 1)
    )
    return np.clip(_cloth(pool, rng) * round_it[None, :, None], 0, 1).astype(np.float32), shape


def _mask(pool: Pool, face: _Face, rng: Rng) -> Layer:
    """A medical mask or scarf: everything below a line across the nose."""
    line = float(rng.uniform(0.1, 0.9))
    left, right, nose = (face.points[k] * SIDE for k in (234, 454, 6))
    low = face.points[2] * SIDE
    top = nose + (low - nose) * line
    jaw, drop = face.points[list(parts.OVAL[9:28])] * SIDE, np.array([0, 6 * line])
    ring = np.concatenate([(left + drop)[None], top[None], (right + drop)[None], jaw])
    shape = _filled((ring - ring.mean(0)) * rng.uniform(0.95, 1.15) + ring.mean(0))
    if rng.random() < 0.5:
        rgb = np.full((SIDE, SIDE, 3), rng.choice([0.9, 0.75, 0.1]), np.float32) * (
            1,
            1,
            rng.uniform(0.9, 1.3),
        )
        folds = 1 + 0.1 * np.sin(np.arange(SIDE) * rng.uniform(0.3, 1.2))[:, None, None]
        rgb = np.clip(rgb * folds * (1 + 0.1 * noise(rng, SIDE, 5)[..., None]), 0, 1)
        return rgb.astype(np.float32), shape
    return _cloth(pool, rng), shape


def _hair(face: _Face, rng: Rng) -> Layer:
    """Strands that fall from above the face over forehead or a cheek."""
    crown = np.clip(face.points[10] * SIDE + rng.uniform(-20, 20, 2) - (0, 12), 0, SIDE - 1).astype(int)
    own = face.rgb[crown[1], crown[0]]
    colour = own if rng.random() < 0.5 else np.array([0.35, 0.25, 0.18]) * rng.uniform(0.2, 2.4)
    tone, alpha = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    height = face.height
    middle = rng.uniform(-0.45, 0.45) * height
    spread, lean = height * rng.uniform(0.03, 0.22), rng.normal(0, 0.5)
    length, along = height * rng.uniform(0.25, 1.1), np.linspace(0, 1, 8)
    for _ in range(int(rng.integers(4, 60))):
        start = face.centre + np.array([middle + rng.normal(0, spread), -height * rng.uniform(0.5, 0.65)])
        x = lean * along + rng.normal(0, 0.15) * along**2 + rng.normal(0, 0.05)
        strand = start + np.stack([x, along], 1) * length * rng.uniform(0.7, 1.1)
        fixed = (strand * 16).astype(np.int32)
        thick = int(rng.integers(1, 3))
        cv2.polylines(tone, [fixed], False, int(rng.integers(90, 255)), thick, cv2.LINE_AA, 4)
        cv2.polylines(alpha, [fixed], False, int(rng.integers(150, 255)), thick, cv2.LINE_AA, 4)
    rgb = colour * (0.4 + 0.9 * tone.astype(np.float32)[..., None] / 255)
    return np.clip(rgb, 0, 1).astype(np.float32), alpha.astype(np.float32) / np.float32(255)


def _glasses(face: _Face, rng: Rng) -> Layer:
    """Rims, bridge and temples, with or without dark lenses."""
    rim = np.zeros((SIDE, SIDE), np.uint8)
    lens = np.zeros((SIDE, SIDE), np.uint8)
    thick = int(rng.integers(1, 4))
    eyes = [face.points[list(ring)].mean(0) * SIDE for ring in (parts.RIGHT_EYE, parts.LEFT_EYE)]
    apart = float(np.hypot(*(eyes[1] - eyes[0])))
    half = np.array([rng.uniform(0.32, 0.44), rng.uniform(0.22, 0.38)]) * apart
    sharp, angle = rng.uniform(2, 5), np.linspace(0, 2 * np.pi, 40, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    ring = np.stack([np.sign(c) * np.abs(c) ** (2 / sharp), np.sign(s) * np.abs(s) ** (2 / sharp)], 1) * half
    drop, lines = rng.uniform(0, 0.1) * apart, []
    for eye, ear in zip(eyes, (face.points[127] * SIDE, face.points[356] * SIDE), strict=True):
        centre = eye + np.array([0, drop])
        lines.append(ring + centre)
        cv2.fillPoly(lens, [((ring + centre) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        side = np.sign(ear[0] - eye[0])
        lines.append(np.array([centre + half * (side, -0.5), ear]))
    lines.append(np.stack(eyes) + np.array([[half[0], drop], [-half[0], drop]]))
    for line in lines:
        cv2.polylines(rim, [(line * 16).astype(np.int32)], len(line) > 2, 255, thick, cv2.LINE_AA, 4)
    dark = rng.uniform(0.7, 1.0) if rng.random() < 0.6 else 0.0
    alpha = np.maximum(rim, lens * dark).astype(np.float32) / np.float32(255)
    colour = rng.random(3) * rng.choice([0.15, 0.6]) * np.ones((SIDE, SIDE, 3))
    return np.clip(colour * (1 + 0.3 * noise(rng, SIDE, 4)[..., None]), 0, 1).astype(np.float32), alpha


def _hand(pool: Pool, face: _Face, rng: Rng) -> Layer:
    """A hand in the person's own skin, now and then in somebody else's, lit as the face is."""
    skin = face.skin if rng.random() < 0.75 else _other_skin(pool, rng)
    rgb, alpha = hand(rng, skin, face.centre, face.height, SIDE)
    if rng.random() < 0.6:
        # What falls on the face falls on the hand: the picture's own light, far blurred.
        light = masks.blur(face.rgb.mean(axis=2), 0.15 * SIDE)
        rgb *= np.clip(light / max(float(light.mean()), 0.02), 0.5, 1.6)[..., None]
    if rng.random() < 0.5:
        detail = face.rgb - masks.blur(face.rgb, rng.uniform(1.5, 4))
        rgb += np.roll(detail, rng.integers(0, SIDE, 2), (0, 1)) * rng.uniform(0, 0.6)
    return np.clip(rgb, 0, 1).astype(np.float32), alpha.astype(np.float32)


def _other_skin(pool: Pool, rng: Rng) -> F32:
    row = int(rng.integers(len(pool)))
    x, y = np.clip(pool.landmarks[row, 205, :2], 0, pool.pixels.shape[1] - 1).astype(int)
    return np.asarray(pool.pixels[row, y, x], np.float32) / np.float32(255)


def _layers(pool: Pool, face: _Face, rng: Rng) -> list[Layer]:
    count = 0 if rng.random() < CLEAR else 1 + int(rng.random() < 0.25)
    drawn = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.60:
            drawn.append(_hand(pool, face, rng))
        elif kind < 0.67:
            drawn.append(_hair(face, rng))
        elif kind < 0.72:
            drawn.append(_glasses(face, rng))
        else:
            things = (_blob, _bar, _cup, _mask)
            drawn.append(things[int(rng.choice(4, p=(0.4, 0.25, 0.2, 0.15)))](pool, face, rng))
    return drawn


def _streak(rng: Rng, longest: float) -> F32:
    """Kernel of a straight motion of up to ``longest`` px."""
    size = 2 * int(rng.uniform(1, longest)) // 2 + 1
    kernel = np.zeros((size, size), np.float32)
    angle, half = rng.uniform(0, np.pi), size // 2
    step = np.array([np.cos(angle), np.sin(angle)]) * half
    cv2.line(kernel, (half + step).astype(int).tolist(), (half - step).astype(int).tolist(), 1.0, 1)
    return kernel / max(float(kernel.sum()), 1e-6)


def _laid(picture: F32, layer: Layer, rng: Rng) -> tuple[F32, F32]:
    """``layer`` over ``picture`` with its shadow and motion, and its share of each pixel."""
    rgb, alpha = layer
    colour = rgb * alpha[..., None]
    if rng.random() < 0.25:
        kernel = _streak(rng, 12)
        colour, alpha = cv2.filter2D(colour, -1, kernel), cv2.filter2D(alpha, -1, kernel)
    elif rng.random() < 0.5:
        sigma = rng.uniform(0.3, 1.6)
        colour, alpha = masks.blur(colour, sigma), masks.blur(alpha, sigma)
    if rng.random() < 0.7:
        shift = np.array([[1, 0, rng.normal(0, 4)], [0, 1, rng.normal(2, 4)]], np.float32)
        shadow = masks.blur(cv2.warpAffine(alpha, shift, (SIDE, SIDE)), rng.uniform(1, 7))
        picture = picture * (1 - rng.uniform(0, 0.6) * shadow[..., None])
    return np.asarray(picture * (1 - alpha[..., None]) + colour, np.float32), np.asarray(alpha, np.float32)


def _skin_things(face: _Face, rng: Rng) -> F32:
    """Shadows, bright spots, stubble, lipstick, freckles: on the face, not in front of it."""
    rgb = face.rgb.copy()
    if rng.random() < 0.35:
        angle, offset = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.3) * face.height
        y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
        reach = (x - face.centre[0]) * np.cos(angle) + (y - face.centre[1]) * np.sin(angle) - offset
        shade = masks.smoothstep(reach / (face.height * rng.uniform(0.02, 0.6)) + 0.5)
        rgb *= 1 - (rng.uniform(0.1, 0.8) * shade)[..., None] * rng.uniform(0.85, 1, 3).astype(np.float32)
    if rng.random() < 0.15:
        spots = np.maximum(noise(rng, SIDE, int(rng.integers(3, 10))) - 0.5, 0)
        rgb += (rng.uniform(-0.2, 0.25) * spots)[..., None]
    if rng.random() < 0.15:
        lower = masks.blur(masks.union(face.points, (parts.OVAL[8:29],), SIDE), 3)
        lips = masks.grow(masks.union(face.points, (parts.LIPS_OUTER,), SIDE), 2)
        grain = rng.uniform(0, 0.5) * masks.blur(rng.standard_normal((SIDE, SIDE), np.float32), 0.6)
        coarse = np.clip(0.6 + grain + 0.2 * noise(rng, SIDE, 8), 0, 1.2)
        rgb *= 1 - (rng.uniform(0.1, 0.75) * lower * (1 - lips) * coarse)[..., None].astype(np.float32)
    if rng.random() < 0.3:
        _fade_eyes(face, rgb, rng)
    if rng.random() < 0.12:
        lips = masks.blur(masks.union(face.points, (parts.LIPS_OUTER,), SIDE), 1)[..., None]
        rgb += lips * 0.5 * (np.array([rng.uniform(0.2, 0.8), 0.05, 0.15]) - rgb)
    if rng.random() < 0.06:
        dots = (rng.random((SIDE, SIDE)) < 0.02).astype(np.float32)
        rgb *= 1 - masks.blur(dots, 0.7)[..., None] * rng.uniform(0.2, 0.7)
    return np.clip(rgb, 0, 1).astype(np.float32)


def _fade_eyes(face: _Face, rgb: F32, rng: Rng) -> None:
    """One or both eyes lost in blur and the shadow of their socket; in place.

    Without these, an eye that cannot be seen would be one that something covers.
    """
    rings = (parts.LEFT_EYE + parts.LEFT_BROW, parts.RIGHT_EYE + parts.RIGHT_BROW)
    chosen = rings if rng.random() < 0.4 else (rings[int(rng.integers(2))],)
    area = np.zeros((SIDE, SIDE), np.float32)
    for ring in chosen:
        corners = cv2.convexHull(face.points[list(ring)])[:, 0]
        area = np.maximum(area, _filled(corners * SIDE))
    area = masks.blur(masks.grow(area, rng.uniform(1, 5)), rng.uniform(1.5, 4))[..., None]
    tone = rng.uniform(0.55, 1.1) + rng.uniform(0, 0.04) * rng.standard_normal(3)
    soft = masks.blur(rgb, rng.uniform(2, 8)) * (1 + (tone - 1) * area)
    rgb += area * rng.uniform(0.6, 1.0) * (soft - rgb)


def _camera(rgb: F32, rng: Rng) -> U8:
    """Darkness, colour cast, small faces, blur, grain and compression."""
    exposure = rng.uniform(0.1, 0.6) if rng.random() < 0.15 else rng.uniform(0.75, 1.15)
    lit = np.clip(rgb, 0, 1) ** rng.uniform(0.7, 1.5) * exposure * (1 + rng.normal(0, 0.06, 3))
    if rng.random() < 0.06:
        lit = lit.mean(axis=2, keepdims=True) * (1.0, rng.uniform(0.8, 1), rng.uniform(0.5, 1))
    rgb = np.ascontiguousarray(np.clip(lit, 0, 1), np.float32)
    if rng.random() < 0.5:
        # Faces of distant people: eyes are hardly there, and still no thing covers them.
        n = int(rng.integers(18, 44) if rng.random() < 0.45 else rng.integers(44, 110))
        small = cv2.resize(rgb, (n, n), interpolation=cv2.INTER_AREA)
        rgb = np.clip(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), 0, 1)
    elif rng.random() < 0.3:
        rgb = masks.blur(rgb, rng.uniform(0.4, 1.8))
    if rng.random() < 0.1:
        rgb = cv2.filter2D(rgb, -1, _streak(rng, 7))
    if rng.random() < 0.5:
        rgb = rgb + rng.uniform(0, 0.05) * rng.standard_normal(rgb.shape, dtype=np.float32)
    out: U8 = np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        _, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 95))])
        out = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return out


def _seen(face: _Face, rng: Rng) -> F32:
    """Landmarks as a tracker gives them: moved, scaled and bent a little."""
    middle = face.points.mean(axis=0)
    moved = (face.points - middle) * np.exp(rng.normal(0, 0.03)) + middle + rng.normal(0, 0.012, 2)
    return np.asarray(moved + rng.normal(0, 0.003, face.points.shape), np.float32)


def draw_sample(pool: Pool, row: int, rng: Rng) -> Sample:
    """One training picture from the crop ``row`` of ``pool``; all chance comes from ``rng``."""
    face = _cut(pool, row, rng)
    covered, weight = already_covered(face.rgb, face.points)
    picture = _skin_things(face, rng)
    clear, added = 1 - covered, np.zeros((SIDE, SIDE), np.float32)
    for layer in _layers(pool, face, rng):
        picture, alpha = _laid(picture, layer, rng)
        clear *= 1 - alpha
        added = np.maximum(added, alpha)
    # Where something was laid in front the truth is known, whatever the picture had there.
    weight += (_ADDED * outline_weight(face.points, SIDE) - weight) * added
    return Sample(_camera(picture, rng), _seen(face, rng), np.asarray(1 - clear, np.float32), weight)
