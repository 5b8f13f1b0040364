"""How far the swap goes, and what stays the target's own: around a method, for all of them alike.

``--strength`` scales everything that is done to a face: proportions and edits before it is drawn
(:meth:`Selection.at`), then the picture, which meets the target's own with the features of both in the same
places (:func:`selected`).  At 0 nothing is drawn at all; at 1 nothing is added.

``--preserve`` lays parts of the target over the drawn face, moved to the place that they have there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np

from faceswap_cli.config import EDIT_RANGES, EditOptions, PreserveOptions, SwapOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.keyframes import Level, keyframe_values, value_at
from faceswap_cli.records import F32, U8, FaceCrop, RenderedFace
from faceswap_cli.swap import appearance

FADE = 0.08
"""Strength below which the mask fades: a face drawn only so little is as good as none, and 0 is none."""
_RINGS: dict[str, tuple[tuple[int, ...], ...]] = {
    "mouth": (parts.LIPS_OUTER,),
    "eyes": (parts.LEFT_EYE, parts.RIGHT_EYE),
    "brows": (parts.LEFT_BROW_RING, parts.RIGHT_BROW_RING),
}
_REACH = {"mouth": 0.028, "eyes": 0.038, "brows": 0.026}
"""How far a part reaches beyond its ring, in widths of the face; half of it is the soft edge."""
_BESIDE = 0.03
"""Distance of skin from the rings of the features, in widths of the face."""
_PORES = 0.022
"""Blur that parts texture of skin from features, in widths of the face."""
_APART = (4.0, 14.0)
"""Difference of L* up to which the target's skin fits the drawn face wholly, and from which on not at all."""
_MOST_GAIN = 1.42
"""Two unlike textures in equal parts lose up to the square root of two of their contrast."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What is asked for in one frame."""

    strength: float = 1.0
    kept: dict[str, float] = field(default_factory=dict)
    """Part -> share of the target's own, where above 0; ``shape`` is in the next two"""
    shape_mix: float | None = None
    outline: float | None = None
    """None leaves it to the method"""
    edits: EditOptions = field(default_factory=EditOptions)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for over time."""

    strength: Level = 1.0
    preserve: PreserveOptions = field(default_factory=PreserveOptions)
    shape_mix: Level | None = None
    outline: Level | None = None
    """None where the method's own hold from beginning to end"""
    edits: EditOptions = field(default_factory=EditOptions)

    def at(self, seconds: Fraction = Fraction(0)) -> Amounts:
        """The amounts at a time from the clip's first frame; a picture is at 0."""
        strength = value_at(self.strength, seconds)
        shares = {item.name: value_at(getattr(self.preserve, item.name), seconds) for item in _PARTS}
        whole = strength * (1.0 - shares["shape"])
        mix, outline = (
            None if level is None else value_at(level, seconds) * whole
            for level in (self.shape_mix, self.outline)
        )
        kept = {name: share for name, share in shares.items() if share > 0.0 and name != "shape"}
        return Amounts(strength, kept, mix, outline, _scaled(self.edits, strength))


_PARTS = fields(PreserveOptions)


def selection_of(options: SwapOptions) -> Selection:
    """What ``options`` ask for."""
    job, whole = options.job, (options.strength, options.preserve.shape) == (1.0, 0.0)
    mix, outline = (
        None if whole and len(keyframe_values(level)) == 1 else level
        for level in (job.shape_mix, job.outline)
    )
    return Selection(options.strength, options.preserve, mix, outline, options.edit)


@lru_cache(maxsize=64)
def _scaled(edits: EditOptions, strength: float) -> EditOptions:
    """``edits`` go as far as the swap."""
    if strength == 1.0 or not edits.any:
        return edits
    return replace(edits, **{name: getattr(edits, name) * strength for name in EDIT_RANGES})


def selected(face: RenderedFace, amounts: Amounts) -> RenderedFace:
    """A drawn face with the target's own parts over it, as far as it goes; itself where nothing is asked."""
    if amounts.strength >= 1.0 and not amounts.kept:
        return face
    height, width = face.rgb.shape[:2]
    window = Window(0, 0, width, height, max(width, height))
    drawn = face.crop.landmarks if face.drawn is None else face.drawn
    points = np.asarray(drawn / np.float32(window.side), np.float32)
    own = _carried(face.crop, points, window) if face.drawn is not None else face.crop.rgb
    rgb = face.rgb
    if share := amounts.kept.get("skin", 0.0):
        rgb = _with_skin(rgb, own, points, window, share)
    area = _area_of(amounts.kept, points, window)
    if area is not None:
        rgb = _towards(rgb, own, area[..., None])
    if amounts.strength >= 1.0:
        return replace(face, rgb=rgb)
    rgb = _morphed(own, rgb, max(amounts.strength, FADE), points, window)
    return replace(face, rgb=rgb, mask=face.mask * np.float32(min(amounts.strength / FADE, 1.0)))


