"""How much memory a process and all its children hold, watched from a thread.  Linux only (/proc)."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

_PROC = Path("/proc")


def tree(root: int) -> dict[int, list[str]]:
    """A process and its descendants: the fields of ``/proc/PID/stat`` after the name, by process."""
    children: dict[int, list[int]] = {}
    fields: dict[int, list[str]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                fields[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[int(entry.name)][1]), []).append(int(entry.name))
    waiting, found = [root], {}
    while waiting:
        pid = waiting.pop()
        found[pid] = fields.get(pid, [])
        waiting += children.get(pid, [])
    return found


def tree_mb(root: int) -> float:
    """Memory of a process and its descendants in 10^6 bytes; pages that several share count once.

    Of each process the proportional set size is taken; where it may not be read, the resident size.
    """
    return sum(map(_process_mb, tree(root)))


def _process_mb(pid: int) -> float:
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    try:
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class MemoryWatch:
    """``with MemoryWatch() as watch: ...``; then ``watch.peak_mb``, None where it cannot be measured."""

    def __init__(self, every_s: float = 0.5) -> None:
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory watch", daemon=True)
        self.peak_mb: float | None = None

    def __enter__(self) -> MemoryWatch:
        if _PROC.is_dir():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb or 0.0, round(tree_mb(os.getpid()), 1))
            if self._stop.wait(self._every_s):
                return
