"""The TOML beside a classifier: what its numbers mean, and what is refused.

An example:

    schema = 1
    labels = ["allowed", "refused"]      # one for each number the model gives
    activation = "softmax"               # softmax, sigmoid, or none when it gives probabilities already

    [refuse]
    refused = 0.8                        # refused when the model is at least so sure

    [input]                              # everything here may be left out
    size = [224, 224]                    # height, width; needed only where the model leaves it open
    color = "rgb"                       # or bgr
    range = [0.0, 1.0]                   # what black and white become
    mean = [0.485, 0.456, 0.406]         # taken away after that
    std = [0.229, 0.224, 0.225]          # divided by after that
    fit = "stretch"                      # stretch, crop (the middle square) or pad
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceswap_cli.errors import UsageError
from faceswap_cli.policy.tables import parse_table, read_small, text_of

WHAT = "classifier rules"
SCHEMA = 1
ACTIVATIONS = ("none", "softmax", "sigmoid")
COLORS = ("rgb", "bgr")
FITS = ("stretch", "crop", "pad")
LARGEST_SIDE = 2048
_LARGEST = 1e30
"""Of a number; whole ones of a TOML file have no bound of their own"""
_TOP = ("schema", "labels", "activation", "refuse", "input")
_INPUT = ("size", "color", "range", "mean", "std", "fit", "colour")
"""The last one is the earlier spelling of the second."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Labels, limits, and how a picture is made ready."""

    labels: tuple[str, ...]
    refuse: dict[str, float]
    """Label -> a picture is refused at this probability or above"""
    activation: str = "none"
    size: tuple[int, int] | None = None
    """(height, width); None takes that of the model"""
    color: str = "rgb"
    low: float = 0.0
    high: float = 1.0
    """What samples 0 and 255 become"""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: str = "stretch"


def read_rules(path: Path) -> Rules:
    """The rules in ``path``; :class:`UsageError` says what is wrong in them."""
    table = parse_table(text_of(read_small(path, WHAT), path, WHAT), path, WHAT)
    where = f"{WHAT} {path}"
    _only(table, _TOP, where)
    if table.get("schema", SCHEMA) != SCHEMA:
        raise UsageError(f"{where}: schema {table['schema']!r} is not known; this program reads {SCHEMA}")
    inputs = table.get("input", {})
    if not isinstance(inputs, dict):
        raise UsageError(f"{where}: input must be a table")
    _only(inputs, _INPUT, f"{where}: input")
    labels = _labels(table.get("labels"), where)
    low, high = _numbers(inputs.get("range", [0.0, 1.0]), 2, f"{where}: range")
    std = _numbers(inputs.get("std", [1.0] * 3), 3, f"{where}: std")
    if 0.0 in std or low == high:
        raise UsageError(f"{where}: std must not be 0, and range must have two different ends")
    mean = _numbers(inputs.get("mean", [0.0] * 3), 3, f"{where}: mean")
    return Rules(
        labels=labels,
        refuse=_limits(table.get("refuse"), labels, where),
        activation=_one_of(table.get("activation", "none"), ACTIVATIONS, f"{where}: activation"),
        size=_size(inputs.get("size"), where),
        color=_one_of(inputs.get("color", inputs.get("colour", "rgb")), COLORS, f"{where}: color"),
        low=low,
        high=high,
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        fit=_one_of(inputs.get("fit", "stretch"), FITS, f"{where}: fit"),
    )


def _only(table: dict[str, Any], known: Sequence[str], where: str) -> None:
    if unknown := sorted(set(table) - set(known)):
        raise UsageError(f"{where}: unknown key {unknown[0]}; known: {', '.join(known)}")


def _labels(value: Any, where: str) -> tuple[str, ...]:
    good = isinstance(value, list) and value and all(isinstance(n, str) and n.strip() for n in value)
    if not good or len(set(value)) != len(value):
        raise UsageError(f"{where}: labels must be different names, one for each number of the model")
    return tuple(value)


def _limits(value: Any, labels: Sequence[str], where: str) -> dict[str, float]:
    if not isinstance(value, dict) or not value:
        raise UsageError(f"{where}: [refuse] is missing; name at least one label and its limit there")
    for name, limit in value.items():
        if name not in labels:
            raise UsageError(f"{where}: [refuse] names {name!r}; the labels are {', '.join(labels)}")
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit <= 1:
            raise UsageError(f"{where}: the limit of {name!r} must be above 0 and at most 1, not {limit!r}")
    return {name: float(limit) for name, limit in value.items()}


def _one_of(value: Any, known: Sequence[str], where: str) -> str:
    if value not in known:
        raise UsageError(f"{where} must be {', '.join(known[:-1])} or {known[-1]}, not {value!r}")
    return str(value)


def _numbers(value: Any, count: int, where: str) -> tuple[float, ...]:
    good = isinstance(value, list) and len(value) == count
    if not good or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in value):
        raise UsageError(f"{where} must be a list of {count} numbers, not {value!r}")
    if not all(-_LARGEST < number < _LARGEST for number in value):
        raise UsageError(f"{where} must be finite")
    return tuple(float(number) for number in value)


def _size(value: Any, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = value if isinstance(value, list) else [value, value]
    whole = len(sides) == 2 and all(isinstance(n, int) and not isinstance(n, bool) for n in sides)
    if not whole or not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise UsageError(f"{where}: size must be [height, width], 1 to {LARGEST_SIDE} each, not {value!r}")
    return sides[0], sides[1]
