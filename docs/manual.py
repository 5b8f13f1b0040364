"""The manual page ``faceswap(1)``, made from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import typer.main

from faceswap_cli import __version__, errors
from faceswap_cli.cli import app
from faceswap_cli.cli.examples import EXAMPLES
from faceswap_cli.cli.options import ShowFlags

COMMON = tuple(field.name for field in fields(ShowFlags))
"""Options that every command has: described once."""

FILES = (
    ("faceswap.toml", "Settings: the nearest file from the working folder upwards, then the user's own."),
    (".NAME.faceswap/", "State of an unfinished job, beside its output; removed when the job is done."),
)
ENVIRONMENT = (
    ("FACESWAP_...", "Any setting; `faceswap config` shows the name of each."),
    ("FACESWAP_ACCEPT_TERMS", "1 accepts the terms of use for this run."),
    ("FACESWAP_PEOPLE", "Folder of enrolled people."),
    ("FACESWAP_WEIGHTS", "Folder of installed weights."),
    ("NO_COLOR, FORCE_COLOR", "As usual."),
)


def manual() -> str:
    """The page in the ``man`` macros of troff."""
    group = typer.main.get_command(app)
    commands: dict[str, Any] = dict(group.commands)  # type: ignore[attr-defined]
    lines = [
        f'.TH FACESWAP 1 "" "faceswap {__version__}" "User Commands"',
        ".SH NAME",
        f"faceswap \\- {_plain(_lowered(group.help or '')).rstrip('.')}",
        ".SH SYNOPSIS",
        ".B faceswap",
        r"\fICOMMAND\fR [\fIOPTION\fR]... \fIARGUMENT\fR...",
        ".SH DESCRIPTION",
        *_paragraphs(
            "`faceswap COMMAND --help` explains each command. Results go to stdout, everything else to "
            "stderr. A file under its final name is always complete."
        ),
        ".SH COMMANDS",
    ]
    for name, command in commands.items():
        lines += _command(name, command)
    lines += [".SH COMMON OPTIONS", *_options(_common(commands["video"]))]
    lines += [".SH EXIT STATUS", *_exit_status()]
    lines += [".SH FILES", *_items(FILES), ".SH ENVIRONMENT", *_items(ENVIRONMENT), ".SH EXAMPLES"]
    for name in ("video", "image", "batch", "enroll", "edit", "evaluate"):
        for what, line in EXAMPLES[name]:
            lines += [".PP", _plain(f"{what}:"), ".PP", ".RS 4", ".nf", _plain(line), ".fi", ".RE"]
    return "\n".join(lines) + "\n"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _command(name: str, command: Any) -> Iterator[str]:
    """One command, or every command of a group."""
    inner = getattr(command, "commands", None)
    if inner:
        for own, sub in inner.items():
            yield from _command(f"{name} {own}", sub)
        return
    arguments = [p for p in command.params if not p.opts[0].startswith("-")]
    shown = " ".join(rf"\fI{_plain(_placeholder(p))}\fR" for p in arguments)
    yield f".SS faceswap {name}"
    yield rf"\fBfaceswap {name}\fR [\fIOPTION\fR]... {shown}".rstrip()
    yield from (".PP", *_paragraphs(command.help or ""))
    for argument in arguments:
        if argument.help:
            yield from (".TP", rf"\fI{_plain(_placeholder(argument))}\fR", _plain(argument.help))
    yield from _options([p for p in command.params if _is_option(p) and p.name not in COMMON])


def _is_option(parameter: Any) -> bool:
    return parameter.opts[0].startswith("-") and not parameter.hidden and parameter.name != "help"


def _common(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.name in COMMON]


def _placeholder(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper().replace("_", "-"))


def _options(parameters: list[Any]) -> Iterator[str]:
    """Everyday options first, the others by their panel, as in ``--help``."""
    panels: dict[str, list[Any]] = {}
    for parameter in parameters:
        panels.setdefault(parameter.rich_help_panel or "", []).append(parameter)
    for panel in sorted(panels, key=lambda name: name != ""):
        if panel:
            yield from (".PP", rf"\fI{_plain(panel)}\fR")
        for parameter in panels[panel]:
            names = ", ".join(rf"\fB{_plain(n)}\fR" for n in (*parameter.opts, *parameter.secondary_opts))
            bare = parameter.is_flag or parameter.count
            value = "" if bare else rf" \fI{_plain(_placeholder(parameter))}\fR"
            yield from (".TP", names + value, _plain(parameter.help or ""))


def exit_codes() -> list[tuple[int, str]]:
    """Read off the errors themselves, so that a new one cannot be forgotten."""
    found: dict[int, str] = {0: "Done."}
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if errors.FaceswapError in kind.__bases__:
            found[kind.exit_code] = (kind.__doc__ or "").splitlines()[0]
    found[1] = "Unexpected failure (a bug)."
    found[143] = "The same as 130, by SIGTERM."
    return sorted(found.items())


def _exit_status() -> Iterator[str]:
    yield from _items([(str(code), meaning) for code, meaning in exit_codes()])


def _items(rows: Any) -> Iterator[str]:
    for name, meaning in rows:
        yield from (".TP", rf"\fB{_plain(name)}\fR", _plain(meaning))


def _paragraphs(text: str) -> list[str]:
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", inspect.cleandoc(text))]
    return [
        line for number, part in enumerate(parts) for line in ([".PP"] if number else []) + [_plain(part)]
    ]


def _plain(text: str) -> str:
    """Text that troff prints as it is: no hyphens that break, no line that looks like a request."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\(ga")
    text = text.replace("'", r"\(aq").replace('"', r"\(dq").replace("~", r"\(ti").replace("^", r"\(ha")
    return rf"\&{text}" if text.startswith((".", "'")) else text
