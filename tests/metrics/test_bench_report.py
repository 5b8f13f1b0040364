"""The benchmark: its table, its clocks, and one real run on the example."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from faceswap_cli.config import RangeOptions, SwapOptions
from faceswap_cli.errors import UsageError
from faceswap_cli.metrics import bench as module
from faceswap_cli.metrics.bench import bench, bench_table, machine, timed


def test_waiting_costs_wall_time_but_no_processor_time() -> None:
    result, spent = timed(lambda: time.sleep(0.2) or "done")
    assert result == "done"
    assert spent.wall_s >= 0.19
    assert spent.cpu_s < 0.15


def test_work_costs_processor_time() -> None:
    _, spent = timed(lambda: sum(i * i for i in range(400_000)))
    assert spent.cpu_s > 0


def test_the_machine_is_named() -> None:
    said = json.loads(json.dumps(machine()))
    assert {"processor", "cores", "accelerator", "python", "torch", "av"} <= said.keys()
    assert said["cores"] >= 1


def test_without_the_example_a_clip_must_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        module.faceswap_cli, "__file__", str(tmp_path / "lib" / "faceswap_cli" / "__init__.py")
    )
    with pytest.raises(UsageError, match="--source"):
        bench(None, SwapOptions())


def test_the_example_is_timed() -> None:
    options = replace(SwapOptions(method="mesh"), range=RangeOptions(end="15f"))
    measured = json.loads(json.dumps(bench(None, options)))
    assert measured["frames"] == 15
    assert measured["faces_swapped"] == 15
    assert measured["ratio"] == pytest.approx(measured["transcode_fps"] / measured["fps"], rel=0.01)
    assert {"analyse", "render", "assemble"} <= measured["stages_s"].keys()
    rows = dict(bench_table(measured))
    assert rows["ratio"] == f"{measured['ratio']:.2f}"
    assert "15 frames" in rows["clip"]
