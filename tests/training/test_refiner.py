"""Pairs with truth, what the refiner sees of them, and the run that learns from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from faceswap_cli.errors import InputError
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.refiner import FREE, INPUTS, MOST, SIDE, SIDE_OUT, Refiner
from faceswap_cli.swap import refining, renderer
from faceswap_cli.swap.refiner_weights import refiner_on
from faceswap_cli.training import pairs, refine
from faceswap_cli.training.options import RefinerOptions, TrainOptions
from faceswap_cli.training.pool import Pool
from faceswap_cli.training.relit import relit
from faceswap_cli.training.state import NEWEST
from tests.training.conftest import mesh, quick_options

MASK, SEEN = INPUTS.index("mask"), INPUTS.index("seen")


@pytest.fixture(scope="module")
def made(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A piece of four pairs."""
    path = tmp_path_factory.mktemp("pairs") / "pairs-0000.npz"
    some = pairs.make_piece(pool, (0, 1), 4)
    np.savez(path, x=some.x, truth=some.truth, row=some.row)
    return path


def options_in(folder: Path, **changes: object) -> TrainOptions:
    given = RefinerOptions(images=96, batch=2, **changes)  # type: ignore[arg-type]
    return replace(quick_options(folder), phases=(), refiner=given)


def run_in(folder: Path, made: Path, **changes: object) -> refine.Run:
    return refine.Run([made], [made], options_in(folder, **changes), torch.device("cpu"))


def test_a_composite_is_the_truth_where_nothing_is_drawn(made: Path) -> None:
    found = pairs.read_piece(made)
    apart = np.abs(found.x[:, :3].astype(int) - found.truth).max(axis=1)
    inside = found.x[:, MASK] > 100
    assert inside.sum() > 3000
    assert apart[:, :24].max() <= 3
    assert apart[inside].mean() > 3


def test_pairs_depend_on_their_seed_only(pool: Pool, made: Path) -> None:
    again, other = pairs.make_piece(pool, (0, 1), 2), pairs.make_piece(pool, (0, 2), 2)
    first = pairs.read_piece(made)
    assert again.x.shape == other.x.shape
    assert not np.array_equal(again.x, other.x)
    np.testing.assert_array_equal(pairs.make_piece(pool, (0, 1), 4).x, first.x)


def test_the_light_of_a_drawn_target_is_read_and_nothing_else(made: Path) -> None:
    """What has been drawn is smoother than any footage, and the refiner must not mend that."""
    rng = np.random.default_rng(5)
    drawn, own = (rng.normal(1.0, 0.1, renderer.CODE).astype(np.float32) for _ in range(2))
    method = pairs._method()
    rows, cells = (rng.normal(size=n).astype(np.float32) for n in (int(np.prod(method.code_rows)), 192))
    code = np.concatenate([drawn, rows, cells])
    kept = pairs._lit_only(code, renderer.Look.unpacked(own))
    np.testing.assert_allclose(kept[: renderer.LIGHT], drawn[: renderer.LIGHT])
    np.testing.assert_allclose(kept[renderer.LIGHT : renderer.CODE], own[renderer.LIGHT :], rtol=1e-5)
    np.testing.assert_array_equal(kept[renderer.CODE :], code[renderer.CODE :])


def test_pictures_that_help_are_seen_in_the_composites_code() -> None:
    points = mesh(np.random.default_rng(1)) / np.float32(256)
    lab = np.array([50.0, 12.0, -8.0], np.float32)
    flat = np.broadcast_to(lab, (SIDE, SIDE, 3)).astype(np.float32)
    light, source = flat[:64, :64], flat[:64, :64] + 5
    network = cv2.cvtColor(np.ascontiguousarray(flat + 9), cv2.COLOR_LAB2RGB)
    zero = np.zeros((SIDE, SIDE), np.float32)
    stack = refining.stacked(flat, zero, zero, refining.Around(flat, zero, light, source, network, points))
    for name, more in (("light", 0), ("source", 5), ("network", 9)):
        seen = stack[INPUTS.index(name) :][:3, 64, 64].astype(int)
        assert np.abs(seen - refining.coded(lab + more)).max() <= 1, name


def test_a_window_is_laid_where_it_belongs() -> None:
    side, window = 320, Window(60, 80, 150, 130, 320)
    picture = np.zeros((side, side), np.float32)
    picture[100:180, 90:170] = 1.0
    laid = refining.onto_crop(np.ascontiguousarray(window.of(picture)), window)
    wanted = np.zeros((SIDE, SIDE), np.float32)
    wanted[40:72, 36:68] = 1.0
    assert np.abs(laid - wanted).mean() < 0.004


