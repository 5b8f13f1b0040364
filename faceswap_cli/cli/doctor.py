"""``faceswap doctor``: can this machine do the work, and if not, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from faceswap_cli.cli.options import ShowFlags, expanded
from faceswap_cli.cli.printing import console
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.cli.terms import accepted

if TYPE_CHECKING:
    from rich.table import Table

    from faceswap_cli.doctor import Check

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@expanded
def doctor(ctx: typer.Context, show: ShowFlags) -> None:
    """Check this machine: devices, encoders, weights, disk space.

    Every line is ok, warn or fail; a warn or a fail says how to fix it. With -v it also shows what each
    container keeps of a clip.
    """
    settings = read_settings(show)
    with Session(ctx.obj, show, settings) as session:
        from rich.text import Text

        from faceswap_cli.doctor import FAIL, kept_rows, run_checks

        out, found = console(), []
        for check in run_checks(Path.cwd(), accepted(), settings.swap_options().policy):
            found.append(check)
            if session.for_people:
                line = Text(f"{check.status:<5}", style=STYLES[check.status])
                line.append(f"{check.name}: {check.detail}", style="default")
                if check.fix:
                    line.append(f" -> {check.fix}", style="bold")
                out.print(line, soft_wrap=True)
        if session.for_people:
            if show.verbose:
                out.print(_kept(), soft_wrap=True)
            out.print(_sum(found), soft_wrap=True, markup=False)
        code = next((check.code for check in found if check.status == FAIL), 0)
        session.result({"command": "doctor", "exit": code, "checks": found, "kept": kept_rows()})
    if code:
        raise typer.Exit(code)


def _sum(found: Sequence[Check]) -> str:
    """``28 checks: all ok``, or which are not."""
    told = [f"{check.name} {check.status}" for check in found if check.status != "ok"]
    return f"{len(found)} checks: {', '.join(told) or 'all ok'}"


def _kept() -> Table:
    """What each container keeps of a clip, by codec."""
    from rich.table import Table

    from faceswap_cli.doctor import kept_rows

    table = Table(title="What an output keeps", title_justify="left", box=None, pad_edge=False)
    found = kept_rows()
    for name in found[0]:
        table.add_column(name)
    for row in found:
        table.add_row(*row.values())
    return table
