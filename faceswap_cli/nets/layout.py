"""Memory layout of a module's tensors."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def channels_last(module: M) -> M:
    """``module`` with its four-dimensional tensors in channels-last order; values unchanged.

    ``Module.to(memory_format=...)`` refuses modules with five-dimensional parameters, and the official
    modulated weights are (1, O, I, k, k).
    """
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return module
