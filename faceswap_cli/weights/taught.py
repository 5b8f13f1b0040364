"""Files of the edits that users teach (``faceswap train --attribute``): one safetensors file each.

What is known of an edit stands in the file's header, with a digest of its numbers: a file is trusted when
they agree.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from faceswap_cli.errors import WeightsError
from faceswap_cli.user_files import TAUGHT, not_taught, taught_path

KIND = "faceswap attribute"
_LARGEST = 4 << 20


@dataclass(frozen=True, slots=True)
class Taught:
    """What is known of a taught edit."""

    name: str
    path: Path
    size: int
    sha256: str
    """Of its numbers"""
    space: str
    """Digest of the space of faces that it was taught in"""
    about: Mapping[str, str]
    """How it was taught, and how well it is recognized on people held out: text for people"""

    @property
    def label(self) -> str:
        """As ``faceswap weights`` names it."""
        return label_of(self.name)


def label_of(name: str) -> str:
    return f"{TAUGHT}/{name}"


def save_taught(
    path: Path, name: str, state: Mapping[str, Tensor], space: str, about: Mapping[str, str]
) -> None:
    """Write the file; it appears whole or not at all."""
    known = {"name": name, "space": space, "sha256": _digest(state), **about}
    part = path.with_name(f".{path.name}.part")
    try:
        # One entry: several would be written in another order each time.
        save_file(dict(state), part, metadata={KIND: json.dumps(known, sort_keys=True)})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_taught(name: str) -> tuple[Taught, dict[str, Tensor]]:
    """The verified file of ``name``; :class:`WeightsError` when it is missing, damaged or of another kind."""
    path = taught_path(name)
    if not path.is_file():
        raise WeightsError(not_taught(name))
    again = f"teach it again: faceswap train --attribute {name} ... --force"
    try:
        if path.stat().st_size > _LARGEST:
            raise WeightsError(f"{path} is too large to be a taught edit; {again}")
        with safe_open(path, "pt") as handle:
            header = _header((handle.metadata() or {}).get(KIND, ""))
            state = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118  no mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); {again}") from error
    if header.pop("name", "") != name or any(value.dtype != torch.float16 for value in state.values()):
        raise WeightsError(f"{path} is not an edit taught as {name}; {again}")
    sha256, space = header.pop("sha256", ""), header.pop("space", "")
    if _digest(state) != sha256:
        raise WeightsError(f"{path} is damaged: its numbers are not those that were written; {again}")
    return Taught(name, path, path.stat().st_size, sha256, space, header), state


def _header(text: str) -> dict[str, str]:
    """What stands in a file of ours; nothing for others'."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(f"{key} {tuple(state[key].shape)} {state[key].dtype}".encode())
        digest.update(state[key].contiguous().numpy().tobytes())
    return digest.hexdigest()
