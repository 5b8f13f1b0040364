"""Pictures of one hue: black and white, sepia.  Their chroma is a function of their luma.

:class:`TintGauge` looks at the faces of a clip and at the frames around them; a clip is of one hue when
all of them are.  What is pasted into it then takes its chroma from its luma.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faceswap_cli.records import F32, F64, ColorTags, Planes, Samples, Tint

LEVELS = 32
_FACE_RMS, _FRAME_RMS = 1.6, 2.5
"""Deviation of chroma from what belongs to the luma, in codes of 8 bit: skin and lips have 3 or more."""
_STEP = 4
"""Step between the chroma samples that are read, across and down."""
_NEUTRAL = 0.75


class TintGauge:
    """Sums over the frames of a clip."""

    def __init__(self) -> None:
        self._faces, self._frames = _Sums(), _Sums()

    def add(self, planes: Planes, boxes: Sequence[F64]) -> None:
        """One frame and its faces (x0, y0, x1, y1) in luma samples of the stored frame."""
        if not boxes:
            return
        self._frames.add(planes, _STEP * 4)
        down, across = planes.chroma_step
        for box in boxes:
            x0, y0, x1, y1 = (max(int(v), 0) for v in box)
            part = Planes(
                planes.y[y0 // down * down : y1, x0 // across * across : x1],
                planes.cb[y0 // down : -(-y1 // down), x0 // across : -(-x1 // across)],
                planes.cr[y0 // down : -(-y1 // down), x0 // across : -(-x1 // across)],
                planes.bit_depth,
            )
            self._faces.add(part, max(round(np.sqrt(part.cb.size) / 48), 1))

    def tint(self) -> Tint | None:
        """None when the clip has colors."""
        if not self._faces.count.sum() or self._faces.rms() > _FACE_RMS or self._frames.rms() > _FRAME_RMS:
            return None
        return (self._faces + self._frames).curve()


class _Sums:
    """Count, sums and sums of squares of chroma (Cb, Cr) by level of luma."""

    def __init__(self) -> None:
        self.count = np.zeros(LEVELS)
        self.sums = np.zeros((2, LEVELS))
        self.squares = np.zeros((2, LEVELS))

    def __add__(self, other: _Sums) -> _Sums:
        both = _Sums()
        both.count, both.sums = self.count + other.count, self.sums + other.sums
        both.squares = self.squares + other.squares
        return both

    def add(self, planes: Planes, step: int) -> None:
        down, across = planes.chroma_step
        unit = float(1 << (planes.bit_depth - 8))
        cb, cr = (p[::step, ::step].astype(np.float64) / unit - 128 for p in (planes.cb, planes.cr))
        luma = planes.y[:: down * step, :: across * step][: cb.shape[0], : cb.shape[1]] / unit
        cb, cr = (c[: luma.shape[0], : luma.shape[1]].ravel() for c in (cb, cr))
        level = np.clip(luma.ravel() * LEVELS / 256, 0, LEVELS - 1).astype(np.int64)
        self.count += np.bincount(level, minlength=LEVELS)
        for row, chroma in enumerate((cb, cr)):
            self.sums[row] += np.bincount(level, chroma, LEVELS)
            self.squares[row] += np.bincount(level, chroma**2, LEVELS)

    def rms(self) -> float:
        """Deviation from the mean of the level."""
        count = np.maximum(self.count, 1)
        rest = (self.squares - self.sums**2 / count).sum(axis=1)
        return float(np.sqrt(rest.max() / max(self.count.sum(), 1)))

    def curve(self) -> Tint:
        """Chroma of every level; levels that hardly occur lie between their neighbors'."""
        held = np.flatnonzero(self.count >= max(self.count.sum() * 1e-4, 1))
        means = self.sums[:, held] / self.count[held]
        levels = np.arange(LEVELS)
        cb, cr = (np.interp(levels, held, row) for row in means)
        if max(np.abs(cb).max(), np.abs(cr).max()) < _NEUTRAL:
            cb, cr = np.zeros(LEVELS), np.zeros(LEVELS)
        return tuple((float(u), float(v)) for u, v in zip(cb.round(3), cr.round(3), strict=True))


def tinted(planes: Planes, tags: ColorTags) -> Planes:
    """``planes`` with the chroma that belongs to their luma in a clip of one hue; others as they are."""
    if tags.tint is None:
        return planes
    import cv2

    height, width = planes.cb.shape
    luma = cv2.resize(planes.y.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    unit = float(1 << (planes.bit_depth - 8))
    level = luma / unit * (LEVELS / 256) - 0.5
    cb, cr = (_samples(level, [pair[row] for pair in tags.tint], planes) for row in (0, 1))
    return Planes(planes.y, cb, cr, planes.bit_depth)


def _samples(level: F32, curve: Sequence[float], planes: Planes) -> Samples:
    unit = float(1 << (planes.bit_depth - 8))
    values = (np.interp(level, np.arange(LEVELS), curve) + 128) * unit
    return np.clip(values + 0.5, 0, (1 << planes.bit_depth) - 1).astype(planes.cb.dtype)