def test_an_untrained_refiner_changes_nothing_and_bounds_hold() -> None:
    net = Refiner().eval()
    x = torch.rand(2, len(INPUTS), SIDE, SIDE) * 2 - 1
    with torch.inference_mode():
        assert net(x).abs().max() == 0
        torch.nn.init.normal_(net.answer.weight, std=100.0)
        x[:, SEEN] = 1.0
        seen = net(x).abs().amax((0, 2, 3))
        x[:, SEEN] = -1.0
        unseen = net(x).abs().amax((0, 2, 3))
    assert seen.tolist() == pytest.approx(list(MOST), rel=0.01)
    assert unseen.tolist() == pytest.approx([FREE * most for most in MOST], rel=0.01)


def test_other_light_stays_on_the_same_side(pool: Pool) -> None:
    """A lamp makes one side lighter; the shape of the face stays."""
    points = mesh(np.random.default_rng(1)) / np.float32(256)
    gray = np.full((256, 256, 3), 128, np.uint8)
    sides = []
    for seed in range(20):
        lit = relit(gray, points, np.random.default_rng(seed)).astype(int)
        sides.append(lit[110:150, 60:100].mean() - lit[110:150, 156:196].mean())
    assert np.abs(sides).max() > 15
    assert np.sign(sides).min() == -1
    assert np.sign(sides).max() == 1


def test_mirrored_pairs_keep_their_truth(made: Path) -> None:
    found = pairs.read_piece(made)
    x, truth = torch.from_numpy(found.x), torch.from_numpy(found.truth)
    plain = refine.to_batch(x, truth, None)
    turned = refine.to_batch(x.flip(3), truth.flip(3), None)
    assert torch.equal(plain.composite, turned.composite.flip(3))
    error = refine.errors(plain.composite, plain.truth, plain.mask)
    assert torch.allclose(error, refine.errors(turned.composite, turned.truth, turned.mask), rtol=1e-4)
    assert refine.errors(plain.truth, plain.truth, plain.mask).abs().max() < 1e-3
    assert error.min() > 0.2


def test_a_run_learns(made: Path, tmp_path: Path) -> None:
    run = run_in(tmp_path, made, rate=3e-3)
    for _ in range(48):
        run.step()
    assert refine.exam(run.net, run.pieces)["share"] < 0.85


def test_moves_and_grades_are_those_of_the_truth_too(made: Path) -> None:
    """What is added to a pair is light and noise; without them a truth as its own composite stays right."""
    found = pairs.read_piece(made)
    x, truth = torch.from_numpy(found.x), torch.from_numpy(found.truth)
    x[:, :3], x[:, MASK] = truth, 0  # light is laid on the mask only
    plain = refine.to_batch(x, truth, None)
    changed = refine.to_batch(x, truth, np.random.default_rng(3))
    assert (changed.truth - plain.truth).abs().mean() > 3
    assert (changed.composite - changed.truth).abs().mean() < 1.5


def test_a_run_that_was_stopped_goes_on_with_the_same_numbers(made: Path, tmp_path: Path) -> None:
    whole = run_in(tmp_path / "whole", made)
    losses = [whole.step() for _ in range(5)]
    first = run_in(tmp_path / "parts", made)
    assert [first.step() for _ in range(3)] == losses[:3]
    first.save()
    second = run_in(tmp_path / "parts", made)
    assert [second.step() for _ in range(2)] == losses[3:]


def test_a_damaged_state_or_piece_is_refused(made: Path, tmp_path: Path) -> None:
    run_in(tmp_path, made).save()
    state = tmp_path / NEWEST
    state.write_bytes(state.read_bytes()[:-40])
    with pytest.raises(InputError, match="damaged"):
        run_in(tmp_path, made)
    piece = tmp_path / "pairs-0007.npz"
    piece.write_bytes(made.read_bytes()[:9000])
    with pytest.raises(InputError, match=r"pairs-0007.npz is damaged"):
        pairs.read_piece(piece)


def test_pairs_of_another_version_are_refused(made: Path, tmp_path: Path) -> None:
    found = pairs.read_piece(made)
    piece = tmp_path / "pairs-0000.npz"
    np.savez(piece, x=found.x[:, :16], truth=found.truth, row=found.row)
    with pytest.raises(InputError, match="another version"):
        pairs.read_piece(piece)


def test_what_is_trained_is_what_is_used(made: Path, tmp_path: Path) -> None:
    run = run_in(tmp_path, made)
    figures = run.go()
    assert run.images == 96
    assert set(figures) == {"composite", "refined", "share"}
    stored = load_file(tmp_path / refine.WEIGHTS)
    assert {str(value.dtype) for value in stored.values()} == {"torch.float16"}
    found = refiner_on("cpu", tmp_path / refine.WEIGHTS)(pairs.read_piece(made).x[0])
    assert found.shape == (SIDE_OUT, SIDE_OUT, 3)
    run.average.eval()
    with torch.inference_mode():
        batch = refine.to_batch(
            *(
                torch.from_numpy(part[:1])
                for part in (pairs.read_piece(made).x, pairs.read_piece(made).truth)
            ),
            None,
        )
        np.testing.assert_allclose(found, run.average(batch.x)[0].permute(1, 2, 0).numpy(), atol=0.05)
