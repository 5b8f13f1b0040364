"""Trained weights as a small file: half precision, safetensors, with where they come from."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceswap_cli.errors import WeightsError
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.weights.load import differences


def export_weights(net: Fslsd256, path: Path, images: int) -> None:
    """Write ``net`` in half precision; the file appears whole or not at all."""
    state = {
        name: value.detach().to("cpu", torch.float16).contiguous() for name, value in net.state_dict().items()
    }
    names = [name for name, preset in PRESETS.items() if preset == net.preset]
    part = path.with_name(f".{path.name}.part")
    save_file(state, part, metadata={"preset": names[0], "images": str(images)})
    os.replace(part, path)


def export_half(net: nn.Module, path: Path, images: int) -> None:
    """Any network in half precision, without the counters of its normalizations; whole or not at all."""
    state = {
        name: value.detach().to("cpu", torch.float16).contiguous()
        for name, value in net.state_dict().items()
        if value.is_floating_point()
    }
    part = path.with_name(f".{path.name}.part")
    save_file(state, part, metadata={"images": str(images)})
    os.replace(part, path)


def read_weights(path: Path, net: Fslsd256) -> dict[str, Tensor]:
    """Weights to start from; :class:`WeightsError` when they do not fit ``net``."""
    try:
        stored = {name: value.float() for name, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error})") from error
    problem = differences(
        {name: tuple(v.shape) for name, v in stored.items()},
        {n: tuple(v.shape) for n, v in net.state_dict().items()},
    )
    if problem:
        raise WeightsError(f"{path.name} does not fit preset of the run: {problem}")
    return stored
