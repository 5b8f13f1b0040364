"""Drawn occluders, the run that learns from them, and the model that comes out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from faceswap_cli.errors import InputError
from faceswap_cli.faces.landmarks import OVAL
from faceswap_cli.geometry import masks
from faceswap_cli.nets.occluder import CHANNELS_IN, SIDE, SIDE_OUT, OccluderHead
from faceswap_cli.training import hands, masking, occluders
from faceswap_cli.training.covering import already_covered
from faceswap_cli.training.masking import MaskOptions, Run, to_batch
from faceswap_cli.training.masking_onnx import model_bytes
from faceswap_cli.training.pool import Pool
from tests.training.conftest import mesh

QUICK = MaskOptions(images=10**4, batch=4, chunk=16, passes=2, exam=4)


def test_a_capsule_is_as_large_and_as_high_as_it_should_be() -> None:
    ends = np.array([[[30.0, 40.0], [90.0, 40.0]]], np.float32)
    height, inside = hands.height_field(ends, np.array([[10.0, 10.0]], np.float32), 128)
    assert np.count_nonzero(inside > 0) == pytest.approx(60 * 20 + np.pi * 100, rel=0.02)
    assert height.max() == pytest.approx(8.0, abs=0.1)
    assert inside[40, 60] == pytest.approx(9.5, abs=0.1)


def test_hands_reach_over_the_face_in_the_colour_of_the_skin() -> None:
    skin = np.array([0.8, 0.6, 0.5], np.float32)
    shares = []
    for seed in range(30):
        rgb, alpha = hands.hand(np.random.default_rng(seed), skin, np.array([64.0, 70.0]), 80.0, 128)
        assert rgb.shape == (128, 128, 3)
        assert alpha.min() >= 0
        assert alpha.max() <= 1
        shares.append(float(alpha.mean()))
        if shares[-1] > 0.02:
            mean = rgb[alpha > 0.9].mean(axis=0)
            np.testing.assert_allclose(mean / mean.sum(), skin / skin.sum(), atol=0.06)
    assert 0.05 < np.mean(shares) < 0.6


@pytest.mark.parametrize("kind", ["_blob", "_bar", "_cup", "_mask", "_hand", "_hair", "_glasses"])
def test_every_kind_of_thing_covers_a_part_of_the_face(kind: str, pool: Pool) -> None:
    rng = np.random.default_rng(1)
    face = occluders._cut(pool, 0, rng)
    draw: Callable[..., hands.Layer] = getattr(occluders, kind)
    first = () if kind in ("_hair", "_glasses") else (pool,)
    hull = masks.union(face.points, (OVAL,), SIDE) > 0.5
    seen = []
    for _ in range(12):
        rgb, alpha = draw(*first, face, rng)
        assert rgb.shape == (SIDE, SIDE, 3)
        assert rgb.dtype == alpha.dtype == np.float32
        assert min(float(rgb.min()), float(alpha.min())) >= 0
        assert max(float(rgb.max()), float(alpha.max())) <= 1 + 1e-5
        seen.append(float((alpha > 0.5)[hull].mean()))
    assert 0.003 < np.mean(seen) < 0.9


def test_samples_depend_on_chance_only_through_their_generator(pool: Pool) -> None:
    one, two, other = (occluders.draw_sample(pool, 2, np.random.default_rng(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(one.rgb, two.rgb)
    np.testing.assert_array_equal(one.covered, two.covered)
    assert np.abs(one.rgb.astype(int) - other.rgb).max() > 10
    assert one.rgb.dtype == np.uint8
    assert 0 <= one.covered.min() <= one.covered.max() <= 1


def test_what_changed_is_what_is_called_covered(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without camera, shadows and skin changes, pictures differ from clear ones where truth says so."""
    monkeypatch.setattr(occluders, "_camera", lambda rgb, rng: np.asarray(rgb * 255, np.uint8))
    monkeypatch.setattr(occluders, "_skin_things", lambda face, rng: face.rgb)
    monkeypatch.setattr(
        occluders, "already_covered", lambda rgb, points: (rgb[..., 0] * 0, rgb[..., 0] * 0 + 1)
    )

    def laid(picture: np.ndarray, layer: hands.Layer, rng: hands.Rng) -> tuple[np.ndarray, np.ndarray]:
        return picture * (1 - layer[1][..., None]) + layer[0] * layer[1][..., None], layer[1]

    monkeypatch.setattr(occluders, "_laid", laid)
    for seed in range(8):
        clear = occluders._cut(pool, 1, np.random.default_rng(seed)).rgb
        sample = occluders.draw_sample(pool, 1, np.random.default_rng(seed))
        changed = np.abs(sample.rgb / 255 - clear).max(axis=2) > 0.02
        assert not changed[sample.covered < 0.01].any()


def test_hair_over_the_forehead_is_told_and_a_beard_is_skin() -> None:
    rng = np.random.default_rng(0)
    points = mesh(rng)
    unit = points[:, :2] / 256
    rgb = np.full((128, 128, 3), (0.8, 0.62, 0.52), np.float32)
    rows = (np.arange(128) + 0.5) / 128
    hair = rows < unit[10, 1] + 0.06
    rgb[hair] = (0.1, 0.08, 0.07)
    beard = rows > unit[17, 1] + 0.02
    rgb[beard] = (0.2, 0.16, 0.14)
    covered, weight = already_covered(rgb, np.asarray(unit, np.float32))
    hull = masks.grow(masks.union(unit, (OVAL,), 128), -3) > 0.5
    assert covered[hull & hair[:, None]].mean() > 0.6
    assert covered[hull & (rows > unit[6, 1])[:, None]].max() == 0
    assert weight[hull & beard[:, None]].mean() > 1.5
    assert weight[0, 0] < 0.1


