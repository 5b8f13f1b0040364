"""Glasses drawn on a face: frames in 3-D on its mesh, so that they follow the pose.

Canonical coordinates (``geometry.canonical``): outer eye corners 1 apart, y down, z away from the camera; one
unit is about 90 mm.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.canonical import Pose, remove_pose
from faceswap_cli.records import F32, F64, U8
from faceswap_cli.training.hands import Rng, noise

SHAPES: dict[str, tuple[float, ...]] = {
    # Radius of the lens at 0 (outward), 30, ... 330 degrees (clockwise; 90 is down), in half widths.
    "round": (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    "oval": (1, 0.88, 0.74, 0.7, 0.74, 0.88, 1, 0.88, 0.74, 0.7, 0.74, 0.88),
    "rectangle": (1, 1.02, 0.7, 0.6, 0.7, 1.02, 1, 1.02, 0.7, 0.6, 0.7, 1.02),
    "narrow": (1, 0.86, 0.52, 0.45, 0.52, 0.86, 1, 0.86, 0.52, 0.45, 0.52, 0.86),
    "square": (1, 1.12, 1.06, 0.92, 1.06, 1.1, 0.98, 1.1, 1.04, 0.9, 1.06, 1.14),
    "wayfarer": (1.02, 0.98, 0.86, 0.78, 0.8, 0.86, 0.92, 1.04, 0.86, 0.76, 0.9, 1.16),
    "aviator": (1, 1.06, 1.06, 1.0, 0.88, 0.8, 0.84, 0.94, 0.82, 0.72, 0.8, 0.98),
    "cat-eye": (1.04, 0.86, 0.74, 0.7, 0.74, 0.86, 0.94, 0.92, 0.74, 0.7, 0.92, 1.24),
    "panto": (1, 1, 0.98, 0.94, 0.96, 0.96, 0.94, 1.0, 0.92, 0.84, 0.92, 1.04),
    "half-moon": (1, 0.92, 0.76, 0.68, 0.76, 0.92, 1, 0.7, 0.42, 0.36, 0.42, 0.7),
    "hexagon": (1.1, 0.92, 0.96, 0.86, 0.96, 0.92, 1.1, 0.92, 0.96, 0.86, 0.96, 0.92),
    "octagon": (1, 1.0, 0.9, 0.84, 0.9, 1.0, 1, 1.0, 0.9, 0.84, 0.9, 1.0),
    "butterfly": (1.08, 1.08, 0.98, 0.86, 0.82, 0.84, 0.86, 0.94, 0.86, 0.82, 0.98, 1.2),
}
STYLES = ("plastic", "metal", "half", "rimless", "two-tone", "clear", "browline")
_BROAD = ("plastic", "two-tone", "clear")
_STYLE_SHARES = (0.27, 0.27, 0.13, 0.08, 0.08, 0.09, 0.08)
_OVER = 2
"""Lines are drawn this many times as large, for widths below a pixel."""
_COLORS = ((0.03, 0.03, 0.04), (0.12, 0.07, 0.04), (0.3, 0.16, 0.08), (0.5, 0.08, 0.1), (0.1, 0.15, 0.35))
_METALS = ((0.55, 0.55, 0.56), (0.72, 0.58, 0.32), (0.12, 0.12, 0.13), (0.6, 0.42, 0.36), (0.3, 0.3, 0.32))
_STEPS = 72
"""Points of a lens's outline"""


@dataclass(frozen=True, slots=True, eq=False)
class Glasses:
    """Layers of one pair, each (S, S) or (S, S, 3)."""

    rim: F32 = field(repr=False)
    """Where rims, bridge and temples are, in [0, 1]"""
    opacity: float
    """Of the rims: transparent plastic lets skin through"""
    color: F32 = field(repr=False)
    """Of the rims"""
    lens: F32 = field(repr=False)
    """Inside of the lenses"""
    tint: F32 = field(repr=False)
    """What the lenses multiply what is behind them by"""
    glare: F32 = field(repr=False)
    """What they reflect"""

    def over(self, picture: F32, points: F32, rng: Rng) -> F32:
        """The glasses on ``picture`` with shadow and refraction; ``points`` (478, 2+) px."""
        side = picture.shape[0]
        shift = np.array([[1, 0, rng.normal(0, 2)], [0, 1, rng.uniform(0, 8)]]) * (1, 1, side / 192)
        shadow = masks.blur(cv2.warpAffine(self.rim, shift, (side, side)), rng.uniform(1, 4))
        picture = picture * (1 - rng.uniform(0, 0.5) * shadow[..., None])
        if rng.random() < 0.5:
            picture = _refract(picture, self.lens, points, float(rng.uniform(0.92, 1.07)))
        inside = (self.lens * (1 - self.rim))[..., None]
        picture = picture * (1 - inside * (1 - self.tint)) + self.glare * inside
        alpha = (self.rim * self.opacity)[..., None]
        return np.asarray(picture * (1 - alpha) + self.color * alpha, np.float32)


