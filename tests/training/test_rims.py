"""Drawn glasses at full size, and the network that learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from faceswap_cli.nets.rims import CHANNELS_IN, MULTIPLE, RimNet
from faceswap_cli.swap.occluder_head import Seen
from faceswap_cli.training import rims
from faceswap_cli.training.pool import Pool


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rims, "CHUNK", 8)
    monkeypatch.setattr(rims, "OWN", 1.0)
    monkeypatch.setattr(rims, "_KEEP", 0.8)


def test_the_answer_is_as_large_as_the_picture() -> None:
    net = RimNet().eval()
    with torch.inference_mode():
        assert net(torch.zeros(1, CHANNELS_IN, 2 * MULTIPLE, 3 * MULTIPLE)).shape == (1, 3, 32, 48)


@pytest.mark.usefixtures("small")
def test_samples_show_glasses_and_depend_on_the_seed(pool: Pool) -> None:
    areas = []
    for seed in range(6):
        (x, shares), (again, _) = (
            item
            for _ in range(2)
            if (item := rims.draw_item(pool, 0, np.random.default_rng(seed))) is not None
        )
        np.testing.assert_array_equal(x, again)
        assert x.shape == (CHANNELS_IN, rims.HEIGHT, rims.WIDTH)
        assert x.min() >= -1
        assert x.max() <= 1
        np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
        areas.append(shares[1:].mean(axis=(1, 2)))
    rim, lens = np.mean(areas, axis=0)
    assert 0.005 < rim < 0.2
    assert 0.05 < lens < 0.6


def test_faces_with_glasses_of_their_own_are_left_out(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rims, "rim_evidence", lambda *_: 0.5)
    assert rims.draw_item(pool, 0, np.random.default_rng(0)) is None


def test_what_blurs_the_picture_blurs_the_truth() -> None:
    """A white line on black and its share look the same after the camera, but for tone and grain."""
    rgb = np.zeros((384, 384, 3), np.float32)
    rgb[:, 200:202] = 1
    shares = np.stack([rgb[..., 0], 1 - rgb[..., 0]])
    for seed in range(12):
        picture, seen = rims._camera(rgb, shares, np.random.default_rng(seed))
        wide = [(row > 0.5 * row.max()).sum() for row in (picture[150:250, :, 1].mean(axis=0), seen[0, 200])]
        assert abs(int(wide[0]) - int(wide[1])) <= 2
        np.testing.assert_allclose(seen.sum(axis=0), 1, atol=0.02)


def test_faint_rims_differ_less_from_the_skin(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    rgb = np.asarray(pool.pixels[0], np.float32) / 255
    pair = rims.draw_glasses(rng, pool.landmarks[0], np.zeros_like(rgb), rims.STYLE_SHARES)
    faint = rims._fade_rims(pair, rgb, rng)
    around = rims.cv2.GaussianBlur(rgb, (0, 0), 6).mean(axis=2, keepdims=True)
    apart = [float(np.abs(one.color - around)[pair.rim > 0.5].mean()) for one in (faint, pair)]
    assert apart[0] < 0.75 * apart[1]


def test_what_the_head_sees_is_never_made_surer() -> None:
    shares = np.zeros((96, 96, 6), np.float32)
    shares[40:60, 20:40, 1:3] = 0.5
    for seed in range(20):
        known = rims._degrade(Seen(shares, 1.0), np.random.default_rng(seed)).shares
        assert known.min() >= 0
        assert known.max() <= 0.5 + 1e-5


@pytest.mark.usefixtures("small")
def test_a_run_learns_and_leaves_weights(pool: Pool, tmp_path: Path) -> None:
    torch.manual_seed(1)
    x, shares = next(rims.batches(pool, rims.usable(pool, held_out=False), 3))
    before = float(rims.loss_of(RimNet()(x), shares).detach())
    net = rims.train(pool, tmp_path, images=240, limit_s=600, start=None)
    assert float(rims.loss_of(net(x), shares).detach()) < 0.93 * before
    torch.manual_seed(0)
    again = rims.train(pool, tmp_path, images=4, limit_s=600, start=tmp_path / "rims.safetensors")
    assert float(rims.loss_of(again(x), shares).detach()) < 0.93 * before
