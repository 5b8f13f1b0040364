"""Edits of a source's appearance (age and the like): its texture is changed once, before a method sees it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from faceswap_cli import own_edits
from faceswap_cli.errors import WeightsError
from faceswap_cli.nets.attributes import ATTRIBUTES, Attributes
from faceswap_cli.records import F32
from faceswap_cli.swap import facespace
from faceswap_cli.swap.texture import Texture
from faceswap_cli.user_files import check_taught
from faceswap_cli.weights.load import load_strict
from faceswap_cli.weights.registry import bundled
from faceswap_cli.weights.taught import read_taught

FILE = "attributes.safetensors"
_FAR = 3.5
"""Codes beyond this many deviations are drawn in before editing: nothing like them was learned from."""


def retouched(texture: Texture, changes: Mapping[str, float], how: str = "editor") -> Texture:
    """``texture`` with attributes changed, itself where none is asked; ``how`` as in ``nets.attributes``."""
    if not any(changes.values()):
        return texture
    return facespace.added(texture, change_of(facespace.code_of(texture), changes, how))


def change_of(code: F32, changes: Mapping[str, float], how: str = "editor") -> F32:
    """(CODE,) -> (CODE,): what to add to the code."""
    wanted = torch.tensor([[float(changes.get(name, 0.0)) for name in ATTRIBUTES]])
    start = torch.from_numpy(code)[None].clamp(-_FAR, _FAR)
    with torch.inference_mode():
        moved = attributes().edited(start, wanted, how) if wanted.any() else start
        for name, amount in changes.items():
            if name not in ATTRIBUTES and amount:
                moved = taught(name).edited(moved, own_change(amount), how)
    return np.asarray((moved - start)[0].numpy(), np.float32)


def own_change(amount: float) -> torch.Tensor:
    """(1, attributes) for the networks of a taught edit, whose own attribute is the last: from the pictures
    without it (-1) to those with it (1) is 1 for people."""
    return torch.tensor([[0.0] * len(ATTRIBUTES) + [2.0 * amount]])


@lru_cache(maxsize=1)
def attributes() -> Attributes:
    """The bundled networks, read once."""
    return load_attributes(bundled(FILE), facespace.digest())


@lru_cache(maxsize=16)
def taught(key: str) -> Attributes:
    """The networks of an edit that the user taught; ``key`` is its name, or name and digest of the file."""
    name = own_edits.plain(key)
    check_taught(f"{key}=1")
    about, state = read_taught(name)
    if about.space != facespace.digest():
        raise WeightsError(
            f"{about.path} was taught with another {facespace.FILE}; "
            f"teach it again: faceswap train --attribute {name} ... --force"
        )
    whole = {part: value.float() for part, value in state.items()}
    return load_strict(lambda: Attributes(len(ATTRIBUTES) + 1), whole, about.path.name)


def load_attributes(path: Path, space: str) -> Attributes:
    """The networks in ``path``, which must have been taught in the ``space`` of that digest."""
    try:
        with safe_open(path, "pt") as handle:
            made_for = (handle.metadata() or {}).get("space", "")
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); reinstall faceswap-cli") from error
    if made_for != space:
        raise WeightsError(
            f"{path.name} was taught with another {facespace.FILE}; teach it again (training.attributes)"
        )
    whole = {name: value.float() for name, value in stored.items()}
    return load_strict(Attributes, whole, path.name).eval().requires_grad_(False)
