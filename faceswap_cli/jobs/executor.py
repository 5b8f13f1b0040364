"""Where segments are rendered: in this process, or in local worker processes.

Rendering a segment is a pure function of the scene and the segment, so the result does not
depend on where it ran.  Worker processes are the default on a CPU: threads of one process wait
for the interpreter, processes do not.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Protocol

from faceswap_cli.config import JobOptions, SwapOptions
from faceswap_cli.errors import DeviceError, OutputError
from faceswap_cli.events import StopRequest
from faceswap_cli.jobs.forks import FEW_FRAMES, context, worker_environment
from faceswap_cli.jobs.journal import WORKERS
from faceswap_cli.jobs.locks import try_lock
from faceswap_cli.memory import installed_mb
from faceswap_cli.records import Clip, Segment, SegmentResult

WORKERS_MEMORY_MB, PARENT_MEMORY_MB = 1400, 600
"""All workers together, and the process that they serve: a job stays below 2 GB."""
_POLL_S = 0.2
STUCK_S = 300.0
"""Workers that bring no frame for so long hang: a frame takes seconds at most."""
_ALIGN = 64

RenderSegment = Callable[[Segment, Any, Path, SwapOptions, Callable[[int], None]], SegmentResult]
Tell = Callable[[int], None]
"""Gets the number of finished frames of the job."""


@dataclass(frozen=True, slots=True, eq=False)
class Freight:
    """How a scene travels to a machine that has its own files; all functions are module-level."""

    files: tuple[Path, ...]
    """That ``render`` reads, absolute"""
    weights: tuple[Path, ...]
    """Also read, but sent only where ``unpack`` misses them (:class:`~faceswap_cli.errors.WeightsError`)"""
    unpack: Callable[[Any, Mapping[Path, Path], JobOptions], Any]
    """The scene over there, where the files may lie at other places"""
    part: Callable[[Segment], Any]
    """What only one segment needs; goes with it"""
    join: Callable[[Any, Any], Any]
    """The scene with that part"""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What every worker needs; sent once."""

    scene: Any
    """What ``render`` takes besides the segment; opaque here, and picklable for :class:`Processes`"""
    options: SwapOptions
    folder: Path
    render: RenderSegment
    """A module-level function, so that it can be sent to another process"""
    freight: Freight | None = None
    """What else goes to other machines, and how; for :class:`~faceswap_cli.jobs.cluster.Cluster`"""

    def path(self, segment: Segment) -> Path:
        return self.folder / f"segment_{segment.index:06d}.mp4"


class Executor(Protocol):
    """Renders segments and yields each result as soon as it is there, in whatever order."""

    def run(
        self, work: Work, segments: Sequence[Segment], tell: Tell, stop: StopRequest
    ) -> Generator[SegmentResult, None, None]: ...


class _StuckError(Exception):
    """Workers hang."""


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
    """``count`` worker processes of one render thread each.

    ``networks``: what they render with needs torch.
    """

    def __init__(self, count: int, *, networks: bool = False) -> None:
        self._count, self._networks = count, networks

    @property
    def count(self) -> int:
        return self._count

    def run(
        self, work: Work, segments: Sequence[Segment], tell: Tell, stop: StopRequest
    ) -> Generator[SegmentResult, None, None]:
        if not segments:
            return
        start = context(networks=self._networks)
        frames: Synchronized[int] = start.Value("q", 0)
        parcel = work.folder / "work.parcel"
        _pack(work, parcel)
        # Nothing is ever sent: the far end closes when this process ends, however it ends.
        lifeline, end = start.Pipe(duplex=False)
        pool = ProcessPoolExecutor(
            min(self._count, len(segments)),
            start,
            initializer=_start_worker,
            initargs=(parcel, frames, lifeline),
        )
        try:
            with worker_environment():
                yield from self._finished(pool, segments, lambda: _told(tell, frames.value), stop)
        except _StuckError as error:
            end.close()
            raise DeviceError(
                f"worker processes made no frame for {STUCK_S:.0f} s; add --jobs 1 to continue"
            ) from error
        except BrokenProcessPool as error:
            end.close()
            stop.check("rendering")  # a signal to the whole group ends those that still start
            raise DeviceError(
                "a worker process died, probably out of memory; reduce --jobs, or a smaller clip"
            ) from error
        except GeneratorExit:
            end.close()  # nobody wants the rest
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            end.close()
            lifeline.close()
            parcel.unlink(missing_ok=True)

    def _finished(
        self,
        pool: ProcessPoolExecutor,
        segments: Sequence[Segment],
        tell: Callable[[], int],
        stop: StopRequest,
    ) -> Iterator[SegmentResult]:
        """Keep every worker busy; after a stop request or a failure finish what has begun."""
        told, alive = 0, time.monotonic()
        waiting = list(reversed(segments))
        running: set[Future[SegmentResult]] = set()
        failure: BaseException | None = None
        while running or (waiting and not stop.requested and failure is None):
            while waiting and len(running) < self._count and not stop.requested and failure is None:
                running.add(pool.submit(_render_in_worker, waiting.pop()))
            finished, running = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            now = tell()
            if finished or now != told:
                told, alive = now, time.monotonic()
            if time.monotonic() - alive > STUCK_S:
                raise _StuckError
            for future in finished:
                failure = failure or future.exception()
                if future.exception() is None:
                    yield future.result()
        if failure is not None:
            raise failure
        stop.check("rendering")


