"""Locks that end with their holder, however it ends.  POSIX; elsewhere an open file is protection enough."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows: an open file can be neither removed nor renamed there
    fcntl = None  # type: ignore[assignment]

_POLL_S = 0.05


def try_lock(handle: IO[Any], *, shared: bool = False) -> bool:
    """Lock an open file until it is closed; False when another holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_current(handle: IO[Any], path: Path) -> bool:
    """Whether ``path`` still names the open file: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except OSError:
        return False


def wait_until_free(path: Path, seconds: float) -> bool:
    """Wait until nobody holds a lock on ``path``; False when that takes longer than ``seconds``."""
    try:
        handle = path.open("a")
    except FileNotFoundError:
        return True
    give_up = time.monotonic() + seconds
    with handle:
        while not try_lock(handle):
            if time.monotonic() > give_up:
                return False
            time.sleep(_POLL_S)
    return True
