"""``faceswap config`` and ``faceswap terms``: what holds here, and where it comes from."""

from __future__ import annotations

import sys

import typer

from faceswap_cli.cli import terms as terms_of_use
from faceswap_cli.cli.options import AcceptTerms, ShowFlags, expanded
from faceswap_cli.cli.printing import console
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.config_files import known_keys, nearest_file, user_file


@expanded
def config(ctx: typer.Context, show: ShowFlags) -> None:
    """Show every setting, its value, its origin and its environment variable."""
    from pathlib import Path

    settings = read_settings(show)
    settings.swap_options()  # a value out of range is an error here as well
    with Session(ctx.obj, show, settings) as session:
        keys = known_keys()
        files = {
            "nearest": show.config or nearest_file(Path.cwd()),
            "user": user_file() if user_file().is_file() else None,
        }
        session.result(
            {
                "command": "config",
                "exit": 0,
                "files": files,
                "settings": {
                    name: {"value": entry.value, "origin": entry.origin, "variable": keys[name].variable}
                    for name, entry in settings.entries.items()
                },
            }
        )
        if session.for_people:
            _print_settings({name: (e.value, e.origin) for name, e in settings.entries.items()})


def _print_settings(entries: dict[str, tuple[object, str]]) -> None:
    from rich.table import Table

    table = Table("setting", "value", "from", "variable", box=None, pad_edge=False)
    for name, (value, origin) in entries.items():
        shown = "" if value is None else str(value)
        table.add_row(name, shown, origin, known_keys()[name].variable)
    console().print(table, markup=False)


@expanded
def terms(ctx: typer.Context, show: ShowFlags, accept_terms: AcceptTerms = False) -> None:
    """Show the terms of use; with --accept-terms, accept them on this machine."""
    with Session(ctx.obj, show, read_settings(show)) as session:
        if accept_terms:
            terms_of_use.require_terms(flag=True)
        done = terms_of_use.accepted()
        session.result({"command": "terms", "exit": 0, "accepted": done, "text": terms_of_use.TERMS})
        if session.for_people:
            sys.stdout.write(terms_of_use.TERMS + f"\n{'Accepted' if done else 'Not accepted yet'}.\n")
