"""The face moves: lips, lower jaw, lids, eyeballs and brows slide over one another.

Fields are forward displacements on the grid of the photograph; every layer is warped back by its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from puppet.fields import F32, Warp, curve, edge_mask, grid, over, smoothstep

UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Inner edges of the lips, from the left corner to the right one."""
EYES = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133), 468, 105),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263), 473, 334),
)
"""Upper lid, lower lid (from left to right), centre of the iris, a point of the brow."""
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
    brow: float = 0.0
    """0 to 1: raised."""


def express(head: F32, points: F32, face: Expression) -> F32:
    """The head layer with another expression; ``points`` is its mesh."""
    upper, lower = points[list(UPPER_LIP), :2], points[list(LOWER_LIP), :2]
    x, y = grid(head.shape[:2])
    eyes = points[[468, 473], :2]
    unit = float(np.linalg.norm(eyes[1] - eyes[0]))
    mouth = Mouth(x, y, upper, lower, points[CHIN, :2], unit)
    base_dx, base_dy = mouth.corners(face)
    for _, _, _, brow in EYES:
        lift = np.exp(
            -(((x - points[brow, 0]) / (0.42 * unit)) ** 2) - ((y - points[brow, 1]) / (0.2 * unit)) ** 2
        )
        base_dy = base_dy - (0.085 * unit * face.brow * lift).astype(np.float32)
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
        lid = Warp.of(base_dx, base_dy + eye.upper_field(face))
        picture = over(picture, lid(head), lid(eye.lid_alpha()))
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
    def centre(self) -> float:
        return float(self.upper[[0, -1], 0].mean())

    @property
    def half(self) -> float:
        return float(self.upper[-1, 0] - self.upper[0, 0]) / 2

    def across(self) -> F32:
        """-1 and 1 at the corners."""
        return ((self.x - self.centre) / self.half).astype(np.float32)

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
        chin = float(self.chin[1] - self.middle()[0, int(self.centre)]) / self.unit
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
        teeth = edge_mask(bottom - 1.5 - self.y + 2.5 * np.cos(s * 21) * 0.3, 4.0) * (np.abs(s) < 1.1)
        shade = np.clip(1.06 - 0.5 * s**4 - 0.10 * face.jaw, 0, 1)
        shade = shade * (0.72 + 0.28 * smoothstep((self.y - top + 2) / (0.10 * self.unit)))
        return over(dark, head * shade[..., None], teeth.astype(np.float32)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class EyeLayer:
    """Lids and eyeball of one eye.  ``eye`` is a row of :data:`EYES`."""

    x: F32 = field(repr=False)
    y: F32 = field(repr=False)
    points: F32 = field(repr=False)
    eye: tuple[tuple[int, ...], tuple[int, ...], int, int]
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

    def upper_field(self, face: Expression) -> F32:
        """The lashes travel to the lower lid, the skin up to the brow is stretched behind them."""
        room = 0.30 * self.unit
        above = np.clip((curve(self.upper, self.x) - self.y) / room, 0, 1)
        return (0.9 * face.blink * self.gap() * (1 - above) ** 2 * (1 + 2 * above) ** 0.5).astype(np.float32)

    def lower_field(self, face: Expression) -> F32:
        below = np.clip((self.y - curve(self.lower, self.x)) / (0.3 * self.unit), 0, 1)
        return (
            -0.12 * face.blink * self.gap() * (1 - below) ** 2 * (self.y > self.upper[0, 1] - self.unit)
        ).astype(np.float32)

    def lid_alpha(self) -> F32:
        """Down to the lashes, up to the brow, between the corners; soft where it ends in plain skin."""
        lashes = edge_mask(curve(self.upper, self.x) + 0.030 * self.unit - self.y, 2.5)
        top = smoothstep((self.y - curve(self.upper, self.x) + 0.34 * self.unit) / (0.05 * self.unit))
        return lashes * top * (1 - smoothstep((np.abs(self.across()) - 0.98) / 0.12))

    def opening(self) -> F32:
        inside = np.minimum(self.y - curve(self.upper, self.x), curve(self.lower, self.x) - self.y)
        return edge_mask(inside.astype(np.float32), 2.5) * (np.abs(self.across()) < 1)

    def turned(self, picture: F32, face: Expression) -> F32:
        """The eyeball looks to a side: the iris moves, the white is stretched and pressed together."""
        centre = self.points[self.eye[2], :2]
        radius = 0.5 * float(np.ptp(self.points[self.eye[2] : self.eye[2] + 5, 0]))
        away = np.abs(self.x - centre[0]) / (2.3 * radius)
        near = 1 - smoothstep((away - 0.42) / 0.68)
        high = np.exp(-(((self.y - centre[1]) / (2.2 * radius)) ** 4))
        shift = 0.8 * radius * face.gaze * near * high
        return Warp.of(shift.astype(np.float32), np.zeros_like(self.x))(picture)
