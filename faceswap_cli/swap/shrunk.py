"""Crops at a network's size: made when a crop is encoded, taken again when it is drawn a few frames later."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict

import cv2
import numpy as np

from faceswap_cli.records import U8

KEPT = 64
"""Crops: more than a window of frames and a batch hold; 0.2 MB each at 256 px"""


class Shrunk:
    """Shared by all threads; what is kept goes nowhere with a copy."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[weakref.ref[U8], U8]] = OrderedDict()

    def of(self, rgb: U8) -> U8:
        """(S, S, 3) -> (side, side, 3)."""
        if rgb.shape[0] == self._side:
            return rgb
        with self._lock:
            of, small = self._kept.pop(id(rgb), (None, rgb))
        if of is not None and of() is rgb:  # another array may have got the number of one that is gone
            return small
        how = cv2.INTER_AREA if rgb.shape[0] > self._side else cv2.INTER_CUBIC
        small = np.asarray(cv2.resize(rgb, (self._side, self._side), interpolation=how), np.uint8)
        with self._lock:
            self._kept[id(rgb)] = weakref.ref(rgb), small
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return small

    def __reduce__(self) -> tuple[type[Shrunk], tuple[int]]:
        return Shrunk, (self._side,)
