"""The option groups by their public names; ``help`` of a group lists its fields."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, get_type_hints

from faceswap_cli.config import SwapOptions
from faceswap_cli.config_files import FLAGS


@lru_cache(maxsize=1)
def option_groups() -> dict[str, type]:
    """``Options`` and its groups."""
    flags = {key: f"--{flag.replace('_', '-')}" for flag, keys in FLAGS.items() for key in keys}
    hints: dict[str, Any] = get_type_hints(SwapOptions)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    for prefix, kind in {"": SwapOptions, **groups}.items():
        kind.__doc__ = _help(kind, f"{prefix}." if prefix else "", flags)
    return {"Options": SwapOptions, **{kind.__name__: kind for kind in groups.values()}}


def _help(group: Any, prefix: str, flags: Mapping[str, str]) -> str:
    """What the class says of itself, then each field: default, flag of the command line, meaning."""
    meanings, hints = field_meanings(group), get_type_hints(group)
    lines = [inspect.cleandoc(group.__doc__ or ""), ""]
    for item in fields(group):
        inner = is_dataclass(hints[item.name])
        value = f"{hints[item.name].__name__}()" if inner else repr(item.default)
        flag = flags.get(f"{prefix}{item.name}")
        lines.append(f"{item.name} = {value}" + (f"   ({flag})" if flag else ""))
        if item.name in meanings:
            lines.append(f"    {meanings[item.name]}")
    return "\n".join(lines)


def field_meanings(group: type) -> dict[str, str]:
    """Field -> the text under it in the source; none where the source is not there."""
    try:
        (node,) = ast.parse(inspect.getsource(group)).body
    except OSError:
        return {}
    return dict(_texts(node)) if isinstance(node, ast.ClassDef) else {}


def _texts(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for first, second in zip(node.body, node.body[1:], strict=False):
        if isinstance(first, ast.AnnAssign) and isinstance(first.target, ast.Name):
            value = second.value if isinstance(second, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield first.target.id, " ".join(value.value.replace("``", "`").split())
