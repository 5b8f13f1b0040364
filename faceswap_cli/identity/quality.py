"""How much a photograph says about a face: one number in (0, 1), learned from its effect on the fused face.

The weight comes from a small network (``nets.quality``) that sees the recognition network's features and
what is measured here; ``training.appraisal`` teaches it.  :func:`by_hand` is the product of rules that it
replaced, kept as its baseline.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from faceswap_cli.errors import WeightsError
from faceswap_cli.faces.crops import cut, upright_crop, width_px
from faceswap_cli.identity.embed import CHIP, chip_from_points, head_of, pooled_chips
from faceswap_cli.identity.pose import pose
from faceswap_cli.records import F32, U8
from faceswap_cli.weights.registry import bundled

if TYPE_CHECKING:
    from faceswap_cli.nets.quality import QualityHead

FILE = "quality.safetensors"
SIDE = 128
FULL_SIZE_PX = 220.0
"""Meshes this wide lose nothing at the 256 px of the networks."""
LEARNED_PX = 140.0
"""Width of the faces that the network has learned from: what larger ones add is set by hand."""
SHARP = 120.0
"""Variance of the Laplacian of an aligned 128 px face from which on a picture counts as sharp."""
_LIDS = ((159, 145, 33, 133), (386, 374, 362, 263))


def quality(rgb: U8, mesh: F32) -> float:
    """Picture (H, W, 3) and mesh (478, 3) in its pixels -> (0, 1]: its weight among those of a person."""
    chip = cut(rgb, chip_from_points(mesh), CHIP)
    weight = float(weights_of(inputs(pooled_chips(chip[None]), measured(rgb, mesh)[None]))[0])
    width = min(max(float(width_px(mesh)), LEARNED_PX), FULL_SIZE_PX)
    return float(np.clip(weight * np.sqrt(width / FULL_SIZE_PX), 1e-3, 1.0))


def inputs(pooled: F32, hand: F32) -> F32:
    """(N, 2, 256) of ``pooled_chips`` and (N, 8) of :func:`measured` -> (N, ``nets.quality.INPUTS``)."""
    both = head_of(pooled)
    mirror = np.linalg.norm(both[:, 0] - both[:, 1], axis=1, keepdims=True)
    return np.concatenate([pooled.mean(axis=1), hand, mirror], axis=1).astype(np.float32)


def weights_of(rows: F32) -> F32:
    """(N, ``nets.quality.INPUTS``) -> (N,) in (0, 1)."""
    import torch

    with torch.inference_mode():
        return np.asarray(head()(torch.from_numpy(rows)).numpy(), np.float32)


@lru_cache(maxsize=1)
def head() -> QualityHead:
    """The bundled network, read once."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from faceswap_cli.nets.quality import QualityHead
    from faceswap_cli.weights.load import load_strict

    path = bundled(FILE)
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); reinstall faceswap-cli") from error
    return load_strict(QualityHead, {name: value.float() for name, value in stored.items()}, path.name).eval()


def measured(rgb: U8, mesh: F32) -> F32:
    """(8,) in the order of ``nets.quality.HAND``, each about -1 to 1."""
    gray = _grey(rgb, mesh)
    turned = pose(mesh)
    eyes = np.linalg.norm(mesh[[u for u, *_ in _LIDS], :2] - mesh[[low for _, low, *_ in _LIDS], :2], axis=1)
    width = np.linalg.norm(mesh[[33, 362], :2] - mesh[[133, 263], :2], axis=1)
    values = (
        np.log(sharpness(gray)),
        np.log(min(float(width_px(mesh)), LEARNED_PX) / LEARNED_PX),
        abs(float(turned.yaw)) / 30.0,
        abs(float(turned.pitch)) / 30.0,
        float((eyes / np.maximum(width, 1e-3)).mean()) * 4.0,
        _clipped(gray) * 4.0,
        np.log(np.clip(float(gray.mean()) / 70.0, 0.03, 1.0)),
        _inside(mesh, rgb),
    )
    return np.asarray(values, np.float32)


def by_hand(rgb: U8, mesh: F32) -> float:
    """The rules before there was a network, (0, 1]; 1: sharp, large, frontal, well lit.

    The factors multiply, so one bad property is enough to make a photograph a bad one.
    """
    gray = _grey(rgb, mesh)
    factors = sharpness(gray), size(mesh), frontality(mesh), exposure(gray), completeness(mesh, rgb)
    return float(np.clip(np.prod(factors), 0.01, 1.0))


def _grey(rgb: U8, mesh: F32) -> F32:
    face = cut(rgb, upright_crop(mesh, SIDE, 1.15), SIDE)
    return np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.float32)


def sharpness(gray: F32) -> float:
    """(128, 128) -> (0, 1]; contrast is taken out, so that dim light is not called blur."""
    even = (gray - gray.mean()) * (40.0 / max(float(gray.std()), 5.0))
    return float(np.clip(np.sqrt(cv2.Laplacian(even, cv2.CV_32F).var() / SHARP), 0.05, 1.0))


def size(mesh: F32) -> float:
    """Square root of the mesh's width over the width from which more pixels do not help."""
    return float(np.sqrt(np.clip(width_px(mesh) / FULL_SIZE_PX, 0.02, 1.0)))


def frontality(mesh: F32) -> float:
    """1 for a frontal face, 0.5 at about 40 degrees of yaw."""
    turned = pose(mesh)
    return float(np.exp(-((float(turned.yaw) / 48) ** 2) - (float(turned.pitch) / 48) ** 2))


def exposure(gray: F32) -> float:
    """1 for a face with mid-tones; lower when many pixels are clipped or the whole is dark."""
    dark = float(np.clip(gray.mean() / 70.0, 0.1, 1.0))
    return float(np.clip((1 - _clipped(gray)) * np.sqrt(dark), 0.05, 1.0))


def _clipped(gray: F32) -> float:
    return float(((gray < 6) | (gray > 250)).mean())


def completeness(mesh: F32, rgb: U8) -> float:
    """Share of the mesh inside the picture, squared: a cut face is worth little."""
    return _inside(mesh, rgb) ** 2


def _inside(mesh: F32, rgb: U8) -> float:
    height, width = rgb.shape[:2]
    return float(((mesh[:, :2] >= 0) & (mesh[:, :2] <= (width, height))).all(axis=1).mean())
