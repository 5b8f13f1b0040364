"""Weights are declared, found and verified here; nothing else knows where files lie."""

from __future__ import annotations

from pathlib import Path

from faceswap_cli.errors import WeightsError

_PACKAGE = Path(__file__).resolve().parent.parent


def bundled_folder() -> Path:
    """The folder of the weights that come with the program: in the wheel, or in the checkout."""
    inside = _PACKAGE / "_bundled"
    return inside if inside.is_dir() else _PACKAGE.parent / "weights"


def bundled(name: str) -> Path:
    """Path of a bundled file; :class:`WeightsError` when it is missing."""
    path = bundled_folder() / name
    if not path.is_file():
        raise WeightsError(f"weights file {name} is missing from {path.parent}; reinstall faceswap-cli")
    return path
