"""Numbers that are made once per size and lie on the device: blurs and changes of size as matrices.

OpenCV itself makes them, out of the picture of an identity: so a blur here has its kernel and its border.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import cv2
import numpy as np
import torch
from torch import Tensor

from faceswap_cli.records import F32


class Tables:
    """Of one device, shared by all threads; nothing is ever dropped: recordings point at it."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._kept: dict[Hashable, Tensor] = {}

    def of(self, key: Hashable, make: Callable[[], np.ndarray]) -> Tensor:
        """What ``make`` gives, on the device."""
        if key not in self._kept:
            made = torch.from_numpy(np.ascontiguousarray(make())).to(self.device)
            if made.is_cuda:
                torch.cuda.current_stream(made.device).synchronize()  # other threads read it in their streams
            self._kept.setdefault(key, made)
        return self._kept[key]

    def resize(self, have: int, wanted: int, how: int) -> Tensor:
        """(wanted, have): ``cv2.resize`` along one axis."""
        return self.of(("resize", have, wanted, how), lambda: _resizing(have, wanted, how))

    def blur(self, side: int, sigma: float, border: int = cv2.BORDER_REPLICATE) -> Tensor:
        """(side, side): ``cv2.GaussianBlur`` of floats along one axis."""
        key = ("blur", side, round(sigma, 6), border)
        return self.of(key, lambda: _blurring(side, sigma, border))

    def box(self, side: int, size: int) -> Tensor:
        """(side, side): ``cv2.blur`` along one axis, borders reflected."""
        return self.of(("box", side, size), lambda: _boxing(side, size))


def along(x: Tensor, rows: Tensor, columns: Tensor | None = None) -> Tensor:
    """``x`` (..., h, w) with ``rows`` (h', h) down its columns and ``columns`` (w', w) along its rows.

    The matrices may be batches that fit ``x``.
    """
    return rows @ x @ (rows if columns is None else columns).mT


def shrunk_or_grown(side: int, wanted: int) -> int:
    """How OpenCV is asked to change a picture's size throughout the program."""
    return cv2.INTER_AREA if wanted < side else cv2.INTER_CUBIC


def rounded(x: Tensor, shrink: float) -> Tensor:
    """Levels of a picture that was made smaller ``shrink`` times, rounded as OpenCV rounds bytes.

    Halves go up where it takes the mean of four, and to even numbers elsewhere.
    """
    return (x + 0.5).floor() if shrink == 2 else x.round()


def resized(rgb: Tensor, wanted: int, how: int, tables: Tables) -> Tensor:
    """Square pictures in levels of 255 at another size, rounded to levels."""
    side = rgb.shape[-1]
    if side == wanted:
        return rgb
    return rounded(along(rgb, tables.resize(side, wanted, how)), side / wanted).clamp(0, 255)


def _resizing(have: int, wanted: int, how: int) -> F32:
    return np.asarray(cv2.resize(np.eye(have, dtype=np.float32), (have, wanted), interpolation=how))


def _blurring(side: int, sigma: float, border: int) -> F32:
    eye = np.eye(side, dtype=np.float32)
    if sigma < 0.3:  # as geometry.masks.blur has it
        return eye
    return np.asarray(cv2.GaussianBlur(eye, (1, 0), 1.0, sigmaY=sigma, borderType=border))


def _boxing(side: int, size: int) -> F32:
    return np.asarray(cv2.blur(np.eye(side, dtype=np.float32), (1, size), borderType=cv2.BORDER_REFLECT))
