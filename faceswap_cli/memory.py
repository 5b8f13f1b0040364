"""How much memory there is, and giving it back to the system between the stages of a long job."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container's limit is written, by version of control groups."""
_UNKNOWN_MB = 8192


def installed_mb() -> int:
    """Memory of this machine, or of the container that the program runs in; 8 GB where neither is known."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN_MB
    for path in _LIMITS:
        try:
            found = min(found, int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return found >> 20


def give_back() -> None:
    """Return freed blocks of the C heap to the system.

    Pass 1 keeps small arrays by the ten thousand and then merges them: what they leave behind is
    free but stays with the process (150 MB after 4000 frames), beside the workers of pass 2.
    glibc only; elsewhere the allocator decides.
    """
    gc.collect()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
