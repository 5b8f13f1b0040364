"""Weights of the temporal smoother within a window."""

from __future__ import annotations

import numpy as np

from faceswap_cli.records import F32


def smoothing_kernel(beta: float, radius: int) -> F32:
    """(2 radius + 1,) weights of the closed-form smoother far from the ends.

    The smoother (1 + beta L) y = x has the impulse response a^|k| with
    a = 1 + 1 / (2 beta) - sqrt(1 / beta + 1 / (4 beta^2)); cut at ``radius`` and normalized.
    """
    offsets = np.abs(np.arange(-radius, radius + 1))
    if beta <= 0:
        return np.asarray(offsets == 0, np.float32)
    a = 1 + 0.5 / beta - np.sqrt(1 / beta + 0.25 / beta**2)
    weights = a**offsets
    return np.asarray(weights / weights.sum(), np.float32)
