"""The Python API: the work of the commands as functions.

    import faceswap_cli as fs

    report = fs.swap_video("me.jpg", "clip.mp4", "out.mp4", accept_terms=True, progress=True)
    print(report.output, report.frames_with_swap)

Paths are ``str`` or ``os.PathLike``.  An input is never overwritten, an existing output only with
``force=True``.  Errors are :class:`faceswap_cli.FaceswapError`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from faceswap_cli.config import SwapOptions, TrackOptions
from faceswap_cli.errors import FaceswapError, InputError, OutputError, PolicyError, UsageError
from faceswap_cli.events import NEVER, Event, Listener, StopRequest, stage_title, unit_of
from faceswap_cli.output import (
    CLIP_SUFFIXES,
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    Naming,
    check_disk,
    check_inputs,
    check_output,
    output_path,
    same_file,
    video_bytes,
)

if TYPE_CHECKING:
    from faceswap_cli.inspection import PictureReport, VideoReport
    from faceswap_cli.metrics.evaluate import Evaluation
    from faceswap_cli.records import Report

PathLike: TypeAlias = "str | os.PathLike[str]"
Source: TypeAlias = "PathLike | Sequence[PathLike]"
"""One photograph or folder, ``"@NAME"`` (enrolled), or several photographs of one person."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of one target of :func:`swap_batch`."""

    target: Path
    output: Path | None
    status: str
    """``done``, ``kept`` (made by an earlier run), ``skipped``, ``failed`` or ``not started``"""
    error: FaceswapError | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    """Frames, faces, seconds and notes of the result"""


def swap_video(
    source: Source,
    target: PathLike,
    output: PathLike | None = None,
    *,
    options: SwapOptions | None = None,
    force: bool = False,
    accept_terms: bool = False,
    progress: bool = False,
    listen: Listener | None = None,
    stop: StopRequest = NEVER,
) -> Report:
    """Swap a face in a video.

    ``output`` is a file or a folder; by default ``<target>_swapped`` beside the target.  With
    ``options.track.cast`` the cast file names the sources, and ``source`` is ``[]``.  ``listen`` gets
    every event; ``stop`` lets another thread stop the job, which the next call resumes.

    >>> import faceswap_cli as fs
    >>> report = fs.swap_video("me.jpg", "clip.mp4", accept_terms=True)  # doctest: +SKIP
    >>> report.frames_with_swap  # doctest: +SKIP
    120
    """
    _require_terms(accept_terms)
    options = options or SwapOptions()
    sources, clip_path = _sources(source, options), _path(target)
    check_inputs([*sources, clip_path])
    from faceswap_cli import pipeline
    from faceswap_cli.video.containers import check_output as check_container
    from faceswap_cli.video.containers import output_extension
    from faceswap_cli.video.picture import animation_frames, is_picture
    from faceswap_cli.video.probe import probe

    if clip_path.suffix.lower() != ".gif" and animation_frames(clip_path) <= 1 and is_picture(clip_path):
        raise InputError(f"{clip_path} is a picture; use swap_image for it")
    clip = probe(clip_path, options.detect.max_pixels)
    ready = _with_device(options)
    naming = Naming(clip_path, output_extension(clip, ready.encode), CLIP_SUFFIXES, _name(sources))
    place = _claim(output, naming, [*sources, clip_path, *_files_of(options)], force=force)
    check_container(clip, place, ready.encode)
    size = video_bytes(
        clip_path.stat().st_size,
        clip.width * clip.height,
        clip.frames,
        lossless=ready.encode.lossless,
    )
    check_disk(place.parent, 2 * size, f"the result of {clip_path.name}")
    with _listening(progress, listen) as hear:
        return pipeline.swap_video(sources, clip_path, place, ready, listen=hear, stop=stop)


def swap_image(
    source: Source,
    target: PathLike,
    output: PathLike | None = None,
    *,
    options: SwapOptions | None = None,
    force: bool = False,
    accept_terms: bool = False,
    progress: bool = False,
    listen: Listener | None = None,
) -> Report:
    """Swap a face in a picture; the arguments are those of :func:`swap_video`.

    >>> import faceswap_cli as fs
    >>> fs.swap_image("me.jpg", "group.jpg", "out.png").output  # doctest: +SKIP
    PosixPath('out.png')
    """
    _require_terms(accept_terms)
    options = options or SwapOptions()
    sources, picture = _sources(source, options), _path(target)
    if picture.suffix.lower() in VIDEO_SUFFIXES:
        raise InputError(f"{picture} is a video; use swap_video for it")
    check_inputs([*sources, picture])
    suffix = picture.suffix if picture.suffix.lower() in PICTURE_SUFFIXES else ".png"
    naming = Naming(picture, suffix, PICTURE_SUFFIXES, _name(sources))
    place = _claim(output, naming, [*sources, picture, *_files_of(options)], force=force)
    check_disk(place.parent, 4 * picture.stat().st_size, f"the result of {picture.name}")
    ready = _with_device(options)
    from faceswap_cli import pictures

    with _listening(progress, listen) as hear:
        return pictures.swap_image(sources, picture, place, ready, listen=hear)


