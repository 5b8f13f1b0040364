"""Levels 1 to 3: they move what they may, keep the best, and end when asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from faceswap_cli.config import DetectOptions
from faceswap_cli.enrol import tune as tuning
from faceswap_cli.enrol.gauge import Gauge
from faceswap_cli.enrol.lowrank import Deltas
from faceswap_cli.enrol.make import encode, material
from faceswap_cli.enrol.objective import Goal, Other
from faceswap_cli.enrol.tune import Material, State, TuneOptions, Workshop
from faceswap_cli.enrol.views import view_of
from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.identity.photos import read_photos
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import STRUCTURE_ROWS
from faceswap_cli.records import U8
from faceswap_cli.swap.fslsd256_weights import load_swap_net
from faceswap_cli.swap.texture import build_texture
from faceswap_cli.training.observers import Observers


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few samples a step, few steps."""
    monkeypatch.setattr("faceswap_cli.enrol.objective.BATCH", 1)
    monkeypatch.setattr(tuning, "_STRANGERS", 2)
    monkeypatch.setattr(tuning, "EVERY", 2)


@pytest.fixture(scope="module")
def eyes() -> Observers:
    return Observers.load(torch.device("cpu"))


def workshop(weights: Path, eyes: Observers) -> Workshop:
    net = load_swap_net(weights).eval().requires_grad_(False)
    options = TuneOptions(steps=(6, 6, 6))
    return Workshop(net, eyes, options, NEVER, lambda stage, done, total: None, float("inf"))


@pytest.fixture
def shop(tiny_weights: Path, eyes: Observers) -> Workshop:
    """With a network of its own: level 2 changes it."""
    return workshop(tiny_weights, eyes)


@pytest.fixture(scope="module")
def given(
    tiny_weights: Path, eyes: Observers, portrait: U8, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Material, State]:
    from PIL import Image

    path = tmp_path_factory.mktemp("photo") / "me.png"
    Image.fromarray(portrait).save(path)
    photos, _ = read_photos([path], DetectOptions())
    views, fused = [view_of(photo) for photo in photos], build_texture(photos)
    own = workshop(tiny_weights, eyes)
    with pytest.MonkeyPatch.context() as few:
        for name, value in (("_OWN", 2), ("_MADE", 2), ("_JUDGED", 1)):
            few.setattr(f"faceswap_cli.enrol.make.{name}", value)
        return material(own, photos, views, fused), encode(own.net, photos, views, fused)


class Scores(Gauge):
    """A gauge that reads from a list."""

    def __init__(self, values: list[float]) -> None:
        object.__setattr__(self, "values", list(values))

    def score(self, net: Fslsd256, eyes: Observers, rows: Tensor, z: Tensor) -> float:
        return float(self.values.pop(0))  # type: ignore[attr-defined]


def judged(made: Material, *values: float) -> Material:
    return replace(made, gauge=Scores(list(values)))


def test_level_1_moves_codes_inside_the_trust_region(shop: Workshop, given: tuple[Material, State]) -> None:
    made, start = given
    wild = replace(shop, options=replace(shop.options, rates=(5.0, 1e-3, 1e-3)))
    state, (outcome,) = tuning.tune(wild, judged(made, 0.5, 0.4, 0.3, 0.2), start, 1)
    assert (outcome.helped, outcome.before, outcome.after, outcome.steps, outcome.why) == (
        *(True, 0.5, 0.2, 6),
        "done",
    )
    first, moved = start.rows[:STRUCTURE_ROWS], state.rows[:STRUCTURE_ROWS] - start.rows[:STRUCTURE_ROWS]
    assert float(moved.norm()) > 0
    assert bool((moved.norm(dim=1) <= 0.5 * first.norm(dim=1) + 1e-5).all())
    torch.testing.assert_close(state.rows[STRUCTURE_ROWS:], start.rows[STRUCTURE_ROWS:])
    assert float(state.z.norm()) == pytest.approx(1.0, abs=1e-5)
    assert float(state.z @ start.z) > 0.9
    assert state.deltas == {}


def test_a_level_that_does_not_help_changes_nothing(shop: Workshop, given: tuple[Material, State]) -> None:
    made, start = given
    state, outcomes = tuning.tune(shop, judged(made, 0.5, 0.6, 0.6, 0.6, 0.5, 0.6, 0.6, 0.6), start, 2)
    assert [outcome.helped for outcome in outcomes] == [False, False]
    assert state is start


def test_the_best_is_kept_not_the_last(shop: Workshop, given: tuple[Material, State]) -> None:
    made, start = given
    best, _ = tuning.tune(
        replace(shop, options=replace(shop.options, steps=(2, 0, 0))), judged(made, 0.5, 0.3), start, 1
    )
    state, (outcome,) = tuning.tune(shop, judged(made, 0.5, 0.3, 0.4, 0.45), start, 1)
    assert outcome.after == 0.3
    torch.testing.assert_close(state.rows, best.rows)
    torch.testing.assert_close(state.z, best.z)