def _refract(picture: F32, lens: F32, points: F32, factor: float) -> F32:
    """What is behind the lenses, enlarged by ``factor`` around each eye."""
    out = picture
    for ring in (parts.RIGHT_EYE, parts.LEFT_EYE):
        x, y = points[list(ring), :2].mean(axis=0)
        matrix = np.array([[factor, 0, x * (1 - factor)], [0, factor, y * (1 - factor)]])
        bent = cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
        own = (np.arange(lens.shape[1]) > points[168, 0]) == (x > points[168, 0])
        share = (lens * own[None, :])[..., None]
        out = out * (1 - share) + bent * share
    return np.asarray(out, np.float32)


def draw_glasses(
    rng: Rng, points: F32, reflected: F32, style_shares: tuple[float, ...] = _STYLE_SHARES
) -> Glasses:
    """A random pair on the mesh ``points`` (478, 3) px; ``reflected`` (S, S, 3) is what its lenses mirror."""
    side = reflected.shape[0]
    pose = remove_pose(points)[1]
    style = STYLES[int(rng.choice(len(STYLES), p=style_shares))]
    outline = _outline(rng)
    rings = [outline * (sign, 1, 1) for sign in (-1.0, 1.0)]
    strokes = _Strokes(pose, side)
    lens = np.zeros((side * _OVER, side * _OVER), np.uint8)
    for ring in rings:
        cv2.fillPoly(lens, [strokes.pixels(ring)], 255, cv2.LINE_AA, 4)
    _draw_frame(strokes, rings, style, rng)
    rim, inside = (_reduce(x, side) for x in (strokes.rim, lens))
    hull = masks.union(points / np.float32(side), (parts.OVAL,), side)
    for sign, shape in _temples(pose, outline, style, side, rng):
        seen = 1.0 if sign * float(pose.rotation[2, 0]) < 0.12 else 1.0 - hull
        rim = np.maximum(rim, _reduce(shape, side) * seen)
    color = _color(style, strokes, side, rng)
    opacity = float(rng.uniform(0.3, 0.75)) if style == "clear" else 1.0
    if style == "rimless":
        rim = rim * float(rng.uniform(0.4, 0.9))
    tint, glare = _lens_light(inside, reflected, points, rng)
    return Glasses(rim, opacity, color, inside, tint, glare)


def _outline(rng: Rng) -> F64:
    """(P, 3) canonical outline of the lens at positive x."""
    radii = np.array(list(SHAPES.values())[int(rng.integers(len(SHAPES)))]) * rng.normal(1, 0.025, 12)
    angle = np.linspace(0, 2 * np.pi, _STEPS, endpoint=False)
    # Few points are rounded off: the mean of two interpolations, half a step apart.
    at = np.linspace(0, 2 * np.pi, 13)
    wrapped = np.append(radii, radii[0])
    radius = (
        sum(np.interp((angle + shift) % (2 * np.pi), at, wrapped) for shift in (-0.13, -0.05, 0.05, 0.13)) / 4
    )
    half = rng.uniform(0.23, 0.33)
    tall = half * rng.uniform(0.88, 1.15)
    center = np.array([0.35 + rng.uniform(-0.01, 0.06), -0.35 + rng.uniform(-0.02, 0.09)])
    x, y = center[0] + half * radius * np.cos(angle), center[1] + tall * radius * np.sin(angle)
    x = np.maximum(x, 0.06)
    z = rng.uniform(-0.24, -0.12) + rng.uniform(0.1, 0.45) * x**2 + rng.uniform(0, 0.2) * (y - center[1])
    return np.stack([x, y, z], axis=1)


class _Strokes:
    """Canvases of a frame's lines, and the camera that projects them."""

    def __init__(self, pose: Pose, side: int) -> None:
        self.pose = pose
        self.rim = np.zeros((side * _OVER, side * _OVER), np.uint8)
        self.top = np.zeros_like(self.rim)
        """Of two-tone frames: what has the second color"""
        self.unit = float(pose.scale.ravel()[0]) * _OVER
        """Pixels of the canvas a canonical unit"""

    def pixels(self, canonical: F64) -> np.ndarray:
        """(P, 3) -> (P, 1, 2) fixed-point coordinates for OpenCV."""
        seen = self.pose.place(np.asarray(canonical, np.float32))[:, :2] * _OVER
        return np.round(seen * 16).astype(np.int32)[:, None]

    def line(
        self, canonical: F64, width: float, *, closed: bool = False, top: bool = False, level: int = 255
    ) -> None:
        """A line ``width`` canonical units thick."""
        thick = max(round(width * self.unit), 1)
        for canvas in (self.rim, self.top) if top else (self.rim,):
            cv2.polylines(canvas, [self.pixels(canonical)], closed, level, thick, cv2.LINE_AA, 4)


