"""State dicts into modules, strictly: every name, every shape, or an error that lists what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

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


def load_strict(build: Callable[[], M], state: Mapping[str, Tensor], what: str) -> M:
    """The module of ``build`` holding ``state``, in evaluation mode and without gradients.

    It is built on the meta device, so that nothing is initialised or held twice.
    """
    with torch.device("meta"):
        module = build()
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    problem = differences({name: tuple(value.shape) for name, value in state.items()}, expected)
    if problem:
        raise WeightsError(f"{what} does not fit: {problem}")
    module.load_state_dict(dict(state), strict=True, assign=True)
    return module.eval().requires_grad_(False)
