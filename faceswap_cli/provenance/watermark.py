"""The invisible mark: a faint fixed pattern in every swapped face, found again when metadata is gone.

A keyed pseudo-random pattern of medium spatial frequencies is added to the luma of the aligned face
crop before it is pasted: coordinates are those of the alignment, so cropping, scaling, turning or
cutting the clip does not matter as long as the face can be found.  The key is public and the same for
everybody: the mark says "made by this program", nothing else.

Detection correlates the aligned faces of a file, averaged over frames and whitened, with the pattern.
Over keys the correlation with a given picture is normally distributed with a variance that follows
from the two power spectra, so a score has an exact meaning: the chance of a false alarm, multiplied by
the number of places, sizes and people tried.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces.landmarks import OVAL
from faceswap_cli.geometry import align
from faceswap_cli.records import F32, F64, U8, FaceCrop, RenderedFace

KEY = b"faceswap invisible mark, version 1"
"""Public.  A new pattern is a new version: the finder then tries both."""
GRID = 192
"""Side of the pattern, and of the crops that are searched for it."""
BAND = (20.0, 46.0)
"""Cycles per side of the aligned square: fine enough to stand out from a face, coarse enough for a codec."""
FLAT, FAINT = 70.0, (0.12, 0.45)
"""Root mean square of the pattern on flat skin, in levels of 255: this over the side of the crop in pixels,
within these limits.  On large faces its waves are long, and eyes see those best."""
HIDDEN, STRONGEST = 0.25, 1.5
"""How much stronger it is where there is texture to hide it, as a share of that; its greatest strength"""
FALSE_ALARM = 1e-7
"""A mark counts as found when chance would have given its score less often than this."""

FINE, AROUND = 1.5, 2.0
"""Blurs, in half cells of the grid, that separate texture from form and spread it."""
ROOM = 24.0
"""Distance from black and white in levels within which the mark fades out."""
_SCALES = tuple(1.0 + 0.01 * step for step in range(-15, 21))
_ANGLES = (-1.0, 0.0, 1.0)
_REACH = 6
"""Sizes, degrees, and rows and columns of the grid, by which the alignment of the finder may differ from the
maker's: a swapped face has the proportions of its source."""
_CHUNK = 16
"""Frames averaged before whitening: enough to quieten the codec, few enough for changing light."""
_LOCAL, _FLOOR, _CLIP, _TILT = 2.0, 0.5, 2.5, 4.0
"""Whitening: radius of the local contrast in grid cells, least contrast in levels, cut in deviations, and
the power of frequency by which fine detail is raised (faces have less of it than the pattern)."""


# Making ---------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def spectrum(band: tuple[float, float] = BAND) -> F32:
    """(GRID, GRID) gain over spatial frequency, FFT order: a band with soft edges."""
    low, high = band
    steps = np.fft.fftfreq(GRID) * GRID
    radius = np.hypot(steps[:, None], steps[None, :])
    rise = 1 / (1 + np.exp(-(radius - low) / (0.08 * low)))
    fall = 1 / (1 + np.exp((radius - high) / (0.08 * high)))
    return np.asarray(rise * fall, dtype=np.float32)


@lru_cache(maxsize=2)
def pattern(key: bytes = KEY) -> F32:
    """(GRID, GRID) of mean 0 and deviation 1, periodic; the same on every machine."""
    seed = int.from_bytes(hashlib.sha256(key).digest(), "little")
    # Raw bits: their sequence is promised to stay, that of numpy's distributions is not.
    noise = np.random.PCG64(seed).random_raw(GRID * GRID).astype(np.float64).reshape(GRID, GRID)
    field = np.fft.ifft2(np.fft.fft2(noise / 2.0**64 - 0.5) * spectrum()).real
    field = (field - field.mean()) / field.std()
    return np.asarray(field, dtype=np.float32)


@lru_cache(maxsize=16)
def crop_pattern(side: int, crop_scale: float) -> F32:
    """(side, side) the pattern as a crop shows it whose square has ``crop_scale`` of the FFHQ one."""
    ratio = crop_scale / align.SWAP_SCALE
    cells = ((np.arange(side) + 0.5) / side - 0.5) * ratio + 0.5
    places = (cells * GRID - 0.5).astype(np.float32)
    wrapped = np.pad(pattern(), GRID, mode="wrap")
    x, y = np.meshgrid(places + GRID, places + GRID)
    return np.asarray(cv2.remap(wrapped, x, y, cv2.INTER_CUBIC), np.float32)


