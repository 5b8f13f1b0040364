"""Golden check: does this implementation compute what the published modules compute?

Golden files hold outputs of the official modules on stand-in weights and inputs (``weights.recipe``).  For an
array ``ref`` and our ``x`` the error is max|x - ref| / std(ref); in float32 it must stay within 2e-4 for a
module and 5e-4 for the whole chain.  Integer arrays must agree exactly, 8-bit pictures within one level in
at most a thousandth of their values.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from faceswap_cli.errors import InputError, WeightsError
from faceswap_cli.swap import conform_nets, conform_ops

MODULE_BOUND = 2e-4
CHAIN_BOUND = 5e-4
PICTURE_SHARE = 1e-3
"""Share of the values of an 8-bit picture that may differ by one level."""

Array = NDArray[Any]
Results = Iterator[tuple[str, Array]]
_COMPUTE: dict[str, Callable[[Mapping[str, Array], str], Results]] = {
    "streams": conform_ops.streams,
    "ops": conform_ops.operations,
    "psp_encoder": conform_nets.psp_encoder,
    "stylegan2": conform_nets.stylegan2,
    "fslsd_parts": conform_nets.fslsd_parts,
    "fslsd_chain": conform_nets.fslsd_chain,
    "megafs_swapper": conform_nets.megafs_swapper,
}
_PICTURES = re.compile(r"(_u8_sub8|_256)$")


@dataclass(frozen=True, slots=True)
class FamilyResult:
    """The worst of one family of arrays (all ``g*_`` of a file, one operation, ...)."""

    file: str
    family: str
    arrays: int
    error: float
    """Largest error; for integer arrays the share of values that differ beyond what is allowed."""
    bound: float
    worst: str
    """Name of the array with the largest error."""

    @property
    def passed(self) -> bool:
        return self.error <= self.bound


@dataclass(frozen=True, slots=True)
class Conformance:
    """All families of all golden files of a folder."""

    families: tuple[FamilyResult, ...]
    unchecked: tuple[str, ...]
    """``file/array`` that this program does not know how to compute: they count as failures."""

    @property
    def passed(self) -> bool:
        return bool(self.families) and not self.unchecked and all(f.passed for f in self.families)


def error_of(name: str, ours: Array, golden: Array, bound: float) -> tuple[float, float]:
    """(error, bound) of one array."""
    if ours.shape != golden.shape:
        return float("inf"), bound
    if golden.dtype.kind in "iub":
        gap = np.abs(ours.astype(np.int64) - golden.astype(np.int64))
        if _PICTURES.search(name):
            return (1.0 if gap.max(initial=0) > 1 else float((gap > 0).mean())), PICTURE_SHARE
        return float((gap > 0).mean()), 0.0
    spread = float(golden.std()) or max(float(np.abs(golden).max(initial=0)), 1e-12)
    worst = float(np.abs(ours.astype(np.float64) - golden).max(initial=0)) / spread
    return (worst if np.isfinite(worst) else float("inf")), bound


def family_of(name: str) -> str:
    """``g128_sub`` -> ``g``, ``modconv/out`` -> ``modconv``, ``swapped_tl`` -> ``swapped``."""
    if "/" in name:
        return name.rsplit("/", 1)[0]
    stem = re.sub(r"_(mean|std|sub8|sub|area8|full|crop|tl|br|u8_sub8)$", "", name)
    return re.sub(r"^([tgfd])\d+$", r"\1", re.sub(r"^(mask_used)_\d+$", r"\1", stem))


def _check_file(path: Path, which: str) -> tuple[list[FamilyResult], list[str]]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            golden = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path.name} is not a readable .npz file ({error}); fetch it again") from error
    bound = CHAIN_BOUND if path.stem == "fslsd_chain" else MODULE_BOUND
    rows: dict[str, list[tuple[float, float, str]]] = {}
    wanted = {name for name, array in golden.items() if array.dtype.kind in "fiub"}
    wanted -= {name for name in wanted if conform_ops.is_input(name)}
    checked: set[str] = set()
    for name, ours in _COMPUTE[path.stem](golden, which):
        # A name may come twice: where two paths compute the same, both must agree with the golden array.
        if name in wanted:
            checked.add(name)
            rows.setdefault(family_of(name), []).append((*error_of(name, ours, golden[name], bound), name))
    families = []
    for family, found in rows.items():
        worst, limit, name = max(found, key=lambda row: row[0] / max(row[1], 1e-12))
        arrays = len({row[2] for row in found})
        families.append(FamilyResult(path.stem, family, arrays, worst, limit, name))
    return families, [f"{path.stem}/{name}" for name in sorted(wanted - checked)]


def check_folder(
    folder: Path, which: str = "A", done: Callable[[FamilyResult], None] = lambda row: None
) -> Conformance:
    """Run every golden file of ``folder`` with stand-in set ``which``; ``done`` hears of each family."""
    files = sorted(path for path in folder.glob("*.npz")) if folder.is_dir() else []
    known = [path for path in files if path.stem in _COMPUTE]
    if not known:
        raise WeightsError(
            f"no golden files in {folder}; expected {', '.join(name + '.npz' for name in _COMPUTE)}"
        )
    if not which.isascii() or not which:
        raise WeightsError(f"a stand-in set is named in ASCII letters, not {which!r}")
    families: list[FamilyResult] = []
    unchecked = [path.name for path in files if path not in known]
    with torch.inference_mode():
        for path in known:
            found, left = _check_file(path, which)
            families += found
            unchecked += left
            for row in found:
                done(row)
    return Conformance(tuple(families), tuple(unchecked))
