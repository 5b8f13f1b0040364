"""The only threads and queues in the program.

A stage is ``Iterator -> Iterator``, keeps order and yields one record per frame.  The code that
starts a :func:`prefetch` or :func:`ordered_map` closes it (``contextlib.closing``): an error
in a worker is raised in the consumer, and closing closes the source.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")

_END = object()


def _close(source: Iterable[Any]) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()


def prefetch(source: Iterable[A], depth: int) -> Generator[A, None, None]:
    """Run ``source`` in a thread, at most ``depth`` items ahead of the consumer.

    Order is kept.  An exception in ``source`` is raised here, after the items before it.
    Closing the generator stops the thread and closes ``source``.
    """
    items: queue.Queue[Any] = queue.Queue(maxsize=max(depth, 1))
    stop = threading.Event()
    failure: list[BaseException] = []

    def offer(item: object) -> bool:
        while not stop.is_set():
            try:
                items.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        try:
            for item in source:
                if not offer(item):
                    break
        except BaseException as error:  # noqa: BLE001  handed to the consumer, whatever it is
            failure.append(error)
        finally:
            try:
                _close(source)
            finally:
                offer(_END)

    thread = threading.Thread(target=run, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not _END:
            yield item
        if failure:
            raise failure[0]
    finally:
        stop.set()
        thread.join()


def ordered_map(
    work: Callable[[A], B], source: Iterable[A], workers: int, ahead: int | None = None
) -> Generator[B, None, None]:
    """``map(work, source)`` on ``workers`` threads, results in order.

    At most ``ahead`` items (default: two per worker) are in flight, so memory is bounded
    whatever the length of ``source``.  ``workers <= 1`` runs in the calling thread.
    """
    if workers <= 1:
        try:
            for item in source:
                yield work(item)
        finally:
            _close(source)
        return
    limit = ahead or 2 * workers
    pending: deque[Future[B]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="stage")
    try:
        for item in source:
            pending.append(pool.submit(work, item))
            if len(pending) >= limit:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown(wait=True)
        _close(source)


def grouped(source: Iterable[A], size: Callable[[], int]) -> Iterator[tuple[A, ...]]:
    """Items of ``source`` in groups of ``size()``, asked again for each; the last may be smaller."""
    group: list[A] = []
    try:
        for item in source:
            group.append(item)
            if len(group) >= size():
                yield tuple(group)
                group = []
        if group:
            yield tuple(group)
    finally:
        _close(source)


def flattened(source: Iterable[Iterable[A]]) -> Generator[A, None, None]:
    """The items of all groups of ``source``, in order."""
    try:
        for group in source:
            yield from group
    finally:
        _close(source)


def centered(source: Iterable[A], radius: int) -> Iterator[tuple[tuple[A, ...], int]]:
    """Each item with its neighbors: ``(window, position of the item in the window)``.

    The window holds up to ``radius`` items on each side, fewer at the ends.
    """
    window: deque[A] = deque()
    center = 0
    try:
        for item in source:
            window.append(item)
            if len(window) > radius + center:
                yield tuple(window), center
                if center == radius:
                    window.popleft()
                else:
                    center += 1
        while center < len(window):
            yield tuple(window), center
            if center == radius:
                window.popleft()
            else:
                center += 1
    finally:
        _close(source)
