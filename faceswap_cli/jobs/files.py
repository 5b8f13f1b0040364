"""Small files of a job folder: whole or not at all, also after a power cut."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from faceswap_cli.errors import OutputError

_BLOCK = 1 << 20
_DIGEST = "digest"


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when the block ends well: written aside, flushed to disk, renamed."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror or error}); free some "
            "space, then run the command again to resume"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    flush_folder(path.parent)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """``content`` as JSON with a digest of itself, whole or not at all."""
    with whole_file(path) as handle:
        handle.write(json.dumps({**content, _DIGEST: _digest_of(content)}).encode())


def read_json(path: Path) -> dict[str, Any]:
    """The object that :func:`write_json` wrote to ``path``; empty when there is none or it is not whole."""
    found = read_object(path)
    try:
        return found if found.pop(_DIGEST, None) == _digest_of(found) else {}
    except RecursionError:
        return {}


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``, written by whomever; empty when there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def flush_folder(folder: Path) -> None:
    """Make renames in ``folder`` last; a system without that keeps them in its own way."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
