"""Which device networks run on: a named one must work, ``auto`` says what it took and why."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass

from faceswap_cli.errors import DeviceError, UsageError

FORMS = "auto, cpu, cuda, cuda:N or mps"
_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "/dev/nvmap")
"""What Linux shows where there is an accelerator: NVIDIA, AMD, either of them through Windows, Jetson."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that has been tried."""

    name: str
    """As torch spells it: ``cpu``, ``cuda:0``, ``mps``."""
    reason: str
    """One line for the user."""


def check_device_name(name: str) -> str:
    """``name`` in lower case; :class:`UsageError` when it is none of the known forms."""
    plain = name.strip().lower()
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", plain):
        raise UsageError(f"device must be {FORMS}, not {name!r}")
    return plain


def may_have_accelerator() -> bool:
    """False only where there is certainly none; loads nothing."""
    return sys.platform != "linux" or any(map(os.path.exists, _NODES))


def resolve_device(name: str) -> Device:
    """Try ``name``; :class:`DeviceError` when it cannot be used, never a silent fallback."""
    plain = check_device_name(name)
    if plain == "cpu":
        return Device("cpu", "as asked")
    if plain != "auto":
        return _named(plain)
    if not may_have_accelerator():
        return Device("cpu", "chosen by auto: this machine shows no accelerator")
    tried = []
    for candidate in ("cuda:0", "mps"):
        try:
            device = _named(candidate)
        except DeviceError as error:
            tried.append(str(error).partition("cannot be used: ")[2].partition(";")[0])
        else:
            return Device(device.name, f"chosen by auto: {device.reason}")
    return Device("cpu", f"chosen by auto: {', '.join(tried)}")


def _named(name: str) -> Device:
    """``cuda``, ``cuda:N`` or ``mps`` after a first product on it."""
    import torch

    if name == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("device mps cannot be used: no Metal device; use --device cpu")
        return _tried("mps", "Metal")
    if not torch.cuda.is_available():
        why = "this torch is built without CUDA" if torch.version.cuda is None else "no CUDA device found"
        raise DeviceError(f"device {name} cannot be used: {why}; use --device cpu")
    index = int(name.partition(":")[2] or torch.cuda.current_device())
    count = torch.cuda.device_count()
    if index >= count:
        there = ", ".join(f"cuda:{i}" for i in range(count))
        raise DeviceError(f"device {name} cannot be used: there is only {there}; use one of these or cpu")
    return _tried(f"cuda:{index}", torch.cuda.get_device_name(index))


def _tried(name: str, label: str) -> Device:
    """``name`` if a product of two small matrices comes out right on it."""
    import torch

    try:
        ones = torch.ones(8, 8, device=name)
        right = bool(((ones @ ones) == 8).all().item())
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DeviceError(f"device {name} cannot be used: {reason}; use --device cpu") from error
    if not right:
        raise DeviceError(f"device {name} cannot be used: it computes wrong numbers; use --device cpu")
    return Device(name, label)
