"""The state of a run on disk: written whole or not at all, checked when read, one older copy kept.

A file is what ``torch.save`` writes followed by the SHA-256 of it.  ``state.pt`` is the newest,
``state.prev.pt`` the one before; a damaged newest is refused and the older one is used.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
from pathlib import Path
from typing import Any

import torch

from faceswap_cli.errors import InputError, OutputError

NEWEST, OLDER = "state.pt", "state.prev.pt"
_DIGEST = 32

log = logging.getLogger(__name__)


def save_state(folder: Path, state: dict[str, Any]) -> Path:
    """Write ``state`` as the newest; the newest so far becomes the older copy."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getbuffer()
    part = folder / f".{NEWEST}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as handle:
            handle.write(data)
            handle.write(hashlib.sha256(data).digest())
            handle.flush()
            os.fsync(handle.fileno())
        if (folder / NEWEST).exists():
            os.replace(folder / NEWEST, folder / OLDER)
        os.replace(part, folder / NEWEST)
    except OSError as error:
        raise OutputError(
            f"cannot write the training state to {folder}: {error.strerror}; free some space"
        ) from error
    return folder / NEWEST


def load_state(folder: Path) -> dict[str, Any] | None:
    """The newest readable state in ``folder``; None when there is none at all.

    Raises :class:`InputError` when states exist but none can be read.
    """
    problems = []
    for name in (NEWEST, OLDER):
        path = folder / name
        if not path.exists():
            continue
        try:
            return read_state(path)
        except InputError as error:
            log.warning("%s", error)
            problems.append(str(error))
    if problems:
        raise InputError(f"{problems[0]}; delete the states in {folder} to start again")
    return None


def read_state(path: Path) -> dict[str, Any]:
    """One state file, verified; only tensors and plain values are accepted."""
    data = path.read_bytes()
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise InputError(f"{path} is damaged (checksum)")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path} is not a training state ({type(error).__name__})") from error
    return state
