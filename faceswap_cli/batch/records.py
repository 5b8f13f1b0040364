"""What of a batch is done, so that the same command does only what is missing.

    DIR/.faceswap-batch/3f2a...json     one small file per result, named by the result's path

A record is written before a job starts (with what lies at its output then) and again when it is
done.  Results appear by one rename, so a result that was not there before belongs to the job even
when the program died before the second writing.  When all is done the records go; until then the
same command finds them, and a job counts as done when input, sources and options are what they were.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import faceswap_cli
from faceswap_cli.config import SwapOptions

SCHEMA = 1
FOLDER = ".faceswap-batch"


def row_key(sources: Sequence[Path], target: Path, options: SwapOptions) -> str:
    """SHA-256 of what the result depends on; files stand for themselves by size and time of change."""
    from faceswap_cli.jobs.keys import option_key

    same = option_key(options)
    same.pop("job.measure_identity", None)  # figures for the report
    files = [*_files(sources), target, *files_named(options)]
    stamps = [(str(path.absolute()), stamp(path)) for path in files]
    parts = [SCHEMA, faceswap_cli.__version__, stamps, same]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


def files_named(options: SwapOptions) -> list[Path]:
    """Files that the options name: occlusion mask, reference, cast file and the photographs named in it."""
    track, mask = options.track, options.paste.occlusion_mask
    own = [] if mask is None else [mask]
    if track.cast is None:
        return own if track.reference is None else [*own, track.reference]
    from faceswap_cli.cast.file import read_cast

    return [*own, track.cast, *_files(read_cast(track.cast).sources)]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        inside: list[Path] = []
        if path.is_dir():
            with suppress(OSError):
                inside = sorted(path.iterdir())
        yield from inside or [path]


def stamp(path: Path) -> list[int] | None:
    """Size and time of change; None when the file does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


class Records:
    """The records beside the results of a batch; a folder that cannot be written keeps none."""

    def __init__(self, base: Path) -> None:
        self.folder = base / FOLDER
        self.trouble = ""
        """Why no records can be kept, if so"""

    def done(self, output: Path, key: str) -> dict[str, Any] | None:
        """What was reported of ``output`` when the job ``key`` made it; None when it did not."""
        try:
            record = json.loads(self._path(output).read_text(encoding="utf-8"))
            if record["schema"] != SCHEMA or record["key"] != key:
                return None
            now, after, told = stamp(output), record["after"], record["told"]
            made = now == after if after is not None else now != record["before"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return dict(told) if now is not None and made else None

    def begin(self, output: Path, key: str) -> None:
        """The job ``key`` is about to make ``output``."""
        self._write(output, {"key": key, "before": stamp(output), "after": None, "told": {}})

    def finish(self, output: Path, key: str, told: dict[str, Any]) -> None:
        """The job ``key`` has made ``output``."""
        self._write(output, {"key": key, "before": None, "after": stamp(output), "told": told})

    def forget(self, outputs: Sequence[Path]) -> None:
        """The batch is complete: leave nothing behind."""
        for output in outputs:
            for path in (self._path(output), self._path(output).with_suffix(".part")):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()  # stays while another batch has records in it

    def _path(self, output: Path) -> Path:
        name = hashlib.sha256(os.fsencode(output.absolute())).hexdigest()
        return self.folder / f"{name[:32]}.json"

    def _write(self, output: Path, record: dict[str, Any]) -> None:
        """Whole or not at all.  Records are a convenience: trouble with them stops no job."""
        if self.trouble:
            return
        path = self._path(output)
        part = path.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("w", encoding="utf-8") as handle:
                json.dump({"schema": SCHEMA, **record}, handle)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(part, path)
        except OSError as error:
            self.trouble = error.strerror or str(error)
