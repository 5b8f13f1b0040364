"""The occluder head on crops: what lies in front of a face, by class."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.occluder import SIDE, OccluderHead
from faceswap_cli.nets.unet import fuse_norms
from faceswap_cli.records import F32, U8
from faceswap_cli.weights.load import load_half
from faceswap_cli.weights.registry import bundled

FILE = "occluder.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the network sees in one crop."""

    shares: F32 = field(repr=False)
    """(n, n, 6) probabilities of ``nets.occluder.CLASSES`` over the middle of the crop"""
    share: float
    """Side of that middle square as a share of the crop's"""
    levels: tuple[Tensor, ...] = field(repr=False, default=())
    """What the network saw of the square on its way down (``nets.unet``)"""

    def over(self, window: Window, size: tuple[int, int], classes: slice = slice(None)) -> F32:
        """The probabilities over ``window`` of the crop, (height, width, K) of ``size`` (width, height).

        What lies outside the middle square takes the value at its border.
        """
        n = self.shares.shape[0]
        scale = np.array([window.width / size[0], window.height / size[1]]) / (window.side * self.share)
        start = (np.array([window.x, window.y]) / window.side - 0.5) / self.share + 0.5
        # Pixel centers: i + 0.5 of the window is j + 0.5 of the answer.
        shift = (start + 0.5 * scale) * n - 0.5
        matrix = np.array([[scale[0] * n, 0, shift[0]], [0, scale[1] * n, shift[1]]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        # Four channels at most at a time.
        chosen = self.shares[..., classes]
        found = [
            cv2.warpAffine(
                np.ascontiguousarray(chosen[..., k : k + 3]),
                matrix,
                size,
                flags=how,
                borderMode=cv2.BORDER_REPLICATE,
            ).reshape(*size[::-1], -1)
            for k in range(0, chosen.shape[-1], 3)
        ]
        return np.asarray(np.concatenate(found, axis=-1), np.float32)


def inside_outline(points: F32, side: int) -> F32:
    """Inside of the face outline: (side, side) in [0, 1]; ``points`` (478, 2+) unit coordinates."""
    return masks.union(points, (parts.OVAL,), side)


def head_input(rgb: U8, points: F32) -> F32:
    """(192, 192, 3) picture and its mesh (478, 2+) in unit coordinates -> (5, 192, 192) in [-1, 1]."""
    return np.ascontiguousarray(_planes(rgb, points).transpose(2, 0, 1) / np.float32(127.5) - np.float32(1))


def _planes(rgb: U8, points: F32) -> U8:
    """(192, 192, 5): :func:`head_input` in bytes, channels last."""
    canvas = np.zeros((2, SIDE, SIDE), np.uint8)
    for plane, rings in zip(canvas, ((parts.OVAL,), parts.FEATURE_RINGS), strict=True):
        for ring in rings:
            masks.fill_polygon(points[list(ring), :2], SIDE, plane)
    return np.asarray(cv2.merge([*cv2.split(rgb), *canvas]))


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
    return classify(occluder_head(), small, inner, share)


def classify(net: OccluderHead, rgb: U8, points: F32, share: float = 1.0) -> Seen:
    """What ``net`` sees in an aligned (192, 192, 3) crop with its mesh, in its own number format."""
    kind = next(net.parameters()).dtype
    with torch.inference_mode():
        x = torch.from_numpy(_planes(rgb, points)[None]).permute(0, 3, 1, 2)
        levels = net.levels((x.float() / 127.5 - 1).to(kind))
        shares = net.answered(levels).float().softmax(1)[0].permute(1, 2, 0).contiguous()
    return Seen(np.asarray(shares), share, tuple(levels))


@lru_cache(maxsize=1)
def occluder_head() -> OccluderHead:
    """The bundled head, on the CPU, frozen, ready for inference."""
    fast = fuse_norms(load_half(OccluderHead, bundled(FILE)))
    return channels_last(fast.bfloat16() if torch.cpu._is_avx512_bf16_supported() else fast)
