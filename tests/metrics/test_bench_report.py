"""The benchmark: its table, its clocks, and one real run on the example."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from faceswap_cli.config import JobOptions, RangeOptions, SwapOptions
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.metrics import bench as module
from faceswap_cli.metrics.bench import bench, bench_table, machine, timed
from faceswap_cli.metrics.earlier_run import compared, compared_lines, read_run
from faceswap_cli.metrics.rates import network_rate


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
    assert measured["swap_cpu_ms"] == pytest.approx(1000 * measured["swap_cpu_s"] / 15, abs=0.1)
    assert "network_ms" not in measured


def test_networks_are_held_against_products_of_matrices() -> None:
    rate = network_rate(SwapOptions(method="fslsd", job=JobOptions(device="cpu")))
    assert rate is not None
    assert 0.0 < rate.share_of_matmul < 1.0
    assert rate.multiply_adds > 1e9
    figures = module._networks(rate, 30, module.Spent(wall_s=1.0, cpu_s=6.0))
    assert figures["network_share"] == pytest.approx(30 * rate.network_ms / 6000, abs=1e-3)
    in_products = 30 * rate.multiply_adds / 1e9 / rate.matmul_gmacs
    assert figures["mfu"] == pytest.approx(in_products / 6.0, abs=1e-4)
    assert network_rate(SwapOptions(method="mesh")) is None


RUN = {
    "command": "bench", "clip": "a.mp4", "size": "64x48", "frames": 10, "method": "mesh", "fps": 20.0,
    "ratio": 2.0, "swap_cpu_ms": 50.0, "peak_memory_mb": None, "machine": {"processor": "one", "cores": 4},
}  # fmt: skip


def test_a_stored_run_is_compared_figure_by_figure(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(RUN))
    now = {
        **RUN,
        "fps": 30.0,
        "peak_memory_mb": 100.0,
        "frames": 12,
        "machine": {"processor": "two", "cores": 4},
    }
    found = compared(now, read_run(path))
    assert found["figures"]["fps"] == {"now": 30.0, "before": 20.0, "ratio": 1.5}
    assert found["figures"]["swap_cpu_ms"]["ratio"] == 1.0
    assert "peak_memory_mb" not in found["figures"]
    assert found["not_the_same"] == ["frames", "processor"]
    lines = dict(compared_lines(found))
    assert lines["frames per second now / before"] == "30 / 20 = 1.50"
    assert lines["not the same as before"] == "frames, processor"


@pytest.mark.parametrize("text", ["", "[1]", '{"command": "video"}', "\x00"])
def test_what_is_no_run_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bench --json > run\.json"):
        read_run(path)
