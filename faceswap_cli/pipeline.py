"""The whole program on one page: ``probe``, ``analyse``, ``plan``, ``render``, ``assemble``.

    probe -> analyse (pass 1) -> plan -> render each segment (pass 2) -> assemble

Each stage takes plain values and gives plain values (``records.py``).  Rendering a segment is a
pure function of its arguments, so the pixels do not depend on where segments are cut, on the
batch size or on the number of workers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from faceswap_cli.cast.roles import Sources, assign, load_sources
from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.events import NEVER, Event, Listener, StopRequest, ignore, progress, tell_shots
from faceswap_cli.jobs.executor import Executor, Work, choose
from faceswap_cli.jobs.forks import expected, load_ahead
from faceswap_cli.jobs.journal import Journal, open_journal
from faceswap_cli.jobs.keys import Key, analysis_key, check_unchanged, job_key
from faceswap_cli.jobs.plan import plan, with_halo
from faceswap_cli.jobs.recipe import write_recipe, write_rows
from faceswap_cli.jobs.untouched import untouched_notes
from faceswap_cli.memory import give_back
from faceswap_cli.outcome import Stopwatch, check_swapped, plan_told, report
from faceswap_cli.policy.consent import consent_digest
from faceswap_cli.policy.gate import check_clip, check_sources
from faceswap_cli.provenance.mark import container_metadata, tell_if_marked, xmp_packet
from faceswap_cli.provenance.signing import Seal, sealer
from faceswap_cli.recipe.earlier import NOTHING, Earlier
from faceswap_cli.recipe.metadata import container_entry, xmp_with
from faceswap_cli.recipe.raw import KeepRaw, raw_keeper
from faceswap_cli.recipe.record import VIDEO, Recipe, recipe_of
from faceswap_cli.records import (
    Analysis,
    Clip,
    Frame,
    LedgerRow,
    Plan,
    Report,
    Segment,
    SegmentResult,
    SourceIdentity,
)
from faceswap_cli.stream import prefetch
from faceswap_cli.swap import build_method, needs_networks
from faceswap_cli.swap.engine import (
    Scene,
    StageClock,
    Swapped,
    build_scene,
    check_complete,
    check_known,
    render_frames,
)
from faceswap_cli.swap.portable import at_home, is_light, packed
from faceswap_cli.swap.prepared import meanwhile, prepared
from faceswap_cli.swap.selective import selection_of
from faceswap_cli.swap.tones import clip_notes
from faceswap_cli.swap.untouched import copied_segment
from faceswap_cli.video.animate import AnimationOptions
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.containers import prepare_for
from faceswap_cli.video.copying import cuts_for
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import cut_short, missing_inside, pts_range
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.resized import size_note
from faceswap_cli.video.user_mask import open_clip_mask, with_mask
from faceswap_cli.video.writer import write_segment

DECODE_AHEAD = 4
"""Frames decoded ahead of the stage that uses them."""


def swap_video(
    sources: Sequence[Path] | SourceIdentity | Sources,
    target: Path,
    output: Path,
    options: SwapOptions,
    listen: Listener = ignore,
    stop: StopRequest = NEVER,
    earlier: Earlier = NOTHING,
) -> Report:
    """Put the person of ``sources`` (photographs, or folders of them) into the clip ``target``.

    With ``options.track.cast`` the cast file says who gets whose face, and ``sources`` is empty.
    ``earlier`` is a job on the same clip whose work may be used.
    Long jobs start worker processes: a script that calls this needs the usual
    ``if __name__ == "__main__":`` guard.
    """
    clock = Stopwatch()
    clip, encode = prepare_for(probe(target, options.detect.max_pixels), output, options.encode)
    options = replace(options, encode=encode)
    if expected(clip.frames, options.job):
        load_ahead(networks=needs_networks(options.method))
    listen(Event("start", {"target": str(target), "frames": clip.frames, "seconds": clip.duration_s}))
    tell_if_marked(target, clip.metadata, listen)
    agreed = consent_digest(options.mark.consent)
    sign = sealer(output, target, options.mark.c2pa_cert, options.mark.c2pa_key, agreed)
    span = pts_range(clip, options.range)
    open_clip_mask(options.paste.occlusion_mask, clip, span[1])
    people = gather_sources(sources, options, listen)
    check_sources(people.people, options.policy)
    with open_journal(output, options.job) as journal:
        with meanwhile(lambda: prepare_ahead(people, options)):
            analysis = known_analysis(clip, options, journal, listen, stop, span, earlier)
        clock.lap("analyse")
        for note in (cut_short(clip, analysis.pts, span[1]), missing_inside(clip, analysis.pts)):
            if note:
                listen(Event("warning", {"message": note}))
        tell_shots(clip, analysis, listen)
        check_clip(clip, analysis, options.policy, listen, stop)
        scene, job = prepare(clip, analysis, people, options, listen)
        for note in clip_notes(clip, analysis, job.cast, people.people):
            listen(Event("warning", {"message": note}))
        made = recipe_of(VIDEO, target, people.people, job.cast, scene.method, options)
        listen(Event("plan", plan_told(job, made)))
        key = job_key(clip, people.digest, job.cast, scene.method.inputs_digest, options)
        begin(journal, key, listen)
        earlier.lend(journal, job, scene, key)
        results = list(render_segments(job, scene, journal, options, listen, stop))
        clock.lap("render")
        check_unchanged(clip, key)
        notes = [*check_swapped(results, target), *untouched_notes(job)]
        listen(progress("assemble", 0, job.frames))
        animation = AnimationOptions(xmp_with(xmp_packet(), made), options.encode.lossless)
        paths = [done.path for done in results]
        join = partial(assemble, output, clip, paths, span=span, animation=animation)
        notes += put_together(join, clip, made, sign, journal)
        if options.job.keep:
            write_recipe(journal.folder, people.people, target, options, job, made.text(), people.files)
            write_rows(journal.folder, results)
        listen(progress("assemble", job.frames, job.frames))
        clock.lap("assemble")
    return replace(report(output, analysis, results, clock, notes), consent=agreed)


def put_together(
    join: Callable[..., list[str]], clip: Clip, made: Recipe, sign: Seal, journal: Journal
) -> list[str]:
    """The finished file out of its segments: signed and known to the journal before it gets its name.

    ``join`` is ``assemble`` for this job.  Returns what there is to know of it.
    """
    told: list[str] = []

    def seal(part: Path) -> None:
        told.extend(sign(part))
        journal.seal(part)

    metadata = container_metadata(clip.metadata) | container_entry(made, clip.metadata)
    return [*join(metadata=metadata, seal=seal), *told]


def known_analysis(
    clip: Clip,
    options: SwapOptions,
    journal: Journal,
    listen: Listener,
    stop: StopRequest,
    span: tuple[int | None, int | None],
    earlier: Earlier = NOTHING,
) -> Analysis:
    """Pass 1, or what an earlier run of it left in the job folder, or what an ``earlier`` job has found."""
    key = analysis_key(clip, options, *span)
    stored = journal.analysis(key)
    known = stored or earlier.analysis(clip, options, key)
    if known is not None and known.size_changes:  # pass 1 itself warns as soon as it meets one
        listen(Event("warning", {"message": size_note(clip, known.size_changes)}))
    keep = raw_keeper(journal.folder, key, options.job)
    found = known or analyse(clip, options, listen, stop, span, keep)
    if stored is None:
        journal.keep_analysis(key, found)
    listen(progress("analyse", len(found.pts), len(found.pts)))
    return found


def prepare_ahead(people: Sources, options: SwapOptions) -> None:
    """What :func:`prepare` will ask for, where it is known before pass 1: it is kept."""
    if len(people.people) == 1:
        method = build_method(options.method, at_home(options.job), options.paste)
        prepared(method, people.people[0], options)


def begin(journal: Journal, key: Key, listen: Listener) -> None:
    """Resume what is there if it is of the same job, else say what has changed."""
    changed = journal.begin(key)
    if changed:
        message = (
            f"found an unfinished job with other settings (changed: {', '.join(changed)}); starting over"
        )
        listen(Event("warning", {"message": message}))


def identify(
    sources: Sequence[Path] | SourceIdentity, options: SwapOptions, listen: Listener
) -> SourceIdentity:
    """The source person out of photographs; what is odd about them becomes warnings.

    A person identified before is taken as is: a batch reads its sources once.
    """
    if isinstance(sources, SourceIdentity):
        return sources
    from faceswap_cli.identity.photos import load_photos
    from faceswap_cli.swap.hidden import hidden_notes

    source = load_photos(sources, options.detect)
    for note in (*source.notes, *hidden_notes(source.photos)):
        listen(Event("warning", {"message": note}))
    return source


def gather_sources(
    sources: Sequence[Path] | SourceIdentity | Sources, options: SwapOptions, listen: Listener
) -> Sources:
    """All source people: the one of ``sources``, or those that the cast file names."""
    if isinstance(sources, Sources):
        return sources
    if isinstance(sources, SourceIdentity):
        return Sources((sources,))
    return load_sources(sources, options.track, lambda photos: identify(photos, options, listen))


def analyse(
    clip: Clip,
    options: SwapOptions,
    listen: Listener,
    stop: StopRequest,
    span: tuple[int | None, int | None] = (None, None),
    keep: KeepRaw | None = None,
    windows: Sequence[tuple[int, int]] = (),
) -> Analysis:
    """Pass 1: every face of every frame, tracked, named and smoothed; landmarks only.

    ``keep`` is given the faces as they were found.  With ``windows`` only those parts are read.
    """
    from faceswap_cli.tracking.analyse import analyse_clip
    from faceswap_cli.tracking.hints import clip_hint

    groups = options.detect, options.track, options.smooth
    first, end = span
    found = analyse_clip(
        clip, *groups, listen, stop, first_pts=first, end_pts=end, keep=keep, windows=windows
    )
    if not found.tracks:
        raise NoFaceFound(
            f"no face of {options.detect.min_face_px} px or more in {clip.path.name}: "
            f"{clip_hint(clip, options.detect)}"
        )
    give_back()
    return found


def prepare(
    clip: Clip, analysis: Analysis, people: Sources, options: SwapOptions, listen: Listener = ignore
) -> tuple[Scene, Plan]:
    """Who is swapped, by which method, and how the work is cut."""
    clip = replace(clip, color=replace(clip.color, tint=analysis.tint))
    cast, notes = assign(analysis, people, options.track, options.detect, clip.path.name)
    for note in notes:
        listen(Event("warning", {"message": note}))
    method = build_method(options.method, at_home(options.job), options.paste)
    ready = {row: prepared(method, people.people[row], options) for row in sorted(set(cast.values()))}
    scene = build_scene(
        clip, analysis, method, {person: ready[row] for person, row in cast.items()}, options.smooth
    )
    sources = {person: people.people[row] for person, row in cast.items()}
    embeddings = {person: source.embedding for person, source in sources.items()}
    scene = replace(
        scene,
        seed=options.job.seed,
        selection=selection_of(options),
        source_embeddings=embeddings if options.job.measure_identity else {},
        source_names={person: source.name for person, source in sources.items()},
        mask=open_clip_mask(options.paste.occlusion_mask, clip, pts_range(clip, options.range)[1]),
    )
    cuts = partial(cuts_for, clip, options, resized=bool(analysis.size_changes))
    return scene, plan(clip, analysis, cast, options.job, options.smooth, cuts, options.strength)


def render_segments(
    job: Plan, scene: Scene, journal: Journal, options: SwapOptions, listen: Listener, stop: StopRequest
) -> Iterator[SegmentResult]:
    """Pass 2, in order: what an earlier run finished is taken from the journal.

    A stop request ends it after the current segments.
    """
    done = journal.done(job.segments)
    missing = [segment for segment in job.segments if segment.index not in done]
    before = sum(result.frames for result in done.values())
    if done:
        listen(progress("render", before, job.frames))
    executor = executor_for(scene, job.frames - before, options)
    work = Work(scene, options, journal.folder, render_segment)
    work = packed(work) if options.job.cluster else work

    def tell(frames: int) -> None:
        listen(progress("render", before + frames, job.frames))

    with closing(executor.run(work, missing, tell, stop)) as rendered:
        for result in rendered:
            journal.keep(result)
            done[result.segment.index] = result
    yield from (done[segment.index] for segment in job.segments)


def executor_for(scene: Scene, frames: int, options: SwapOptions) -> Executor:
    """Where ``frames`` frames of ``scene`` are rendered."""
    side = max(scene.sides.values(), default=0)
    light = is_light(scene.method, options.job)
    return choose(scene.clip, frames, side, options, light=light, method_mb=scene.method.memory_mb)


def render_segment(
    segment: Segment,
    scene: Scene,
    path: Path,
    options: SwapOptions,
    tell: Callable[[int], None] = lambda frames: None,
) -> SegmentResult:
    """Render and encode one segment: a pure function of its arguments (``tell`` only reports)."""
    if segment.copied:
        return copied_segment(segment, scene, path, tell)
    clock = StageClock()
    ledger: list[LedgerRow] = []
    faces = 0
    started = time.perf_counter()

    def frames() -> Iterator[Frame]:
        nonlocal faces
        with closing(swapped_frames(segment, scene, options, clock)) as swapped:
            for count, item in enumerate(swapped, start=1):
                ledger.extend(item.ledger)
                faces += item.faces
                yield finished(item, scene.clip, options)
                tell(count)

    shown = view_of(scene.clip, options)
    with closing(prefetch(frames(), DECODE_AHEAD)) as ready:
        count = write_segment(path, shown, ready, options.encode)
    check_complete(count, segment, scene.clip)
    clock.seconds["segment wall"] = time.perf_counter() - started
    return SegmentResult(segment, path, count, faces, tuple(ledger), clock.seconds)


def swapped_frames(
    segment: Segment, scene: Scene, options: SwapOptions, clock: StageClock
) -> Generator[Swapped, None, None]:
    """The finished frames of one segment, in order."""
    first, end = (
        with_halo(segment, scene.analysis) if segment.touched else (segment.first_pts, segment.end_pts)
    )
    workers = options.job.workers or os.cpu_count() or 1
    source = read_frames(scene.clip, first_pts=first, end_pts=end, known=scene.analysis.pts)
    decoded = prefetch(source, DECODE_AHEAD)
    with closing(decoded):
        known = with_mask(_known(decoded, scene), scene.clip, scene.mask)
        span = segment.first_pts, segment.end_pts
        with closing(render_frames(known, scene, *span, workers, clock)) as swapped:
            yield from swapped


def _known(frames: Iterable[Frame], scene: Scene) -> Iterator[Frame]:
    for frame in frames:
        check_known(frame.pts, scene.analysis, scene.clip)
        yield frame


def view_of(clip: Clip, options: SwapOptions) -> Clip:
    """The clip as it is encoded: wider with ``--compare side``."""
    from faceswap_cli.video.compare import compared_clip

    return compared_clip(clip, options.mark.compare)


def finished(item: Swapped, clip: Clip, options: SwapOptions) -> Frame:
    """Visible label and comparison view, where asked for."""
    frame = item.frame
    if options.mark.label:
        from faceswap_cli.provenance.label import label_planes

        aspect = float(clip.sample_aspect)
        frame = replace(
            frame,
            planes=label_planes(frame.planes, clip.color, clip.rotation, aspect, mirrored=clip.mirrored),
        )
    if options.mark.compare:
        from faceswap_cli.video.compare import compared

        frame = compared(item.original, frame, clip, options.mark.compare)
    return frame