def watermarked(face: RenderedFace, whole: FaceCrop, crop_scale: float) -> RenderedFace:
    """``face`` with the pattern.

    ``whole`` is the aligned crop that ``face`` or a window of it was drawn from; ``crop_scale`` is the
    scale of its square (:mod:`faceswap_cli.geometry.align`).
    """
    drawn = crop_pattern(whole.rgb.shape[0], crop_scale)
    whole_from_face = whole.crop_from_frame @ np.linalg.inv(face.crop.crop_from_frame)
    x, y = (int(v) for v in np.rint(whole_from_face[:2, 2]))
    height, width = face.rgb.shape[:2]
    levels = drawn[y : y + height, x : x + width] * _strength(face.rgb, whole.rgb.shape[0])
    rgb = cv2.add(face.rgb, cv2.merge([levels, levels, levels]), dtype=cv2.CV_8U)
    return replace(face, rgb=np.asarray(rgb, np.uint8))


def _strength(rgb: U8, side: int) -> F32:
    """(h, w) levels: more where ``rgb``, part of a crop of ``side``, has texture of the pattern's size."""
    height, width = rgb.shape[:2]
    shrink = max(2 * side / GRID, 1.0)
    size = (max(round(width / shrink), 1), max(round(height / shrink), 1))
    green = cv2.resize(cv2.extractChannel(rgb, 1), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = np.abs(green - cv2.GaussianBlur(green, (0, 0), FINE))
    texture = cv2.GaussianBlur(fine, (0, 0), AROUND)
    flat = np.float32(np.clip(FLAT / side, *FAINT))
    # Burnt-out highlights and black are truly flat: the faintest pattern would show.
    room = np.clip(np.minimum(255 - green, green) / ROOM, 0.0, 1.0)
    levels = np.minimum(flat + np.float32(HIDDEN) * texture, np.float32(STRONGEST)) * room
    return np.asarray(cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


# Finding --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Detection:
    """What a search for the pattern gave."""

    found: bool
    score: float
    """Deviations above chance, at the best of all places tried; over 7 is a mark."""
    false_alarm: float
    """How often chance alone gives this score, all tries counted"""
    faces: int
    """Crops that were looked at"""
    person: int = -1
    """Who has the best score; -1 when nobody was there"""


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """One face cut for the search."""

    person: int
    group: int
    """Crops of one group are averaged in the order they come: frames of one track"""
    luma: F32
    """(GRID, GRID) in levels of 255, the square of ``align.SWAP_SCALE``"""
    points: F32
    """(478, 2 or 3) mesh in its pixels"""


def search(faces: Iterable[Aligned]) -> Detection:
    """The best score over all people of ``faces``."""
    count = 0

    def counted() -> Iterator[Aligned]:
        nonlocal count
        for face in faces:
            count += 1
            yield face

    scores = {person: score(whitened) for person, whitened in whitened_sums(counted()).items()}
    if not scores:
        return Detection(False, 0.0, 1.0, 0)
    person = max(scores, key=lambda key: scores[key])
    chance = min(1.0, false_alarm(scores[person]) * len(scores))
    return Detection(chance < FALSE_ALARM, round(scores[person], 2), chance, count, person)


def whitened_sums(faces: Iterable[Aligned]) -> dict[int, F64]:
    """person -> (GRID, GRID) what all their faces have in common, ready for :func:`score`."""
    sums: dict[int, F64] = {}
    chunks: dict[int, _Chunk] = {}
    for face in faces:
        chunk = chunks.setdefault(face.group, _Chunk(face.person))
        chunk.add(face)
        if chunk.count == _CHUNK:
            _gather(sums, chunks.pop(face.group))
    for chunk in chunks.values():
        _gather(sums, chunk)
    return sums


class _Chunk:
    """Running sum of some crops of one person."""

    def __init__(self, person: int) -> None:
        self.person = person
        self.count = 0
        self.luma = np.zeros((GRID, GRID))
        self.mask = np.zeros((GRID, GRID))

    def add(self, face: Aligned) -> None:
        self.count += 1
        self.luma += face.luma
        self.mask += oval_mask(face.points)


def _gather(sums: dict[int, F64], chunk: _Chunk) -> None:
    mask = (chunk.mask / chunk.count).astype(np.float32)
    white = whiten((chunk.luma / chunk.count).astype(np.float32), mask)
    # Averages of many frames carry less noise than those of few.
    sums[chunk.person] = sums.get(chunk.person, np.zeros((GRID, GRID))) + white * math.sqrt(chunk.count)


def oval_mask(points: F32) -> F32:
    """(GRID, GRID) in [0, 1]: the inner part of the face, where any mask of a swap is 1."""
    outline = points[list(OVAL), :2]
    middle = outline.mean(axis=0)
    inner = middle + (outline - middle) * 0.92
    canvas = np.zeros((GRID, GRID), np.uint8)
    cv2.fillPoly(canvas, [np.rint((inner - 0.5) * 16).astype(np.int32)], 255, shift=4)
    return np.asarray(cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), 0.02 * GRID), np.float32)


