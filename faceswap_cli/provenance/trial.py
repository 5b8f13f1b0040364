"""A stranger's C2PA manifest is read by a process of its own first, with a memory limit.

The library believes some of the lengths that a manifest claims and takes memory for them; a file of a few
kilobytes has made it ask for two gigabytes.  What ends the process here is called unreadable by its caller.
"""

from __future__ import annotations

import mmap
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

MOST_MEMORY = 1536 << 20
"""Bytes of address space; an honest manifest of 64 MiB leaves half of it."""
_LONGEST_S = 120.0
_BOX = b"jumb"
"""Every manifest is a box of this type, in whatever file it lies."""


def bearable(path: Path, beside: Path | None = None, most: int = MOST_MEMORY) -> bool:
    """Whether the manifest in ``path`` (or in the sidecar ``beside``) can be read in bounded memory and time.

    ``most`` bytes of address space.
    True as well where there is none, or no way to bound another process.
    """
    if sys.platform == "win32" or not _holds_box(beside or path):
        return True
    files = [str(each) for each in (path, beside) if each is not None]
    try:
        ran = subprocess.run(
            [sys.executable, "-m", __name__, str(most), *files],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    except OSError:
        return True  # no process can be started: the library decides alone
    return ran.returncode == 0


def _holds_box(path: Path) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(_BOX) >= 0
    except (OSError, ValueError):  # empty, or gone: for the caller to find out
        return False


def _main(most: int, files: list[str]) -> None:
    import resource

    from faceswap_cli.provenance.verify import try_report

    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try_report(*map(Path, files))


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
