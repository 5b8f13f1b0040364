"""``faceswap image``: one picture."""

from __future__ import annotations

import typer

from faceswap_cli.cli import inputs, swap
from faceswap_cli.cli.options import (
    AcceptTerms,
    Files,
    LookFlags,
    OneTarget,
    OutputFlags,
    ShowFlags,
    Sources,
    expanded,
)
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.errors import InputError
from faceswap_cli.output import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Naming, check_disk


@expanded
def image(
    ctx: typer.Context,
    *,
    files: Files = None,
    source: Sources = None,
    target: OneTarget = None,
    out: OutputFlags,
    look: LookFlags,
    show: ShowFlags,
    accept_terms: AcceptTerms = False,
) -> None:
    """Swap a face in a picture.

    Size, format, bit depth, alpha channel and metadata stay as in the target; only the faces change.
    """
    settings = read_settings(show, look)
    with Session(ctx.obj, show, settings) as session:
        files = inputs.named_files(files, source, target)
        order = swap.take_order(session, "image", files, out, accept_terms=accept_terms)
        _run(session, order)


def _run(session: Session, order: swap.Order) -> None:
    sources, target = order.given.sources, order.given.target
    if target.is_dir():
        raise InputError(f"{target} is a folder; the last argument is the picture to change")
    if target.suffix.lower() in VIDEO_SUFFIXES:  # by name: a broken picture must not be called a video
        raise InputError(f"{target} is a video; use 'faceswap video' for it")
    suffix = target.suffix.lower()
    # What cannot be written as it came (GIF, say) becomes a PNG, which loses nothing.
    ext = target.suffix if suffix in PICTURE_SUFFIXES else ".png"
    output = swap.place_output(session, order, Naming(target, ext, PICTURE_SUFFIXES, sources[0].stem))
    if output is None:
        return
    options = swap.with_device(order.options)
    check_disk(output.parent, 4 * target.stat().st_size, f"the result of {target.name}")
    from faceswap_cli import pictures

    report = pictures.swap_image(sources, target, output, options, listen=session.listen, stop=session.stop)
    swap.finish(session, order, report, options.job.device)
