"""The face moves: lips, lower jaw, lids and eyeballs slide over one another.

Fields are forward displacements on the grid of the photograph; every layer is warped back by its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from puppet.fields import F32, Warp, curve, edge_mask, grid, over, sample, smoothstep

UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Inner edges of the lips, from the left corner to the right one."""
EYES = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133), 468),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263), 473),
)
"""Upper lid, lower lid (from left to right), center of the iris."""
CHIN = 152
OPEN = 0.30
"""How far the jaw drops at most, in distances of the irises."""


@dataclass(frozen=True, kw_only=True)
class Expression:
    """Against the photograph; 0 everywhere is the photograph itself."""

    jaw: float = 0.0
    """0 to 1: how far the lower jaw drops."""
    shut: float = 0.0
    """0 to 1: how far lips that are apart in the photograph close."""
    narrow: float = 0.0
    """0 to 1: how far the corners of the mouth come in, as in "oo"."""
    blink: float = 0.0
    """0 to 1: 1 is shut."""
    gaze: float = 0.0
    """-1 to 1: the irises' way to the left or the right."""


def express(head: F32, points: F32, face: Expression) -> F32:
    """The head layer with another expression; ``points`` is its mesh."""
    upper, lower = points[list(UPPER_LIP), :2], points[list(LOWER_LIP), :2]
    x, y = grid(head.shape[:2])
    eyes = points[[468, 473], :2]
    unit = float(np.linalg.norm(eyes[1] - eyes[0]))
    mouth = Mouth(x, y, upper, lower, points[CHIN, :2], unit)
    base_dx, base_dy = mouth.corners(face)
    picture = mouth.inside(head, face)
    dx, dy = mouth.jaw_field(face)
    jaw = Warp.of(base_dx + dx, base_dy + dy)
    picture = over(picture, jaw(head), jaw(mouth.lower_alpha()))
    lids = [EyeLayer(x, y, points, eye, unit) for eye in EYES]
    lifts = sum((eye.lower_field(face) for eye in lids), np.zeros_like(x))
    rest = Warp.of(base_dx, base_dy + mouth.upper_field(face) + lifts)
    eyeball = head
    opening = np.zeros_like(x)
    for eye in lids:
        eyeball = eye.turned(eyeball, face)
        opening = np.maximum(opening, eye.opening())
    level = rest(mouth.upper_alpha())
    hole = rest(opening)
    seen = rest(eyeball) * hole[..., None] + rest(head) * (1 - hole[..., None])
    picture = over(picture, seen, level)
    for eye in lids:
        skin, covered = eye.lid(head, face)
        picture = over(picture, skin, covered)
    return picture


