"""The refiner as the program calls it: bytes in, changes of L*a*b* out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.refiner import Refiner
from faceswap_cli.nets.unet import fuse_norms
from faceswap_cli.records import F32, U8
from faceswap_cli.swap.refining import Refine
from faceswap_cli.weights.load import load_half
from faceswap_cli.weights.registry import bundled

FILE = "refiner.safetensors"


@lru_cache(maxsize=2)
def refiner_on(device: str, path: Path | None = None) -> Refine:
    """The refiner of ``path``, or the bundled one, on ``device``."""
    net = channels_last(fuse_norms(load_half(Refiner, path or bundled(FILE))).to(device))
    bfloat = device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())

    @torch.inference_mode()
    def refine(stack: U8) -> F32:
        x = torch.from_numpy(stack[None]).to(device).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat):
            change = net(x.contiguous(memory_format=torch.channels_last))
        return np.ascontiguousarray(change.float()[0].permute(1, 2, 0).cpu().numpy())

    return refine
