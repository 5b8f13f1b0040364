"""A face behind lenses: tinted as the target's is, under the target's reflections."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance
from faceswap_cli.swap.appearance import LAB_OFFSET

_TINTED = (0.82, 0.92)
"""Lightness behind a lens over that of the drawn face, below which the lens counts as tinted, and from which
it does not: eye sockets differ between people too"""
_OPAQUE = (0.3, 0.45)
"""The same ratio up to which nothing is seen through a lens, and from which on everything is"""
_DIM, _ALIKE = (0.5, 0.65), (0.1, 0.4)
"""The same of lenses behind which nothing like a face is seen, and the correlation of L* with the drawn face
up to which that is so, and from which on it is not"""
_GLARE = (9.0, 22.0)
"""L* over the drawn face, and over the target's skin, from which a reflection shows, a little and wholly"""
_PALE = (0.2, 0.45)
"""Share of the skin's color, at equal lightness, that white reflections take, a little and wholly"""
_NOT_DARK = (-8.0, -2.0)
"""L* against the target's skin: what is darker is pale as shadows are"""
_OFF_HUE = (0.2, 0.32)
"""Distance toward green from the skin's hue, over its usual color, that is a reflection, a little and wholly.
Neither shadows nor lids look like that, so it may be darker than the skin, and close to the eye"""
_NOT_BLACK = (-25.0, -12.0)
"""L* against the target's skin: what is darker has no hue"""
_COLORLESS = 0.08
"""Chroma of skin over its lightness below which nothing is known from color"""
_MIRROR = (3.0, 5.0)
"""Light of one color over that of another, both over the drawn face's, from which a lens mirrors rather than
tints, in part and wholly"""
_ADDED = (1.2, 1.6)
"""Light of the first color over the drawn face's, below which none is added, and from which some surely is"""
_GLARE_SOFT = 0.004
"""Softness of reflections, as a share of the crop"""
_FEW = 8
_EVEN = 0.04
"""Width, as a share of the crop, of the areas whose color behind a lens is that of the target"""
_COARSE = 4
"""These areas are compared at 1 / this of the size"""
_RECOLORED, _LIT = 14.0, 12.0
"""Most that a* and b* change by, and that L* rises by"""


