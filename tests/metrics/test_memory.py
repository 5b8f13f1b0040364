"""Memory of this process and its children."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faceswap_cli.metrics.memory import MemoryWatch, tree_mb

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
HOLD = "import sys, time; held = bytearray(80_000_000); print(len(held), flush=True); time.sleep(30)"


def test_children_count() -> None:
    before = tree_mb(os.getpid())
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = tree_mb(os.getpid())
        child.kill()
    assert during - before > 70


def test_watch_keeps_the_peak() -> None:
    with MemoryWatch(every_s=0.01) as watch:
        held = bytearray(60_000_000)
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(0.2)
        del held
        time.sleep(0.1)
    assert watch.peak_mb is not None
    assert watch.peak_mb > 60
