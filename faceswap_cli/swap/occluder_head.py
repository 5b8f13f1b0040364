"""A small network that sees what lies in front of a face; it runs in OpenCV, without torch.

Workers of methods without a network stay small this way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from threading import local

import cv2
import numpy as np

from faceswap_cli.errors import WeightsError
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, U8
from faceswap_cli.weights.registry import bundled

SIDE = 128
FILE = "occluder.onnx"


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the network says of one crop."""

    covered: F32 = field(repr=False)
    """(n, n) probability that something lies in front, over the middle of the crop"""
    share: float
    """Side of that middle square as a share of the crop's"""

    def over(self, window: Window, size: tuple[int, int]) -> F32:
        """The probability over ``window`` of the crop, (height, width) of ``size`` (width, height).

        What lies outside the middle square takes the value at its border.
        """
        n = self.covered.shape[0]
        scale = np.array([window.width / size[0], window.height / size[1]]) / (window.side * self.share)
        start = (np.array([window.x, window.y]) / window.side - 0.5) / self.share + 0.5
        # Pixel centres: i + 0.5 of the window is j + 0.5 of the answer.
        shift = (start + 0.5 * scale) * n - 0.5
        matrix = np.array([[scale[0] * n, 0, shift[0]], [0, scale[1] * n, shift[1]]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        found = cv2.warpAffine(self.covered, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, np.float32)


def inside_outline(points: F32, side: int) -> F32:
    """Inside of the face outline: (side, side) in [0, 1]; ``points`` (478, 2+) unit coordinates."""
    return masks.union(points, (parts.OVAL,), side)


def head_input(rgb: U8, points: F32) -> F32:
    """(128, 128, 3) picture and its mesh (478, 2+) in unit coordinates -> (5, 128, 128) in [-1, 1]."""
    out = np.empty((5, SIDE, SIDE), np.float32)
    out[:3] = rgb.transpose(2, 0, 1) / np.float32(127.5) - np.float32(1)
    out[3] = 2 * inside_outline(points, SIDE) - 1
    out[4] = 2 * masks.union(points, parts.FEATURE_RINGS, SIDE) - 1
    return out


def look(rgb: U8, points: F32, crop_scale: float = align.SWAP_SCALE) -> Seen:
    """Look at a crop (S, S, 3) with its mesh (478, 2+) in unit coordinates.

    ``crop_scale`` is the method's: the network has learned from crops of ``align.SWAP_SCALE``.
    """
    share = min(align.SWAP_SCALE / crop_scale, 1.0)
    side = rgb.shape[0]
    edge = round(side * (1 - share) / 2)
    middle = rgb[edge : side - edge, edge : side - edge]
    how = cv2.INTER_AREA if middle.shape[0] > SIDE else cv2.INTER_CUBIC
    share = middle.shape[0] / side
    small = np.asarray(cv2.resize(middle, (SIDE, SIDE), interpolation=how), np.uint8)
    inner = (points[:, :2] - np.float32(0.5)) / np.float32(share) + np.float32(0.5)
    return Seen(covered(small, inner), share)


def covered(rgb: U8, points: F32) -> F32:
    """(64, 64) probability that something lies in front, of an aligned (128, 128, 3) crop and its mesh."""
    net = _network()
    net.setInput(head_input(rgb, points)[None])
    logits = np.asarray(net.forward(), np.float32)[0, 0]
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)


@lru_cache(maxsize=1)
def _model() -> bytes:
    return bundled(FILE).read_bytes()


class _PerThread(local):
    """A network holds its activations: each thread has its own."""

    net: cv2.dnn.Net | None = None


_READY = _PerThread()


def _network() -> cv2.dnn.Net:
    if _READY.net is None:
        try:
            _READY.net = cv2.dnn.readNetFromONNX(np.frombuffer(_model(), np.uint8))
        except cv2.error as error:
            raise WeightsError(f"{bundled(FILE)} cannot be read; reinstall faceswap-cli") from error
    return _READY.net
