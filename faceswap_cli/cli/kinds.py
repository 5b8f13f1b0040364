"""What help shows for the kind of a value: ``FILE`` or ``N``, and nothing for a flag that takes none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

_WORDS = {str: "TEXT", int: "N", float: "NUMBER", Path: "FILE"}


def with_kinds(command: Any) -> Any:
    """``command`` and those below it, with words in their help where Typer (0.29) shows Python's types."""
    for one in _commands(command):
        for parameter in one.params:
            _show(parameter, _word(parameter))
            if parameter.param_type_name == "argument" and parameter.metavar is not None:
                _name(parameter, str(parameter.metavar))
        one.get_help_option = _without_kind(one.get_help_option)
    return command


def _commands(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from _commands(inner)


def _show(parameter: Any, word: str) -> None:
    parameter.display_type_rich = lambda ctx: word


def _name(parameter: Any, metavar: str) -> None:
    """In the line of usage, which would put it into brackets with dots of its own."""
    parameter.get_usage_pieces = lambda ctx: [metavar]


def _without_kind(get_option: Any) -> Any:
    def get(ctx: Any) -> Any:
        if (option := get_option(ctx)) is not None:
            _show(option, "")
        return option

    return get


def _word(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return ""  # its name says it
    if parameter.metavar is not None:
        return str(parameter.metavar)
    if parameter.is_flag or parameter.count:
        return ""
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", str)
    return _WORDS.get(next(iter(get_args(kind)), kind), "VALUE")