@dataclass(frozen=True, eq=False)
class Mouth:
    """Lips and lower jaw.  Fields are forward displacements on the grid of the photograph."""

    x: F32 = field(repr=False)
    y: F32 = field(repr=False)
    upper: F32
    lower: F32
    chin: F32
    unit: float
    """Distance of the irises."""

    @property
    def center(self) -> float:
        return float(self.upper[[0, -1], 0].mean())

    @property
    def half(self) -> float:
        return float(self.upper[-1, 0] - self.upper[0, 0]) / 2

    def across(self) -> F32:
        """-1 and 1 at the corners."""
        return ((self.x - self.center) / self.half).astype(np.float32)

    def lip(self) -> F32:
        """1 in the middle of the lips, 0 from the corners on."""
        return np.clip(1.0 - self.across() ** 2, 0, 1).astype(np.float32)

    def middle(self) -> F32:
        """(H, W) height of the line between the lips."""
        return (curve(self.upper, self.x) + curve(self.lower, self.x)) / 2

    def corners(self, face: Expression) -> tuple[F32, F32]:
        """What both jaws share: the corners come in and down."""
        s, t = self.across(), (self.y - self.middle()) / (0.75 * self.unit)
        near = np.exp(-(t**2) - (s / 1.7) ** 4)
        pull = -0.3 * face.narrow * self.half * s * near
        drop = 0.05 * face.jaw * self.unit * np.exp(-(t**2) * 2 - ((np.abs(s) - 1) / 0.8) ** 2)
        return pull.astype(np.float32), drop.astype(np.float32)

    def jaw_field(self, face: Expression) -> tuple[F32, F32]:
        """The jaw is stiff: everything under the lip drops alike, less towards ears and throat."""
        t = np.maximum(self.y - self.middle(), 0) / self.unit
        chin = float(self.chin[1] - self.middle()[0, int(self.center)]) / self.unit
        stiff = smoothstep(t / (0.6 * chin)) * (1 - smoothstep((t - 1.05 * chin) / 0.55))
        stiff = stiff * np.exp(-(((self.x - self.chin[0]) / (0.98 * self.unit)) ** 4))
        lip = self.lip() * np.exp(-((t / 0.4) ** 2))
        weight = 1 - (1 - stiff) * (1 - lip)
        gap = curve(self.lower, self.x) - curve(self.upper, self.x)
        meet = 0.62 * face.shut * gap * np.exp(-((t / 0.3) ** 2))
        dy = OPEN * self.unit * face.jaw * weight - meet
        dx = -0.1 * face.narrow * self.half * self.across() * lip
        return dx.astype(np.float32), dy.astype(np.float32)

    def upper_field(self, face: Expression) -> F32:
        t = np.minimum(self.y - self.middle(), 0) / self.unit
        gap = curve(self.lower, self.x) - curve(self.upper, self.x)
        near = np.exp(-((t / 0.16) ** 2))
        return (near * (0.38 * face.shut * gap - 0.05 * self.unit * face.jaw * self.lip())).astype(np.float32)

    def _slack(self) -> F32:
        """Beyond the corners the layers overlap; there they hold the same pixels."""
        return 5.0 * smoothstep((np.abs(self.across()) - 0.97) / 0.08)

    def lower_alpha(self) -> F32:
        return edge_mask(self.y - curve(self.lower, self.x) + 1.0 + self._slack())

    def upper_alpha(self) -> F32:
        return edge_mask(curve(self.upper, self.x) - self.y + 1.0 + self._slack())

    def inside(self, head: F32, face: Expression) -> F32:
        """What an open mouth shows: the upper teeth of the photograph, the tongue, the dark."""
        s = self.across()
        top, bottom = curve(self.upper, self.x), curve(self.lower, self.x)
        drop = OPEN * self.unit * face.jaw * self.lip() + 1e-3
        dark = np.empty_like(head)
        dark[:] = np.array([30, 24, 50], np.float32)
        deep = (self.y - bottom) / (drop + 6)
        tongue = np.exp(-((s / 0.6) ** 4)) * smoothstep((deep - 0.30) / 0.6)
        dark = over(
            dark,
            np.broadcast_to(np.array([84, 80, 150], np.float32), head.shape),
            0.8 * tongue.astype(np.float32),
        )
        low = np.exp(-((s / 0.62) ** 6)) * smoothstep((deep - 0.78) / 0.12) * (face.jaw > 0)
        dark = over(
            dark,
            np.broadcast_to(np.array([128, 142, 158], np.float32), head.shape),
            0.7 * low.astype(np.float32),
        )
        # Upper teeth hang from the skull: they do not drop with the jaw.
        long = np.minimum(0.105 * self.unit, 0.55 * drop) * (1.0 - 0.25 * s**2)
        long = long - 0.012 * self.unit * np.abs(np.sin(s * 9.0)) ** 6
        teeth = edge_mask(top + long - self.y, 2.5) * (1 - smoothstep((np.abs(s) - 0.72) / 0.2))
        shade = (0.55 + 0.45 * smoothstep((self.y - top + 2) / (0.09 * self.unit))) * (1.0 - 0.5 * s**4)
        shade = shade * (1.0 - 0.22 * np.abs(np.sin(s * 9.0)) ** 10)
        ivory = np.array([158, 178, 190], np.float32) * shade[..., None]
        return over(dark, ivory, teeth).astype(np.float32)


