"""State dicts into modules, strictly: every name, every shape, or an error that lists what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from faceswap_cli.errors import WeightsError

M = TypeVar("M", bound=nn.Module)
SHOWN = 3


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def differences(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> str:
    """What is missing, unexpected or of another shape, in one line; empty when nothing is."""
    parts: list[str] = []
    missing, unexpected = expected.keys() - found.keys(), found.keys() - expected.keys()
    wrong = [k for k in expected.keys() & found.keys() if tuple(found[k]) != tuple(expected[k])]
    if missing:
        parts.append(f"{len(missing)} of {len(expected)} tensors missing ({_some(missing)})")
    if unexpected:
        parts.append(f"{len(unexpected)} unexpected ({_some(unexpected)})")
    if wrong:
        first = sorted(wrong)[0]
        parts.append(
            f"{len(wrong)} of another shape "
            f"({first} is {list(found[first])}, expected {list(expected[first])})"
        )
    return "; ".join(parts)


class _Unfilled(TorchFunctionMode):
    """Parameters stay as memory was found: they are replaced at once.

    Building on the meta device would do the same, but its arithmetic loads torch's compiler: two seconds
    and 120 MB in every process.
    """

    _FILL = frozenset({"normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_"})

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in (torch.randn, torch.rand):
            return torch.empty(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in self._FILL:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def load_strict(build: Callable[[], M], state: Mapping[str, Tensor], what: str) -> M:
    """The module of ``build`` holding ``state``, in evaluation mode and without gradients.

    Nothing is initialized: memory that is never written is never taken either.
    """
    with _Unfilled():
        module = build()
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    problem = differences({name: tuple(value.shape) for name, value in state.items()}, expected)
    if problem:
        raise WeightsError(f"{what} does not fit: {problem}")
    module.load_state_dict(dict(state), strict=True, assign=True)
    return module.eval().requires_grad_(False)


def load_half(build: Callable[[], M], path: Path) -> M:
    """The module of ``build`` holding a file in half precision, in single precision and frozen.

    Batch counters of training are not stored.  :class:`WeightsError` when the file does not fit.
    """
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); reinstall faceswap-cli") from error
    weights = {name: value.float() for name, value in stored.items()}
    counters = {name: v for name, v in build().state_dict().items() if name.endswith("num_batches_tracked")}
    return load_strict(build, weights | counters, path.name)
