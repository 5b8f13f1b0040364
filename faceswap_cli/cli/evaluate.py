"""``faceswap evaluate``: how good a result is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceswap_cli.cli.gates import check_gates, figures_for, parse_gates, people_of
from faceswap_cli.cli.options import FAIL_UNDER, REPORTING, ShowFlags, expanded
from faceswap_cli.cli.printing import console
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.cli.swap import cast_photos, check_cast
from faceswap_cli.errors import FaceswapError, UsageError
from faceswap_cli.identity.people import resolved
from faceswap_cli.output import check_inputs
from faceswap_cli.plain import one_line

if TYPE_CHECKING:
    from faceswap_cli.metrics.evaluate import Evaluation
    from faceswap_cli.metrics.suite import Suite

SUITE = "Suites"
SUITE_FRAMES = 90
"""Of each clip, unless --max-frames says otherwise."""


@expanded
def evaluate(
    ctx: typer.Context,
    *,
    result: Annotated[
        Path | None,
        typer.Argument(help="Swapped picture or video.", metavar="RESULT", show_default=False),
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            "--source",
            "-s",
            help="Photograph or folder of the source person, or @NAME. Repeat it for more. Needed unless "
            "--cast or --suite is given.",
            metavar="SRC",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--target", "-t", help="Original target file. Needed unless --suite is given.", show_default=False
        ),
    ] = None,
    cast: Annotated[
        Path | None,
        typer.Option(
            "--cast",
            metavar="TOML",
            show_default=False,
            help="Cast file that the result was made with; instead of --source. Default: none.",
        ),
    ] = None,
    stride: Annotated[int, typer.Option("--stride", help="Measure every Nth frame.", metavar="N")] = 1,
    max_frames: Annotated[
        int | None,
        typer.Option(
            "--max-frames",
            help="Stop after N frames. Default: all; 90 in a suite.",
            metavar="N",
            show_default=False,
        ),
    ] = None,
    fail_under: Annotated[
        str | None,
        typer.Option(
            "--fail-under",
            metavar="NAME=BOUND,...",
            rich_help_panel=REPORTING,
            show_default=False,
            help=FAIL_UNDER,
        ),
    ] = None,
    suite: Annotated[
        Path | None,
        typer.Option(
            "--suite",
            metavar="DIR",
            rich_help_panel=SUITE,
            show_default=False,
            help="Swap DIR/portraits into DIR/clips with several methods and compare them. Default: measure "
            "RESULT.",
        ),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            rich_help_panel=SUITE,
            help="Methods of the suite; 'naive' is a simple baseline, 'target' the untouched clip.",
        ),
    ] = "fslsd,mesh,naive,target",
    pairs: Annotated[
        int | None,
        typer.Option(
            "--pairs",
            rich_help_panel=SUITE,
            metavar="N",
            help="Use N clips of the suite, evenly spread. Default: all.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", rich_help_panel=SUITE, help="Swaps that run at the same time.")
    ] = 1,
    show: ShowFlags,
) -> None:
    """Measure the quality of a result: likeness, shape, movement, seams, sharpness, stability.

    docs/metrics.md explains each metric.
    """
    if stride < 1 or jobs < 1 or min(max_frames or 1, pairs or 1) < 1:
        raise UsageError("--stride, --max-frames, --pairs and --jobs must be 1 or more")
    gates = parse_gates(fail_under)
    if suite is not None:
        if result or source or target or cast or gates:
            raise UsageError(
                "--suite makes its own results; leave out RESULT, --source, --cast, --target and --fail-under"
            )
        _suite(ctx, show, suite, _named(methods), pairs, max_frames or SUITE_FRAMES, jobs)
        return
    if result is None or not (source or cast) or target is None:
        raise UsageError("give RESULT --source SRC --target TARGET (or --cast FILE), or --suite DIR")
    if source and cast:
        raise UsageError("--cast names the sources; leave out --source")
    source = [Path(resolved(str(path))) for path in source or ()]
    with Session(ctx.obj, show, read_settings(show)) as session:
        check_cast(cast)
        check_inputs([result, *source, *filter(None, (cast,)), target])
        check_inputs(cast_photos(cast))
        if _is_marked(target) and not _is_marked(result):
            session.warn(f"{target} is marked as made with AI and {result} is not: are they exchanged?")
        from faceswap_cli.metrics.evaluate import EvaluateOptions
        from faceswap_cli.metrics.evaluate import evaluate as measure

        found = measure(
            result,
            source,
            target,
            options=EvaluateOptions(cast=cast),
            listen=session.listen,
            stride=stride,
            max_frames=max_frames,
        )
        data = {"command": "evaluate", "exit": 0, **found.as_dict()}
        session.invocation.partial = data
        if session.for_people and not show.quiet:
            _print_table(found.table())
            _print_people(found)
            console().print(f"\n{one_line(found.verdict.sentence)}", markup=False, soft_wrap=True)
        values = figures_for(gates, found.figures, dict)
        check_gates(gates, values, people_of((), data["people"]), data["verdict"])
        session.result(data)


def _is_marked(file: Path) -> bool:
    """Does it say of itself that it was made with AI?  A file that cannot be read says nothing."""
    from faceswap_cli.provenance.mark import read_mark
    from faceswap_cli.video.picture import is_picture
    from faceswap_cli.video.probe import probe

    try:
        mark = read_mark(file, None if is_picture(file) else probe(file).metadata)
    except FaceswapError:
        return False
    return mark is not None and mark.synthetic


def _named(methods: str) -> list[str]:
    from faceswap_cli.metrics.suite import NAIVE, UNTOUCHED
    from faceswap_cli.swap import METHODS

    known = [*METHODS, NAIVE, UNTOUCHED]
    names = [name.strip() for name in methods.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"--methods: unknown method {name!r}; try some of {', '.join(known)}")
    if not names:
        raise UsageError(f"--methods is empty; try some of {', '.join(known)}")
    return list(dict.fromkeys(names))


def _suite(
    ctx: typer.Context,
    show: ShowFlags,
    folder: Path,
    methods: list[str],
    pairs: int | None,
    frames: int,
    jobs: int,
) -> None:
    from faceswap_cli.metrics.suite import pairs_of, portraits_of, run_suite

    settings = read_settings(show)
    with Session(ctx.obj, show, settings) as session:
        chosen = pairs_of(folder, pairs)
        found = run_suite(
            chosen,
            methods,
            settings.swap_options(),
            portraits=portraits_of(folder),
            frames=frames,
            jobs=jobs,
            listen=session.listen,
        )
        for run in found.runs:
            if run.problem:
                session.warn(f"{run.method}: {run.pair}: {run.problem}")
        if session.for_people:
            _print_suite(found)
        runs = [{"method": r.method, "pair": r.pair, "figures": dict(r.figures)} for r in found.runs]
        compared = {"pairs": len(found.compared()), "summary": found.summary(), "runs": runs}
        session.result({"command": "evaluate", "exit": 0, "suite": folder, "frames": frames, **compared})


def _print_suite(found: Suite) -> None:
    """One row a figure, one column a method: means over the pairs that all finished, medians in brackets."""
    from rich.table import Table

    from faceswap_cli.metrics.figures import METRICS
    from faceswap_cli.metrics.suite import SHOWN

    summary = found.summary()
    table = Table("mean (median)", *summary, box=None, pad_edge=False)
    for name in SHOWN:
        cells = [
            f"{figures[name]['mean']:.3g} ({figures[name]['median']:.3g})" if name in figures else "-"
            for figures in summary.values()
        ]
        table.add_row(METRICS[name].title(name), *cells)
    console().print(table, markup=False)


def _print_table(rows: list[tuple[str, str, str, str]]) -> None:
    from rich.table import Table

    table = Table("metric", "value", "limit", "meaning", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console().print(table, markup=False)


def _print_people(found: Evaluation) -> None:
    """Of a result of several people: one column a person, headed by number and source."""
    from rich.table import Table
    from rich.text import Text

    if found.people:
        table = Table("metric", box=None, pad_edge=False)
        for one in found.people:
            table.add_column(Text(one_line(f"person {one.person + 1}: {one.source}")))
        table.add_column("limit")
        for row in found.people_table():
            table.add_row(*row)
        console().print()
        console().print(table, markup=False)
