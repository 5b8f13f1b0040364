"""Rims and lenses at full size, from the picture and what the occluder head sees."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.occluder import CLASSES
from faceswap_cli.nets.rims import CROP_SIDE, MULTIPLE, RimNet
from faceswap_cli.nets.unet import fuse_norms
from faceswap_cli.records import F32, U8
from faceswap_cli.swap.occluder_head import Seen
from faceswap_cli.weights.load import load_half
from faceswap_cli.weights.registry import bundled

FILE = "rims.safetensors"
_GLASSES = slice(CLASSES.index("rim"), CLASSES.index("lens") + 1)


def net_input(rgb: U8, points: F32, window: Window, seen: Seen) -> F32:
    """(h, w, 3) picture of ``window``, a part of a crop of ``CROP_SIDE`` -> (6, h, w) in [-1, 1].

    ``points`` (478, 2+) unit coordinates of the crop.
    """
    known = seen.over(window, (window.width, window.height), _GLASSES)
    features = masks.union(points, parts.FEATURE_RINGS[:4], window)
    planes = np.concatenate(
        [rgb.astype(np.float32) / np.float32(127.5), 2 * known, 2 * features[..., None]], -1
    )
    return np.ascontiguousarray(planes.transpose(2, 0, 1) - np.float32(1))


def rims_and_lenses(rgb: U8, points: F32, window: Window, seen: Seen) -> F32:
    """Probabilities of rim and lens in the picture (h, w, 3) of ``window``: (n, m, 2) at the network's scale.

    ``points`` (478, 2+) unit coordinates.
    """
    net = rim_net()
    side = round(CROP_SIDE / seen.share)
    scale = side / window.side
    width, height = (max(round(n * scale), 1) for n in (window.width, window.height))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(rgb, (width, height), interpolation=how)
    right, below = -width % MULTIPLE, -height % MULTIPLE
    small = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REPLICATE)
    start = (round(window.x * scale), round(window.y * scale))
    planes = net_input(
        np.asarray(small, np.uint8), points, Window(*start, width + right, height + below, side), seen
    )
    kind = next(net.parameters()).dtype
    with torch.inference_mode():
        x = torch.from_numpy(planes[None]).to(kind)
        logits = net(x.contiguous(memory_format=torch.channels_last))
        return np.asarray(logits.float().softmax(1)[0, 1:, :height, :width].permute(1, 2, 0).contiguous())


@lru_cache(maxsize=1)
def rim_net() -> RimNet:
    """The bundled network, on the CPU, frozen, ready for inference."""
    fast = fuse_norms(load_half(RimNet, bundled(FILE)))
    return channels_last(fast.bfloat16() if torch.cpu._is_avx512_bf16_supported() else fast)
