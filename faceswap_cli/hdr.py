"""Convert PQ and HLG pictures to viewable SDR, and back.

Diffuse white is 203 nits in PQ and 75 % of the signal in HLG (ITU-R BT.2408): it becomes white in SDR.  HLG
is taken as scene light, without the display's own gamma, which SDR pictures have as well.  What is brighter
than white is clipped in the SDR picture; :func:`highlights` keeps it for the conversion back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.records import F32, F64, U8, ColorTags

PQ, HLG = 16, 18
"""H.273 numbers of the transfers."""
_WHITE_NITS, _PEAK_NITS = 203.0, 10000.0
_HLG_WHITE = 0.2646
_GAMMA = 2.4
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_2020_FROM_709 = np.array(
    [[0.627404, 0.329283, 0.043313], [0.069097, 0.919540, 0.011362], [0.016391, 0.088013, 0.895595]]
)
_ENTRIES = 65536


def is_hdr(tags: ColorTags) -> bool:
    """Whether the samples are PQ or HLG."""
    return tags.transfer in (PQ, HLG)


def _light(code: F64, transfer: int) -> F64:
    if transfer == HLG:
        low, high = code**2 / 3, (np.exp((code - _C) / _A) + _B) / 12
        return np.where(code <= 0.5, low, high) / _HLG_WHITE
    root = code ** (1 / _M2)
    return (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1) * (_PEAK_NITS / _WHITE_NITS)


@lru_cache(maxsize=2)
def _light_table(transfer: int) -> F32:
    return _light(np.linspace(0.0, 1.0, _ENTRIES), transfer).astype(np.float32)


@lru_cache(maxsize=1)
def _gamma_table() -> F32:
    return (np.linspace(0.0, 1.0, _ENTRIES) ** (1 / _GAMMA)).astype(np.float32)


def _looked_up(table: F32, values: NDArray[Any]) -> F32:
    index = np.clip(values * np.float32(_ENTRIES - 1) + np.float32(0.5), 0, _ENTRIES - 1)
    return np.asarray(table.take(index.astype(np.uint16)))


def light_from_code(code: NDArray[Any], tags: ColorTags) -> F32:
    """(..., 3) samples in [0, 1] -> linear light in the stream's primaries, diffuse white at 1."""
    return _looked_up(_light_table(tags.transfer), code)


def code_from_light(light: NDArray[Any], tags: ColorTags) -> F32:
    """Inverse of :func:`light_from_code`."""
    if tags.transfer == HLG:
        scene = np.clip(light * np.float32(_HLG_WHITE), 0, 1)
        high = _A * np.log(np.maximum(12 * scene - _B, 1e-6)) + _C
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high).astype(np.float32)
    power = np.clip(light * np.float32(_WHITE_NITS / _PEAK_NITS), 0, 1) ** np.float32(_M1)
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2, np.float32)


def _primaries(tags: ColorTags) -> F64:
    """Stream primaries from BT.709 in linear light; an unnamed set of an HDR stream is BT.2020."""
    return np.eye(3) if tags.primaries == 1 else _2020_FROM_709


def sdr_from_code(code: NDArray[Any], tags: ColorTags) -> U8:
    """(H, W, 3) float samples in [0, 1] -> uint8 SDR in BT.709 with a gamma of 2.4."""
    import cv2

    light = cv2.transform(light_from_code(code, tags), np.linalg.inv(_primaries(tags)))
    return np.asarray(cv2.convertScaleAbs(_looked_up(_gamma_table(), light), alpha=255.0), np.uint8)


def light_from_sdr(rgb: F32, tags: ColorTags) -> F32:
    """(H, W, 3) SDR in [0, 1] -> linear light in the stream's primaries, white at 1."""
    import cv2

    light = np.clip(rgb, 0, 1) ** np.float32(_GAMMA)
    return np.asarray(cv2.transform(light, _primaries(tags)), np.float32)


def highlights(old: F32, new: F32) -> F32:
    """``new`` light, as bright above white as ``old`` is, where it is near white itself."""
    over = np.maximum(old.max(axis=-1, keepdims=True), 1.0)
    near = np.clip((new.max(axis=-1, keepdims=True) - 0.6) / 0.3, 0.0, 1.0)
    return np.asarray(new * (1 + (over - 1) * near), np.float32)
