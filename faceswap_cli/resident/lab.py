"""CIE L*a*b* of sRGB pictures, both ways: (N, 3, H, W) R'G'B' in [0, 1], L* in 0..100.

OpenCV, which the host uses, reads the way there from a coarse table: it lies within 0.7 of these numbers,
0.1 on average; the way back is the same within 0.0001.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from faceswap_cli import colour
from faceswap_cli.records import F32
from faceswap_cli.resident.tables import Tables
from faceswap_cli.swap.appearance import LAB_OFFSET, LIGHTNESS

_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
"""Linear sRGB to XYZ, D65, with OpenCV's digits."""
_WHITE = (0.950456, 1.0, 1.088754)
_KNEE, _SLOPE = 0.008856, 7.787
"""Relative luminance below which the curve is a line, and how steep that is."""
_SCALE = 116.0
_A, _B = 500.0, 200.0
_GREY = (0.299, 0.587, 0.114)
_STEPS = 65536


def linear(rgb: Tensor, tables: Tables) -> Tensor:
    """``colour.linear_from_gamma`` of floats."""
    table = tables.of("linear", lambda: colour.linear_from_gamma(np.linspace(0, 1, _STEPS, dtype=np.float32)))
    return _looked_up(rgb, table)


def gamma(light: Tensor, tables: Tables) -> Tensor:
    """``colour.gamma_from_linear``."""
    table = tables.of("gamma", lambda: colour.gamma_from_linear(np.linspace(0, 1, _STEPS, dtype=np.float32)))
    return _looked_up(light, table)


def _looked_up(values: Tensor, table: Tensor) -> Tensor:
    # Cut off as whole numbers: what is no number (it is told later) must not be looked up anywhere.
    return table[(values * (_STEPS - 1) + 0.5).long().clamp(0, _STEPS - 1)]


def lab_from_rgb(rgb: Tensor, tables: Tables) -> Tensor:
    """R'G'B' in [0, 1] -> L*a*b*."""
    matrix = tables.of("xyz", lambda: np.array(_XYZ, np.float32) / np.array(_WHITE, np.float32)[:, None])
    xyz = mixed(matrix, linear(rgb, tables))
    bent = torch.where(xyz > _KNEE, xyz.clamp_min(_KNEE) ** (1 / 3), _SLOPE * xyz + LAB_OFFSET / _SCALE)
    x, y, z = bent.unbind(1)
    return torch.stack([_SCALE * y - LAB_OFFSET, _A * (x - y), _B * (y - z)], dim=1)


def rgb_from_lab(lab: Tensor, tables: Tables) -> Tensor:
    """L*a*b* -> R'G'B', cut to [0, 1]."""
    light, a, b = lab.unbind(1)
    y = (light + LAB_OFFSET) / _SCALE
    bent = torch.stack([y + a / _A, y, y - b / _B], dim=1)
    knee = _SLOPE * _KNEE + LAB_OFFSET / _SCALE
    xyz = torch.where(bent > knee, bent**3, (bent - LAB_OFFSET / _SCALE) / _SLOPE)
    matrix = tables.of("from xyz", lambda: _rgb_from_white())
    return gamma(mixed(matrix, xyz).clamp(0.0, 1.0), tables)


def _rgb_from_white() -> F32:
    return np.asarray(np.linalg.inv(np.array(_XYZ)) * np.array(_WHITE)[None], np.float32)


def lightness(rgb: Tensor, tables: Tables) -> Tensor:
    """(N, 3, H, W) levels of 255 -> (N, 1, H, W) L*, from luma: ``appearance.lightness``."""
    weights = tables.of("grey", lambda: np.array([_GREY], np.float32))
    grey = mixed(weights, rgb).round().long().clamp(0, 255)
    return tables.of("lightness", lambda: LIGHTNESS)[grey]


def mixed(matrix: Tensor, x: Tensor) -> Tensor:
    """(K, C) times the channels of (N, C, H, W)."""
    return torch.einsum("kc,nchw->nkhw", matrix, x)
