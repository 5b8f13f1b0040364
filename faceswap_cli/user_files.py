"""Where a user's own weights lie, and which edits the user has taught."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from faceswap_cli.errors import WeightsError
from faceswap_cli.own_edits import DIGEST, is_name, parsed, plain

TAUGHT = "attributes"
"""Folder of the taught edits, beside imported weights."""
_SUFFIX = ".safetensors"


def weights_folder() -> Path:
    """The folder of the user's own weights, or where ``FACESWAP_WEIGHTS`` points."""
    named = os.environ.get("FACESWAP_WEIGHTS")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("faceswap") / "weights"


def taught_path(name: str) -> Path:
    """Where the file of the edit ``name`` lies or would lie."""
    return weights_folder() / TAUGHT / f"{name}{_SUFFIX}"


def taught_names() -> list[str]:
    """Names of all edits that the user has taught."""
    folder = weights_folder() / TAUGHT
    found = folder.glob(f"*{_SUFFIX}") if folder.is_dir() else ()
    return sorted(path.stem for path in found if is_name(path.stem))


def pinned(name: str) -> str:
    """``beard`` -> ``beard:1f3a9c2e41d0``, by the file as it is now."""
    path = taught_path(name)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror}); teach {name} again: faceswap train --attribute"
        ) from error
    return f"{name}:{digest[:DIGEST]}"


def not_taught(name: str) -> str:
    """What to say of an edit that is not here."""
    known = ", ".join(taught_names()) or "none yet"
    return (
        f"no edit {name} is taught here; known: {known}; try 'faceswap train --attribute {name} WITH WITHOUT'"
    )


def check_taught(own: str) -> None:
    """:class:`WeightsError` when an edit that the setting ``edit.own`` names is not here, or another one."""
    for key in parsed(own):
        name = plain(key)
        if name not in taught_names():
            raise WeightsError(not_taught(name))
        if key not in (name, pinned(name)):
            raise WeightsError(
                f"{taught_path(name)} is another {name} than the one that was asked for; put that one back"
            )
