"""Sharpness and grain: those of the target's own skin, never harsher than the footage.

L* is split into octave bands.  Each band of the drawn face is scaled to the strength that it has on the
target's skin, up or, mostly, down; what the source cannot give (a small photograph, clean skin in grainy
footage) is taken from the target's own skin, which carries the noise of the footage, its coding and its pores
exactly, and moves with the target.  Strengths are medians, so that folds, hairs and rims do not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap.appearance import DEVIATION, FEW_PIXELS
from faceswap_cli.swap.skin import bare_form

BANDS = 4
"""Octaves, of 1 to 8 px; the coarser two are split at half the size."""
SKIN_LOW = np.array([0.2, 0.35, 0.5, 0.6], np.float32)
FEATURE_LOW = np.array([0.25, 0.6, 0.95, 1.0], np.float32)
GAIN_HIGH = np.array([1.25, 1.15, 1.05, 1.0], np.float32)
"""Limits of the gains, fine to coarse, on skin and on eyes, brows and lips, which are the source's."""
_SIGMAS = (1.0, 2.0, 4.0, 8.0)
_FORM = 0.03
"""Bands of a larger sigma than this share of the crop are the form of the face: they stay."""
_SOFT = 7
"""Blur between skin and features, px."""
_CODED, _WHITE = 1.4, (1.3, 1.8)
"""The finest band is made this much stronger where it is noise, of which pasting and coding take; and the
finest band over the next one, from where it is noise, a little and wholly (skin has about 1)."""
_RELIEF_SIDE, _RELIEF_BROAD = 96, 0.08
"""Side at which relief is measured, and the blur that separates it from light, as a share of the crop"""
_RELIEF_MOST, _RELIEF_LOW = 1.4, 0.5
"""Most relief over the target's, and the least that is left of a face's own"""
_BORROWED = 2
"""Bands that may be taken from the target's skin."""
_CLIP = 2.0
"""Deviations at which borrowed detail is cut."""
_AROUND, _STRUCTURE = 5, (1.1, 1.6)
"""Window, px, and mean size of a layer in it, in deviations, from which it is structure, a little and wholly;
0.8 is noise."""
_COLOR_SPECTRUM = np.array([1.0, 1.2, 0.85], np.float32)
"""Color noise by octave, over that of the finest; what the target has beyond it is its complexion."""
_COLOR_KEPT, _COLOR_KEPT_AT = (0.32, 0.4, 0.68, 1.0), (-1.0, 0.0, 1.0, 2.0)
"""Share of an octave that is left once a face has been averaged to color samples, by the binary logarithm
of its sigma in those samples."""
_COLOR_WARPED = 0.85
"""The same where color has a sample for each pixel."""
_ROUNDING = 0.4
"""Deviation of a* and b* that comes of 8-bit samples: the output has it anyway."""
_LEAST = 1e-3
_LITTLE = 0.05
"""Share of a band that is not worth borrowing."""
_NOISELESS = 0.15
"""Deviation of a* and b* below which there is no color noise worth adding."""


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """L* of a window (h, w) split into octaves: ``base`` and the two fine layers sum to it."""

    fine: tuple[F32, F32] = field(repr=False)
    coarse: tuple[F32, F32] = field(repr=False)
    """At half the size; parts of ``base``"""
    base: F32 = field(repr=False)

    @property
    def layers(self) -> tuple[F32, ...]:
        return (*self.fine, *self.coarse)


def split(luma: F32) -> Bands:
    """(h, w) L* -> its octaves."""
    fine, current = [], luma
    for sigma in _SIGMAS[:2]:
        smooth = _gaussian(current, sigma)
        fine.append(current - smooth)
        current = smooth
    small = cv2.resize(current, _half(luma.shape), interpolation=cv2.INTER_AREA)
    coarse = []
    for sigma in _SIGMAS[2:]:
        smooth = _gaussian(small, sigma / 2)
        coarse.append(small - smooth)
        small = smooth
    return Bands((fine[0], fine[1]), (coarse[0], coarse[1]), current)


