"""How many faces go through a network at a time: one on a processor, as many as fit on an accelerator.

A batch that does not fit is halved and tried again, down to one; what came through is kept, so running out of
memory costs time and never the job.  No face depends on the others of its batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from faceswap_cli.config import JobOptions
from faceswap_cli.errors import DeviceError

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

MOST = 32
"""More faces at a time gain nothing: the chip is full long before."""
BESIDE_OTHERS = 4
"""Faces at a time where several processes share a device: what one has seen free, the next has taken."""
SHARE = 0.6
"""Of the free memory that a batch may take: others use the device too, and blocks do not fit without gaps."""


class Meter(Protocol):
    """Measures how much of a device's memory some work takes, and how much there is."""

    def taken(self, work: Callable[[], T]) -> tuple[T, int]:
        """The result of ``work()`` and the bytes that it took for a moment."""

    def room(self) -> int:
        """Bytes that batches may take."""


class CudaMeter:
    """Of one CUDA device; ``most_mb`` bounds what the program takes there, 0 leaves it unbounded."""

    def __init__(self, device: str, most_mb: int) -> None:
        self._device, self._most = device, most_mb << 20

    def taken(self, work: Callable[[], T]) -> tuple[T, int]:
        import torch

        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        result = work()
        torch.cuda.synchronize(self._device)
        return result, torch.cuda.max_memory_allocated(self._device) - before

    def room(self) -> int:
        import torch

        free, _ = torch.cuda.mem_get_info(self._device)
        if not self._most:
            return free
        return min(free, self._most - torch.cuda.memory_allocated(self._device))


class Batches:
    """The present batch size; shared by the threads that use one set of networks.

    With a ``meter`` the first face goes alone, and its memory decides how many may go together.
    """

    def __init__(self, size: int = 1, meter: Meter | None = None) -> None:
        self._size = min(max(size, 1), MOST)
        self._meter = meter
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return self._size

    def too_many(self, tried: int) -> None:
        """A batch of ``tried`` did not fit."""
        with self._lock:
            self._size = max(min(self._size, tried // 2), 1)

    def run(self, work: Callable[[Sequence[A]], Sequence[B]], some: Sequence[A]) -> Sequence[B]:
        """``work(some)``; a first face is measured."""
        meter, self._meter = self._meter, None
        if meter is None or len(some) > 1:
            self._meter = meter
            return work(some)
        found, taken = meter.taken(lambda: work(some))
        with self._lock:
            self._size = min(max(int(SHARE * meter.room() / max(taken, 1)), 1), MOST)
        return found

    def __getstate__(self) -> tuple[int, Meter | None]:
        return self._size, self._meter

    def __setstate__(self, state: tuple[int, Meter | None]) -> None:
        self._size, self._meter = state
        self._lock = threading.Lock()


def batches_for(device: str, job: JobOptions) -> Batches:
    """On a processor one face at a time is quickest; elsewhere as many go together as fit."""
    if device == "cpu":
        return Batches(1)
    if device.startswith("cuda") and job.workers > 1:
        return Batches(job.batch or BESIDE_OTHERS)
    meter = CudaMeter(device, job.max_vram_mb) if device.startswith("cuda") else None
    return Batches(job.batch) if job.batch else Batches(1, meter)


def in_batches(work: Callable[[Sequence[A]], Sequence[B]], items: Sequence[A], batches: Batches) -> list[B]:
    """``work`` over ``items``, ``batches.size`` at a time, results in order.

    What does not fit is tried again in halves; :class:`DeviceError` when one alone does not fit.
    """
    done: list[B] = []
    while len(done) < len(items):
        some = items[len(done) : len(done) + batches.size]
        try:
            found = batches.run(work, some)
        except MemoryError as error:
            refused: BaseException = error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            refused = error
        else:
            done.extend(found)
            continue
        if len(some) == 1:
            raise DeviceError(
                "the device is out of memory with a single face; free some, or try --device cpu, another "
                "--method or a smaller --profile"
            ) from refused
        batches.too_many(len(some))
        del refused  # the tensors of the failed attempt hang on its traceback
        _give_back()
    return done


def _give_back() -> None:
    """What the failed attempt left with the allocator goes back to the device."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device has refused memory, in the words of any backend."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()
