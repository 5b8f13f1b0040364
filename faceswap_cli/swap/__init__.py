"""Swap methods and the engine that runs them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.errors import UsageError
from faceswap_cli.swap.method import MethodBuilder, SwapMethod


def _lazily(module: str, name: str) -> MethodBuilder:
    def build(job: JobOptions, paste: PasteOptions) -> SwapMethod:
        builder: Callable[[JobOptions, PasteOptions], SwapMethod] = getattr(import_module(module), name)
        return builder(job, paste)

    return build


METHODS: dict[str, MethodBuilder] = {
    "mesh": _lazily("faceswap_cli.swap.methods.mesh", "build_mesh"),
    "fslsd": _lazily("faceswap_cli.swap.methods.fslsd", "build_fslsd"),
    "nitzan": _lazily("faceswap_cli.swap.methods.nitzan", "build_nitzan"),
}
"""Every method by name; a new one is a file in ``methods/`` and a line here."""

ON_CORES = frozenset({"mesh"})
"""Methods without networks: they run on cores whatever the device."""

BEST = "fslsd"
"""What ``auto`` takes: the method that measures best on this project's own evaluation."""


def method_name(name: str) -> str:
    """``auto`` resolved to the best method that needs no further download."""
    return BEST if name == "auto" else name


def needs_networks(name: str) -> bool:
    """Whether the method called ``name`` draws with networks."""
    return method_name(name) not in ON_CORES


def build_method(name: str, job: JobOptions, paste: PasteOptions) -> SwapMethod:
    """The method called ``name``, or the one that ``auto`` means."""
    chosen = method_name(name)
    if chosen not in METHODS:
        raise UsageError(f"unknown method {name!r}; try one of auto, {', '.join(METHODS)}")
    return METHODS[chosen](job, paste)
