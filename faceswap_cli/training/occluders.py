"""Faces with something in front of them, made from clear ones: what the occluder head learns from.

A sample begins with a picture of the pool.  Beards, make-up, shadows and bright spots are laid on the
skin first: they are part of the face.  Then glasses, hands, things, hair or masks are laid in front, with
their shadows; last the whole picture goes through a bad camera.
Layers are (rgb in [0, 1] (S, S, 3), alpha (S, S)), with the name of their class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.occluder import CLASSES, SIDE
from faceswap_cli.records import F32, U8
from faceswap_cli.swap.glasses import eye_band
from faceswap_cli.training.covering import already_covered, outline_weight
from faceswap_cli.training.glasses import draw_glasses
from faceswap_cli.training.hands import Layer, Rng, hand, noise
from faceswap_cli.training.own_glasses import MAP_SIDE, OwnGlasses, placed
from faceswap_cli.training.own_things import OwnThings
from faceswap_cli.training.pool import Pool
from faceswap_cli.training.skin import PX, Face, filled, skin_things

GLASSES = 0.3
"""Share of samples with drawn glasses."""
CLEAR = 0.33
"""Share of samples with nothing else in front."""
TOUCHING = 0.5
"""Share of hands with fingers across nose, mouth or chin, and of sticks held there: chance seldom puts
them where people do"""
REAL = 0.4
"""Share of hands that are other faces' own, where there are marked ones"""
_TOUCHED = (1, 13, 13, 14, 199)
"""Of the mesh: tip of the nose, the lips, the chin"""
_MASK_COLORS = ((0.62, 0.8, 0.88), (0.9, 0.9, 0.9), (0.08, 0.08, 0.09), (0.55, 0.75, 0.72), (0.85, 0.65, 0.7))
_FACE, _RIM, _LENS = (CLASSES.index(name) for name in ("face", "rim", "lens"))
_SURE_RIM, _SURE_LENS, _SURE_SKIN = 0.88, 0.85, 0.04
"""Probabilities from which, or below which, a pixel of a person's own glasses counts"""
_ADDED = 1.7
"""Weight of what is covered: to draw over a hand is worse than to leave some skin as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training picture."""

    rgb: U8 = field(repr=False)
    """(192, 192, 3)"""
    points: F32 = field(repr=False)
    """(478, 3) unit coordinates, displaced a little, as a tracker would under an occluder"""
    shares: F32 = field(repr=False)
    """(6, 192, 192) share of each pixel that is of each class of ``nets.occluder.CLASSES``; they sum to 1"""
    weight: F32 = field(repr=False)
    """(192, 192) how much each pixel counts"""


