"""What of a job is done: a hidden folder beside the output, so that the same command goes on.

    .NAME.faceswap/
        job.json                 the job's key: a digest of input, sources, options and program
        lock                     held while a run works here
        segment_000003.mp4       a finished segment
        segment_000003.json      its figures and ledger, and the digest of the file beside it

A segment counts as done when its record is whole and the file has the digest that the record
names; anything else is rendered again.  A job with another key starts afresh.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

import faceswap_cli
from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import NoFaceFound, OutputError
from faceswap_cli.records import Clip, LedgerRow, Segment, SegmentResult

SCHEMA = 1
_SAMPLE = 1 << 20


def job_key(
    clip: Clip, sources_digest: str, cast: dict[int, int], method_digest: str, options: SwapOptions
) -> str:
    """SHA-256 of everything that the pixels depend on; where and by how many it is run is left out.

    ``cast`` stands for the reference photograph, whose file the options only name; ``method_digest``
    for weights that the user installs.
    """
    same_pixels = replace(options, job=replace(options.job, workers=0))
    parts = {
        "schema": SCHEMA,
        "program": faceswap_cli.__version__,
        "input": _file_digest(clip.path),
        "sources": sources_digest,
        "cast": sorted(cast.items()),
        "method": method_digest,
        "options": repr(same_pixels),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    """Of a clip: its size, time of change, and samples; reading all of a long one would take minutes."""
    found = path.stat()
    digest = hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode())
    with path.open("rb") as handle:
        for place in (0, found.st_size // 2, max(found.st_size - _SAMPLE, 0)):
            handle.seek(place)
            digest.update(handle.read(_SAMPLE))
    return digest.hexdigest()


class Journal:
    """The open folder of a job; see :func:`open_journal`."""

    def __init__(self, folder: Path, *, afresh: bool) -> None:
        self.folder = folder
        self.afresh = afresh
        """True when the remains of another job were thrown away."""

    def segment_path(self, segment: Segment) -> Path:
        return self.folder / f"segment_{segment.index:06d}.mp4"

    def done(self, segments: Sequence[Segment]) -> dict[int, SegmentResult]:
        """Results of the segments that an earlier run finished, by index."""
        found = ((segment.index, self._read(segment)) for segment in segments)
        return {index: result for index, result in found if result is not None}

    def keep(self, result: SegmentResult) -> None:
        """Record a finished segment; its file is on disk already."""
        record = {
            "segment": asdict(result.segment),
            "frames": result.frames,
            "swapped_faces": result.swapped_faces,
            "ledger": [asdict(row) for row in result.ledger],
            "seconds": result.seconds,
            "sha256": _sha256(result.path),
        }
        _write(result.path.with_suffix(".json"), record)

    def _read(self, segment: Segment) -> SegmentResult | None:
        path = self.segment_path(segment)
        try:
            record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            if record["segment"] != asdict(segment) or record["sha256"] != _sha256(path):
                return None
            ledger = tuple(LedgerRow(**{**row, "box": tuple(row["box"])}) for row in record["ledger"])
            frames, faces = int(record["frames"]), int(record["swapped_faces"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return SegmentResult(segment, path, frames, faces, ledger)


@contextmanager
def open_journal(output: Path, key: str) -> Iterator[Journal]:
    """The job folder of ``output``, locked; gone after success or when nothing is worth keeping."""
    folder = output.parent / f".{output.name}.faceswap"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write beside {output} ({error.strerror}); choose another -o") from error
    with _locked(folder, output):
        journal = _begin(folder, key)
        finished = False
        try:
            yield journal
            finished = True
        except NoFaceFound:
            # An answer, not an interruption: the same command would end the same way.
            finished = True
            raise
        finally:
            if finished or not any(folder.glob("segment_*.json")):
                shutil.rmtree(folder, ignore_errors=True)


def _begin(folder: Path, key: str) -> Journal:
    """Keep what belongs to this job, drop what does not."""
    head = folder / "job.json"
    try:
        same = json.loads(head.read_text(encoding="utf-8")).get("key") == key
    except (OSError, ValueError, AttributeError):
        same = False
    remains = [path for path in folder.iterdir() if path.name != "lock"]
    if not same:
        for path in remains:
            with suppress(OSError):
                path.unlink()
        _write(head, {"schema": SCHEMA, "key": key})
    return Journal(folder, afresh=bool(remains) and not same)


@contextmanager
def _locked(folder: Path, output: Path) -> Iterator[None]:
    """Two runs on one output exclude each other; a run that died holds nothing."""
    with (folder / "lock").open("a") as handle:
        if not _try_lock(handle):
            raise OutputError(f"another run is working on {output}; wait for it, or choose another -o")
        yield


def _try_lock(handle: IO[Any]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: an open file cannot be removed there, which serves as well
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return (
            hashlib.file_digest(handle, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else (hashlib.sha256(handle.read()).hexdigest())
        )


def _write(path: Path, content: object) -> None:
    """Whole or not at all: written aside, flushed to disk, renamed."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as handle:
            json.dump(content, handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error.strerror}); free some space and go on") from error
