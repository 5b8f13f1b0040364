"""``faceswap edit``: a finished clip with other settings, without finding its faces again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from faceswap_cli.cli.options import (
    AS_FILE,
    AcceptTerms,
    ClipFlags,
    LookFlags,
    OutputFlags,
    ShowFlags,
    expanded,
    given,
)
from faceswap_cli.cli.remake import Remake, check_flags, remake
from faceswap_cli.cli.rerun import Result, Source, Target, source_paths
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.cli.terms import require_terms
from faceswap_cli.config_files import flag_layer
from faceswap_cli.errors import InputError
from faceswap_cli.output import check_inputs

if TYPE_CHECKING:
    from faceswap_cli.recipe.kept import Kept

SETTLED = {"face", "ref", "cast", "parsing", "min_face", "max_faces", "start", "end", "segment"} | {
    "dry_run",
    "preview",
}
"""Flags that ``edit`` does not have: who is there and who is swapped is kept."""


@partial(expanded, leave_out=SETTLED, instead=AS_FILE, kept_defaults=True)
def edit(
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
    """Render a finished video again with other settings, without detecting faces again.

    Needs a result made with --keep. Options that are not given keep the values of that result.
    """
    settings = read_settings(show, look, clip)
    with Session(ctx.obj, show, settings, soft_stop=True) as session:
        check_flags(out)
        require_terms(accept_terms)
        sources = source_paths(source)
        check_inputs([result, *sources, *filter(None, (target, look.occlusion_mask))])
        from faceswap_cli.recipe.inputs import find_inputs
        from faceswap_cli.recipe.kept import in_use
        from faceswap_cli.recipe.record import shaping_keys

        kept = _kept(result)
        asked = flag_layer(given(look, clip)).values
        changes = {name: value for name, value in asked.items() if name in shaping_keys()}
        with in_use(kept):
            found = find_inputs(kept.recipe, sources, target, None, kept.known)
            found = replace(found, mask=look.occlusion_mask or found.mask)
            earlier = replace(kept, tell=session.warn)
            remake(session, Remake("edit", result, kept.recipe, found, out, changes, earlier))


def _kept(result: Path) -> Kept:
    """The kept job of the very file ``result``."""
    from faceswap_cli.jobs.seal import folder_of
    from faceswap_cli.recipe.kept import kept_job
    from faceswap_cli.recipe.metadata import find_recipe
    from faceswap_cli.video.picture import is_picture
    from faceswap_cli.video.probe import probe

    if is_picture(result):
        raise InputError(f"{result} is a picture; run 'faceswap image' with other options instead")
    kept = kept_job(result)
    if kept is None:
        raise InputError(
            f"{result} has no kept job ({folder_of(result).name}); make it with --keep, then edit it"
        )
    carried = find_recipe(result, probe(result).metadata)
    if carried is not None and carried.text() != kept.recipe.text():
        raise InputError(
            f"{kept.folder} belongs to an earlier {result.name}; make this one again with --keep"
        )
    return kept
