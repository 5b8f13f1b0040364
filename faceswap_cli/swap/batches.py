"""How many faces go through a network at a time: one on a processor, as many as fit on an accelerator.

A batch that does not fit is halved and tried again, down to one; what came through is kept, so running out of
memory costs time and never the job.  No face depends on the others of its batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from faceswap_cli.errors import DeviceError

A = TypeVar("A")
B = TypeVar("B")

MOST = 32
"""More faces at a time gain nothing: the chip is full long before."""


class Batches:
    """The present batch size; shared by the threads that use one set of networks."""

    def __init__(self, size: int = 1) -> None:
        self._size = min(max(size, 1), MOST)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return self._size

    def too_many(self, tried: int) -> None:
        """A batch of ``tried`` did not fit."""
        with self._lock:
            self._size = max(min(self._size, tried // 2), 1)

    def __getstate__(self) -> int:
        return self._size

    def __setstate__(self, size: int) -> None:
        self.__init__(size)  # type: ignore[misc]


def in_batches(
    work: Callable[[Sequence[A]], Sequence[B]],
    items: Sequence[A],
    batches: Batches,
    make_room: Callable[[], None] | None = None,
) -> list[B]:
    """``work`` over ``items``, ``batches.size`` at a time, results in order.

    What does not fit is tried again in halves, after ``make_room``; :class:`DeviceError` when one alone
    does not fit.
    """
    done: list[B] = []
    while len(done) < len(items):
        some = items[len(done) : len(done) + batches.size]
        try:
            found = work(some)
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
        # The failed attempt's tensors hang on the error's traceback.
        del refused
        if make_room is not None:
            make_room()
    return done


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device has refused memory, in the words of any backend."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()
