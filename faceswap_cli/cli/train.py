"""``faceswap train``: train the 256 px profile on your own faces, or continue a training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceswap_cli.cli.options import ClipFlags, LookFlags, ShowFlags, expanded
from faceswap_cli.cli.printing import console
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.errors import UsageError
from faceswap_cli.events import progress

if TYPE_CHECKING:
    from faceswap_cli.training.options import TrainOptions

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 60.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def duration_s(text: str) -> float:
    """Seconds of ``90s``, ``25m``, ``2h``, ``1d``; a bare number is minutes."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"--max-time is {text!r}; use a number with s, m, h or d, e.g. 25m")
    return float(match[1]) * _UNITS[match[2]]


Recipe = Annotated[
    list[Path],
    typer.Argument(
        metavar="RECIPE.toml",
        help="Training recipe; see examples/training. With --attribute: two folders of pictures, with and "
        "without the attribute, or a CSV with the columns file and value.",
    ),
]
MaxTime = Annotated[
    str | None,
    typer.Option("--max-time", help="Time limit, e.g. 25m or 8h. Default: none.", show_default=False),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", help="Device: auto, cpu, cuda or cuda:N. Default: from the recipe.", show_default=False
    ),
]
Without = Annotated[
    str | None,
    typer.Option(
        "--without",
        help="Leave out one loss term: warp, third-player, trajectory, landmarks or adversary.",
        show_default=False,
    ),
]
Prepare = Annotated[bool, typer.Option("--prepare", help="Prepare the training faces and stop.")]
Attribute = Annotated[
    str | None,
    typer.Option(
        "--attribute",
        help="Train an edit of your own instead; use it later as --edit NAME=+0.7.",
        metavar="NAME",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the edit of this name.")]


@expanded
def train(
    ctx: typer.Context,
    given: Recipe,
    show: ShowFlags,
    max_time: MaxTime = None,
    device: Device = None,
    without: Without = None,
    prepare: Prepare = False,
    attribute: Attribute = None,
    force: Force = False,
) -> None:
    """Train the 256 px network on your own faces, or train an edit.

    A run that was stopped continues when the same recipe is given again.
    """
    settings = read_settings(show, LookFlags(), ClipFlags())
    if attribute is not None:
        if max_time or device or without or prepare:
            raise UsageError("--attribute does not use the options of a recipe; leave them out")
        _teach(Session(ctx.obj, show, settings), attribute, given, force=force)
        return
    if len(given) != 1 or force:
        raise UsageError("give one RECIPE.toml; folders and --force are for --attribute NAME")
    limit = duration_s(max_time) if max_time else float("inf")
    with Session(ctx.obj, show, settings, soft_stop=True) as session:
        from dataclasses import replace

        from faceswap_cli.training import launch
        from faceswap_cli.training.options import read_options
        from faceswap_cli.training.options import without as leave_out

        options = read_options(given[0])
        options = options if device is None else replace(options, device=device)
        options = options if without is None else leave_out(options, without)
        recipe = options.refiner
        total = sum(phase.images for phase in options.phases) if recipe is None else recipe.images

        def tell(row: dict[str, Any]) -> None:
            session.listen(progress("train", int(row["images"]), total))

        if prepare:
            _prepare(session, options)
            return
        last = launch.train(options, limit, session.stop, tell)
        session.stop.check("training")
        session.result({"command": "train", "exit": 0, "folder": str(options.folder), **last})
        if session.for_people:
            console().print(summary(last, options.folder), markup=False)


def _prepare(session: Session, options: TrainOptions) -> None:
    """The pool, and for a refiner its pairs; the result when all is there."""
    from faceswap_cli.training import launch
    from faceswap_cli.training.pairs import PIECE

    pool = launch.prepared(options)
    session.say(f"{len(pool)} faces in {options.folder / 'pool'}")
    made: dict[str, Any] = {"faces": len(pool)}
    if options.refiner is not None:
        files = launch.prepared_pairs(
            options, session.stop, lambda *at: session.listen(progress("pairs", *at))
        )
        made["pairs"] = PIECE * sum(map(len, files))
        session.say(f"{made['pairs']} pairs of faces in {options.folder / 'pairs'}")
    session.result({"command": "train", "exit": 0, **made, "folder": str(options.folder)})


def _teach(session: Session, name: str, given: list[Path], *, force: bool) -> None:
    """An edit of the user's own; what a signal leaves is a whole file, or none."""
    if not 1 <= len(given) <= 2:
        raise UsageError("--attribute takes two folders (pictures with it, pictures without) or one CSV")
    with session:
        from faceswap_cli.training.own_attribute import train_attribute

        def tell(stage: str, done: int, total: int) -> None:
            session.listen(progress(stage, done, total))

        learned = train_attribute(name, given, tell, force=force)
        for note in learned.notes:
            session.warn(note)
        without, with_it = learned.sides
        session.result(
            {
                "command": "train",
                "exit": 0,
                "attribute": name,
                "output": learned.path,
                "held_out": round(learned.verdict.figure, 4),
                "measure": "accuracy" if learned.verdict.two_sided else "correlation",
                "needed": round(learned.verdict.least, 4),
                "with": with_it,
                "without": without,
                "people": learned.people,
                "notes": learned.notes,
            }
        )
        if session.for_people:
            told = f"{name}: {learned.verdict}; {with_it} pictures with, {without} without"
            console().print(f"{told}; use it as --edit {name}=+0.7", markup=False)


def summary(last: dict[str, Any], folder: Path) -> str:
    """What a person wants to know at the end."""
    figures = ", ".join(f"{name} {value:.3g}" for name, value in last.get("figures", {}).items())
    return f"{last.get('images', 0)} images seen; weights in {folder}; {figures or 'no figures yet'}"
