"""The loop: it goes on exactly where it stopped, alone and in company, and stops when told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.events import StopRequest
from faceswap_cli.training import launch
from faceswap_cli.training.loop import Run, gate_open
from faceswap_cli.training.options import LossWeights, Phase, without
from faceswap_cli.training.pool import Pool
from faceswap_cli.training.state import NEWEST, load_state
from faceswap_cli.training.trainer import Place, Trainer
from tests.training.conftest import quick_options

HERE = Place(torch.device("cpu"))


def run(folder: Path, pool: Pool, steps: int, **changes: object) -> dict[str, torch.Tensor]:
    trainer = Trainer(quick_options(folder, **changes), pool, HERE)
    Run(trainer).go(max_steps=steps)
    return {k: v.clone() for k, v in trainer.net.state_dict().items()}


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metrics.ndjson").read_text().splitlines()]


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, pool: Pool) -> None:
    whole = run(tmp_path / "whole", pool, 5)
    run(tmp_path / "cut", pool, 2)
    resumed = run(tmp_path / "cut", pool, 3)
    for name, value in whole.items():
        assert torch.allclose(value, resumed[name], atol=1e-5), name
    state = load_state(tmp_path / "cut")
    assert state is not None
    assert state["progress"]["step"] == 5


def test_damaged_state_continues_from_the_older(tmp_path: Path, pool: Pool) -> None:
    run(tmp_path, pool, 1)
    run(tmp_path, pool, 1)
    (tmp_path / NEWEST).write_bytes(b"damaged")
    trainer = Trainer(quick_options(tmp_path), pool, HERE)
    Run(trainer).go(max_steps=1)
    assert trainer.progress.step == 2


def test_state_of_another_preset_is_refused(tmp_path: Path, pool: Pool) -> None:
    run(tmp_path, pool, 1)
    trainer = Trainer(quick_options(tmp_path, preset="cpu"), pool, HERE)
    with pytest.raises(InputError, match="preset"):
        Run(trainer).go(max_steps=1)


def test_every_loss_takes_part(tmp_path: Path, pool: Pool) -> None:
    trainer = Trainer(quick_options(tmp_path), pool, HERE)
    seen: set[str] = set()
    for kind in ("self", "pair", "cross", "video"):
        phase = replace(trainer.phase, mix={kind: 1.0})
        trainer.options = replace(trainer.options, phases=(phase,))
        trainer.progress.step = 4  # a step on which the cycle is due
        seen |= {name for name in trainer.step() if not name.startswith("share_")}
    assert set(LossWeights.__dataclass_fields__) <= seen | set()
    assert {"critic", "penalty", "third"} <= seen


def test_shares_sum_to_one(tmp_path: Path, pool: Pool) -> None:
    trainer = Trainer(quick_options(tmp_path), pool, HERE)
    values = trainer.step()
    shares = [value for name, value in values.items() if name.startswith("share_")]
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert all(0 <= share <= 1 for share in shares)


def test_figures_sheet_and_weights_appear(tmp_path: Path, pool: Pool) -> None:
    run(tmp_path, pool, 2, measure_every=2, sheet_every=2)
    figures = [row for row in rows(tmp_path) if row["event"] == "figures"][-1]
    assert {"psnr", "identity", "rho", "landmarks", "gaze", "pose"} <= set(figures)
    assert list((tmp_path / "sheets").glob("*.png"))
    assert (tmp_path / "fslsd-256.safetensors").stat().st_size > 1e6


def test_time_and_signals_stop_it(tmp_path: Path, pool: Pool) -> None:
    trainer = Trainer(quick_options(tmp_path), pool, HERE)
    assert Run(trainer).go(max_time_s=0.0).step == 1
    stop = StopRequest()
    stop.request()
    trainer = Trainer(quick_options(tmp_path), pool, HERE)
    assert Run(trainer, stop).go().step == 2


def test_phases_follow_their_gates(tmp_path: Path, pool: Pool) -> None:
    quiet = LossWeights(adversarial=0, feature_match=0, weak_feature_match=0, third_player=0)
    mix = {"self": 1.0}
    phases = (
        Phase(name="A", images=2, mix=mix, weights=quiet, gate={"psnr": 1000.0}, patience=2.0),
        Phase(name="B", images=2, mix=mix, weights=quiet),
    )
    trainer = Trainer(quick_options(tmp_path, phases=phases), pool, HERE)
    Run(trainer).go()
    # The gate of A never opens: it is prolonged to twice its images, then B runs its own.
    assert trainer.progress.images == 6
    assert trainer.progress.phase == 1
    ended = [row for row in rows(tmp_path) if row["event"] == "phase"]
    assert [row["gate_open"] for row in ended] == [False]


def test_gates() -> None:
    phase = Phase(name="A", images=1, mix={"self": 1}, gate={"psnr": 20.0, "landmarks": 5.0})
    assert gate_open(phase, {"psnr": 21.0, "landmarks": 4.0})
    assert not gate_open(phase, {"psnr": 21.0, "landmarks": 6.0})
    assert not gate_open(phase, {"psnr": 21.0})


def test_two_processes_share_one_training(tmp_path: Path, pool: Pool) -> None:
    """Over gloo; both hold the same weights, and each saw other pictures."""
    folder = tmp_path / "run"
    folder.mkdir()
    source = Path(pool.pixels.filename).parent  # type: ignore[attr-defined]
    (folder / "pool").symlink_to(source)
    phase = Phase(name="A", images=8, mix={"self": 0.5, "cross": 0.5})
    options = quick_options(folder, processes=2, phases=(phase,))
    shown: list[dict[str, object]] = []
    last = launch.train(options, show=shown.append)
    assert last["images"] == 8
    assert last["step"] == 2
    last = launch.train(replace(options, phases=(replace(phase, images=12),)))
    assert last["step"] == 3


def test_averaged_gradients_equal_one_large_batch(tmp_path: Path, pool: Pool) -> None:
    from faceswap_cli.training.trainer import average_gradients

    layer = torch.nn.Linear(2, 1)
    layer.weight.grad = torch.ones(1, 2)
    average_gradients(layer, HERE)
    assert torch.equal(layer.weight.grad, torch.ones(1, 2))


def test_ablations_turn_their_part_off(tmp_path: Path) -> None:
    options = quick_options(tmp_path)
    assert without(options, "warp").drop_warp == 1.0
    assert without(options, "third-player").phases[0].weights.third_player == 0
    assert without(options, "trajectory").phases[0].weights.flow_trajectory == 0
    assert without(options, "landmarks").phases[0].weights.landmarks == 0
    with pytest.raises(UsageError, match="known are"):
        without(options, "everything")


def test_without_warp_nothing_of_the_source_picture_is_visible(tmp_path: Path, pool: Pool) -> None:
    trainer = Trainer(without(quick_options(tmp_path), "warp"), pool, HERE)
    assert float(trainer.sampler.batch("cross", 2).scene.visible.max()) == 0


def test_loader_threads_change_nothing(tmp_path: Path, pool: Pool) -> None:
    alone = run(tmp_path / "alone", pool, 3, loaders=0)
    ahead = run(tmp_path / "ahead", pool, 3, loaders=2)
    for name, value in alone.items():
        assert torch.allclose(value, ahead[name], atol=1e-5), name


def test_processes_draw_different_batches(tmp_path: Path, pool: Pool) -> None:
    trainer = Trainer(quick_options(tmp_path), pool, HERE)
    one, other, again = (trainer.sampler.at(0, rank, 5).batch("cross", 2) for rank in (0, 1, 0))
    assert torch.equal(one.target, again.target)
    assert not torch.equal(one.target, other.target)
