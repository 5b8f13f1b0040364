"""Whose an output is in the moment of its rename: a note in the lock of its job folder.

A run that is killed between the rename and the clearing up leaves a complete output and a job
folder.  From the note the next run knows that this file is the job's own and may be replaced.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from faceswap_cli.errors import OutputError

LOCK = "lock"


def folder_of(output: Path) -> Path:
    """The job folder of ``output``."""
    return output.parent / f".{output.name}.faceswap"


def is_own_result(output: Path) -> bool:
    """True when a run that was killed before it could clear up had made ``output`` whole.

    An empty job folder is all that is left when it was killed in its very last step: it goes.
    """
    folder = folder_of(output)
    with suppress(OSError):
        folder.rmdir()
    try:
        with (folder / LOCK).open(encoding="utf-8") as lock:
            return is_sealed(output, seal_of(lock))
    except OSError:
        return False


def disown(output: Path) -> None:
    """``output`` may be replaced by any job from now on."""
    with suppress(OSError), (folder_of(output) / LOCK).open("r+", encoding="utf-8") as lock:
        write_seal(lock, "")


def seal_of(lock: IO[str]) -> dict[str, Any]:
    """The note in an open lock; empty when there is none."""
    try:
        lock.seek(0)
        found = json.loads(lock.read())
        return {"key": str(found["key"]), "size": int(found["size"]), "mtime_ns": int(found["mtime_ns"])}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {}


def write_seal(lock: IO[str], text: str) -> None:
    """Replace the note; empty when the output is as good as any other file."""
    try:
        lock.seek(0)
        lock.truncate()
        lock.write(text)
        lock.flush()
        os.fsync(lock.fileno())
    except OSError as error:
        raise OutputError(
            f"cannot write the job folder ({error.strerror}); free some "
            "space, then run the command again to resume"
        ) from error


def is_sealed(output: Path, seal: dict[str, Any]) -> bool:
    """Whether ``output`` is the file that ``seal`` describes: a rename keeps size and time of change."""
    try:
        found = output.stat()
    except OSError:
        return False
    return bool(seal) and (found.st_size, found.st_mtime_ns) == (seal["size"], seal["mtime_ns"])
