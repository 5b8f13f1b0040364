"""Recognize an original file without storing its name, or anything that identifies it elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

from faceswap_cli.errors import InputError

WHOLE_BYTES = 1 << 30
"""Longer files are known by their length and this much of them, in evenly spread pieces."""
PIECE_BYTES = 1 << 20
_KEYED_HEX = 24


def content_digest(path: Path) -> str:
    """SHA-256 of what ``path`` holds, whatever its name and times; seconds at most, however long it is."""
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if size > WHOLE_BYTES:
                digest.update(str(size).encode())
                count = WHOLE_BYTES // PIECE_BYTES
                for number in range(count):
                    file.seek((size - PIECE_BYTES) * number // (count - 1))
                    digest.update(file.read(PIECE_BYTES))
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); check its permissions"
        ) from error
    return digest.hexdigest()


def keyed(digest: str, target: str) -> str:
    """The digest of a source photograph as a result stores it: keyed with that of the target.

    Anyone who has both files can check it.  Nobody can look it up, and the same photograph has
    another one in every result.
    """
    return hashlib.blake2b(digest.encode(), key=bytes.fromhex(target)).hexdigest()[:_KEYED_HEX]