def _draw_frame(strokes: _Strokes, rings: list[F64], style: str, rng: Rng) -> None:
    """Rims, bridge, hinges and nose pads."""
    broad = style in _BROAD
    width = 0.02 + 0.08 * float(rng.random()) ** 2 if broad else float(rng.uniform(0.008, 0.024))
    upper = _STEPS // 2
    for ring in rings:
        over = np.concatenate([ring[upper - 3 :], ring[:4]])
        if style == "rimless":
            strokes.line(ring, 0.008, closed=True, level=int(rng.integers(30, 160)))
        elif style == "half":
            strokes.line(over, width * 1.6, top=True)
            strokes.line(ring, 0.006, closed=True, level=int(rng.integers(0, 130)))
        else:
            strokes.line(ring, width, closed=True)
            if style in ("two-tone", "browline"):
                strokes.line(over, width * float(rng.uniform(1.2, 3.0)), top=True)
    _draw_bridge(strokes, rings, style, width, rng)
    for ring in rings:
        hinge = ring[int(rng.integers(_STEPS - 10, _STEPS - 3))]
        out = hinge + np.array([np.sign(hinge[0]) * rng.uniform(0.02, 0.07), -0.01, rng.uniform(0.02, 0.1)])
        tall = float(rng.uniform(1, 4 if broad else 2))
        strokes.line(np.stack([hinge, out]), max(width, 0.015) * tall, top=True)
    if style in ("metal", "rimless", "half", "browline") and rng.random() < 0.7:
        for sign in (-1, 1):
            pad = np.array([[0.12, -0.3, -0.15], [0.13, -0.26, -0.1], [0.15, -0.2, -0.07]])
            strokes.line(pad * (sign, 1, 1), 0.02, level=int(rng.integers(60, 255)))


def _draw_bridge(strokes: _Strokes, rings: list[F64], style: str, width: float, rng: Rng) -> None:
    inner = _STEPS // 2 + int(rng.integers(0, 12))
    ends = np.stack([rings[0][inner], rings[1][inner]])
    middle = ends.mean(axis=0) - np.array([0, rng.uniform(-0.01, 0.07), rng.uniform(0, 0.05)])
    curve = _bend(ends[0], middle, ends[1])
    tall = float(rng.uniform(0.8, 3.0 if style in _BROAD else 1.5))
    strokes.line(curve, max(width, 0.014) * tall, top=style == "two-tone")
    if style == "metal" and rng.random() < 0.35:
        top = np.stack([ring[_STEPS * 3 // 4 - 6] for ring in rings])
        strokes.line(top, width)


def _bend(start: F64, middle: F64, end: F64) -> F64:
    """(9, 3) curve through three points."""
    t = np.linspace(0, 1, 9)[:, None]
    return np.asarray(
        start * (1 - t) * (1 - 2 * t) + 4 * middle * t * (1 - t) + end * t * (2 * t - 1), np.float64
    )


def _temples(pose: Pose, outline: F64, style: str, side: int, rng: Rng) -> list[tuple[float, U8]]:
    """Both temples, from the hinge to the ear and a little on; hair hides the rest."""
    broad = rng.uniform(0.04, 0.14) if style in ("plastic", "two-tone", "clear", "browline") else 0.02
    tall = np.array([0, broad / 2, 0])
    hinge = outline[-int(rng.integers(3, 10))] + np.array([rng.uniform(0.02, 0.07), 0, 0.05])
    ear = np.array([rng.uniform(0.76, 0.84), rng.uniform(-0.44, -0.36), rng.uniform(0.65, 0.8)])
    tip = ear + np.array([0.0, rng.uniform(0.02, 0.15), 0.2])
    out = []
    for sign in (-1.0, 1.0):
        reach = float(rng.uniform(0.35, 1.0)) if rng.random() < 0.6 else 1.0
        path = np.stack([hinge, (hinge + ear) / 2 + (0.02, -0.01, 0), ear])
        path = hinge + (path - hinge) * reach
        if reach == 1.0:
            path = np.concatenate([path, tip[None]])
        ring = np.concatenate([path - tall, (path + tall * 0.8)[::-1]]) * (sign, 1, 1)
        canvas = np.zeros((side * _OVER, side * _OVER), np.uint8)
        seen = pose.place(np.asarray(ring, np.float32))[:, :2] * _OVER
        fixed = np.round(seen * 16).astype(np.int32)[:, None]
        cv2.fillPoly(canvas, [fixed], 255, cv2.LINE_AA, 4)
        cv2.polylines(canvas, [fixed], True, 255, 1, cv2.LINE_AA, 4)
        out.append((sign, canvas))
    return out


def _reduce(canvas: U8, side: int) -> F32:
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def _color(style: str, strokes: _Strokes, side: int, rng: Rng) -> F32:
    """(S, S, 3) of the rims, with gloss along their edges."""
    metal = style in ("metal", "half", "rimless")
    table = _METALS if metal else _COLORS
    base = np.array(table[int(rng.integers(len(table)))]) if rng.random() < 0.8 else rng.random(3)
    if style == "clear":
        base = rng.uniform(0.6, 0.95) * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.7, 1)])
    base = base * rng.uniform(0.6, 1.4)
    rgb = np.broadcast_to(base.astype(np.float32), (side, side, 3)).copy()
    if style in ("two-tone", "browline"):
        second = np.array(_COLORS[int(rng.integers(len(_COLORS)))] if rng.random() < 0.8 else rng.random(3))
        rgb += _reduce(strokes.top, side)[..., None] * (second.astype(np.float32) - rgb)
    mottle = noise(rng, side, int(rng.integers(6, 40)))
    rgb *= 1 + rng.uniform(0, 0.5 if metal or rng.random() < 0.25 else 0.15) * mottle[..., None]
    if rng.random() < 0.6:
        rim = _reduce(strokes.rim, side)
        slope = rim - np.roll(rim, (1, int(rng.integers(-1, 2))), (0, 1))
        gloss = np.maximum(slope, 0) * np.maximum(noise(rng, side, int(rng.integers(2, 10))), 0)
        rgb += (rng.uniform(0.1, 0.8) * gloss)[..., None]
    return np.clip(rgb, 0, 1).astype(np.float32)