def behind_lenses(lab: F32, target: F32, lens: F32, points: F32, window: Window) -> F32:
    """Tint the drawn Lab picture (h, w, 3) of ``window`` where ``lens`` (h, w) is, in place.

    Returns how far (h, w) the target's own pixels stay there: reflections, and lenses that hide the eyes.
    ``points`` (478, 2+): the target's mesh, unit coordinates.
    """
    kept = np.zeros(window.shape, np.float32)
    rows, columns = (np.flatnonzero((lens > 0).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return kept
    # Blurred reflections reach a little beyond the lenses.
    edge = int(3 * _GLARE_SOFT * window.side) + 2
    top, left = max(int(rows[0]) - edge, 0), max(int(columns[0]) - edge, 0)
    part = (slice(top, int(rows[-1]) + edge + 1), slice(left, int(columns[-1]) + edge + 1))
    height, width = lens[part].shape
    inner = Window(window.x + left, window.y + top, width, height, window.side)
    kept[part] = _tinted(lab[part], target[part], lens[part], points, inner)
    return kept


def _tinted(lab: F32, target: F32, lens: F32, points: F32, window: Window) -> F32:
    eyes, around = (masks.union(points, parts.FEATURE_RINGS[:4], window, n * window.side) for n in (0, 0.012))
    kept = np.zeros(window.shape, np.float32)
    middle = min(max(round(float(window.pixels(points[[168]])[0, 0])), 0), window.width)
    lenses = [
        (own, colors)
        for own in (np.s_[:, :middle], np.s_[:, middle:])
        if (colors := _colors(lab[own], target[own], lens[own], around[own])) is not None
    ]
    # Both lenses of a pair are alike: what one hides, the other does.
    opaque = max((_opacity(lab[own], target[own], lens[own], colors) for own, colors in lenses), default=0.0)
    even_px = _EVEN * window.side
    for own, colors in lenses:
        kept[own] = _one_lens(lab[own], target[own], lens[own], eyes[own], around[own], colors, even_px)
    return masks.blur(np.maximum(kept, np.float32(opaque) * lens), _GLARE_SOFT * window.side)


@dataclass(frozen=True, slots=True, eq=False)
class _Colors:
    """Median L*a*b* (3,) of the drawn and of the target's skin behind a lens."""

    drawn: F32
    seen: F32
    skin: NDArray[np.bool_] = field(repr=False)
    """Every other pixel: skin behind the lens"""


def _colors(lab: F32, target: F32, lens: F32, around: F32) -> _Colors | None:
    some = np.s_[::2, ::2]  # enough for medians
    skin = (lens[some] > 0.5) & (around[some] < 0.5)
    if np.count_nonzero(skin) < _FEW:
        return None
    drawn, seen = (np.median(x[some][skin], axis=0) for x in (lab, target))
    return _Colors(drawn, seen, skin)


def _opacity(lab: F32, target: F32, lens: F32, colors: _Colors) -> float:
    """How far a lens hides what is behind it, 0 to 1: dark glass, and mirrors."""
    some, drawn, seen = np.s_[::2, ::2], colors.drawn, colors.seen
    lit, inside = _tint(drawn, seen)[0], lens[some] > 0.5
    # Reflections say nothing of what is behind.
    inside &= target[some][..., 0] < max(drawn[0], seen[0]) + _GLARE[0]
    alike = _correlation(lab[some][..., 0][inside], target[some][..., 0][inside])
    dim = (1.0 - _ramp(lit, _DIM)) * (1.0 - _ramp(alike, _ALIKE))
    return max(1.0 - _ramp(lit, _OPAQUE), dim, _mirrored(drawn, seen))


def _correlation(one: F32, other: F32) -> float:
    """-1 to 1; 0 of few values, and of even ones."""
    if len(one) < _FEW:
        return 0.0
    a, b = (x.astype(np.float64) - float(x.mean()) for x in (one, other))
    return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6)


def _one_lens(
    lab: F32, target: F32, lens: F32, eyes: F32, around: F32, colors: _Colors, even_px: float
) -> F32:
    """:func:`behind_lenses` of one side of the nose, sharp.

    ``eyes`` (h, w): with the brows; ``around``: with what is close to them, too.
    """
    drawn, seen, skin = colors.drawn, colors.seen, colors.skin
    tint = _tint(drawn, seen)
    shade = 1.0 - _ramp(tint[0], _TINTED)
    factor = np.float32(1.0 + (tint[0] - 1.0) * shade)
    if shade > 0.0:
        lit = (lab[..., 0] + LAB_OFFSET) * factor - LAB_OFFSET
        lab[..., 0] += (lit - lab[..., 0]) * lens
        for k in (1, 2):
            lab[..., k] += np.float32(shade * tint[k]) * lens + (factor - 1) * lab[..., k] * lens
    pale, off_hue = _colored(target, seen, skin)
    glare = np.maximum(_bright(lab, target, seen), pale) * (1.0 - around)
    glare = np.maximum(glare, off_hue * (1.0 - eyes))
    skin_shown = np.asarray((1.0 - around) * (1.0 - glare), np.float32)
    _recolor(lab, target, lens, skin_shown, even_px)
    return np.asarray(glare * lens, np.float32)


def _recolor(lab: F32, target: F32, lens: F32, skin: F32, sigma: float) -> None:
    """Shift ``lab`` (h, w, 3) toward the broad colors of the target behind ``lens`` (h, w), in place.

    A veil of light over the lens makes what is behind it paler; without it dark eye sockets look painted.
    ``skin`` (h, w): where both pictures show skin, without reflections.
    """
    size = tuple(max(n // _COARSE, 1) for n in lens.shape[::-1])
    sigma /= _COARSE
    before, after, inside, known = (
        np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA)) for x in (lab, target, lens, skin)
    )
    # Rims and their shadows color what is next to them.
    weight = masks.grow(inside, -0.3 * sigma) * known
    drawn = masks.masked_blur(before, weight, sigma)[0]
    shift = masks.masked_blur(after - before, weight, sigma)[0]
    limits = (0.0, -_RECOLORED, -_RECOLORED), (_LIT, _RECOLORED, _RECOLORED)
    both = np.dstack([np.clip(shift, *limits), cv2.magnitude(drawn[..., 1], drawn[..., 2])])
    change = cv2.resize(both.astype(np.float32), lens.shape[::-1], interpolation=cv2.INTER_LINEAR)
    # Brows and pupils have less color than the skin, and change by less.
    color = cv2.magnitude(lab[..., 1], lab[..., 2]) / np.maximum(change[..., 3], 1.0)
    lab[..., 0] += change[..., 0] * lens
    lab[..., 1:] += change[..., 1:3] * (lens * np.minimum(color, 1.0))[..., None]


def _bright(lab: F32, target: F32, seen: F32) -> F32:
    """(h, w) brighter than the drawn skin and than the target's skin, whose own wrinkles do not count."""
    base = np.maximum(lab[..., 0], seen[0])
    return masks.eased(target[..., 0] - base, _GLARE)


def _colored(target: F32, seen: F32, skin: NDArray[np.bool_]) -> tuple[F32 | float, F32 | float]:
    """(h, w) each: reflections too faint to be brighter than skin, that are paler, or of another hue.

    ``skin``: every other pixel, True behind the lens and outside of the eyes.
    """
    hue = seen[1:] / max(float(np.hypot(*seen[1:])), 1e-6)
    scale = np.float32(1.0) / np.maximum(target[..., 0] + LAB_OFFSET, 1.0)
    depth = (target[..., 1] * hue[0] + target[..., 2] * hue[1]) * scale
    usual = float(np.percentile(depth[::2, ::2][skin], 70))
    if usual < _COLORLESS:
        return 0.0, 0.0
    lighter = target[..., 0] - seen[0]
    pale = masks.eased(1.0 - depth / np.float32(usual), _PALE) * masks.eased(lighter, _NOT_DARK)
    green = (target[..., 2] * hue[0] - target[..., 1] * hue[1]) * scale / np.float32(usual)
    return pale, masks.eased(green, _OFF_HUE) * masks.eased(lighter, _NOT_BLACK)


def _mirrored(drawn: F32, seen: F32) -> float:
    """How far a lens of Lab ``seen`` over a face of ``drawn``, (3,) each, shows something else: 0 to 1."""
    both = appearance.rgb_from_lab(np.stack([drawn, seen])[None].astype(np.float32))
    linear = np.maximum((both[0].astype(np.float32) / np.float32(255)) ** np.float32(2.2), 0.02)
    ratio = linear[1] / linear[0]
    most = float(ratio.max())
    # A face with dark eye sockets is darker than the lens in every color.
    return _ramp(most / float(ratio.min()), _MIRROR) * _ramp(most, _ADDED)


def _tint(drawn: F32, seen: F32) -> tuple[float, float, float]:
    """Ratio of lightness, and shifts of a* and b*, from Lab (3,) behind a lens."""
    ratio = float((seen[0] + LAB_OFFSET) / max(float(drawn[0]) + LAB_OFFSET, 1.0))
    a, b = (float(seen[k] - drawn[k] * ratio) for k in (1, 2))
    return ratio, a, b


def _ramp(value: float, bounds: tuple[float, float]) -> float:
    return min(max((value - bounds[0]) / (bounds[1] - bounds[0]), 0.0), 1.0)
