"""What passes in front of the face: ``swap.occlusion`` and its network for batches."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faceswap_cli.errors import WeightsError
from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.occluder import OccluderHead
from faceswap_cli.resident.shading import smoothstep
from faceswap_cli.resident.tables import Tables, along, resized, shrunk_or_grown
from faceswap_cli.swap import occlusion
from faceswap_cli.swap.occluder_head import FILE
from faceswap_cli.swap.occluder_head import SIDE as LOOK_SIDE
from faceswap_cli.weights.registry import bundled


@lru_cache(maxsize=2)
def ready_head(device: str) -> OccluderHead:
    """The bundled network; its file holds convolutions with their norms folded in."""
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(bundled(FILE))).graph
        stored = {
            x.name: torch.from_numpy(numpy_helper.to_array(x).astype(np.float32)) for x in graph.initializer
        }
        net = OccluderHead().eval().requires_grad_(False)
        for name, layer in net.named_modules():
            if isinstance(layer, torch.nn.Conv2d):
                _take(net, name, layer, stored)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{bundled(FILE)} cannot be read; reinstall faceswap-cli") from error
    net = channels_last(net.to(device))
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)  # other threads use it in streams of their own
    return net


def _take(net: OccluderHead, name: str, layer: torch.nn.Conv2d, stored: dict[str, Tensor]) -> None:
    """Weight and bias of a convolution; before a norm the bias is the norm's, which does nothing else."""
    with torch.no_grad():
        if layer.bias is not None:
            layer.weight.copy_(stored[f"{name}.w"])
            layer.bias.copy_(stored[f"{name}.b"])
            return
        block = name.removesuffix(".0")
        norm = net.get_submodule(f"{block}.1")
        if not isinstance(norm, torch.nn.BatchNorm2d) or norm.running_var is None:
            raise KeyError(block)
        layer.weight.copy_(stored[f"{block}.w"])
        norm.bias.copy_(stored[f"{block}.b"])
        norm.running_var.fill_(1.0 - norm.eps)


def covered(rgb: Tensor, outline: Tensor, tables: Tables) -> Tensor:
    """(N, 1, 64, 64) probability that something lies in front, of crops (N, 3, S, S), levels of 255.

    ``outline`` (N, 2, 128, 128) of ``rasters.outlines``.
    """
    rgb = resized(rgb, LOOK_SIDE, shrunk_or_grown(rgb.shape[-1], LOOK_SIDE), tables)
    seen = torch.cat([rgb / 127.5 - 1, outline], dim=1).contiguous(memory_format=torch.channels_last)
    return torch.sigmoid(ready_head(tables.device)(seen).float().clamp(-30, 30))


def front_map(target: Tensor, light: Tensor, told: Tensor, features: Tensor, tables: Tables) -> Tensor:
    """(N, 1, S, S) in [0, 1]: 1 where something lies in front; see ``occlusion.occluder_map``.

    ``target`` (N, 3, S, S) and ``light`` (N, 3, m, m) Lab, ``told`` of :func:`covered`, ``features``
    (N, 1, S, S) where features are drawn.
    """
    side = target.shape[-1]
    n = min(side, occlusion.SIDE)
    small = target if side == n else along(target, tables.resize(side, n, cv2.INTER_AREA))
    expected = along(light, tables.resize(light.shape[-1], n, cv2.INTER_LINEAR))
    told = along(told, tables.resize(told.shape[-1], n, cv2.INTER_LINEAR))
    front = _eased(_along_edges(told, small[:, :1], occlusion.EDGE_RADIUS * n, tables), occlusion.SURE)
    near = occlusion.NEAR * n
    doubt = _eased(along(grow(told, near), tables.blur(n, 0.5 * near)), occlusion.DOUBT)
    drawn = features if side == n else along(features, tables.resize(side, n, cv2.INTER_AREA))
    front = torch.maximum(front, doubt * _odd_colour(small, expected, drawn, tables))
    whole = along(front, tables.resize(n, side, cv2.INTER_LINEAR))
    return along(whole, tables.blur(side, occlusion.SOFT * side))


def _eased(p: Tensor, bounds: tuple[float, float]) -> Tensor:
    return smoothstep((p - bounds[0]) / (bounds[1] - bounds[0]))


def _along_edges(p: Tensor, guide: Tensor, radius: float, tables: Tables) -> Tensor:
    """``p`` with its edges moved to those of ``guide``, both (N, 1, n, n): the guided filter."""
    box = tables.box(p.shape[-1], 2 * max(round(radius), 1) + 1)
    middle, level = along(guide, box), along(p, box)
    spread = along(guide * guide, box) - middle * middle + occlusion.EDGE_NOISE
    slope = (along(guide * p, box) - middle * level) / spread
    return along(slope, box) * guide + along(level - slope * middle, box)


def _odd_colour(small: Tensor, expected: Tensor, features: Tensor, tables: Tables) -> Tensor:
    """(N, 1, n, n) in [0, 1]: where the colour is not the skin's."""
    n = small.shape[-1]
    tolerance = tables.of("tolerance", lambda: np.array(occlusion.TOLERANCE, np.float32)[:, None, None])
    off = ((small - expected).abs() / tolerance).amax(1, keepdim=True)
    around = grow(features, occlusion.FEATURE_REACH * n)
    soft = along(around, tables.blur(n, occlusion.FEATURE_SOFT * n))
    odd = smoothstep((off - 1.0) / occlusion.ODD) * (1.0 - soft)
    odd = grow(grow(odd, -occlusion.SPECK * n), occlusion.GROWN * n)
    reach = occlusion.CLOSED * n
    return torch.maximum(odd, grow(grow(odd, reach), -reach) * around)


def grow(mask: Tensor, pixels: float) -> Tensor:
    """``masks.grow``: dilated by about ``pixels``, eroded when negative; (N, 1, n, n)."""
    size = 2 * round(abs(pixels)) + 1
    if size <= 1:
        return mask
    return _dilated(mask, size) if pixels > 0 else -_dilated(-mask, size)


def _dilated(mask: Tensor, size: int) -> Tensor:
    """The largest value under an ellipse of ``size``, row by row of it."""
    reach, height = size // 2, mask.shape[-2]
    rows = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)).sum(axis=1).tolist()
    wide = {
        width: functional.pad(
            functional.max_pool2d(mask, (1, width), 1, (0, width // 2)),
            (0, 0, reach, reach),
            value=-torch.inf,
        )
        for width in sorted(set(rows))
    }
    out = mask
    for k, width in enumerate(rows):
        out = torch.maximum(out, wide[width][..., k : k + height, :])
    return out
