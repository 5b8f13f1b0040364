"""Order, depth, errors and early closing of the program's threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from faceswap_cli.stream import centered, ordered_map, prefetch


class Source:
    """Counts what was taken from it and whether it was closed."""

    def __init__(self, length: int, fail_at: int | None = None) -> None:
        self.taken = 0
        self.closed = False
        self._length, self._fail_at = length, fail_at

    def __iter__(self) -> Iterator[int]:
        return self._run()

    def _run(self) -> Iterator[int]:
        try:
            for k in range(self._length):
                if k == self._fail_at:
                    raise ValueError(f"item {k}")
                self.taken += 1
                yield k
        finally:
            self.closed = True


def test_prefetch_keeps_order_and_depth() -> None:
    source = Source(50)
    with closing(prefetch(iter(source), 3)) as items:
        assert next(items) == 0
        time.sleep(0.2)
        # one taken, three queued, one waiting for a place
        assert source.taken <= 5
        assert list(items) == list(range(1, 50))


def test_prefetch_raises_after_the_items_before_the_error() -> None:
    seen = []
    with pytest.raises(ValueError, match="item 4"), closing(prefetch(iter(Source(9, 4)), 2)) as items:
        for item in items:
            seen.append(item)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("workers", [1, 3])
def test_early_close_stops_threads_and_closes_the_source(workers: int) -> None:
    before = threading.active_count()
    source = Source(10_000)
    with closing(ordered_map(lambda k: k, prefetch(iter(source), 2), workers)) as items:
        assert next(items) == 0
    assert source.closed
    assert threading.active_count() <= before


@pytest.mark.parametrize("workers", [1, 4])
def test_ordered_map_keeps_order_and_bounds_work_in_flight(workers: int) -> None:
    flying, peak, lock = 0, 0, threading.Lock()

    def work(k: int) -> int:
        nonlocal flying, peak
        with lock:
            flying += 1
            peak = max(peak, flying)
        time.sleep(0.002 * (k % 3))
        with lock:
            flying -= 1
        return k * k

    assert list(ordered_map(work, range(60), workers)) == [k * k for k in range(60)]
    assert peak <= workers


def test_ordered_map_raises_the_error_of_the_work() -> None:
    def work(k: int) -> int:
        if k == 5:
            raise KeyError("five")
        return k

    with pytest.raises(KeyError), closing(ordered_map(work, range(10), 2)) as items:
        list(items)


@pytest.mark.parametrize(("length", "radius"), [(0, 2), (1, 3), (5, 0), (5, 2), (7, 10)])
def test_centered_windows(length: int, radius: int) -> None:
    found = list(centered(range(length), radius))
    assert [window[center] for window, center in found] == list(range(length))
    for k, (window, _) in enumerate(found):
        assert window == tuple(range(max(k - radius, 0), min(k + radius + 1, length)))
