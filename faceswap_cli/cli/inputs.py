"""What the positional arguments mean, and ``-`` for stdin and stdout."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from faceswap_cli.errors import InputError, OutputError, UsageError
from faceswap_cli.identity.people import resolved
from faceswap_cli.output import check_disk

BLOCK = 1 << 20
STDIN_NAME = "stdin"
_SPOOL_CHECK_BLOCKS = 32

_MAGIC = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
    (b"BM", ".bmp"),
    (b"\x1aE\xdf\xa3", ".mkv"),
)


@dataclass(frozen=True, slots=True)
class Given:
    """The positional arguments, ``-`` already replaced by a temporary file."""

    sources: tuple[Path, ...]
    target: Path
    target_from_stdin: bool

    @property
    def paths(self) -> tuple[Path, ...]:
        return (*self.sources, self.target)


def named_files(files: Sequence[str] | None, sources: Sequence[str] | None, target: str | None) -> list[str]:
    """SRC... TARGET from the positional arguments together with ``--source`` and ``--target``."""
    given, named = list(files or ()), list(sources or ())
    if named and target is None:
        if len(given) > 1:
            raise UsageError("with --source give only the target as an argument, or use --target")
        return [*named, *given] if given else _no_target()
    if named and given:
        raise UsageError("the source is given twice: as an argument and with --source; leave one out")
    return [*named, *given, *([] if target is None else [target])]


def _no_target() -> list[str]:
    raise UsageError("the target is missing; add it as the last argument or with --target")


def split_files(files: Sequence[str], cast: Path | None = None) -> tuple[list[str], str]:
    """SRC... TARGET: the last one is the target, and the only one where ``cast`` names the sources.

    A source ``@NAME`` is an enrolled person: it becomes the path of that person's file.
    """
    if cast is not None and len(files) > 1:
        raise UsageError(f"{cast.name} names the sources; with a cast file give only the target")
    if cast is not None and not files:
        raise UsageError("the target is missing; give the video after the options, or with --target")
    if cast is None and len(files) < 2:
        raise UsageError("give two files: the source picture first, the target last")
    if sum(name == "-" for name in files) > 1:
        raise UsageError("'-' (stdin) can be given only once")
    if "" in files:
        raise UsageError("a file name is empty; check for an unset variable in the command")
    return [resolved(name) for name in files[:-1]], files[-1]


def take_inputs(files: Sequence[str], owned: ExitStack, cast: Path | None = None) -> Given:
    """Paths for ``files``; stdin is spooled into a folder that ``owned`` removes."""
    sources, target = split_files(files, cast)
    paths = [path_or_stdin(name, owned) for name in (*sources, target)]
    return Given(tuple(paths[:-1]), paths[-1], target == "-")


def temporary_folder(owned: ExitStack) -> Path:
    """A new folder that goes with the session."""
    folder = Path(tempfile.mkdtemp(prefix="faceswap-"))
    owned.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def path_or_stdin(name: str, owned: ExitStack) -> Path:
    """``name`` as a path; for ``-`` a temporary copy of stdin."""
    if name != "-":
        return Path(name)
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("'-' reads from stdin, but stdin is a terminal; pipe a file into it")
    return spool(sys.stdin.buffer, temporary_folder(owned))


def spool(stream: BinaryIO, folder: Path) -> Path:
    """Copy ``stream`` to a file in ``folder`` named by what it holds; free space is watched."""
    first = stream.read(BLOCK)
    if not first:
        raise InputError("stdin is empty; pipe a picture or a video into it")
    path = folder / (STDIN_NAME + suffix_of(first))
    try:
        with path.open("wb") as file:
            block, count = first, 0
            while block:
                if count % _SPOOL_CHECK_BLOCKS == 0:
                    check_disk(folder, _SPOOL_CHECK_BLOCKS * BLOCK, "the data from stdin")
                file.write(block)
                block, count = stream.read(BLOCK), count + 1
    except OSError as error:
        raise OutputError(f"stdin could not be kept in {folder} ({error.strerror or error})") from error
    return path


def suffix_of(head: bytes) -> str:
    """The usual ending for a file that begins with ``head``."""
    for magic, suffix in _MAGIC:
        if head.startswith(magic):
            return suffix
    if head[:4] == b"RIFF":
        return ".webp" if head[8:12] == b"WEBP" else ".avi"
    if head[4:8] == b"ftyp":
        return ".mov" if head[8:10] == b"qt" else ".mp4"
    return ".bin"


def refuse_terminal() -> None:
    """``-o -`` never fills a terminal with binary data."""
    if sys.stdout is None or sys.stdout.isatty():
        raise UsageError("'-o -' writes the result to stdout, but stdout is a terminal; redirect or pipe it")


def send(path: Path) -> None:
    """The bytes of ``path`` to stdout."""
    sys.stdout.flush()
    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer, BLOCK)
    sys.stdout.buffer.flush()
