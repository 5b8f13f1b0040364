"""The weight of a photograph is taught by its effect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from faceswap_cli.faces.landmarks import topology
from faceswap_cli.nets.quality import HAND, INPUTS, POOLED, QualityHead
from faceswap_cli.records import F32, U8
from faceswap_cli.training import appraisal
from faceswap_cli.training.appraisal import Table, exam, spoiled, train


def people(count: int, seed: int) -> Table:
    """Made numbers: the first measured value tells how far a picture's embedding lies from its person."""
    rng = np.random.default_rng(seed)
    size = 6
    bad = rng.uniform(0, 1, (count, size)) ** 2
    center = rng.standard_normal((count, 1, 128)) * 0.05
    z = center + rng.standard_normal((count, size, 128)) * (0.9 * bad / np.sqrt(128))[..., None]
    x = rng.standard_normal((count, size, INPUTS))
    x[..., POOLED] = bad
    flat = [torch.from_numpy(a.reshape(count * size, -1).astype(np.float32)) for a in (x, z)]
    reference = torch.from_numpy(np.repeat(center, size, axis=1).reshape(-1, 128).astype(np.float32))
    rows = np.arange(count * size).reshape(count, size)
    return Table(flat[0], flat[1], reference, tuple(rows))


def test_bad_pictures_get_little_and_the_fused_person_is_closer() -> None:
    net = train(people(150, 0), 250)
    other = people(60, 1)
    with torch.no_grad():
        weight = net(other.x)
    assert weight.min() > 0
    assert weight.max() < 1
    assert np.corrcoef(weight.numpy(), other.distance.numpy())[0, 1] < -0.7
    figures = exam(net, other)
    assert figures["weighted"] < 0.75 * figures["equal"]


def test_what_was_not_trained_on_changes_nothing() -> None:
    net = QualityHead().eval()
    far = torch.full((1, INPUTS), 1e6)
    assert torch.equal(net(far), net(far * 2))
    assert len(HAND) == INPUTS - POOLED


@pytest.fixture
def photo() -> tuple[U8, F32]:
    rng = np.random.default_rng(0)
    mesh = topology().mean_shape * 100 + np.float32(128)
    return rng.integers(0, 256, (256, 256, 3), dtype=np.uint8), mesh.astype(np.float32)


@pytest.mark.parametrize("seed", range(24))
def test_spoiled_pictures_are_pictures(photo: tuple[U8, F32], seed: int) -> None:
    rgb, mesh = spoiled(*photo, np.random.default_rng(seed))
    assert rgb.dtype == np.uint8
    assert rgb.ndim == 3
    assert min(rgb.shape[:2]) >= 16
    assert mesh.shape == (478, 3)
    assert np.isfinite(mesh).all()
    assert rgb.shape != photo[0].shape or (rgb != photo[0]).mean() > 0.01


def test_a_pool_that_is_none_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert appraisal.main([str(tmp_path), str(tmp_path / "out.safetensors")]) == 4
    assert "is not a training pool" in caplog.text
    assert not (tmp_path / "out.safetensors").exists()
