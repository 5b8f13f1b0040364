"""The reference pages: every command, every setting and every exit code, read off the program."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

import typer.main
from manual import COMMON, exit_codes

from faceswap_cli import config_files
from faceswap_cli.cli import PANELS, app
from faceswap_cli.cli.examples import EXAMPLES
from faceswap_cli.config import EDIT_RANGES, SwapOptions
from faceswap_cli.option_help import field_meanings
from faceswap_cli.video.kept import HEAD, rows

WRITTEN = "<!-- written by docs/build.py; do not edit -->\n"


def cli_page() -> str:
    """Every command with its arguments, options, defaults and examples."""
    group = typer.main.get_command(app)
    commands: dict[str, Any] = dict(group.commands)  # type: ignore[attr-defined]
    lines = [
        WRITTEN,
        "# Command line\n",
        "`faceswap COMMAND --help` or `faceswap help COMMAND` shows the "
        "same. Results go to stdout, everything else to",
        "stderr. Settings can also be given in [configuration files and variables](configuration.md).\n",
        "| group | commands |",
        "|---|---|",
    ]
    for panel, functions in PANELS.items():
        names = [function.__name__ for function in functions] + (["weights"] if panel == "Set up" else [])
        lines.append(f"| {panel} | {', '.join(f'[{name}](#faceswap-{name})' for name in names)} |")
    lines.append("")
    for name, command in commands.items():
        lines += _command(name, command)
    lines += [
        "## Options of every command\n",
        *_options([p for p in commands["video"].params if p.name in COMMON]),
    ]
    return "\n".join(lines)


def containers_page() -> str:
    """What each container keeps of a clip, by codec."""
    lines = [
        WRITTEN,
        "# Containers and codecs\n",
        "What an output keeps of its input, by container and codec. `faceswap doctor -v` shows this table.",
        "A job names what its output will not keep before it starts (`--json`: `not_kept`). Times, pixel",
        "aspect ratio and color tags are kept too, except in animations: they are sRGB with square pixels.\n",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(f"| {' | '.join(row)} |" for row in rows()),
        "",
        "Without `--codec`, a codec is chosen that keeps transparency where the container has one.",
        "",
        "Windows Media sound is copied into Matroska (`A_MS/ACM`), and encoded again as AAC where the input",
        "has chapters, which cannot be written beside it, or another container was asked for.",
        "",
    ]
    return "\n".join(lines)


def _command(name: str, command: Any, level: str = "##") -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner:
        yield f"{level} faceswap {name}\n"
        yield f"{_sentence(command.help)}\n"
        yield from _examples(name)
        for own, sub in inner.items():
            yield from _command(f"{name} {own}", sub, "###")
        return
    arguments = [p for p in command.params if not p.opts[0].startswith("-")]
    shown = " ".join(str(p.metavar or p.name.upper()) for p in arguments)
    yield f"{level} faceswap {name}\n"
    yield f"`faceswap {name} {'[OPTION]... ' if command.params else ''}{shown}`".replace(" `", "`") + "\n"
    yield f"{_sentence(command.help)}\n"
    for argument in arguments:
        yield f"- `{argument.metavar or argument.name.upper()}`: {_plain(argument.help or '')}"
    if arguments:
        yield ""
    yield from _examples(name)
    own = [
        p
        for p in command.params
        if p.opts[0].startswith("-") and p.name not in (*COMMON, "help") and not p.hidden
    ]
    yield from _options(own)


def _examples(name: str) -> Iterator[str]:
    yield "```"
    for meaning, line in EXAMPLES.get(name, ()):
        yield f"{line}    # {meaning}"
    yield "```\n"


def _options(parameters: list[Any]) -> Iterator[str]:
    if not parameters:
        return
    yield "| option | meaning |"
    yield "|---|---|"
    for p in sorted(parameters, key=lambda p: p.rich_help_panel or ""):
        names = ", ".join(f"`{name}`" for name in (*p.opts, *p.secondary_opts))
        value = (
            "" if p.is_flag or p.count else f" {_plain(str(p.metavar or p.name.upper().replace('_', '-')))}"
        )
        shown = p.show_default and p.default not in (None, "", False)
        default = f" Default: {p.default}." if shown and "Default:" not in (p.help or "") else ""
        yield f"| {names}{value} | {_plain(p.help or '')}{default} |"
    yield ""


def _sentence(text: str | None) -> str:
    return inspect.cleandoc(text or "").replace("<", "&lt;")


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*")


def configuration_page() -> str:
    """Every setting: name, flag, variable, default, meaning."""
    flags = {key: flag for flag, keys in config_files.FLAGS.items() for key in keys[:1]}
    lines = [
        WRITTEN,
        "# Configuration\n",
        "The first place that names a setting wins:\n",
        "1. the command line,",
        "2. environment variables,",
        "3. the file of `--config`, or the nearest `faceswap.toml` from the working folder upwards,",
        "4. your own file (`faceswap config` shows its path),",
        "5. the default.\n",
        "`--no-config` ignores the files. An unknown key is an error that "
        "lists the known ones. `faceswap config` shows",
        "each value and its origin.\n",
        "```toml",
        "# faceswap.toml",
        'method = "fslsd"',
        'strength = {"0s" = 0, "2s" = 1}    # keyframes, linear between the times',
        "[job]",
        "shape_mix = 0.8",
        "[preserve]",
        "eyes = 0.5",
        "[edit]",
        "smile = 0.3",
        "```\n",
    ]
    meanings = _meanings()
    for group in ("", *(name for name in get_type_hints(SwapOptions) if name in _groups()), "show"):
        keys = [key for key in config_files.known_keys().values() if key.name.rpartition(".")[0] == group]
        if not keys:
            continue
        lines += [
            f"## {f'[{group}]' if group else 'Top level'}\n",
            "| key | option | variable | default | meaning |",
            "|---|---|---|---|---|",
        ]
        for key in keys:
            flag = flags.get(key.name)
            option = f"`--{flag.replace('_', '-')}`" if flag else ""
            name = key.name.rpartition(".")[2]
            default = "" if key.default in (None, "") else f"`{_toml(key.default)}`"
            lines.append(
                f"| `{name}` | {option} | `{key.variable}` | {default} | "
                f"{_plain(meanings.get(key.name, ''))} |"
            )
        lines.append("")
    lines += ["## Ranges of the edits\n", "| edit | from | to |", "|---|---|---|"]
    lines += [f"| `{name}` | {low:g} | {high:g} |" for name, (low, high) in EDIT_RANGES.items()]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _groups() -> dict[str, type]:
    hints = get_type_hints(SwapOptions)
    found = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}
    return {name: kind for name, kind in found.items() if not get_args(kind)}


def _meanings() -> dict[str, str]:
    """``group.field`` -> the text under the field in the source of the options."""
    groups = {**_groups(), "": SwapOptions, "show": config_files.ShowOptions}
    return {
        f"{group}.{name}" if group else name: text
        for group, kind in groups.items()
        for name, text in field_meanings(kind).items()
    }


def exit_codes_page() -> str:
    """The codes that scripts see, from the errors themselves."""
    rows = [f"| {code} | {meaning} |" for code, meaning in exit_codes()]
    return "\n".join(
        [
            WRITTEN,
            "# Exit codes\n",
            "The numbers do not change. With `--json` and `--events` an error also carries a word (`code`).",
            "[Troubleshooting](../guides/troubleshooting.md#by-exit-code) says what to do.\n",
            "| code | meaning |",
            "|---|---|",
            *rows,
            "",
        ]
    )