def swap_batch(
    source: Source,
    targets: PathLike | Sequence[PathLike],
    folder: PathLike,
    *,
    options: SwapOptions | None = None,
    force: bool = False,
    skip_existing: bool = False,
    max_failures: int = 0,
    accept_terms: bool = False,
    progress: bool = False,
    listen: Listener | None = None,
    stop: StopRequest = NEVER,
) -> list[BatchResult]:
    """Swap one source into many files (or folders, or patterns); results go to ``folder``.

    A failure is the result of its own target and does not stop the others.  A second call does only what is
    missing.

    >>> import faceswap_cli as fs
    >>> [r.status for r in fs.swap_batch("me.jpg", "clips", "out")]  # doctest: +SKIP
    ['done', 'failed']
    """
    if force and skip_existing:
        raise UsageError("force and skip_existing exclude each other")
    _require_terms(accept_terms)
    options = _with_device(options or SwapOptions())
    sources = tuple(_sources(source, options))
    check_inputs(sources)
    from faceswap_cli.batch import rows as jobs
    from faceswap_cli.batch import summary
    from faceswap_cli.batch import targets as media
    from faceswap_cli.batch.leftovers import leftovers
    from faceswap_cli.batch.records import Records
    from faceswap_cli.batch.runner import Handling, run_rows

    found = media.expand_targets([os.fspath(path) for path in _listed(targets)])
    requests = [jobs.Request(sources, target, options) for target in found]
    looks = media.examine(found, options.detect.max_pixels)
    place = jobs.place_of(os.fspath(folder))
    rows = jobs.plan_rows(requests, looks, place)
    left_out = leftovers(requests, rows, looks, sources, {_path(path) for path in _listed(targets)})
    rows = jobs.plan_rows([request for request in requests if request.target not in left_out], looks, place)
    records = Records(place.base)
    protected = [*looks, *jobs.files_read(rows, [])]
    rows = jobs.settle(rows, records, protected, force=force, skip_existing=skip_existing)
    handling = Handling(summary.figures, lambda row, told: None, _known)
    with _listening(progress, listen) as hear:
        return [
            BatchResult(o.row.target.path, o.row.output, o.status, o.error, o.told)
            for o in run_rows(rows, records, handling, hear, stop, max_failures)
        ]


def inspect(
    file: PathLike,
    *,
    people: bool = True,
    options: SwapOptions | None = None,
    progress: bool = False,
    listen: Listener | None = None,
) -> VideoReport | PictureReport:
    """What a file contains: streams, timing, shots, people (faces in a picture) and provenance marks.

    ``people=False`` skips the search for people in a video.

    >>> import faceswap_cli as fs
    >>> len(fs.inspect("clip.mp4").analysis.people)  # doctest: +SKIP
    2
    """
    path = _path(file)
    check_inputs([path])
    from faceswap_cli import inspection
    from faceswap_cli.video.picture import is_picture

    options = options or SwapOptions()
    if is_picture(path):
        return inspection.inspect_picture(path, options)
    with _listening(progress, listen) as hear:
        return inspection.inspect_video(path, options, people=people, listen=hear)


def evaluate(
    result: PathLike,
    source: Source,
    target: PathLike,
    *,
    cast: PathLike | None = None,
    stride: int = 1,
    max_frames: int | None = None,
    progress: bool = False,
    listen: Listener | None = None,
) -> Evaluation:
    """Measure a result; ``figures`` holds the metrics by name (docs/metrics.md).

    Of a result of several people, ``source`` is the photographs of all, or [] with the ``cast`` file;
    ``people`` then holds the metrics of each.

    >>> import faceswap_cli as fs
    >>> fs.evaluate("clip_swapped.mp4", "me.jpg", "clip.mp4").figures["likeness"]  # doctest: +SKIP
    0.61
    """
    made, original = _path(result), _path(target)
    roles = None if cast is None else _path(cast)
    sources = _sources(source, SwapOptions(track=TrackOptions(cast=roles)))
    check_inputs([made, *sources, *filter(None, (roles,)), original])
    from faceswap_cli.metrics.evaluate import EvaluateOptions
    from faceswap_cli.metrics.evaluate import evaluate as measure

    asked = EvaluateOptions(cast=roles)
    with _listening(progress, listen) as hear:
        return measure(
            made, sources, original, options=asked, listen=hear, stride=stride, max_frames=max_frames
        )