def _cut(
    pool: Pool, row: int, rng: Rng, own: OwnGlasses | None = None, things: OwnThings | None = None
) -> Face:
    """A random similarity around the swap crop, mirrored half of the time, at 192 px."""
    source, points = np.asarray(pool.pixels[row]), pool.landmarks[row]
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        source, points = np.ascontiguousarray(source[:, ::-1]), parts.mirrored(points, source.shape[1])
    size = source.shape[0]
    zoom = 2 * SIDE / (size * align.SWAP_SCALE) * np.exp(rng.normal(0, 0.05))
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 4), zoom)
    matrix[:, 2] += SIDE - size / 2 + rng.normal(0, 3 * PX, 2)
    big = cv2.warpAffine(source, matrix, (2 * SIDE, 2 * SIDE), borderMode=cv2.BORDER_REFLECT)
    small = cv2.resize(big, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    flat = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    unit = (np.column_stack([flat, points[:, 2] * zoom]) / (2 * SIDE)).astype(np.float32)
    from_map = matrix / 2
    from_map[:, :2] *= size / MAP_SIDE
    worn = placed(own.maps[row], from_map, mirrored, SIDE) if own and row in own.maps else None
    marked = placed(things.maps(row), from_map, mirrored, SIDE) if things and row in things.marks else None
    return _face(small, unit, worn, marked)


def _face(small: U8, unit: F32, worn: F32 | None = None, things: F32 | None = None) -> Face:
    """A picture (192, 192, 3) of a face with mesh ``unit`` (478, 3), unit coordinates."""
    oval = unit[list(parts.OVAL), :2] * SIDE
    cheeks = np.clip(unit[[50, 280, 205, 425, 117, 346, 199], :2] * SIDE, 0, SIDE - 1).astype(int)
    skin = np.median(small[cheeks[:, 1], cheeks[:, 0]], axis=0).astype(np.float32) / 255
    rgb = small.astype(np.float32) / np.float32(255)
    return Face(rgb, unit, skin, oval.mean(axis=0), float(np.ptp(oval[:, 1])), worn, things)


def _cloth(pool: Pool, rng: Rng) -> F32:
    """(S, S, 3) of some surface: a piece of another picture, a plain color, stripes."""
    kind = rng.random()
    if kind < 0.55:
        source = pool.pixels[int(rng.integers(len(pool)))]
        n = int(rng.integers(24, 220))
        y, x = rng.integers(0, source.shape[0] - n, 2)
        piece = cv2.resize(np.asarray(source[y : y + n, x : x + n]), (SIDE, SIDE)).astype(np.float32) / 255
        turned = np.rot90(piece, int(rng.integers(4))) * rng.uniform(0.5, 1.2)
        return np.asarray(np.clip(turned * (1 + rng.normal(0, 0.1, 3)), 0, 1), np.float32)
    plain = rng.random(3) * rng.uniform(0.1, 1) if kind < 0.85 else np.full(3, rng.random())
    rgb = np.broadcast_to(plain.astype(np.float32), (SIDE, SIDE, 3)).copy()
    if rng.random() < 0.3:
        waves = np.sin(np.arange(SIDE) * rng.uniform(0.1, 1.2) / PX)[:, None, None] > rng.uniform(-0.8, 0.8)
        rgb = np.where(waves if rng.random() < 0.5 else waves.transpose(1, 0, 2), rgb, rng.random(3))
    light = 1 + rng.uniform(0, 0.3) * noise(rng, SIDE, int(rng.integers(2, 9)))
    return np.clip(rgb * light[..., None], 0, 1).astype(np.float32)


def _blob(pool: Pool, face: Face, rng: Rng) -> Layer:
    """A polygon, angular or round, somewhere over the face."""
    count = int(rng.integers(3, 12))
    angle = np.sort(rng.uniform(0, 2 * np.pi, count))
    radius = face.height * rng.uniform(0.12, 0.5) * rng.uniform(0.6, 1.2, count)
    center = face.center + rng.uniform(-0.55, 0.55, 2) * face.height
    shape = filled(center + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None])
    if rng.random() < 0.6:
        shape = masks.smoothstep((masks.blur(shape, rng.uniform(2, 7) * PX) - 0.4) / 0.2)
    return _cloth(pool, rng), shape


def _bar(pool: Pool, face: Face, rng: Rng) -> Layer:
    """A stick, perhaps with a ball on its end: microphones, pens, straws, spoons."""
    if rng.random() < TOUCHING:
        angle = rng.normal(np.pi / 2, 0.6)
        tip = face.points[int(rng.choice(_TOUCHED)), :2] * SIDE + rng.normal(0, 0.08, 2) * face.height
    else:
        angle = rng.uniform(-np.pi, np.pi)
        tip = face.center + rng.uniform(-0.4, 0.4, 2) * face.height
    out = np.array([np.cos(angle), np.sin(angle)])
    thick = face.height * rng.uniform(0.02, 0.14)
    across = np.array([-out[1], out[0]]) * thick / 2
    far = tip + out * 2 * SIDE
    shape = filled(np.array([tip + across, far + across * 1.3, far - across * 1.3, tip - across]))
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


def _cup(pool: Pool, face: Face, rng: Rng) -> Layer:
    """A cup, bottle or telephone at the lower face, or any upright box."""
    width = face.height * rng.uniform(0.2, 0.6)
    top = face.center + np.array([rng.uniform(-0.3, 0.3), rng.uniform(-0.2, 0.35)]) * face.height
    tall, taper = face.height * rng.uniform(0.3, 1.2), rng.uniform(0.6, 1.1)
    corners = np.array([[-1, 0], [1, 0], [taper, 1], [-taper, 1]]) * (width / 2, tall)
    c, s = np.cos(t := rng.normal(0, 0.4)), np.sin(t)
    shape = filled(corners @ np.array([[c, s], [-s, c]]) + top)
    x = (np.arange(SIDE) - top[0]) / width
    round_it = (
        1 - rng.uniform(0, 1.2) * np.clip(x, -0.7, 0.7) ** 2 + rng.uniform(-0.5, 0.5) * np.clip(x, -1, 1)
    )
    return np.clip(_cloth(pool, rng) * round_it[None, :, None], 0, 1).astype(np.float32), shape


