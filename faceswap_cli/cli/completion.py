"""``faceswap completion bash|zsh|fish``: the script that teaches a shell our commands and flags.

The scripts are Typer's; they call this program, which answers from its own commands.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from faceswap_cli.cli.options import ShowFlags, expanded
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "faceswap"
VARIABLE = "_FACESWAP_COMPLETE"
"""Set when it is a shell that asks."""


def prepare() -> None:
    """Make Typer answer a shell that asks; costs nothing otherwise."""
    if VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()


def script(shell: str) -> str:
    """The text that a shell has to read."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    return str(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell)) + "\n"


def _shells(incomplete: str) -> list[str]:
    return [shell for shell in SHELLS if shell.startswith(incomplete)]


@expanded
def completion(
    ctx: typer.Context,
    show: ShowFlags,
    shell: Annotated[
        str, typer.Argument(metavar="SHELL", help="Shell: bash, zsh or fish.", autocompletion=_shells)
    ],
) -> None:
    """Print a shell script that completes commands, options and values with the TAB key.

    bash: faceswap completion bash > ~/.local/share/bash-completion/completions/faceswap

    zsh: eval "$(faceswap completion zsh)" in ~/.zshrc, after compinit

    fish: faceswap completion fish > ~/.config/fish/completions/faceswap.fish
    """
    with Session(ctx.obj, show, read_settings(show)) as session:
        if shell not in SHELLS:
            raise UsageError(f"no completion for {shell!r}; choose one of {', '.join(SHELLS)}")
        text = script(shell)
        session.result({"command": "completion", "exit": 0, "shell": shell, "script": text})
        if session.for_people:
            sys.stdout.write(text)
