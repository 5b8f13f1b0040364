"""Several results of one recorded call as one tensor: recordings have a single result."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor


def joined(*parts: Tensor) -> Tensor:
    """(N, ...) each -> (N, numbers)."""
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def parted(whole: Tensor, *shapes: tuple[int, ...]) -> list[Tensor]:
    """What :func:`joined` has joined, (N, *shape) for each shape; views."""
    found, start = [], 0
    for shape in shapes:
        stop = start + prod(shape)
        found.append(whole[:, start:stop].reshape(-1, *shape))
        start = stop
    return found
