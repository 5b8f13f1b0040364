"""The faces of pass 1 as they were found, before smoothing: what ``edit --smooth`` starts from.

The analysis in a job folder is smoothed for good; ``--keep`` leaves this file beside it.  Plain arrays
(NPZ) and a JSON header, nothing that runs code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceswap_cli.config import JobOptions
from faceswap_cli.errors import InputError
from faceswap_cli.jobs.files import whole_file
from faceswap_cli.jobs.keys import Key
from faceswap_cli.jobs.store import UNREADABLE

if TYPE_CHECKING:
    from faceswap_cli.tracking.analyse import Gathered
    from faceswap_cli.tracking.tracks import Piece

KeepRaw = Callable[["Gathered"], None]
NAME = "found.npz"
SCHEMA = 3
_ARRAYS = ("frames", "landmarks", "scores")


def raw_keeper(folder: Path, key: Key, job: JobOptions) -> KeepRaw | None:
    """What puts the faces found into the job folder ``folder``; None when that is not to be kept."""
    return partial(save_raw, folder / NAME, key) if job.keep else None


def save_raw(path: Path, key: Key, found: Gathered) -> None:
    """Write ``found`` to ``path``, whole or not at all; ``key`` is that of the analysis made of it."""
    arrays: dict[str, Any] = {
        "pts": found.pts,
        "looks": np.stack([one.look for one in found.signatures]),
    }
    for k, piece in enumerate(found.pieces):
        arrays |= {f"piece{k}.{name}": getattr(piece, name) for name in _ARRAYS}
        if piece.embedding is not None:
            arrays[f"piece{k}.embedding"] = piece.embedding
    sharpness = [piece.sharpness for piece in found.pieces]
    header = {"schema": SCHEMA, "key": key, "sharpness": sharpness, "sha256": _digest(arrays)}
    header["tint"] = found.tint
    header["split"] = [piece.split for piece in found.pieces]
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with whole_file(path) as handle:
        np.savez(handle, header=text, **arrays)


def load_raw(path: Path) -> tuple[Gathered, Key]:
    """Inverse of :func:`save_raw`; :class:`InputError` when the file is missing or damaged."""
    from faceswap_cli.tracking.analyse import Gathered
    from faceswap_cli.tracking.shots import Signature

    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes())
            if header["schema"] != SCHEMA:
                raise ValueError(f"format {header['schema']}")
            if header["sha256"] != _digest({name: stored[name] for name in stored.files if name != "header"}):
                raise ValueError("its digest is wrong")
            known = zip(header["sharpness"], header["split"], strict=True)
            pieces = tuple(_piece(stored, k, float(sharp), bool(cut)) for k, (sharp, cut) in enumerate(known))
            signatures = tuple(map(Signature, stored["looks"]))
            tint = header["tint"] and tuple((float(cb), float(cr)) for cb, cr in header["tint"])
            return Gathered(stored["pts"], signatures, pieces, tint), dict(header["key"])
    except UNREADABLE as error:
        raise InputError(f"{path} is not readable ({type(error).__name__}: {error})") from error


def _digest(arrays: Mapping[str, Any]) -> str:
    """SHA-256 of names, kinds, shapes and numbers."""
    found = hashlib.sha256()
    for name, value in arrays.items():
        found.update(f"{name} {value.dtype} {value.shape} ".encode())
        found.update(np.ascontiguousarray(value).data)
    return found.hexdigest()


def _piece(stored: Any, k: int, sharpness: float, split: bool) -> Piece:
    from faceswap_cli.tracking.tracks import Piece

    own = {name: stored[f"piece{k}.{name}"] for name in _ARRAYS}
    name = f"piece{k}.embedding"
    return Piece(**own, embedding=stored.get(name), sharpness=sharpness, split=split)
