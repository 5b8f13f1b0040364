"""How much a face looks like a person, by a network that nothing in this program was trained against.

For measuring finished results only.  It is never a loss, a calibration, an early stop or a choice
between photographs: what is optimized against a network stops being measured by it.  A test holds
that only ``metrics`` imports this module and its network.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from faceswap_cli.errors import WeightsError
from faceswap_cli.faces import landmarks as index
from faceswap_cli.faces.crops import cut
from faceswap_cli.nets.faceres import FEATURES, SIDE, FaceRes
from faceswap_cli.numerics import finite, told
from faceswap_cli.records import F32, F64, U8
from faceswap_cli.weights.load import load_strict
from faceswap_cli.weights.registry import bundled

FILE = "recognition.safetensors"
_NOSE_TIP = 1
_MOUTH_CORNERS = (61, 291)
# The five points of the usual 112 px template (Deng et al. 2019, ArcFace), shrunk about their middle: the
# network was trained on loose crops.
_ARCFACE = np.array([[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]]) / 112
_SHRUNK, _PLACE = 0.72, np.array([0.5, 0.53])
_TEMPLATE = ((_ARCFACE - _ARCFACE.mean(axis=0)) * _SHRUNK + _PLACE) * SIDE


def chip_from_points(landmarks: F32) -> F64:
    """(478, 2 or 3) points -> (3, 3) similarity to the network's square, by least squares."""
    xy = np.asarray(landmarks, np.float64)[:, :2]
    eyes = [xy[list(ring)].mean(axis=0) for ring in (index.RIGHT_EYE, index.LEFT_EYE)]
    points = np.stack([*eyes, xy[_NOSE_TIP], *xy[list(_MOUTH_CORNERS)]])
    rows = np.array([row for x, y in points for row in ((x, -y, 1, 0), (y, x, 0, 1))])
    a, b, x, y = np.linalg.lstsq(rows, _TEMPLATE.ravel(), rcond=None)[0]
    return np.array([[a, -b, x], [b, a, y], [0, 0, 1]])


@lru_cache(maxsize=1)
def _network() -> FaceRes:
    """The bundled network, on the CPU, frozen; read once."""
    path = bundled(FILE)
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); reinstall faceswap-cli") from error
    net = load_strict(FaceRes, {name: value.float() for name, value in stored.items()}, path.name)
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def likeness_code(rgb: U8, landmarks: F32) -> F32:
    """Picture (H, W, 3) and one mesh (478, 2 or 3) in its pixels -> (1024,) of unit length.

    The dot product of two codes is their cosine: about .9 for two studio photographs of one
    person, about .43 for two people.
    """
    chip = cut(rgb, chip_from_points(landmarks), SIDE)
    x = torch.from_numpy(chip).permute(2, 0, 1)[None].float()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            features: Any = _network()(x.contiguous(memory_format=torch.channels_last))[0]
    finally:
        torch.set_num_threads(threads)
    with told("(recognition network)"):
        code = finite(np.asarray(features.numpy(), np.float32), "the features of a face")
    return unit(code)


def unit(code: F32) -> F32:
    """Scaled to length 1."""
    return np.asarray(code / max(float(np.linalg.norm(code)), 1e-9), np.float32)


def mean_code(codes: list[F32]) -> F32:
    """The code of a person from those of several photographs."""
    return unit(np.mean(codes, axis=0)) if codes else np.full(FEATURES, np.nan, np.float32)
