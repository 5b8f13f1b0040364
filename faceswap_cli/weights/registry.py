"""Weights are declared, found and verified here; nothing else knows where files lie.

Two kinds exist.  *Bundled* files come with the program.  *Installed* ones are the user's: official
checkpoints, converted to safetensors, each with a card (``NAME.json``) that records digest, license and
origin.  They lie in the user's data folder, or where ``FACESWAP_WEIGHTS`` points.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.user_files import weights_folder

_PACKAGE = Path(__file__).resolve().parent.parent
_TABLE = Path(__file__).parent / "tables" / "registry.json"
LICENCE_CLASSES = ("commercial", "noncommercial")


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


def installed_folder() -> Path:
    """The folder of the user's own weights."""
    return weights_folder()


@dataclass(frozen=True, slots=True)
class Licence:
    """What may be done with a file."""

    name: str
    use: str
    """``commercial`` or ``noncommercial``"""
    url: str


@dataclass(frozen=True, slots=True)
class WeightsRow:
    """One file that can be installed."""

    name: str
    checkpoint: str
    """Name in the key tables (``recipe.checkpoints``) of what the file must hold."""
    file: str
    """Its published name."""
    title: str
    origin: str
    addresses: tuple[str, ...]
    """Where ``pull`` finds it, tried in order; empty when it must be fetched by hand."""
    sha256: str
    """Of the published file; empty when nobody has published one."""
    size: int
    licence: Licence


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{where}: {key} must be text, not {type(value).__name__}")
    return value


def _row(entry: Any, where: str) -> WeightsRow:
    if not isinstance(entry, dict) or not isinstance(entry.get("licence"), dict):
        raise UsageError(
            f"{where}: every entry is an object with a license (key 'licence'); see the built-in registry"
        )
    text = {key: _text(entry, key, where) for key in ("name", "checkpoint", "file", "title", "origin")}
    licence = {key: _text(entry["licence"], key, where) for key in ("name", "class", "url")}
    addresses, size = entry.get("addresses", []), entry.get("size", 0)
    digest = _text(entry, "sha256", where).lower()
    named = f"{where}: {text['name'] or 'an entry without a name'}"
    if not text["name"] or set(text["name"]) - set("abcdefghijklmnopqrstuvwxyz0123456789-._"):
        raise UsageError(f"{named}: a name is made of lower-case letters, digits, '-', '.' and '_'")
    if Path(text["file"]).name != text["file"] or not text["file"].strip(". "):
        raise UsageError(f"{named}: file must be a plain file name, not {text['file']!r}")
    if not isinstance(addresses, list) or not all(isinstance(a, str) for a in addresses):
        raise UsageError(f"{named}: addresses must be a list of texts")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise UsageError(f"{named}: size must be a number of bytes, not {size!r}")
    if addresses and (len(digest) != 64 or set(digest) - set("0123456789abcdef") or size == 0):
        raise UsageError(f"{named}: an entry with addresses needs size and sha256 (64 hex digits)")
    if licence["class"] not in LICENCE_CLASSES:
        raise UsageError(f"{named}: license class ('class') must be one of {', '.join(LICENCE_CLASSES)}")
    return WeightsRow(
        **text,
        addresses=tuple(addresses),
        sha256=digest,
        size=size,
        licence=Licence(licence["name"], licence["class"], licence["url"]),
    )


def read_registry(path: Path | None = None) -> dict[str, WeightsRow]:
    """Rows by name: the built-in ones, then those of ``path`` (same form), which win."""
    rows: dict[str, WeightsRow] = {}
    for source in (_TABLE, path):
        if source is None:
            continue
        try:
            data = json.loads(source.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"registry {source} cannot be read: {error}") from error
        entries = data.get("weights") if isinstance(data, dict) else None
        if not isinstance(entries, list):
            raise UsageError(f"registry {source} has no list named weights; see the built-in registry")
        for entry in entries:
            row = _row(entry, f"registry {source.name}")
            rows[row.name] = row
    return rows


def row_of(name: str, registry: Path | None = None) -> WeightsRow:
    """The row called ``name``; an unknown name lists the known ones."""
    rows = read_registry(registry)
    if name not in rows:
        raise UsageError(f"there are no weights named {name}; known are {', '.join(rows)}")
    return rows[name]


def row_for_checkpoint(checkpoint: str) -> WeightsRow:
    """The built-in row whose file holds ``checkpoint`` of the key tables."""
    return next(row for row in read_registry().values() if row.checkpoint == checkpoint)
