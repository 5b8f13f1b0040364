"""The trained network of profile 256, read once per process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from faceswap_cli.errors import WeightsError
from faceswap_cli.nets.blocks import channels_last, fixed
from faceswap_cli.nets.fslsd256 import Fslsd256, Scene, Source
from faceswap_cli.nets.fslsd256_encoders import PRESETS, STRUCTURE_ROWS, Preset
from faceswap_cli.swap.lane import Work, replayed
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
    net = fixed(net, torch.bfloat16) if half_precision(device) else net
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)  # other threads use it in streams of their own
    return net


def half(device: str) -> torch.autocast:
    """Products in bfloat16 where that is quick; nothing is kept for later, so that calls can be recorded."""
    kind = device.partition(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=half_precision(device), cache_enabled=False)


@lru_cache(maxsize=4)
@torch.inference_mode()
def basis_of(net: Fslsd256) -> Tensor:
    """The network's basis of expressions on the host, where geometry is computed."""
    return net.expression.cpu()


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """What is asked of a network for every target, as functions of tensors on its device."""

    style: Work
    """(N, 3, 256, 256) erased crops -> (N, L - 7, C) appearance rows, float32"""
    face: Work
    """Codes of a person (picture, rows, embedding, maps by side), appearance rows, a scene's fields
    -> (N, 256, 256, 3) in [-1, 1], float32"""
    plain_style: Work
    plain_face: Work
    """The same two, for longer calls that are recorded themselves"""


@lru_cache(maxsize=4)
def calls_of(net: Fslsd256, device: str) -> Calls:
    """The calls of ``net``, which lies on ``device``."""
    sides = sorted(net.source_maps.sides)

    def style(erased: Tensor) -> Tensor:
        with half(device):
            rows: Tensor = net.style(erased)[:, STRUCTURE_ROWS:].float()
        return rows

    def face(rgb: Tensor, w: Tensor, z: Tensor, *rest: Tensor) -> Tensor:
        maps = dict(zip(sides, rest, strict=False))
        rows, *fields = rest[len(sides) :]
        with half(device):
            drawn = net.face(
                Source(rgb, w, z, maps), Scene(*fields), functional.pad(rows, (0, 0, STRUCTURE_ROWS, 0))
            )
        return drawn.float().clamp(-1, 1).permute(0, 2, 3, 1).contiguous()

    return Calls(replayed(style, device), replayed(face, device), style, face)


@lru_cache(maxsize=4)
def digest(path: Path) -> str:
    """SHA-256 of the file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
