"""Inputs of the official networks, and how latent codes are combined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.geometry import align
from faceswap_cli.swap import mixing, official
from faceswap_cli.swap.methods.fslsd import read_parsing
from tests.video.test_picture import rational_offset

MIRROR = {
    **{k: 32 - k for k in range(33)},
    **{33 + k: 46 - k for k in range(5)},
    **{38 + k: 50 - k for k in range(4)},
    **{k: k for k in range(51, 55)},
    **{55 + k: 65 - k for k in range(11)},
    **{66 + k: 79 - k for k in range(5)},
    **{71: 82, 72: 81, 73: 80, 74: 83, 104: 105},
    **{84 + k: 90 - k for k in range(7)},
    **{91 + k: 95 - k for k in range(5)},
    **{96 + k: 100 - k for k in range(5)},
    **{101 + k: 103 - k for k in range(3)},
}


def mesh_pairs() -> dict[int, int]:
    """Mirror images among the mesh points in use, from the table of the 106 points itself."""
    pairs: dict[int, int] = {}
    for a, b in MIRROR.items():
        if a in official._MEANS and b in official._MEANS:
            for p, q in zip(official._MEANS[a], official._MEANS[b], strict=True):
                pairs[p], pairs[q] = q, p
    for p, q in zip(official._CONTOUR_LEFT, official._CONTOUR_RIGHT, strict=True):
        pairs[p], pairs[q] = q, p
    return pairs


def test_a_mirrored_mesh_gives_mirrored_points() -> None:
    rng = np.random.default_rng(2)
    mesh = rng.uniform(50, 200, (478, 3)).astype(np.float32)
    for p, q in mesh_pairs().items():
        mesh[q, :2] = 256 - mesh[p, 0], mesh[p, 1]
        if p == q:
            mesh[p, 0] = 128
    points = official.points106(mesh)
    for a, b in MIRROR.items():
        assert points[b] == pytest.approx([256 - points[a, 0], points[a, 1]], abs=2e-3), (a, b)


def test_contour_runs_from_temple_to_chin_at_equal_steps() -> None:
    mesh = np.zeros((478, 2), np.float32)
    for k, index in enumerate(official._CONTOUR_LEFT):
        mesh[index] = (10, 10 * k * k)
    points = official.points106(mesh)
    assert points[0] == pytest.approx([10, 0])
    assert points[16] == pytest.approx([10, 1210])
    assert np.allclose(np.diff(points[:17, 1]), 1210 / 16, atol=1e-3)


def test_eye_center_is_the_mean_of_its_ring() -> None:
    points = official.points106(np.random.default_rng(0).uniform(0, 256, (478, 3)).astype(np.float32))
    assert points[74] == pytest.approx(points[66:74].mean(axis=0))
    assert points[83] == pytest.approx(points[75:83].mean(axis=0))
    assert np.isfinite(points).all()


def test_a_pixel_grows_as_published() -> None:
    mask = torch.zeros(1, 1, 120, 120)
    mask[0, 0, 60, 50] = 0.5
    rows, columns = official.grow(mask)[0, 0].nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (36, 85, 26, 75)
    assert official.grow(mask).unique().tolist() == [0, 0.5]


def test_face_mask_has_steps_of_a_sixteenth() -> None:
    indicator = (torch.rand(1, 1, 512, 512, generator=torch.manual_seed(1)) > 0.999).float()
    mask = official.face_mask(indicator)
    assert mask.shape == (1, 1, 1024, 1024)
    assert torch.equal((mask * 16).round() / 16, mask)


@pytest.mark.parametrize(("numbering", "hair", "lower_lip"), [("celebamask", 13, 12), ("bisenet", 17, 13)])
def test_numberings(numbering: str, hair: int, lower_lip: int) -> None:
    labels = np.array([[hair, lower_lip]], np.uint8)
    assert official.label_mask(labels, numbering)[0, 0].tolist() == [[0.0, 1.0]]
    with pytest.raises(UsageError, match="celebamask, bisenet"):
        official.label_mask(labels, "mine")


def test_pictures_come_back() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)
    x = official.to_input(rgb)
    assert float(x.min()) >= -1
    assert float(x.max()) <= 1
    assert np.array_equal(official.to_uint8(x), rgb)
    assert official.to_uint8(torch.full((1, 3, 1, 1), 7.0)).tolist() == [[[255, 255, 255]]]


def codes() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.full((2, 18, 4), 1.0), torch.full((2, 7, 4), 0.5), torch.full((2, 18, 4), 3.0)


def test_released_slicing() -> None:
    mixed = mixing.mix(*codes())
    assert mixed[1, :, 0].tolist() == [1.5] * 7 + [1.0] * 4 + [3.0] * 7


def test_paper_slicing_and_any_row() -> None:
    assert mixing.mix(*codes(), appear_from=7)[0, :, 0].tolist() == [1.5] * 7 + [3.0] * 11
    assert mixing.appear_from_row("paper") == 7
    assert mixing.appear_from_row("released") == 11
    assert mixing.appear_from_row("9") == mixing.appear_from_row(9) == 9


@pytest.mark.parametrize("value", ["6", "19", "late", "-7", "7.5"])
def test_rows_out_of_range_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match="--appear-from is released"):
        mixing.appear_from_row(value)


def test_megafs_split() -> None:
    source, _, target = codes()
    assert mixing.megafs_split(source, target)[0, :, 0].tolist() == [3.0] * 4 + [1.0] * 14


def test_rescaling_keeps_the_center() -> None:
    unit = align.scaled(np.array([[0.8, 0.1, 0.2], [-0.1, 0.8, 0.3], [0, 0, 1.0]]), 1)
    assert np.array_equal(align.rescaled(unit, 0.9, 0.9), unit)
    wide = align.rescaled(unit, 0.8, 1.0)
    center, axis, half = align.square_from_unit(unit)
    assert [np.round(v, 9).tolist() for v in align.square_from_unit(wide)] == [
        np.round(center, 9).tolist(), np.round(axis, 9).tolist(), np.round(half / 0.8, 9).tolist(),
    ]  # fmt: skip


def test_parsing_maps(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.array([[1, 13], [12, 0]], np.uint8)).save(tmp_path / "a.png")
    assert read_parsing(tmp_path / "a.png", "celebamask").tolist() == [[1, 0], [1, 0]]
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="has 3 channels"):
        read_parsing(tmp_path / "b.png", "celebamask")
    rational_offset(tmp_path / "d.tif")
    with pytest.raises(InputError, match=r"d\.tif is damaged"):
        read_parsing(tmp_path / "d.tif", "celebamask")
    (tmp_path / "c.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"c\.png is not a picture"):
        read_parsing(tmp_path / "c.png", "celebamask")