def _half(shape: tuple[int, ...]) -> tuple[int, int]:
    return max(shape[1] // 2, 1), max(shape[0] // 2, 1)


def _gaussian(plane: F32, sigma: float) -> F32:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def measure(bands: Bands, skin: NDArray[np.bool_]) -> F32:
    """(BANDS,) robust deviations on ``skin`` (h, w); ones where there is too little of it."""
    if np.count_nonzero(skin) < FEW_PIXELS:
        return np.ones(BANDS, np.float32)
    small = cv2.resize(skin.view(np.uint8), _half(skin.shape), interpolation=cv2.INTER_NEAREST) > 0
    found = [_deviation(layer, skin) for layer in bands.fine]
    found += [_deviation(layer, small) for layer in bands.coarse]
    return np.array(found, np.float32)


def _deviation(layer: F32, where: NDArray[np.bool_]) -> float:
    chosen = np.abs(layer[::2, ::2][where[::2, ::2]])
    return DEVIATION * float(np.median(chosen)) + _LEAST if len(chosen) else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Skin or brows: as detailed as they are on the target, and where the drawn face shows them."""

    wanted: F32
    """(BANDS,) deviations of the target's, smoothed over time"""
    where: NDArray[np.bool_] = field(repr=False)
    """(h, w)"""


def match_detail(
    lab: F32,
    target: F32,
    window: Window,
    skin: Part,
    hair: Part | None = None,
    seed: int = 0,
    color_px: float = 0.0,
) -> None:
    """Bring the detail of a drawn face to the target's, in place.

    ``lab``, ``target`` (h, w, 3) L*a*b* of the same ``window`` of a crop; ``hair``: brows, which are sharp
    beside skin that was made smooth; ``seed`` of the noise where the target shows no skin to borrow from;
    ``color_px`` pixels of the crop per color sample of the frame, 0 where the frame has one for each pixel.
    """
    drawn = split(np.ascontiguousarray(lab[..., 0]))
    wanted = skin.wanted
    noisy = float(np.clip((wanted[0] / wanted[1] - _WHITE[0]) / (_WHITE[1] - _WHITE[0]), 0.0, 1.0))
    finer = np.ones(BANDS, np.float32)
    finer[0] += (_CODED - 1.0) * noisy
    have, wanted = measure(drawn, skin.where), wanted * finer
    form = np.array(_SIGMAS) > _FORM * window.side
    ratio = wanted / have
    of_hair = ratio if hair is None else np.maximum(ratio, hair.wanted / measure(drawn, hair.where))
    gains, feature_gains = (
        np.where(form, 1.0, np.clip(gain, low, GAIN_HIGH)).astype(np.float32)
        for gain, low in ((ratio, SKIN_LOW), (of_hair, FEATURE_LOW))
    )
    on_skin = cv2.blur(skin.where.astype(np.float32), (_SOFT, _SOFT))
    gain_maps = on_skin[..., None] * (gains - feature_gains) + feature_gains
    luma = drawn.base + sum(layer * gain_maps[..., k] for k, layer in enumerate(drawn.fine))
    small = cv2.resize(gain_maps[..., 2:], _half(luma.shape), interpolation=cv2.INTER_AREA) - 1.0
    change = sum(layer * small[..., k] for k, layer in enumerate(drawn.coarse))
    luma += cv2.resize(change, luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
    # Octaves overlap: what is left of a coarser one shows in the finer ones.
    again = split(luma)
    have = measure(again, skin.where)
    for k, layer in enumerate(again.fine):
        luma += layer * on_skin * (np.clip(wanted[k] / have[k], SKIN_LOW[k], np.float32(1)) - np.float32(1))
    missing = np.sqrt(np.maximum(wanted**2 - have**2, 0.0)) / wanted
    if float(missing[:_BORROWED].max()) > _LITTLE:
        own, noise = (split(x).fine for x in (np.ascontiguousarray(target[..., 0]), _noise(window, seed)))
        for k in range(_BORROWED):
            luma += _plain(own[k] * finer[k], noise[k], float(wanted[k])) * missing[k]
    lab[..., 0] = luma
    _add_color_noise(lab, target, skin.where, window, seed, color_px)


def measure_relief(luma: F32, skin: NDArray[np.bool_], window: Window) -> float:
    """Deviation of the L* (h, w) of ``window`` on ``skin``, coarser than detail and finer than light.

    This is what a lamp makes of the form of a face: much under a hard one, little under the sky.
    """
    return _size(*_relief(luma, skin, window))


def limit_relief(lab: F32, wanted: float, skin: NDArray[np.bool_], points: F32, window: Window) -> None:
    """Flatten a drawn face (h, w, 3), in place, as far as its ``skin`` has more relief than ``wanted``.

    Lids and nostrils of the mesh ``points`` (478, 2+) become flatter too: the same lamp gave them their form.
    """
    luma = np.ascontiguousarray(lab[..., 0])
    relief, area = _relief(luma, skin, window)
    gain = np.float32(np.clip(_RELIEF_MOST * wanted / _size(relief, area), _RELIEF_LOW, 1.0))
    if gain < 1.0:
        where = cv2.resize(bare_form(points, window), area.shape[::-1], interpolation=cv2.INTER_AREA)
        change = relief * cv2.blur(where, (3, 3)) * (gain - np.float32(1.0))
        lab[..., 0] += cv2.resize(change, luma.shape[::-1], interpolation=cv2.INTER_CUBIC)


def _size(relief: F32, area: F32) -> float:
    chosen = relief[area > 0.5]
    return float(np.sqrt(np.square(chosen).mean())) + _LEAST if len(chosen) >= FEW_PIXELS else 1.0


def _relief(luma: F32, skin: NDArray[np.bool_], window: Window) -> tuple[F32, F32]:
    """It, and the skin, both small."""
    scale = _RELIEF_SIDE / window.side
    size = (max(round(window.width * scale), 1), max(round(window.height * scale), 1))
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    area = cv2.resize(skin.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    low, _ = masks.masked_blur(small, area + np.float32(1e-3), _RELIEF_BROAD * _RELIEF_SIDE)
    return np.asarray(small - low[..., 0], np.float32), np.asarray(area, np.float32)


def _plain(layer: F32, noise: F32, strength: float) -> F32:
    """A detail layer of the target without its structure: folds, hairs and rims are not skin to borrow.

    Where its energy is well above ``strength`` squared, ``noise`` stands in.
    """
    energy = cv2.blur(np.minimum(np.abs(layer), 4 * strength), (_AROUND, _AROUND))
    energy = cv2.dilate(energy, np.ones((_AROUND, _AROUND), np.uint8))
    plain = np.clip((_STRUCTURE[1] - energy / strength) / (_STRUCTURE[1] - _STRUCTURE[0]), 0.0, 1.0)
    limit = _CLIP * strength
    own = np.clip(layer, -limit, limit) * plain
    return np.asarray(own + noise * (strength / float(noise.std())) * np.sqrt(1.0 - plain**2), np.float32)


def _noise(window: Window, seed: int, *, coarse: bool = False) -> F32:
    """(h, w) of unit deviation; ``coarse``: of two pixels.

    It stays where it is in the crop when the window shifts: the same frame, coded or turned in another way,
    gets the same noise.
    """
    side = -(-window.side // 2) if coarse else window.side
    noise = np.random.default_rng(seed).standard_normal((side, side), dtype=np.float32)
    if coarse:
        noise = np.asarray(cv2.resize(noise, (window.side, window.side), interpolation=cv2.INTER_LINEAR))
    return np.ascontiguousarray(window.of(noise))


def _add_color_noise(
    lab: F32, target: F32, skin: NDArray[np.bool_], window: Window, seed: int, color_px: float
) -> None:
    """Noise of a* and b*, by octaves, stronger by what pasting takes of it."""
    if np.count_nonzero(skin) < FEW_PIXELS:
        return
    kept = _color_kept(color_px)
    for k in (1, 2):
        own, drawn = (_color_octaves(x[..., k]) for x in (target, lab))
        strengths = _noise_strengths(own, skin)
        if float(strengths[0]) < _NOISELESS:
            continue
        noise = _color_octaves(_noise(window, seed + k, coarse=True))
        for row, strength in enumerate(strengths.tolist()):
            have = _deviation(drawn[row], skin)
            if strength > have:
                share = np.float32(np.sqrt(kept[row] ** -2 - (have / strength) ** 2))
                lab[..., k] += _plain(own[row], noise[row], strength) * share


def _color_kept(color_px: float) -> list[float]:
    """Share of each octave of color noise that is left after pasting."""
    if color_px <= 0.0:
        return [_COLOR_WARPED] * len(_COLOR_SPECTRUM)
    sigmas = np.log2(np.array(_SIGMAS[: len(_COLOR_SPECTRUM)]) / color_px)
    return [float(share) for share in np.interp(sigmas, _COLOR_KEPT_AT, _COLOR_KEPT)]


def _noise_strengths(octaves: list[F32], skin: NDArray[np.bool_]) -> F32:
    """Deviations of the noise in each octave of a* or b* of the target."""
    found = np.array([_deviation(layer, skin) for layer in octaves], np.float32)
    finest = np.sqrt(max(float(found[0]) ** 2 - _ROUNDING**2, 0.0))
    return np.asarray(np.minimum(found, _COLOR_SPECTRUM * np.float32(finest)), np.float32)


def _color_octaves(plane: F32) -> list[F32]:
    """(h, w) a* or b* -> its octaves of 1 to 4 px."""
    layers, current = [], np.ascontiguousarray(plane)
    for sigma in _SIGMAS[: len(_COLOR_SPECTRUM)]:
        smooth = _gaussian(current, sigma)
        layers.append(current - smooth)
        current = smooth
    return layers
