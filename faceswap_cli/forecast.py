"""``--dry-run``: what a job will take, from parts of pass 1 and a few frames that are really rendered.

Nothing is written but the trial's frames, in a temporary folder that goes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceswap_cli.cast.roles import Sources
from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import NoFaceFound, OutputError, UsageError
from faceswap_cli.events import NEVER, Event, Listener, StopRequest, ignore, progress, tell_shots
from faceswap_cli.jobs.estimate import (
    ROW_BYTES,
    Estimate,
    Load,
    PersonPlan,
    Tried,
    assemble_seconds,
    bytes_of_video,
    choose_trials,
    makespan,
    seconds_each,
    with_total,
)
from faceswap_cli.jobs.executor import Processes, Work
from faceswap_cli.jobs.forks import expected, load_ahead
from faceswap_cli.jobs.samples import excerpt, frames_each, windows
from faceswap_cli.metrics.memory import MemoryWatch
from faceswap_cli.outcome import Stopwatch
from faceswap_cli.pipeline import (
    analyse,
    executor_for,
    gather_sources,
    prepare,
    prepare_ahead,
    render_segment,
)
from faceswap_cli.policy.gate import check_clip, check_sources
from faceswap_cli.records import Analysis, Clip, Plan, Segment, SegmentResult
from faceswap_cli.swap import needs_networks
from faceswap_cli.swap.engine import Scene
from faceswap_cli.swap.prepared import meanwhile
from faceswap_cli.video.deinterlace import as_read
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import pts_range
from faceswap_cli.video.sizes import PacketSizes, packet_sizes
from faceswap_cli.video.user_mask import open_clip_mask

FEWEST = 2
"""Swapped segments that are tried, at least; one for each worker where there are more."""
_WARM_UP_FRAMES = 2


def forecast(
    sources: Sequence[Path],
    target: Path,
    options: SwapOptions,
    listen: Listener = ignore,
    stop: StopRequest = NEVER,
) -> Estimate:
    """Plan the job that ``swap_video`` would do with the same arguments, and what it takes."""
    if options.job.cluster is not None:
        raise UsageError("--dry-run tries segments on this machine; leave out --cluster")
    clock = Stopwatch()
    clip = as_read(probe(target, options.detect.max_pixels), options.encode)
    listen(Event("start", {"target": str(target), "frames": clip.frames, "seconds": clip.duration_s}))
    first, end = pts_range(clip, options.range)
    open_clip_mask(options.paste.occlusion_mask, clip, end)
    people = gather_sources(sources, options, listen)
    check_sources(people.people, options.policy)
    packets = packet_sizes(clip).within(first, end)
    if expected(len(packets.pts), options.job):
        load_ahead(networks=needs_networks(options.method))
    clock.lap("prepare")
    with MemoryWatch(every_s=0.2) as memory:
        with meanwhile(lambda: prepare_ahead(people, options)):
            scene, job = _planned(clip, people, options, packets, listen, stop, clock)
        clock.lap("prepare")
        sampled = 2 * len(scene.analysis.pts) < len(packets.pts)
        frames = len(packets.pts) if sampled else job.frames
        listen(Event("plan", {"segments": len(job.segments), "frames": frames, "cast": sorted(job.cast)}))
        loads = [_load(segment, scene, packets) for segment in job.segments]
        trial = _try(loads, scene, frames, packets, options, listen, stop)
    return _estimate(scene, frames, loads, trial, packets, clock.seconds, memory.peak_mb)


def _planned(
    clip: Clip,
    people: Sources,
    options: SwapOptions,
    packets: PacketSizes,
    listen: Listener,
    stop: StopRequest,
    clock: Stopwatch,
) -> tuple[Scene, Plan]:
    """Pass 1 on parts of a long clip, and the plan; on all of it if the parts do not show the chosen face."""
    span = pts_range(clip, options.range)
    for parts in (windows(packets.pts, packets.keys), []):
        try:
            analysis = analyse(clip, options, listen, stop, span, windows=parts)
            clock.lap("analyse")
            tell_shots(clip, analysis, listen)
            check_clip(clip, analysis, options.policy, listen, stop)
            return prepare(clip, analysis, people, options, listen)
        except NoFaceFound:
            if not parts:
                raise
    raise AssertionError("unreachable")


def _load(segment: Segment, scene: Scene, packets: PacketSizes) -> Load:
    pixels = 0
    for track in scene.analysis.tracks:
        if track.person in scene.prepared:
            low, high = np.searchsorted(track.pts, [segment.first_pts, segment.end_pts])
            pixels += int(high - low) * scene.sides[track.track_id] ** 2
    measure = packets.between if segment.copied else packets.on_its_own
    return Load(segment, pixels / 1e6, measure(segment.first_pts, segment.end_pts))


@dataclass(frozen=True, slots=True)
class _Trial:
    """What the trial showed."""

    tried: tuple[Tried, ...]
    workers: int
    start_s: float
    """Until all workers are at work"""
    vram_mb: float


def _try(
    loads: Sequence[Load],
    scene: Scene,
    frames: int,
    packets: PacketSizes,
    options: SwapOptions,
    listen: Listener,
    stop: StopRequest,
) -> _Trial:
    """Render a few frames as the job would: the same executor, all workers busy."""
    executor = executor_for(scene, frames, options)
    workers = executor.count if isinstance(executor, Processes) else 1
    whole = choose_trials(loads, max(workers, FEWEST))
    each = frames_each(len(whole), networks=needs_networks(options.method))
    known = scene.analysis.pts
    times = known if frames == len(known) else packets.pts
    # Numbers of their own: results are known by them, and these are not whole segments.
    parts = [
        excerpt(one.segment, known, times, packets.keys, each, len(loads) + k) for k, one in enumerate(whole)
    ]
    chosen = [_load(part, scene, packets) for part in parts]
    warm_up = _warm_up(chosen, scene.analysis, workers, after=len(loads) + len(parts))
    segments = [*warm_up, *(load.segment for load in chosen)]
    total = sum(segment.frames for segment in segments)
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="faceswap-", ignore_cleanup_errors=True) as folder:
            work = Work(scene, options, Path(folder), render_segment)

            def tell(frames: int) -> None:
                listen(progress("try", frames, total))

            with closing(executor.run(work, segments, tell, stop)) as rendered:
                results = {done.segment.index: done for done in rendered}
                wall = time.perf_counter() - started
                tried = tuple(_tried(load, results[load.segment.index]) for load in chosen)
    except OSError as error:
        raise OutputError(
            f"not enough disk space for the trial in {tempfile.gettempdir()} "
            f"({error.strerror or error}); set TMPDIR"
        ) from error
    start_s = max(wall - makespan((one.seconds for one in tried), workers), 0.0)
    return _Trial(tried, workers, start_s, _vram_mb(options.job.device))


def _warm_up(chosen: Sequence[Load], analysis: Analysis, workers: int, *, after: int) -> list[Segment]:
    """A moment of work for each worker, so that starting it is not taken for rendering."""
    touched = [load.segment for load in chosen if load.segment.touched] or [load.segment for load in chosen]
    first = touched[0]
    row = int(np.searchsorted(analysis.pts, first.first_pts))
    last = min(row + _WARM_UP_FRAMES, row + first.frames)
    end = int(analysis.pts[last]) if last < len(analysis.pts) else first.end_pts
    end = min(end, first.end_pts)
    frames = last - row
    return [Segment(after + k, first.first_pts, end, 0, frames, first.touched) for k in range(workers)]


def _tried(load: Load, done: SegmentResult) -> Tried:
    return Tried(load, done.seconds.get("segment wall", 0.0), done.path.stat().st_size)


def _vram_mb(device: str) -> float:
    """Most memory that was taken on the device; 0 on a CPU."""
    if not device.startswith("cuda"):
        return 0.0
    import torch

    return round(torch.cuda.max_memory_reserved(torch.device(device)) / 1e6, 1)


def _estimate(
    scene: Scene,
    frames: int,
    loads: Sequence[Load],
    trial: _Trial,
    packets: PacketSizes,
    spent: dict[str, float],
    peak_mb: float | None,
) -> Estimate:
    analysis = scene.analysis
    # What was looked at stands for the rest.
    times = frames / max(len(analysis.pts), 1)
    read = max(sum(packets.between(one.segment.first_pts, one.segment.end_pts) for one in loads), 1)
    video = round(bytes_of_video(loads, trial.tried) * int(packets.sizes.sum()) / read)
    others = packets.others
    kept = times * sum(track.landmarks.nbytes + track.crop_from_display.nbytes for track in analysis.tracks)
    rows = times * sum(len(track.pts) for track in analysis.tracks)
    render = trial.start_s + makespan(seconds_each(loads, trial.tried), trial.workers) * times
    put_in = scene.clip.path.stat().st_size
    seconds = {**spent, "render": render, "assemble": assemble_seconds(put_in, video + others)}
    seconds["analyse"] *= times
    return Estimate(
        frames=frames,
        frames_seen=len(analysis.pts),
        shots=len(analysis.shots),
        people=tuple(
            PersonPlan(one.person, round(one.frames * times), scene.source_names.get(one.person, ""))
            for one in analysis.people
        ),
        segments=len(loads),
        swapped_segments=sum(load.kind == "swapped" for load in loads),
        copied_segments=sum(load.kind == "copied" for load in loads),
        frames_tried=sum(one.load.segment.frames for one in trial.tried),
        workers=trial.workers,
        seconds=with_total(seconds),
        ram_mb=None if peak_mb is None else round(peak_mb + rows * ROW_BYTES / 1e6, 1),
        vram_mb=trial.vram_mb,
        # Segments and the joined file lie side by side; so do the kept analysis and the workers' copy.
        disk_bytes=2 * video + others + round(2 * kept),
        output_bytes=video + others,
    )
