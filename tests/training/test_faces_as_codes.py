"""Fitting the space of faces, and teaching edits in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from faceswap_cli.errors import InputError
from faceswap_cli.nets.attributes import ATTRIBUTES, Attributes
from faceswap_cli.nets.facespace import CODE, TEXTURE
from faceswap_cli.swap import facespace, retouch
from faceswap_cli.training import attributes
from faceswap_cli.training.facespace import codes_of, exam, fitted, looked_at, ridge, teach, write
from faceswap_cli.training.pool import Pool


def test_a_space_is_fitted_taught_written_and_read(pool: Pool, tmp_path: Path) -> None:
    faces = looked_at(pool, held_out=False)
    net = fitted(faces)
    codes = codes_of(net, faces)
    spread = np.square(faces.texture - faces.texture.mean(0)).sum()
    left = np.square(faces.texture - net.texture(codes).numpy()).sum()
    assert left < 0.35 * spread  # outliers are drawn in
    teach(net, faces, 30)
    figures = exam(net, faces)
    assert figures["texture_by_code"] > 0.65
    assert figures["texture_by_embedding"] > 0.05
    write(net, tmp_path / "space.safetensors")
    again = facespace.load_space(tmp_path / "space.safetensors")
    assert torch.allclose(again.texture(codes), net.texture(codes), atol=0.1 * float(net.basis.abs().max()))


def test_ridge_finds_a_straight_map() -> None:
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    truth = torch.arange(10.0).reshape(2, 5)
    weight, bias = ridge(x, x @ truth.T + 3, 1e-6)
    assert torch.allclose(weight, truth, atol=1e-3)
    assert torch.allclose(bias, torch.full((2,), 3.0), atol=1e-3)


def made_codes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes in which attribute k is mostly number k, told for half of them."""
    draw = torch.Generator().manual_seed(1)
    codes = torch.randn(count, CODE, generator=draw)
    wanted = codes[:, : len(ATTRIBUTES)] + 0.3 * codes[:, 5:6]
    wanted = torch.where(torch.rand(wanted.shape, generator=draw) < 0.5, torch.nan, wanted)
    return codes, wanted


def test_an_editor_does_what_is_asked_and_goes_back(tmp_path: Path) -> None:
    codes, wanted = made_codes(600)
    net = Attributes()
    attributes.fit_readers(net, codes, wanted, 60, 0)
    attributes.baselines(net)
    person = torch.zeros(128, CODE), torch.ones(128)
    along = attributes.ways(net, codes, wanted)
    assert along.shape == (TEXTURE, len(ATTRIBUTES))
    attributes.teach(net, codes, along, person, 150, 0)
    figures = attributes.exam(net, codes, wanted)
    for name in ATTRIBUTES:
        assert figures[f"{name}_read"] > 0.9
        assert figures[f"{name}_done"] == pytest.approx(1.0, abs=0.25)
        assert figures[f"{name}_others"] < 0.3
        assert figures[f"{name}_cycle"] < 0.2
    start = codes[:4]
    assert torch.equal(net.edited(start, torch.zeros(4, len(ATTRIBUTES)))[:, TEXTURE:], start[:, TEXTURE:])
    attributes.write(net, tmp_path / "a.safetensors")
    again = retouch.load_attributes(tmp_path / "a.safetensors", facespace.digest())
    change = torch.full((4, len(ATTRIBUTES)), 0.5)
    assert torch.allclose(again.edited(start, change), net.edited(start, change), atol=0.02)
    with safe_open(tmp_path / "a.safetensors", "pt") as handle:
        assert handle.metadata() == {"space": facespace.digest()}


def test_too_few_labels_are_named() -> None:
    codes, wanted = made_codes(100)
    wanted[20:, 0] = torch.nan
    with pytest.raises(InputError, match="pictures say age; 40 are needed"):
        attributes.fit_readers(Attributes(), codes, wanted, 1, 0)


def test_labels_are_read_by_row(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("row,age,masculine\n3,65,\n9,,-1\n4,20,1\n")
    found = attributes.read_labels(table, np.array([9, 3, 7]))
    assert np.array_equal(np.isnan(found), [[True, False], [False, True], [True, True]])
    assert found[1, 0] == pytest.approx(1.0)
    table.write_text("row,years\n3,65\n")
    with pytest.raises(InputError, match="columns row, age, masculine"):
        attributes.read_labels(table, np.array([3]))
