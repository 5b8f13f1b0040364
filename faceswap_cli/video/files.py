"""The first look at an input file, the same for clips and pictures."""

from __future__ import annotations

import os
from pathlib import Path

from faceswap_cli.errors import InputError


def check_file(path: Path, kind: str) -> None:
    """Raise :class:`InputError` when ``path`` is missing, a folder, a device, empty or not readable.

    ``kind`` says what is wanted, for the message.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; check the name and the permissions") from error
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a {kind} in it")
    if not path.is_file():
        raise InputError(f"{path} is a pipe or a device, not a regular file; pipe it into '-' instead")
    if found.st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy or download it again")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read; check its permissions")