def _mask(pool: Pool, face: Face, rng: Rng) -> Layer:
    """A medical mask or scarf: everything below a line across the nose."""
    line = float(rng.uniform(0.1, 0.9))
    left, right, nose = (face.points[k, :2] * SIDE for k in (234, 454, 6))
    low = face.points[2, :2] * SIDE
    top = nose + (low - nose) * line
    jaw, drop = face.points[list(parts.OVAL[9:28]), :2] * SIDE, np.array([0, 6 * PX * line])
    ring = np.concatenate([(left + drop)[None], top[None], (right + drop)[None], jaw])
    shape = filled((ring - ring.mean(0)) * rng.uniform(0.95, 1.15) + ring.mean(0))
    if rng.random() < 0.65:
        color = np.array(_MASK_COLORS[int(rng.integers(len(_MASK_COLORS)))]) * rng.uniform(0.8, 1.1)
        y = (np.arange(SIDE) - top[1])[:, None] + 4 * np.cos((np.arange(SIDE) - top[0]) / 20)[None, :]
        folds = 1 - rng.uniform(0, 0.25) * masks.smoothstep(np.sin(y * rng.uniform(0.15, 0.5)) * 2 - 1)
        rgb = color * folds[..., None] * (1 + rng.uniform(0, 0.12) * noise(rng, SIDE, 5)[..., None])
        light = masks.blur(face.rgb.mean(axis=2), 12 * PX)
        rgb = rgb * np.clip(light / max(float(np.median(light[shape > 0.5])), 0.05), 0.6, 1.3)[..., None]
        return np.clip(rgb, 0, 1).astype(np.float32), shape
    return _cloth(pool, rng), shape


def _hair(face: Face, rng: Rng) -> Layer:
    """Strands that fall from above the face over forehead or a cheek."""
    jitter = rng.uniform(-20, 20, 2) - (0, 12)
    crown = np.clip(face.points[10, :2] * SIDE + jitter * PX, 0, SIDE - 1).astype(int)
    own = face.rgb[crown[1], crown[0]]
    color = own if rng.random() < 0.5 else np.array([0.35, 0.25, 0.18]) * rng.uniform(0.2, 2.4)
    tone, alpha = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    height = face.height
    middle = rng.uniform(-0.45, 0.45) * height
    spread, lean = height * rng.uniform(0.03, 0.22), rng.normal(0, 0.5)
    length, along = height * rng.uniform(0.25, 1.1), np.linspace(0, 1, 8)
    for _ in range(int(rng.integers(4, 60))):
        start = face.center + np.array([middle + rng.normal(0, spread), -height * rng.uniform(0.5, 0.65)])
        x = lean * along + rng.normal(0, 0.15) * along**2 + rng.normal(0, 0.05)
        strand = start + np.stack([x, along], 1) * length * rng.uniform(0.7, 1.1)
        fixed = (strand * 16).astype(np.int32)
        thick = int(rng.integers(1, 4))
        cv2.polylines(tone, [fixed], False, int(rng.integers(90, 255)), thick, cv2.LINE_AA, 4)
        cv2.polylines(alpha, [fixed], False, int(rng.integers(150, 255)), thick, cv2.LINE_AA, 4)
    rgb = color * (0.4 + 0.9 * tone.astype(np.float32)[..., None] / 255)
    return np.clip(rgb, 0, 1).astype(np.float32), alpha.astype(np.float32) / np.float32(255)


def _hand(pool: Pool, face: Face, rng: Rng, things: OwnThings | None = None) -> Layer:
    """A hand in the person's own skin, now and then in another person's, lit as the face is.

    ``things``: those that faces of the pool have in front of them; some of them are laid over this one.
    """
    if things is not None and rng.random() < REAL:
        return things.lay(pool, face.points * SIDE, SIDE, face.skin, rng)
    skin = face.skin if rng.random() < 0.75 else _other_skin(pool, rng)
    touched = face.points[int(rng.choice(_TOUCHED)), :2] * SIDE if rng.random() < TOUCHING else None
    rgb, alpha = hand(rng, skin, face.center, face.height, SIDE, touched)
    if rng.random() < 0.6:
        # What falls on the face falls on the hand: the picture's own light, far blurred.
        light = masks.blur(face.rgb.mean(axis=2), 0.15 * SIDE)
        rgb *= np.clip(light / max(float(light.mean()), 0.02), 0.5, 1.6)[..., None]
    if rng.random() < 0.5:
        detail = face.rgb - masks.blur(face.rgb, rng.uniform(1.5, 4) * PX)
        rgb += np.roll(detail, rng.integers(0, SIDE, 2), (0, 1)) * rng.uniform(0, 0.6)
    return np.clip(rgb, 0, 1).astype(np.float32), alpha.astype(np.float32)


