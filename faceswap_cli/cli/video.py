"""``faceswap video``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from faceswap_cli.cli import dry_run, inputs, swap
from faceswap_cli.cli.options import (
    AcceptTerms,
    ClipFlags,
    Files,
    LookFlags,
    OneTarget,
    OutputFlags,
    ShowFlags,
    Sources,
    expanded,
)
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.output import CLIP_SUFFIXES, Naming, check_disk, output_path, video_bytes

if TYPE_CHECKING:
    from faceswap_cli.records import Clip


@expanded
def video(
    ctx: typer.Context,
    *,
    files: Files = None,
    source: Sources = None,
    target: OneTarget = None,
    out: OutputFlags,
    look: LookFlags,
    clip: ClipFlags,
    show: ShowFlags,
    accept_terms: AcceptTerms = False,
) -> None:
    """Swap a face in a video.

    The result has the same frames, timestamps, audio and other streams as the target; only the faces change.
    An interrupted job is resumed by running the same command again.
    """
    settings = read_settings(show, look, clip)
    if clip.preview is not None and clip.preview < 1:
        raise UsageError(f"--preview must be 1 or more, not {clip.preview}")
    if clip.preview is not None and out.report is not None:
        raise UsageError("--preview writes no video to report on; leave out --report")
    if clip.cast is not None and (look.face is not None or look.ref is not None):
        raise UsageError("--cast decides who is swapped; leave out --face and --ref")
    if clip.dry_run and clip.preview is not None:
        raise UsageError("--dry-run and --preview exclude each other")
    with Session(ctx.obj, show, settings, soft_stop=clip.preview is None and not clip.dry_run) as session:
        files = inputs.named_files(files, source, target)
        order = swap.take_order(session, "video", files, out, accept_terms=accept_terms)
        if clip.dry_run:
            dry_run.tell(session, order, _naming(order, probe_target(order.given.target), None))
        else:
            _run(session, order, clip.preview)


def _run(session: Session, order: swap.Order, preview: int | None) -> None:
    clip = probe_target(order.given.target, order.options.detect.max_pixels)
    output = swap.place_output(session, order, _naming(order, clip, preview))
    if output is None:
        return
    losses: list[str] = []
    if preview is None:
        _load_ahead(order, clip)
        losses = _tell_losses(session, order, clip, output)
    options = swap.with_device(order.options, may_cluster=preview is None)
    _check_room(order, clip, output, preview)
    sources, target = order.given.sources, order.given.target
    hear, stop = session.listen, session.stop
    if preview is not None:
        from faceswap_cli import preview as sheets

        report = sheets.preview(sources, target, output, options, preview, listen=hear, stop=stop)
    else:
        from faceswap_cli import pipeline

        report = pipeline.swap_video(sources, target, output, options, listen=hear, stop=stop)
    swap.finish(session, order, report, options.job.device, losses)


def _tell_losses(session: Session, order: swap.Order, clip: Clip, output: Path) -> list[str]:
    """Say before the work starts what the output will not keep of the input."""
    from faceswap_cli.video.losses import not_kept

    losses = not_kept(clip, output, order.options.encode)
    suffix = order.given.target.suffix.lower()
    if order.flags.output is None and suffix != output.suffix.lower() and suffix not in CLIP_SUFFIXES:
        losses.append(f"{suffix or 'this kind of'} file: written as {output.name}")
    for line in losses:
        session.warn(line)
    return losses


def _load_ahead(order: swap.Order, clip: Clip) -> None:
    """Workers' libraries load beside our own."""
    from faceswap_cli.jobs.forks import expected, load_ahead
    from faceswap_cli.swap import needs_networks

    if expected(clip.frames, order.options.job):
        load_ahead(networks=needs_networks(order.options.method))


def probe_target(path: Path, max_pixels: int = 0) -> Clip:
    """The clip of ``path``; a still picture is told apart, since the video library reads it too."""
    from faceswap_cli.video.picture import animation_frames, is_picture
    from faceswap_cli.video.probe import probe

    if path.is_dir():
        raise InputError(f"{path} is a folder; the last argument is the video to change")
    if path.suffix.lower() != ".gif" and animation_frames(path) <= 1 and is_picture(path):
        raise InputError(f"{path} is a picture; use 'faceswap image' for it")
    return probe(path, max_pixels)


def _naming(order: swap.Order, clip: Clip, preview: int | None) -> Naming:
    from faceswap_cli.video.containers import check_output, output_extension

    target, source = order.given.target, _source_name(order)
    if preview is not None:
        return Naming(target, ".png", (".png",), source, suffix="_preview")
    if order.to_stdout:
        # A finished MP4 cannot be read from a pipe; Matroska can.
        return Naming(target, ".mkv", (".mkv",), source)
    encode = order.options.encode
    naming = Naming(target, output_extension(clip, encode), CLIP_SUFFIXES, source)
    for note in check_output(clip, output_path(order.flags.output, naming), encode):
        swap.note(note)
    return naming


def _source_name(order: swap.Order) -> str:
    """What ``{source}`` in an output name stands for."""
    cast = order.options.track.cast
    return order.given.sources[0].stem if cast is None else cast.stem


def _check_room(order: swap.Order, clip: Clip, output: Path, preview: int | None) -> None:
    """Segments and the joined file lie side by side for a moment: twice the estimate."""
    size = 0
    if preview is None:
        size = video_bytes(
            order.given.target.stat().st_size,
            clip.width * clip.height,
            clip.frames,
            lossless=order.options.encode.lossless,
        )
    check_disk(output.parent, 2 * size, f"the result of {order.given.target.name}")