def _told(tell: Tell, frames: int) -> int:
    tell(frames)
    return frames


def choose(
    clip: Clip, frames: int, side: int, options: SwapOptions, *, light: bool, method_mb: int = 0
) -> Executor:
    """The cluster where one is named, else worker processes for a ``light`` method, when the job is long
    enough to repay their start.

    Their number is bounded by memory as well as by cores; the result does not depend on it.
    ``side`` is that of the largest crop in pixels, ``method_mb`` what the method's networks take in a worker.
    """
    memory_mb = worker_memory_mb(clip, side) + method_mb
    if options.job.cluster is not None:
        from faceswap_cli.jobs.cluster import Cluster, share_of

        return Cluster(options.job.cluster, share_of(options.job, memory_mb, light=light))
    fitting = max(_budget_mb(options, method_mb) // memory_mb, 1)
    count = options.job.workers or min(os.cpu_count() or 1, fitting)
    if not light or count < 2 or frames < FEW_FRAMES:
        return Here()
    return Processes(count, networks=method_mb > 0)


def _budget_mb(options: SwapOptions, method_mb: int) -> int:
    """For all workers together: what the user allows, else 2 GB in all, else (networks) half the machine."""
    if options.job.max_ram_mb:
        return options.job.max_ram_mb - PARENT_MEMORY_MB
    return max(WORKERS_MEMORY_MB, installed_mb() // 2) if method_mb else WORKERS_MEMORY_MB


def worker_memory_mb(clip: Clip, side: int) -> int:
    """What one worker takes, as measured: 110 MB, 75 pictures (window, decoder, encoder), and 330 bytes
    for every pixel of a crop (the window's crops, and what drawing one needs for a moment)."""
    per_pixel = 3.0 if "444" in clip.work_format else 2.0 if "422" in clip.work_format else 1.5
    per_pixel *= 2 if clip.bit_depth > 8 else 1
    return round(110 + (75 * clip.width * clip.height * per_pixel + 330 * side * side) / 1e6)


def _pack(work: Work, path: Path) -> None:
    """Write ``work`` so that its arrays can be mapped: an hour of landmarks is then in memory once."""
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(work, protocol=5, buffer_callback=buffers.append)
    sizes = [buffer.raw().nbytes for buffer in buffers]
    head = pickle.dumps((stream, sizes))
    try:
        with path.open("wb") as handle:
            handle.write(len(head).to_bytes(8, "little") + head)
            for buffer in buffers:
                handle.write(bytes(-handle.tell() % _ALIGN))
                handle.write(buffer.raw())
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror or error}); free some "
            "space, then run the command again to resume"
        ) from error


def _unpack(path: Path) -> Work:
    """Inverse of :func:`_pack`; the arrays are read-only views of the file."""
    with path.open("rb") as handle:
        size = int.from_bytes(handle.read(8), "little")
        stream, sizes = pickle.loads(handle.read(size))
        place = handle.tell()
        whole = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
    views = []
    for nbytes in sizes:
        place += -place % _ALIGN
        views.append(whole[place : place + nbytes])
        place += nbytes
    work: Work = pickle.loads(stream, buffers=views)
    return work


_worker: dict[str, Any] = {}


def _start_worker(parcel: Path, frames: Synchronized[int], lifeline: Connection) -> None:
    # Signals reach the whole group; the parent decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Held until this process ends: a later run waits for it before it touches the folder.
    _worker["lock"] = handle = (parcel.parent / WORKERS).open("a")
    try_lock(handle, shared=True)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    import cv2

    cv2.setNumThreads(1)
    work = _unpack(parcel)
    one = replace(work.options, job=replace(work.options.job, workers=1))
    _worker["work"] = replace(work, options=one)
    _worker["frames"] = frames


def _end_with_parent(lifeline: Connection) -> None:
    """A worker whose parent was killed would wait for work for ever."""
    with suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)


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