def whiten(luma: F32, mask: F32) -> F32:
    """The band of ``luma`` (GRID, GRID), even in contrast over the face, 0 outside; blind to the key."""
    smooth = cv2.GaussianBlur(luma, (0, 0), GRID / BAND[0] / 2.5)
    band = np.fft.ifft2(np.fft.fft2(luma - smooth) * _raised()).real.astype(np.float32)
    power = cv2.GaussianBlur(band * band * mask, (0, 0), _LOCAL)
    power /= np.maximum(cv2.GaussianBlur(mask, (0, 0), _LOCAL), 1e-3)
    even = band / np.sqrt(power + np.float32(_FLOOR**2))
    return np.asarray(np.clip(even, -_CLIP, _CLIP) * mask, np.float32)


def score(whitened: NDArray[np.floating], key: bytes = KEY) -> float:
    """Deviations above chance at the best shift, scale and angle."""
    transform = np.fft.fft2(whitened)
    best = -math.inf
    for scale, angle in product(_SCALES, _ANGLES):
        drawn, power = _hypothesis(scale, angle, key)
        deviation = math.sqrt(float(np.mean(np.abs(transform) ** 2 * power))) or 1.0
        match = np.fft.ifft2(transform * drawn).real
        near = np.take(match, range(-_REACH, _REACH + 1), axis=0, mode="wrap")
        near = np.take(near, range(-_REACH, _REACH + 1), axis=1, mode="wrap")
        best = max(best, float(near.max()) / deviation)
    return best


def false_alarm(deviations: float) -> float:
    """Upper bound of the chance that :func:`score` reaches ``deviations`` where there is no mark."""
    tries = len(_SCALES) * len(_ANGLES) * (2 * _REACH + 1) ** 2
    return min(1.0, tries * 0.5 * math.erfc(deviations / math.sqrt(2.0)))


@lru_cache(maxsize=1)
def _raised() -> F32:
    """(GRID, GRID) gain of the finder: the band, fine detail raised."""
    steps = np.fft.fftfreq(GRID) * GRID
    radius = np.hypot(steps[:, None], steps[None, :])
    return np.asarray(spectrum() * (radius / BAND[0]) ** _TILT, dtype=np.float32)


@lru_cache(maxsize=len(_SCALES) * len(_ANGLES))
def _hypothesis(scale: float, angle: float, key: bytes) -> tuple[NDArray[np.complex64], F32]:
    """Conjugate transform of the pattern enlarged and turned, and the power spectrum of its kind."""
    turn = math.radians(angle)
    cells = ((np.arange(GRID) + 0.5) / GRID - 0.5) * GRID / scale
    across, down = np.meshgrid(cells, cells)
    x = math.cos(turn) * across + math.sin(turn) * down + 1.5 * GRID - 0.5
    y = math.cos(turn) * down - math.sin(turn) * across + 1.5 * GRID - 0.5
    wrapped = np.pad(pattern(key), GRID, mode="wrap")
    drawn = cv2.remap(wrapped, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)
    power = spectrum((BAND[0] / scale, BAND[1] / scale)) ** 2
    return np.conj(np.fft.fft2(drawn)).astype(np.complex64), np.asarray(power / power.mean(), np.float32)