def enroll(
    name: str,
    photos: Source,
    *,
    output: PathLike | None = None,
    keep_photos: bool = False,
    picture: bool = True,
    same_person: bool = False,
    force: bool = False,
    accept_terms: bool = False,
    progress: bool = False,
    listen: Listener | None = None,
) -> Path:
    """Measure a person from photographs and store them; returns the file.

    Later ``"@NAME"``, or the file, is a source.  ``picture=False`` stores no picture of the person.
    Photographs that look like different people raise :class:`NoFaceFound`, unless ``same_person=True``.

    >>> import faceswap_cli as fs
    >>> fs.enroll("anna", "photos/anna")  # doctest: +SKIP
    PosixPath('/home/me/.local/share/faceswap/people/anna.faceid')
    """
    if not picture and keep_photos:
        raise UsageError("picture=False excludes keep_photos; leave one out")
    from faceswap_cli.identity import people

    path = people.person_path(name)
    if output is not None:
        given = _path(output)
        path = given if given.suffix == people.SUFFIX else given / path.name
    if path.exists() and not force:
        raise OutputError(f"{path} exists; use force=True to replace it, or choose another name")
    _require_terms(accept_terms)
    paths = [_path(one) for one in _listed(photos)]
    check_inputs(paths)
    from faceswap_cli.enrollment.make import EnrollOptions, enroll
    from faceswap_cli.events import progress as step
    from faceswap_cli.identity.faceid import write_faceid

    asked = EnrollOptions(keep_photos=keep_photos, picture=picture, same_person=same_person)
    with _listening(progress, listen) as hear:
        made = enroll(path.stem, paths, asked, lambda *counts: hear(step(*counts)))
        for note in made.notes:
            hear(Event("warning", {"message": note}))
    write_faceid(path, made)
    return path


def _require_terms(accept: bool) -> None:
    """Accepted on this machine, by the variable or by ``accept_terms=True``; there is no prompt."""
    from faceswap_cli.policy import terms

    if terms.accepted() or (terms.accepted_by_variable() and not accept):
        return
    if not accept:
        raise PolicyError(
            "the terms of use are not accepted yet; read them with 'faceswap terms', then pass "
            "accept_terms=True once"
        )
    terms.remember()


def _listed(paths: PathLike | Sequence[PathLike]) -> list[PathLike]:
    return [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)


def _path(path: PathLike) -> Path:
    text = os.fspath(path)
    if text in ("", "-"):
        raise UsageError(f"{text!r} is not a file name; give the path of a file")
    return Path(text)


def _sources(source: Source, options: SwapOptions) -> list[Path]:
    """The photographs; an enrolled person's file for ``@NAME``; none where a cast file names them."""
    from faceswap_cli.identity.people import resolved

    found = [_path(resolved(os.fspath(one))) for one in _listed(source)]
    cast = options.track.cast
    if cast is not None and found:
        raise UsageError(f"{cast.name} names the sources; pass [] as source")
    if cast is None and not found:
        raise UsageError("a source is missing; give a photograph, a folder or @NAME")
    return found


def _name(sources: Sequence[Path]) -> str:
    return sources[0].stem if sources else "cast"


def _files_of(options: SwapOptions) -> list[Path]:
    """Files that the options name: they are inputs too."""
    track = options.track
    own = (options.mark.consent, options.job.parsing, options.paste.occlusion_mask)
    named = (track.cast, track.reference, *own)
    return [path for path in named if path is not None]


def _claim(output: PathLike | None, naming: Naming, inputs: Sequence[Path], *, force: bool) -> Path:
    """The output file: not an input, and new unless ``force``."""
    from faceswap_cli.jobs.seal import disown, is_own_result

    path = output_path(None if output is None else os.fspath(output), naming)
    read = [one for given in inputs for one in (given.iterdir() if given.is_dir() else (given,))]
    for given in read:
        if same_file(path, given):
            raise OutputError(f"{path} is an input and is never overwritten; choose another output")
    if force:
        disown(path)
    elif path.exists() and not is_own_result(path):
        raise OutputError(f"{path} exists; pass force=True to replace it, or choose another output")
    check_output(path, read, force=True, skip_existing=False)
    return path


def _with_device(options: SwapOptions) -> SwapOptions:
    """The options with a device that works on this machine, or on the cluster."""
    if options.job.cluster is not None:
        from faceswap_cli.jobs.cluster import settle_device

        return replace(options, job=settle_device(options.job))
    from faceswap_cli.devices import resolve_device

    return replace(options, job=replace(options.job, device=resolve_device(options.job.device).name))


def _known(error: Exception) -> FaceswapError:
    return error if isinstance(error, FaceswapError) else FaceswapError(f"{type(error).__name__}: {error}")


@contextmanager
def _listening(progress: bool, listen: Listener | None) -> Iterator[Listener]:
    """The caller's listener, with progress bars before it; warnings are logged when nobody listens."""
    if not progress:
        yield listen or _logged
        return
    bars = _Bars(listen or _logged)
    try:
        yield bars
    finally:
        bars.close()


def _logged(event: Event) -> None:
    if event.kind == "warning":
        _log.warning("%s", event.data.get("message", ""))


class _Bars:
    """One progress bar for each stage, in a terminal or a notebook."""

    def __init__(self, then: Listener) -> None:
        self._then = then
        self._stage = ""
        self._bar: Any = None

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            self._show(str(event.data["stage"]), int(event.data["done"]), int(event.data["total"]))
        self._then(event)

    def _show(self, stage: str, done: int, total: int) -> None:
        from tqdm.auto import tqdm

        if stage != self._stage:
            self.close()
            self._stage, self._bar = (
                stage,
                tqdm(desc=stage_title(stage), total=total, unit=f" {unit_of(stage)}"),
            )
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._stage, self._bar = "", None