def _other_skin(pool: Pool, rng: Rng) -> F32:
    row = int(rng.integers(len(pool)))
    x, y = np.clip(pool.landmarks[row, 205, :2], 0, pool.pixels.shape[1] - 1).astype(int)
    return np.asarray(pool.pixels[row, y, x], np.float32) / np.float32(255)


def _layers(pool: Pool, face: Face, rng: Rng, things: OwnThings | None) -> list[tuple[str, Layer]]:
    count = 0 if rng.random() < CLEAR else 1 + int(rng.random() < 0.25)
    drawn: list[tuple[str, Layer]] = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.56:
            drawn.append(("thing", _hand(pool, face, rng, things)))
        elif kind < 0.68:
            drawn.append(("hair", _hair(face, rng)))
        elif kind < 0.76:
            drawn.append(("mask", _mask(pool, face, rng)))
        else:
            kinds = (_blob, _bar, _cup)
            drawn.append(("thing", kinds[int(rng.choice(3, p=(0.45, 0.3, 0.25)))](pool, face, rng)))
    return drawn


def streak(rng: Rng, longest: float) -> F32:
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
    color = rgb * alpha[..., None]
    if rng.random() < 0.25:
        kernel = streak(rng, 12 * PX if rng.random() < 0.7 else 40)
        color, alpha = cv2.filter2D(color, -1, kernel), cv2.filter2D(alpha, -1, kernel)
    elif rng.random() < 0.5:
        sigma = rng.uniform(0.3, 1.6) * PX
        color, alpha = masks.blur(color, sigma), masks.blur(alpha, sigma)
    if rng.random() < 0.7:
        dx, dy = rng.normal((0, 2), 4) * PX
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        shadow = masks.blur(cv2.warpAffine(alpha, shift, (SIDE, SIDE)), rng.uniform(1, 7) * PX)
        picture = picture * (1 - rng.uniform(0, 0.6) * shadow[..., None])
    mixed = np.asarray(picture * (1 - alpha[..., None]) + color, np.float32)
    return mixed, np.asarray(np.clip(alpha, 0, 1), np.float32)


def _camera(rgb: F32, rng: Rng) -> U8:
    """Darkness, color cast, small faces, blur, grain and compression."""
    exposure = rng.uniform(0.1, 0.6) if rng.random() < 0.15 else rng.uniform(0.75, 1.15)
    lit = np.clip(rgb, 0, 1) ** rng.uniform(0.7, 1.5) * exposure * (1 + rng.normal(0, 0.06, 3))
    if rng.random() < 0.06:
        lit = lit.mean(axis=2, keepdims=True) * (1.0, rng.uniform(0.8, 1), rng.uniform(0.5, 1))
    rgb = np.ascontiguousarray(np.clip(lit, 0, 1), np.float32)
    if rng.random() < 0.5:
        # Faces of distant people: eyes are hardly there, and still no thing covers them.
        n = int(rng.integers(18, 44) if rng.random() < 0.25 else rng.integers(44, 160))
        small = cv2.resize(rgb, (n, n), interpolation=cv2.INTER_AREA)
        rgb = np.clip(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), 0, 1)
    elif rng.random() < 0.3:
        rgb = masks.blur(rgb, rng.uniform(0.4, 1.8) * PX)
    if rng.random() < 0.1:
        rgb = cv2.filter2D(rgb, -1, streak(rng, 7))
    return coded(rgb, rng, 0.05)


def coded(rgb: F32, rng: Rng, grain: float) -> U8:
    """A picture (S, S, 3) in [0, 1] with grain of up to that deviation, and compressed, at random."""
    if rng.random() < 0.5:
        rgb = rgb + rng.uniform(0, grain) * rng.standard_normal(rgb.shape, dtype=np.float32)
    out: U8 = np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        _, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 95))])
        out = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return out


def _seen(face: Face, rng: Rng) -> F32:
    """Landmarks as a tracker gives them: moved, scaled and bent a little."""
    middle = face.points.mean(axis=0)
    moved = (face.points - middle) * np.exp(rng.normal(0, 0.03)) + middle + rng.normal(0, 0.012, 3)
    return np.asarray(moved + rng.normal(0, 0.003, face.points.shape), np.float32)