@dataclass(frozen=True, eq=False)
class EyeLayer:
    """Lids and eyeball of one eye.  ``eye`` is a row of :data:`EYES`."""

    x: F32 = field(repr=False)
    y: F32 = field(repr=False)
    points: F32 = field(repr=False)
    eye: tuple[tuple[int, ...], tuple[int, ...], int]
    unit: float

    @property
    def upper(self) -> F32:
        return self.points[list(self.eye[0]), :2]

    @property
    def lower(self) -> F32:
        return self.points[list(self.eye[1]), :2]

    def across(self) -> F32:
        """-1 and 1 at the corners."""
        left, right = self.upper[:, 0].min(), self.upper[:, 0].max()
        return ((2 * self.x - left - right) / (right - left)).astype(np.float32)

    def gap(self) -> F32:
        """(H, W) height of the opening at each x; 0 beyond the corners."""
        return np.maximum(curve(self.lower, self.x) - curve(self.upper, self.x), 0)

    def lid(self, head: F32, face: Expression) -> tuple[F32, F32]:
        """The closing upper lid and its (H, W) alpha: skin from under the eye, mirrored at the lashes."""
        top = curve(self.upper, self.x)
        lashes = top + (0.92 * smoothstep(np.float32(face.blink)) * self.gap()).astype(np.float32)
        source_y = curve(self.lower, self.x) + 0.05 * self.unit + 0.9 * np.maximum(lashes - self.y, -2)
        fold = np.exp(-(((self.y - top + 0.05 * self.unit) / (0.03 * self.unit)) ** 2))
        skin = sample(head, self.x, source_y) * (1.0 - 0.14 * fold)[..., None]
        skin = skin * np.array([0.82, 0.84, 0.90], np.float32)
        line = 0.85 * np.exp(-(((self.y - lashes) / (0.015 * self.unit)) ** 2))
        skin = over(skin, np.broadcast_to(np.array([36, 40, 62], np.float32), head.shape), line)
        covered = edge_mask(lashes + 0.01 * self.unit - self.y, 2.0)
        covered = covered * smoothstep((self.y - top) / (0.05 * self.unit) + 1.6)
        covered = covered * (1 - smoothstep((np.abs(self.across()) - 0.86) / 0.16))
        return skin, covered * smoothstep(np.float32(face.blink / 0.15))

    def lower_field(self, face: Expression) -> F32:
        below = np.clip((self.y - curve(self.lower, self.x)) / (0.3 * self.unit), 0, 1)
        return (
            -0.12 * face.blink * self.gap() * (1 - below) ** 2 * (self.y > self.upper[0, 1] - self.unit)
        ).astype(np.float32)

    def opening(self) -> F32:
        inside = np.minimum(self.y - curve(self.upper, self.x), curve(self.lower, self.x) - self.y)
        return edge_mask(inside.astype(np.float32), 2.5) * (np.abs(self.across()) < 1)

    def turned(self, picture: F32, face: Expression) -> F32:
        """The eyeball looks to a side: the iris moves, the white is stretched and pressed together."""
        center = self.points[self.eye[2], :2]
        radius = 0.5 * float(np.ptp(self.points[self.eye[2] : self.eye[2] + 5, 0]))
        away = np.abs(self.x - center[0]) / (2.3 * radius)
        near = 1 - smoothstep((away - 0.42) / 0.68)
        high = np.exp(-(((self.y - center[1]) / (2.2 * radius)) ** 4))
        shift = 0.8 * radius * face.gaze * near * high
        return Warp.of(shift.astype(np.float32), np.zeros_like(self.x))(picture)
