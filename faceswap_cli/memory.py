"""Giving memory back to the system between the stages of a long job."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Return freed blocks of the C heap to the system.

    Pass 1 keeps small arrays by the ten thousand and then merges them: what they leave behind is
    free but stays with the process (150 MB after 4000 frames), beside the workers of pass 2.
    glibc only; elsewhere the allocator decides by itself.
    """
    gc.collect()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