def _wear(shares: F32, worn: F32, weight: F32) -> F32:
    """Put the person's own glasses into ``shares`` (6, S, S), in place; the new weight (S, S).

    A first head sees rims wider than they are: only where it is surest they count, and around them nothing
    does; how wide rims are is left to the drawn ones.
    """
    rim, lens = worn[..., 0], worn[..., 1]
    for k, share in ((_LENS, lens > _SURE_LENS), (_RIM, rim > _SURE_RIM)):
        shares *= ~share
        shares[k] += share
    known = (rim > _SURE_RIM) | (lens > _SURE_LENS) | (rim + lens < _SURE_SKIN)
    return np.asarray(np.maximum(weight, rim + lens > 0.5) * known, np.float32)


def _hold(shares: F32, marked: F32, weight: F32, points: F32) -> F32:
    """Put what is in front of the face already into ``shares`` (6, S, S), in place; the new weight (S, S)."""
    inside = np.zeros(weight.shape, np.float32)
    for name, plane in (("thing", marked[..., 0]), ("mask", marked[..., 1])):
        shares *= 1 - plane
        shares[CLASSES.index(name)] += plane
        inside = np.maximum(inside, plane)
    weight = weight + (_ADDED * outline_weight(points, SIDE) - weight) * inside
    return np.asarray(weight * (1 - marked[..., 2]), np.float32)


def covered(pool: Pool, rgb: U8, points: F32, rng: Rng) -> U8:
    """``rgb`` (S, S, 3) with glasses, hair or a hand in front; ``points`` (478, 3) px.

    ``pool`` gives what glasses mirror and the skin of hands.
    """
    side = rgb.shape[0]
    face = _face(
        np.asarray(cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8),
        np.asarray(points / np.float32(side), np.float32),
    )
    kind = rng.random()
    if kind < 0.4:
        after = draw_glasses(rng, face.points * SIDE, _cloth(pool, rng)).over(
            face.rgb, face.points * SIDE, rng
        )
    else:
        layer = _hair(face, rng) if kind < 0.8 else _hand(pool, face, rng)
        after = _laid(face.rgb, layer, rng)[0]
    change = cv2.resize((after - face.rgb) * np.float32(255), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(rgb + change + 0.5, 0, 255), np.uint8)


def draw_sample(
    pool: Pool, row: int, rng: Rng, own: OwnGlasses | None = None, things: OwnThings | None = None
) -> Sample:
    """One training picture from the crop ``row`` of ``pool``; all chance comes from ``rng``.

    ``own``: glasses that faces of the pool wear already; ``things``: what else they have in front of them.
    """
    face = _cut(pool, row, rng, own, things)
    worn = face.worn is not None or (own is not None and row in own.doubted)
    hair, weight = already_covered(face.rgb, face.points, glasses=worn)
    picture = skin_things(face, rng)
    shares = np.zeros((len(CLASSES), SIDE, SIDE), np.float32)
    shares[_FACE], shares[CLASSES.index("hair")] = 1 - hair, hair
    known = np.zeros((SIDE, SIDE), np.float32)
    if face.worn is not None:
        weight = _wear(shares, face.worn, weight)
    elif worn:
        weight = weight * (1 - eye_band(face.points, Window.full(SIDE)))
    elif face.things is None and rng.random() < GLASSES:
        pair = draw_glasses(rng, face.points * SIDE, _cloth(pool, rng))
        picture = pair.over(picture, face.points * SIDE, rng)
        shares *= 1 - pair.lens
        shares[_LENS] += pair.lens
        shares *= 1 - pair.rim
        shares[_RIM] += pair.rim
        known = np.maximum(masks.grow(pair.rim, 2), pair.lens)
    if face.things is not None:
        weight = _hold(shares, face.things, weight, face.points)
    everywhere = known.copy()
    for name, layer in _layers(pool, face, rng, things):
        picture, alpha = _laid(picture, layer, rng)
        shares *= 1 - alpha
        shares[CLASSES.index(name)] += alpha
        known = np.maximum(known, alpha)
    # Where something was laid in front the truth is known, whatever the picture had there.
    inside = np.maximum(outline_weight(face.points, SIDE), everywhere)
    weight += (_ADDED * inside - weight) * known
    return Sample(_camera(picture, rng), _seen(face, rng), shares, weight)
