"""The benchmark for a GPU runs: on the processor, where no goal of it is meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", "cpu", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def test_the_table_of_the_network_is_made() -> None:
    ran = run("--parts", "network", "--batches", "1,2", "--seconds", "0.1")
    assert ran.returncode == 0, ran.stderr
    rows = [line for line in ran.stdout.splitlines() if line.startswith(("| 1 |", "| 2 |"))]
    assert len(rows) == 2
    figures = [float(cell.strip(" %")) for cell in rows[0].split("|")[2:-1]]
    assert all(figure > 0 for figure in figures)


def test_unknown_parts_are_named() -> None:
    ran = run("--parts", "network,audio")
    assert ran.returncode == 2
    assert "audio" in ran.stderr