def _lens_light(lens: F32, reflected: F32, points: F32, rng: Rng) -> tuple[F32, F32]:
    """Tint and glare (S, S, 3) of the lenses."""
    side = lens.shape[0]
    kind = rng.random()
    color = np.ones(3)
    if kind < 0.18:
        color = rng.uniform(0.02, 0.35) * rng.uniform(0.6, 1.4, 3)
    elif kind < 0.42:
        color = rng.uniform(0.4, 0.95) * rng.uniform(0.85, 1.1, 3)
    elif kind < 0.7:
        color = np.full(3, rng.uniform(0.92, 1.02))
    tint = np.broadcast_to(np.minimum(color, 1.05).astype(np.float32), (side, side, 3))
    if kind < 0.42 and rng.random() < 0.4:
        top, low = points[[105, 334], 1].mean(), points[[50, 280], 1].mean()
        down = masks.smoothstep((np.arange(side) - top) / max(float(low - top), 1.0))[:, None, None]
        tint = tint + (1 - tint) * down
    glare = np.zeros((side, side, 3), np.float32)
    hue = np.array([rng.uniform(0.7, 1), rng.uniform(0.8, 1), rng.uniform(0.8, 1.1)], np.float32)
    if rng.random() < 0.5:
        glare += rng.uniform(0, 0.12) * hue
    if rng.random() < 0.55:
        glare += _window(rng, points, side)[..., None] * hue * rng.uniform(0.08, 0.9)
    if rng.random() < 0.2:
        glare += reflected * rng.uniform(0.05, 0.4)
    return np.asarray(tint, np.float32), np.asarray(glare, np.float32)


def _window(rng: Rng, points: F32, side: int) -> F32:
    """(S, S) the mirror images of a lamp or a window in both lenses."""
    canvas = np.zeros((side, side), np.float32)
    unit = float(np.hypot(*(points[263, :2] - points[33, :2])))
    place, size = rng.uniform(-0.25, 0.25, 2) * unit, unit * rng.uniform(0.02, 0.25, 2)
    turn, bars = rng.normal(0, 0.5), rng.random() < 0.3
    c, s = np.cos(turn), np.sin(turn)
    for ring in (parts.RIGHT_EYE, parts.LEFT_EYE):
        if rng.random() < 0.2:
            continue
        center = points[list(ring), :2].mean(axis=0) + place + rng.normal(0, 0.02, 2) * unit
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size + rng.normal(0, 0.02, (4, 2)) * unit
        shape = (corners @ np.array([[c, s], [-s, c]]) + center) / side
        canvas = np.maximum(canvas, masks.fill_polygon(shape.astype(np.float32), side) / np.float32(255))
    if bars:
        canvas = canvas * (np.sin(np.arange(side) * rng.uniform(0.3, 1.2)) > -0.5)[None, :]
    return masks.blur(np.asarray(canvas, np.float32), rng.uniform(0.3, 3))