def test_the_head_is_small() -> None:
    net = OccluderHead()
    products = 0

    def count(layer: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal products
        assert isinstance(layer, torch.nn.Conv2d)
        products += layer.weight.numel() * out.shape[2] * out.shape[3]

    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        assert net.eval()(torch.zeros(1, CHANNELS_IN, SIDE, SIDE)).shape == (1, 1, SIDE_OUT, SIDE_OUT)
    assert sum(p.numel() for p in net.parameters()) < 600_000
    assert products < 250_000_000


def test_opencv_computes_what_torch_does() -> None:
    torch.manual_seed(0)
    net = OccluderHead()
    x = torch.randn(6, CHANNELS_IN, SIDE, SIDE)
    net(x)  # batch norms that are not the identity
    net.eval()
    model = cv2.dnn.readNetFromONNX(np.frombuffer(model_bytes(net.state_dict(), SIDE), np.uint8))
    model.setInput(x[:1].numpy())
    with torch.inference_mode():
        wanted = net(x[:1]).numpy()
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(model.forward(), wanted, atol=4e-3 * float(np.abs(wanted).max()))


def test_mirrored_samples_are_mirrored_in_every_map(pool: Pool) -> None:
    sample = occluders.draw_sample(pool, 0, np.random.default_rng(3))
    plain, mirrored = to_batch([sample], [False]), to_batch([sample], [True])
    for one, other in (
        (plain.x, mirrored.x),
        (plain.covered, mirrored.covered),
        (plain.weight, mirrored.weight),
    ):
        torch.testing.assert_close(one.flip(3), other)


def test_a_run_that_was_stopped_goes_on_with_the_same_numbers(pool: Pool, tmp_path: Path) -> None:
    """Eight steps at once, or five and three with a restart in the middle of a chunk."""
    whole, first = Run(pool, tmp_path / "whole", QUICK), Run(pool, tmp_path / "parts", QUICK)
    losses = [whole.step(batch) for batch, _ in zip(whole.batches(), range(8), strict=False)]
    for batch, _ in zip(first.batches(), range(5), strict=False):
        first.step(batch)
    first.save()
    second = Run(pool, tmp_path / "parts", QUICK)
    assert second.images == 20
    rest = [second.step(batch) for batch, _ in zip(second.batches(), range(3), strict=False)]
    np.testing.assert_allclose(rest, losses[5:], rtol=1e-6)
    for one, other in zip(whole.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_run_learns(pool: Pool, tmp_path: Path) -> None:
    run = Run(pool, tmp_path, replace(QUICK, batch=8, chunk=16, passes=20, rate=5e-3))
    losses = [run.step(batch) for batch, _ in zip(run.batches(), range(40), strict=False)]
    assert np.mean(losses[-6:]) < 0.75 * np.mean(losses[:6])


def test_another_pool_or_seed_is_refused(pool: Pool, tmp_path: Path) -> None:
    Run(pool, tmp_path, QUICK).save()
    with pytest.raises(InputError, match="another folder"):
        Run(pool, tmp_path, replace(QUICK, seed=1))


def test_the_command_leaves_a_model_and_figures(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "MaskOptions", partial(MaskOptions, chunk=32, exam=8))
    folder = Path(str(pool.pixels.filename)).parent  # type: ignore[attr-defined]
    assert masking.main([str(folder), str(tmp_path / "run"), "--images", "16", "--max-time", "1h"]) == 0
    model = cv2.dnn.readNetFromONNX(str(tmp_path / "run" / "occluder.onnx"))
    model.setInput(np.zeros((1, CHANNELS_IN, SIDE, SIDE), np.float32))
    assert np.isfinite(model.forward()).all()
    rows = [json.loads(line) for line in (tmp_path / "run" / masking.METRICS).read_text().splitlines()]
    assert rows[-1]["images"] == 16
    assert 0 <= rows[-1]["overlap"] <= 1


@pytest.mark.parametrize(
    ("arguments", "code"), [(["nowhere", "out"], 4), (["nowhere", "out", "--max-time", "soon"], 4)]
)
def test_bad_input_is_an_exit_code_and_a_line(
    arguments: list[str], code: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = [str(tmp_path / arguments[0]), str(tmp_path / arguments[1]), *arguments[2:]]
    assert masking.main(given) == code
    assert caplog.records[-1].getMessage()


def test_chunk_and_batch_must_fit() -> None:
    with pytest.raises(InputError, match="multiple of batch"):
        MaskOptions(chunk=100, batch=16)


def test_every_row_of_a_pool_gives_a_sample(pool: Pool) -> None:
    for row in range(len(pool)):
        sample = occluders.draw_sample(pool, row, np.random.default_rng(row))
        assert np.isfinite(sample.weight).all()
        assert np.isfinite(sample.points).all()
        assert sample.rgb.std() > 1
