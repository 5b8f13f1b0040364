"""Where segments are rendered: in this process, or in local worker processes.

Rendering a segment is a pure function of the scene and the segment, so the result does not
depend on where it ran.  Worker processes are the default on a CPU: threads of one process wait
for the interpreter, processes do not.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Protocol

from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import DeviceError
from faceswap_cli.events import StopRequest
from faceswap_cli.records import Clip, Segment, SegmentResult

FEW_FRAMES = 90
"""Shorter jobs run in this process: starting others takes longer than the work."""
WORKERS_MEMORY_MB = 1400
"""All workers together; with the parent, a job stays below 2 GB."""
_POLL_S = 0.2
_THREAD_COUNTS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

RenderSegment = Callable[[Segment, Any, Path, SwapOptions, Callable[[int], None]], SegmentResult]
Tell = Callable[[int], None]
"""Is told how many frames of the job are done."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What every worker needs; sent once."""

    scene: Any
    """What ``render`` takes besides the segment; opaque here, and picklable for :class:`Processes`"""
    options: SwapOptions
    folder: Path
    render: RenderSegment
    """A module-level function, so that it can be sent to another process"""

    def path(self, segment: Segment) -> Path:
        return self.folder / f"segment_{segment.index:06d}.mp4"


class Executor(Protocol):
    """Renders segments and yields their results in order."""

    def run(
        self, work: Work, segments: Sequence[Segment], tell: Tell, stop: StopRequest
    ) -> Generator[SegmentResult, None, None]: ...


class Here:
    """One segment after the other in this process, with a few threads."""

    def run(
        self, work: Work, segments: Sequence[Segment], tell: Tell, stop: StopRequest
    ) -> Generator[SegmentResult, None, None]:
        done = 0
        for segment in segments:
            stop.check("rendering")

            def count(frames: int, before: int = done) -> None:
                tell(before + frames)

            yield work.render(segment, work.scene, work.path(segment), work.options, count)
            done += segment.frames


class Processes:
    """``count`` worker processes of one render thread each."""

    def __init__(self, count: int) -> None:
        self._count = count

    def run(
        self, work: Work, segments: Sequence[Segment], tell: Tell, stop: StopRequest
    ) -> Generator[SegmentResult, None, None]:
        if not segments:
            return
        context = multiprocessing.get_context("spawn")
        frames: Synchronized[int] = context.Value("q", 0)
        parcel = work.folder / "work.pickle"
        parcel.write_bytes(pickle.dumps(work, protocol=pickle.HIGHEST_PROTOCOL))
        pool = ProcessPoolExecutor(
            min(self._count, len(segments)), context, initializer=_start_worker, initargs=(parcel, frames)
        )
        try:
            with _one_thread_each():
                yield from self._ordered(pool, segments, lambda: tell(frames.value), stop)
        except BrokenProcessPool as error:
            raise DeviceError(
                "a render process died, most likely for want of memory; try fewer with --threads, "
                "or a smaller clip"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            parcel.unlink(missing_ok=True)

    def _ordered(
        self,
        pool: ProcessPoolExecutor,
        segments: Sequence[Segment],
        tell: Callable[[], None],
        stop: StopRequest,
    ) -> Iterator[SegmentResult]:
        """Keep every worker busy, yield in order; after a stop request finish what has begun."""
        waiting = list(reversed(segments))
        running: dict[Future[SegmentResult], int] = {}
        ready: dict[int, SegmentResult] = {}
        order = [segment.index for segment in segments]
        while waiting or running:
            while waiting and len(running) < self._count and not stop.requested:
                segment = waiting.pop()
                running[pool.submit(_render_in_worker, segment)] = segment.index
            if running:
                finished, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    ready[running.pop(future)] = future.result()
            tell()
            while order and order[0] in ready:
                yield ready.pop(order.pop(0))
            if stop.requested and not running:
                stop.check("rendering")


def choose(clip: Clip, frames: int, options: SwapOptions, *, light: bool) -> Executor:
    """Worker processes for a ``light`` method, when the job is long enough to repay their start.

    Their number is bounded by memory as well as by cores; the result does not depend on it.
    """
    fitting = max(WORKERS_MEMORY_MB // worker_memory_mb(clip), 1)
    count = options.job.workers or min(os.cpu_count() or 1, fitting)
    return Processes(count) if light and count > 1 and frames >= FEW_FRAMES else Here()


def worker_memory_mb(clip: Clip) -> int:
    """What one worker takes, by measurement: 100 MB and about 115 pictures, most of them the encoder's."""
    per_pixel = 3.0 if "444" in clip.work_format else 2.0 if "422" in clip.work_format else 1.5
    per_pixel *= 2 if clip.bit_depth > 8 else 1
    return round(100 + 115 * clip.width * clip.height * per_pixel / 1e6)


_worker: dict[str, Any] = {}


def _start_worker(parcel: Path, frames: Synchronized[int]) -> None:
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
    work: Work = pickle.loads(parcel.read_bytes())
    one = replace(work.options, job=replace(work.options.job, workers=1))
    _worker["work"] = replace(work, options=one)
    _worker["frames"] = frames


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Numeric libraries of the processes started meanwhile use one thread: the cores are shared already.

    Their waiting threads spin; with four of them in each of four processes a small product of
    matrices takes eight times as long.
    """
    before = {name: os.environ.get(name) for name in _THREAD_COUNTS}
    os.environ.update(dict.fromkeys(_THREAD_COUNTS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _render_in_worker(segment: Segment) -> SegmentResult:
    work: Work = _worker["work"]
    frames: Synchronized[int] = _worker["frames"]
    before = 0

    def count(done: int) -> None:
        nonlocal before
        with frames.get_lock():
            frames.value += done - before
        before = done

    return work.render(segment, work.scene, work.path(segment), work.options, count)