def _towards(first: U8, second: U8, share: F32) -> U8:
    """``first`` and ``share`` of the way to ``second``."""
    mixed = first + (second.astype(np.float32) - first) * share
    return (mixed + np.float32(0.5)).astype(np.uint8)


def _face_width(points: F32, window: Window) -> float:
    """Pixels."""
    return float(np.ptp(points[list(parts.OVAL), 0])) * window.side


def _carried(crop: FaceCrop, wanted: F32, window: Window) -> U8:
    """The target's picture with its features where ``wanted`` (478, 3) has them."""
    had = np.asarray(crop.landmarks / np.float32(window.side), np.float32)
    moves = had[:, :2] - wanted[:, :2]
    if float(np.abs(moves).max()) * window.side < 0.05:
        return crop.rgb
    where = warp.sample_map(warp.scatter(wanted[:, :2], moves), window, window.side)
    moved = cv2.remap(crop.rgb, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _area_of(kept: dict[str, float], points: F32, window: Window) -> F32 | None:
    """(h, w) share of the target's own under the parts of ``kept``; None without any."""
    width, found = _face_width(points, window), None
    for name, rings in _RINGS.items():
        if share := kept.get(name, 0.0):
            reach = _REACH[name] * width
            area = masks.blur(masks.grow(masks.union(points, rings, window), reach), reach / 2)
            area = area * np.float32(share)
            found = area if found is None else np.maximum(found, area)
    return found


def _skin(points: F32, window: Window) -> F32:
    """(h, w) inside the outline, outside the features."""
    features = masks.union(points, parts.FEATURE_RINGS, window)
    grown = masks.grow(features, _BESIDE * _face_width(points, window))
    return masks.union(points, (parts.OVAL,), window) * (1.0 - grown)


def _with_skin(rgb: U8, own: U8, points: F32, window: Window, share: float) -> U8:
    """Tone and fine texture of the target's skin between the drawn features; light and form stay as drawn."""
    width, skin = _face_width(points, window), _skin(points, window)
    lab, theirs = appearance.lab_from_rgb(rgb), appearance.lab_from_rgb(own)
    low, weight = masks.masked_blur(np.stack([lab[..., 0], theirs[..., 0]], axis=-1), skin, _PORES * width)
    wanted, apart = theirs.copy(), low[..., 0] - low[..., 1]
    wanted[..., 0] += apart
    # A highlight is pale and a shadow is not: where only one of the faces has it, colors do not fit.
    alike = masks.smoothstep(
        (_APART[1] - masks.blur(np.abs(apart), _PORES * width)) / (_APART[1] - _APART[0])
    )
    soft = masks.smoothstep(masks.blur(skin, 0.012 * width) * np.minimum(weight * 2.0, 1.0)) * alike
    lab += (wanted - lab) * (soft * np.float32(share))[..., None]
    return appearance.rgb_from_lab(lab)


def _morphed(own: U8, drawn: U8, strength: float, points: F32, window: Window) -> U8:
    """Between two pictures whose features lie in the same places; skin keeps the contrast of its detail.

    Pores and grain of two faces do not fall together: their mean would be soft.
    """
    mixed = own + (drawn.astype(np.float32) - own) * np.float32(strength)
    skin = _skin(points, window)
    first, second, both = (
        appearance.split_bands(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY))
        for image in (own, drawn, mixed)
    )
    before, after, have = (appearance.measure_detail(bands, skin).bands for bands in (first, second, both))
    wanted = np.sqrt((1.0 - strength) * before**2 + strength * after**2)
    gains = np.clip(wanted / have, 1.0, _MOST_GAIN)
    more = np.zeros(window.shape, np.float32)
    for layer, gain in zip(both[:-1], gains.tolist(), strict=True):
        more += layer * np.float32(gain - 1.0)
    mixed += (more * masks.blur(skin, 0.5 * _BESIDE * _face_width(points, window)))[..., None]
    return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)
