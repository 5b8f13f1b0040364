"""Detail of L* in bands, and grain: ``appearance.split_bands``, ``measure_detail`` and ``mesh.match_detail``.

L* is (N, 1, S, S); masks are 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from faceswap_cli.records import F32
from faceswap_cli.resident.tables import Tables, along
from faceswap_cli.swap import appearance
from faceswap_cli.swap.methods import mesh


def split_bands(luma: Tensor, tables: Tables) -> list[Tensor]:
    """Detail layers fine to coarse and the rest: their sum is the input."""
    layers, current = [], luma
    for sigma in appearance.BANDS:
        smooth = along(current, tables.blur(luma.shape[-1], sigma, cv2.BORDER_REFLECT))
        layers.append(current - smooth)
        current = smooth
    return [*layers, current]


def measure_detail(layers: Sequence[Tensor], inside: Tensor) -> tuple[Tensor, Tensor]:
    """Deviations of the bands (N, 3), and the grain (N,), inside a mask; 1 and 0 where the mask is tiny."""
    area = inside.sum((1, 2, 3))
    known = area >= appearance.FEW_PIXELS
    spread = [_deviation(layer, inside) for layer in layers[: len(appearance.BANDS)]]
    bands = torch.cat(spread, dim=1).clamp_min(appearance.LEAST_BAND)
    grain = appearance.DEVIATION * _median_size(layers[0], inside)
    return (
        torch.where(known[:, None], bands, torch.ones_like(bands)),
        torch.where(known, grain, torch.zeros_like(grain)),
    )


def _deviation(values: Tensor, inside: Tensor) -> Tensor:
    """(N, C, S, S) -> (N, C): standard deviations inside a mask (N, 1, S, S)."""
    area = inside.sum((2, 3)).clamp_min(1.0)
    mean = (values * inside).sum((2, 3)) / area
    off = (values - mean[..., None, None]) * inside
    return (off.square().sum((2, 3)) / area).sqrt()


def _median_size(values: Tensor, inside: Tensor) -> Tensor:
    """(N,) median of ``|values|`` inside, from a histogram; what is larger counts as its top."""
    top, bins = appearance.GRAIN_TOP, appearance.GRAIN_BINS
    place = (values.abs() * (bins / top)).long().clamp(0, bins - 1).flatten(1)
    count = values.new_zeros(len(values), bins).scatter_add_(1, place, inside.flatten(1)).cumsum(1)
    below = (count < 0.5 * count[:, -1:]).sum(1)
    return (below + 0.5) * (top / bins)


def measure_chroma(lab: Tensor, inside: Tensor) -> Tensor:
    """(N, 2) deviations of a* and b* inside a mask: ``appearance.measure_chroma``."""
    found = _deviation(lab[:, 1:], inside).clamp_min(appearance.LEAST_CHROMA)
    known = inside.sum((1, 2, 3)) >= appearance.FEW_COLOURS
    return torch.where(known[:, None], found, torch.ones_like(found))


def match_detail(luma: Tensor, wanted: Tensor, inside: Tensor, noise: Tensor, tables: Tables) -> Tensor:
    """L* with bands and grain as ``wanted`` (N, 4); ``noise`` (N, 1, S, S) has a deviation of 1."""
    count = len(appearance.BANDS)
    coded = tables.of("coded", lambda: np.array([mesh.CODED] + [1.0] * count, np.float32))
    low, high = tables.of("low", lambda: mesh.GAIN_LOW), tables.of("high", lambda: mesh.GAIN_HIGH)
    wanted = wanted * coded
    gains = torch.ones_like(wanted[:, :count])
    for power in (1.0, mesh.OVERSHOOT):
        *layers, luma = split_bands(luma, tables)
        bands, grain = measure_detail(layers, inside)
        before = gains
        gains = torch.minimum(torch.maximum(before * (wanted[:, :count] / bands) ** power, low), high)
        step = gains / before
        for k, layer in enumerate(layers):
            luma = luma + layer * step[:, k, None, None, None]
        if power == 1.0:
            luma = luma + noise * _missing(wanted[:, count], grain * step[:, 0])[:, None, None, None]
    return luma


def _missing(wanted: Tensor, have: Tensor) -> Tensor:
    """(N,) deviation of the grain that is added."""
    missing = (wanted.square() - have.square()).clamp_min(0.0).sqrt()
    seen = missing > mesh.GRAIN_SEEN
    return torch.where(seen, missing.clamp_max(mesh.GRAIN_MOST), torch.zeros_like(missing))


def wanted_of(code: F32) -> F32:
    """(4,) deviations of the bands and the grain that a code of ``methods.mesh`` asks for."""
    start = mesh.LIGHT
    return np.exp(code[start : start + len(appearance.BANDS) + 1])
