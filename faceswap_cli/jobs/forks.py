"""How worker processes begin: on Linux with the libraries already in memory.

There a small server loads the libraries once, beside the first seconds of the job itself, and every worker is
a copy of it: no worker loads anything again, and what was loaded is in memory once.  The server has neither
threads nor anything of the job.  Elsewhere libraries do not survive copying: workers start one by one.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from faceswap_cli.config import JobOptions
from faceswap_cli.devices import may_have_accelerator

FEW_FRAMES = 90
"""Shorter jobs run in one process: starting others takes longer than the work."""
WORKER_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
}
"""Set while workers start.  Threads of the numeric libraries spin while they wait: with four in each of four
processes a small product of matrices takes eight times as long.  glibc keeps one heap per thread, and all of
them grow to the largest picture; it would also return every large array to the system and have it cleared
again for the next one: a tenth of the time at 1080p.  And a copy of a process in which OpenCV has threads
waits for them for ever."""

_QUIET = "faceswap_cli.jobs.copied"
"""First of all: signals to the whole group must not end the server before its workers."""
_COPIES = sys.platform == "linux"
_FRAMES = "faceswap_cli.pipeline"
_NETWORKS = "faceswap_cli.swap.ready"


def context(*, networks: bool) -> Any:
    """Of ``multiprocessing``, for this system; ``networks`` as for :func:`load_ahead`."""
    if not _COPIES:
        return multiprocessing.get_context("spawn")
    load_ahead(networks=networks)
    return multiprocessing.get_context("forkserver")


def expected(frames: int, job: JobOptions) -> bool:
    """Whether a job of ``frames`` frames will most likely have workers: known before anything is loaded."""
    if frames < FEW_FRAMES or job.workers == 1 or job.cluster is not None:
        return False
    # On an accelerator frames are rendered in one process.
    return job.device == "cpu" or (job.device == "auto" and not may_have_accelerator())


def load_ahead(*, networks: bool) -> None:
    """Begin to load what workers need, in the server; nothing to wait for, and nothing where there is none.

    ``networks``: torch too.  What the server lacks workers load themselves.
    """
    if not _COPIES or _server() is not None:
        return
    multiprocessing.set_forkserver_preload([_QUIET, _FRAMES, *([_NETWORKS] if networks else [])])
    with worker_environment():
        _the_one().ensure_running()
    atexit.register(end, _server())


def _the_one() -> Any:
    """What the library knows of the server; None where it has none."""
    if not _COPIES:
        return None
    from multiprocessing import forkserver

    return getattr(forkserver, "_forkserver", forkserver)


def _server() -> int | None:
    """Process id of the server, if there is one."""
    pid: int | None = getattr(_the_one(), "_forkserver_pid", None)
    return pid


def end(pid: int | None = None) -> None:
    """End the server, whose workers have all ended: now the system counts their time as ours.

    ``pid``: only if it is this one.  A later job starts another.
    """
    running, stop = _server(), getattr(_the_one(), "_stop", None)
    if running is None or stop is None or pid not in (None, running):
        return
    with suppress(OSError):
        os.kill(running, signal.SIGKILL)  # it may still be loading
        stop()


@contextmanager
def worker_environment() -> Iterator[None]:
    """Processes started meanwhile share the cores and the memory politely."""
    before = {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}
    os.environ.update(WORKER_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
