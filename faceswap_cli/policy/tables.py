"""Small tables that users write: TOML or JSON of a bounded size, read without running anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from faceswap_cli.errors import InputError, UsageError

LARGEST_BYTES = 1 << 20


def read_small(path: Path, what: str) -> bytes:
    """The bytes of ``path``; :class:`InputError` unless it is a readable file of at most 1 MiB."""
    try:
        if not path.is_file():
            kind = "is not a regular file" if path.exists() else "does not exist"
            raise InputError(f"{what} {path} {kind}; check the name")
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror}); check its permissions") from error
    if len(data) > LARGEST_BYTES:
        raise InputError(f"{what} {path} is larger than 1 MiB; give the small file that was meant")
    return data


def text_of(data: bytes, path: Path, what: str) -> str:
    """UTF-8, with or without its mark at the beginning."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {path} is not UTF-8 text; save it as UTF-8") from error


def parse_table(text: str, path: Path, what: str) -> dict[str, Any]:
    """TOML or, by the ending ``.json``, JSON; :class:`UsageError` when it is not well formed."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    is_json = path.suffix.lower() == ".json"
    try:
        found = json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if is_json else "TOML"
        raise UsageError(f"{what} {path} is not valid {kind}: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{what} {path} holds a {type(found).__name__}, expected names and values")
    return found
