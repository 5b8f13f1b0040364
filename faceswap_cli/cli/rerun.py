"""``faceswap rerun``: the same result again, from the recipe stored in it."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from faceswap_cli.cli.options import (
    AS_FILE,
    AcceptTerms,
    ClipFlags,
    LookFlags,
    OutputFlags,
    ShowFlags,
    expanded,
)
from faceswap_cli.cli.remake import Remake, check_flags, remake
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.cli.terms import require_terms
from faceswap_cli.identity.people import resolved
from faceswap_cli.output import check_inputs

Result = Annotated[
    Path, typer.Argument(metavar="OUT", help="A result made by this program.", show_default=False)
]
Source = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        "-s",
        metavar="SRC",
        help="Original source photograph, or a folder with them. Repeat it for more, in any order.",
        show_default=False,
    ),
]
Target = Annotated[
    Path | None,
    typer.Option("--target", "-t", metavar="TARGET", help="Original target file.", show_default=False),
]
HOW_IT_RUNS = {"device", "threads", "max_ram", "max_vram", "max_pixels", "cluster", "restart", "keep"} | {
    "parsing",
    "occlusion_mask",
    "c2pa_cert",
    "c2pa_key",
    "consent",
}
IN_THE_RECIPE = {field.name for group in (LookFlags, ClipFlags) for field in fields(group)} - HOW_IT_RUNS
"""Flags that ``rerun`` does not have: what they say is settled."""


def source_paths(given: list[str] | None) -> list[Path]:
    """What ``--source`` names; ``@NAME`` is an enrolled person."""
    return [Path(resolved(name)) for name in given or ()]


@partial(expanded, leave_out=IN_THE_RECIPE, instead=AS_FILE)
def rerun(
    ctx: typer.Context,
    result: Result,
    out: OutputFlags,
    look: LookFlags,
    clip: ClipFlags,
    show: ShowFlags,
    source: Source = None,
    target: Target = None,
    accept_terms: AcceptTerms = False,
) -> None:
    """Make a result again from the recipe stored in it: same inputs, same settings, same frames.

    The inputs are found by their digests; use --source and --target if they were moved.
    """
    settings = read_settings(show, look, clip)
    with Session(ctx.obj, show, settings, soft_stop=True) as session:
        check_flags(out)
        require_terms(accept_terms)
        sources = source_paths(source)
        check_inputs([result, *sources, *filter(None, (target, look.parsing, look.occlusion_mask))])
        from faceswap_cli.recipe.inputs import find_inputs
        from faceswap_cli.recipe.kept import kept_job
        from faceswap_cli.recipe.metadata import read_recipe

        recipe, kept = read_recipe(result), kept_job(result)
        known = kept.known if kept is not None else None
        found = find_inputs(recipe, sources, target, look.parsing, known, mask=look.occlusion_mask)
        remake(session, Remake("rerun", result, recipe, found, out))
