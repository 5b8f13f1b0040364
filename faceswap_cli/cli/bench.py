"""``faceswap bench``: how fast this machine swaps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceswap_cli.cli.options import ClipFlags, LookFlags, ShowFlags, expanded
from faceswap_cli.cli.printing import console
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.cli.swap import with_device
from faceswap_cli.output import check_inputs


@expanded
def bench(
    ctx: typer.Context,
    show: ShowFlags,
    file: Annotated[
        Path | None, typer.Argument(help="Video. Default: the example clip.", show_default=False)
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            "--source",
            "-s",
            help="Photograph of the source person. Default: the example photograph.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="Method to measure. Default: auto.", show_default=False)
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", help="Device: auto, cpu, cuda, cuda:N, or mps. Default: auto.", show_default=False
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", help="Threads; 0 means one per core. Default: 0.", show_default=False),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            help="Compare with an earlier run, stored with --json.",
            metavar="RUN.json",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure the speed of a swap by stage, and compare it with decoding and encoding alone."""
    settings = read_settings(show, LookFlags(method=method, device=device, threads=threads), ClipFlags())
    with Session(ctx.obj, show, settings) as session:
        check_inputs([*([file] if file else []), *(source or [])])
        from faceswap_cli.metrics.earlier_run import compared, compared_lines, read_run

        before = None if compare is None else read_run(compare)
        options = with_device(settings.swap_options())
        from faceswap_cli.metrics.bench import bench as measure
        from faceswap_cli.metrics.bench import bench_table

        measured = measure(file, options, session.listen, sources=source or ())
        if before is not None:
            measured["compared"] = compared(measured, before)
        session.result({"command": "bench", "exit": 0, "device": options.job.device, **measured})
        if session.for_people:
            from rich.table import Table

            table = Table("what", "figure", box=None, pad_edge=False)
            lines = bench_table(measured)
            lines += compared_lines(measured["compared"]) if before is not None else []
            for what, figure in lines:
                table.add_row(what, figure)
            console().print(table, markup=False)
