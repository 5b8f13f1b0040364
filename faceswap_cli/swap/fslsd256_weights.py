"""The trained network of profile 256, read once per process."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from faceswap_cli.errors import WeightsError
from faceswap_cli.nets.blocks import channels_last, fixed
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import PRESETS, Preset
from faceswap_cli.records import F32
from faceswap_cli.weights.load import load_strict

FILE = "fslsd-256.safetensors"


def preset_of(path: Path) -> Preset:
    """Sizes of the network in ``path``, without reading its weights."""
    try:
        with safe_open(path, "pt") as handle:
            name = (handle.metadata() or {}).get("preset", "")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); run the training again or reinstall") from error
    if name not in PRESETS:
        raise WeightsError(f"{path} is of an unknown preset {name!r}; it was made by another version")
    return PRESETS[name]


def load_swap_net(path: Path) -> Fslsd256:
    """The network in ``path``, ready for use, in float32."""
    preset = preset_of(path)
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); run the training again or reinstall") from error
    whole = {name: value.float() for name, value in stored.items()}
    return load_strict(lambda: Fslsd256(preset), whole, path.name)


def half_precision(device: str) -> bool:
    """Whether products are computed in bfloat16: where the processor multiplies it natively."""
    return device.partition(":")[0] != "cpu" or bool(torch.cpu._is_avx512_bf16_supported())


@lru_cache(maxsize=2)
def ready_net(path: Path, device: str) -> Fslsd256:
    """One copy per process and device, for inference only."""
    one_thread_each(device)
    return _settled(load_swap_net(path), device)


def one_thread_each(device: str) -> None:
    """Frames are rendered side by side: on a processor threads inside one product would only wait for each
    other, even while weights are read."""
    if device == "cpu":
        torch.set_num_threads(1)


def _settled(net: Fslsd256, device: str) -> Fslsd256:
    net = channels_last(net.to(device).eval().requires_grad_(False))
    return fixed(net, torch.bfloat16) if half_precision(device) else net


@dataclass(frozen=True, slots=True)
class Tuning:
    """Low-rank changes of the network for one person, see ``identity.enrolled.Codes``."""

    digest: str
    deltas: Mapping[str, F32] = field(repr=False, compare=False)


@lru_cache(maxsize=4)
def tuned_net(path: Path, device: str, tuning: Tuning) -> Fslsd256:
    """The network with a person's changes in it: as fast as without."""
    one_thread_each(device)
    net = load_swap_net(path)
    with torch.no_grad():
        for layer in sorted({name.rpartition("/")[0] for name in tuning.deltas}):
            up, down = (torch.from_numpy(tuning.deltas[f"{layer}/{end}"]) for end in ("up", "down"))
            try:
                weight = net.get_parameter(f"{layer}.weight")
                weight.add_((up @ down).reshape(weight.shape))
            except (AttributeError, RuntimeError) as error:
                raise WeightsError(
                    f"the enrolled person's changes do not fit {path.name} at {layer}; enroll again"
                ) from error
    return _settled(net, device)


@lru_cache(maxsize=4)
def digest(path: Path) -> str:
    """SHA-256 of the file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
