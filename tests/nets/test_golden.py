"""The networks against outputs of the published modules (reduced golden arrays of set A)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from faceswap_cli.errors import InputError, WeightsError
from faceswap_cli.swap import conform

GOLDEN = Path(__file__).parent.parent / "golden" / "A"
# The chain runs every network of these two as well, so the default run leaves them out.
SLOW = ("psp_encoder", "fslsd_parts")
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
    for name in ("streams", "ops", "megafs_swapper", "stylegan2", "fslsd_chain", *SLOW)
]


def full_golden() -> Path:
    beside = Path(__file__).parents[2].parent / "shared"
    return Path(os.environ.get("FACESWAP_SHARED", beside)) / "reference" / "golden"


def one_file(folder: Path, tmp_path: Path, name: str) -> conform.Conformance:
    shutil.copyfile(folder / f"{name}.npz", tmp_path / f"{name}.npz")
    return conform.check_folder(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_reduced_arrays_are_met(name: str, tmp_path: Path) -> None:
    result = one_file(GOLDEN, tmp_path, name)
    assert result.passed, [row for row in result.families if not row.passed] or result.unchecked


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 4])
def test_full_arrays_are_met_with_any_number_of_threads(threads: int) -> None:
    if not full_golden().is_dir():
        pytest.skip(f"no full golden arrays in {full_golden()}; set FACESWAP_SHARED")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        result = conform.check_folder(full_golden())
    finally:
        torch.set_num_threads(before)
    assert result.passed, [row for row in result.families if not row.passed] or result.unchecked
    assert {row.file for row in result.families} == set(conform._COMPUTE)


def test_another_set_does_not_pass(tmp_path: Path) -> None:
    shutil.copyfile(GOLDEN / "streams.npz", tmp_path / "streams.npz")
    result = conform.check_folder(tmp_path, "B")
    assert not result.passed
    assert any(row.error > 0.1 for row in result.families)


def test_a_wrong_value_is_found(tmp_path: Path) -> None:
    with np.load(GOLDEN / "ops.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["modconv_up/out"][1, 2, 3, 3] += 4e-4 * arrays["modconv_up/out"].std()
    np.savez(tmp_path / "ops.npz", **arrays)
    result = conform.check_folder(tmp_path)
    assert [row.family for row in result.families if not row.passed] == ["modconv_up"]


def test_an_unknown_array_counts_as_a_failure(tmp_path: Path) -> None:
    with np.load(GOLDEN / "streams.npz") as archive:
        np.savez(tmp_path / "streams.npz", extra=np.ones(3), **dict(archive))
    result = conform.check_folder(tmp_path)
    assert result.unchecked == ("streams/extra",)
    assert not result.passed


def test_a_folder_without_golden_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no golden files in"):
        conform.check_folder(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ops.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(InputError, match=r"ops\.npz"):
        conform.check_folder(tmp_path)
