"""``faceswap evaluate``: how good a result is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceswap_cli.cli.gates import check_gates, figures_for, parse_gates
from faceswap_cli.cli.options import REPORTING, ShowFlags, expanded
from faceswap_cli.cli.printing import console
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.errors import UsageError
from faceswap_cli.output import check_inputs


@expanded
def evaluate(
    ctx: typer.Context,
    result: Annotated[Path, typer.Argument(help="The swapped picture or video.", show_default=False)],
    source: Annotated[
        list[Path], typer.Option("--source", "-s", help="Photo or folder of the source person; repeatable.")
    ],
    target: Annotated[Path, typer.Option("--target", "-t", help="What was swapped into.")],
    show: ShowFlags,
    stride: Annotated[int, typer.Option("--stride", help="Look at every n-th frame.")] = 1,
    max_frames: Annotated[
        int | None, typer.Option("--max-frames", help="Stop after so many frames.", show_default=False)
    ] = None,
    fail_under: Annotated[
        str | None,
        typer.Option(
            "--fail-under",
            metavar="GATES",
            rich_help_panel=REPORTING,
            show_default=False,
            help="Exit with 10 when not reached, e.g. identity=0.6,coverage=0.95,jitter=1.2.",
        ),
    ] = None,
) -> None:
    """Measure identity, pose, expression, gaze, steadiness and preservation."""
    if stride < 1 or (max_frames is not None and max_frames < 1):
        raise UsageError("--stride and --max-frames must be 1 or more")
    gates = parse_gates(fail_under)
    with Session(ctx.obj, show, read_settings(show)) as session:
        check_inputs([result, *source, target])
        from faceswap_cli.metrics.evaluate import evaluate as measure

        found = measure(result, source, target, listen=session.listen, stride=stride, max_frames=max_frames)
        data = {"command": "evaluate", "exit": 0, **found.as_dict()}
        session.invocation.partial = data
        if session.for_people:
            _print_table(found.table())
        check_gates(gates, figures_for(gates, found.figures, dict))
        session.result(data)


def _print_table(rows: list[tuple[str, str, str]]) -> None:
    from rich.table import Table

    table = Table("figure", "value", "meaning", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console().print(table, markup=False)
