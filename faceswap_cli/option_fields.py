"""Fields of option groups: values of other types are settled or refused."""

from __future__ import annotations

import os
import types
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from faceswap_cli.errors import UsageError
from faceswap_cli.keyframes import Keyframes, level_of

_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", Path: "a path"}


@lru_cache(maxsize=64)
def _kinds(group: Any) -> dict[str, tuple[type, bool]]:
    """Field -> its type, and whether None is one of its values."""
    found = {}
    for name, hint in get_type_hints(group).items():
        parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        kinds = [Keyframes] if Keyframes in parts else [kind for kind in parts if kind is not type(None)]
        found[name] = (kinds[0], type(None) in parts)
    return found


def settle(group: Any) -> None:
    """Texts become paths and keyframes, numbers the kind of number that a field holds, or its text.

    :class:`UsageError` for what is of another type altogether.
    """
    kinds: Any = type(group)
    for name, (kind, optional) in _kinds(kinds).items():
        value = getattr(group, name)
        if not (value is None and optional):
            object.__setattr__(group, name, _settled(name, kind, value))


def _settled(name: str, kind: type, value: Any) -> Any:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if kind is Keyframes:
        return level_of(value, name)
    if kind is Path and isinstance(value, (str, os.PathLike)) and os.fspath(value) != "":
        return Path(value)
    if kind is int and number and isinstance(value, Integral):
        return int(value)
    if kind is float and number:
        return float(value)
    if kind is str and number:
        return str(value)
    if not isinstance(value, kind):
        wanted = _WORDS.get(kind, f"{kind.__name__}(...)")
        raise UsageError(f"{name} must be {wanted}, not {value!r}")
    return value
