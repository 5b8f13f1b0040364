"""Freed memory goes back to the system."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from faceswap_cli.memory import give_back
from faceswap_cli.metrics.memory import tree_mb


@pytest.mark.skipif(sys.platform != "linux", reason="the C library decides elsewhere")
def test_small_arrays_are_given_back() -> None:
    kept = [np.ones(1500, np.float32) for _ in range(30_000)]
    last = [np.ones(1500, np.float32)]  # above the others: without help the heap cannot shrink past it
    full = tree_mb(os.getpid())
    del kept
    give_back()
    assert tree_mb(os.getpid()) < full - 100
    assert last