def test_ends_when_the_gauge_settles(
    shop: Workshop, given: tuple[Material, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "PATIENCE", 2)
    made, start = given
    longer = replace(shop, options=replace(shop.options, steps=(50, 0, 0)))
    _, (outcome,) = tuning.tune(longer, judged(made, 0.5, 0.4, 0.4, 0.4, 0.1), start, 1)
    assert (outcome.steps, outcome.why) == (6, "settled")


def test_a_stop_request_keeps_the_best_so_far(shop: Workshop, given: tuple[Material, State]) -> None:
    made, start = given
    stop = StopRequest()

    def tell(stage: str, done: int, total: int) -> None:
        if done == 3:
            stop.request()

    asked = replace(shop, stop=stop, tell=tell, options=replace(shop.options, steps=(50, 50, 50)))
    state, outcomes = tuning.tune(asked, judged(made, 0.5, 0.4, 0.45), start, 2)
    ((outcome),) = outcomes  # level 2 was not begun
    assert (outcome.steps, outcome.why, outcome.helped) == (3, "stopped", True)
    assert state is not start


def test_time_is_kept(shop: Workshop, given: tuple[Material, State]) -> None:
    made, start = given
    late = replace(shop, until=time.monotonic() - 1, options=replace(shop.options, steps=(50, 50, 50)))
    _, (outcome,) = tuning.tune(late, judged(made, 0.5, 0.6), start, 2)
    assert (outcome.steps, outcome.why) == (1, "time")


def test_the_same_seed_gives_the_same_codes(shop: Workshop, given: tuple[Material, State]) -> None:
    made, start = given
    runs = [tuning.tune(shop, judged(made, 0.5, 0.4, 0.3, 0.2), start, 1)[0] for _ in range(2)]
    torch.testing.assert_close(runs[0].rows, runs[1].rows, rtol=0, atol=0)


def test_level_2_gives_changes_of_the_network(shop: Workshop, given: tuple[Material, State]) -> None:
    made, start = given
    options = replace(shop.options, steps=(0, 4, 0))
    state, outcomes = tuning.tune(replace(shop, options=options), judged(made, 0.5, 0.5, 0.4, 0.3), start, 2)
    assert [(o.level, o.helped) for o in outcomes] == [(1, False), (2, True)]
    assert state.rows is start.rows
    assert all(value.dtype == np.float32 for value in state.deltas.values())
    assert any(value.any() for name, value in state.deltas.items() if name.endswith("/up"))


@pytest.mark.slow
def test_what_is_strived_for_is_reached(shop: Workshop, given: tuple[Material, State]) -> None:
    """The loss falls on the samples that it is made of."""
    made, start = given
    part = tuning._Network(shop, made, start, Deltas(shop.net, shop.options.rank))
    goal = Goal(shop.net, shop.eyes, made.own, made.made, made.embedding, part.codes())
    adam = torch.optim.Adam(part.parameters(), lr=4e-3)

    def total() -> float:
        with torch.no_grad():
            return float(
                np.mean([float(goal.loss(*part.codes(), np.random.default_rng(k))) for k in range(4)])
            )

    before = total()
    for step in range(60):
        adam.zero_grad()
        torch.autograd.backward(goal.loss(*part.codes(), np.random.default_rng(step % 4)))
        adam.step()
    assert total() < 0.95 * before


@pytest.mark.slow
def test_locality_holds_other_people(shop: Workshop, given: tuple[Material, State]) -> None:
    made, start = given

    def after(extra: Callable[[tuning._Network], Tensor]) -> float:
        net = load_swap_net_copy(shop.net)
        own = replace(shop, net=net)
        torch.manual_seed(0)
        part = tuning._Network(own, made, start, Deltas(net, own.options.rank))
        probe = Other.made(net, made.views, made.made, np.random.default_rng(99))
        goal = Goal(net, shop.eyes, made.own, made.made, made.embedding, part.codes())
        adam = torch.optim.Adam(part.parameters(), lr=3e-3)
        for step in range(20):
            adam.zero_grad()
            torch.autograd.backward(goal.loss(*part.codes(), np.random.default_rng(step)) + extra(part))
            adam.step()
        with torch.no_grad():
            return float(probe.change(net))

    free, held = after(lambda part: torch.zeros(())), after(lambda part: part.extra())
    assert held < 0.8 * free


def load_swap_net_copy(net: Fslsd256) -> Fslsd256:
    copy = Fslsd256(net.preset)
    copy.load_state_dict(net.state_dict())
    return copy.eval().requires_grad_(False)
