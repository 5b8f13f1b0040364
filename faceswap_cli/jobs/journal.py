"""What of a job is done: a hidden folder beside the output, so that run the command again to resume.

    .NAME.faceswap/
        lock                     held while a run works here; says whose the output is while it is renamed
        workers                  held by every render process that still runs
        analysis.npz, .json      what pass 1 found, with a key of its own, so that pass 1 is done once
        job.json                 the job's key: input, sources, options, weights, program
        segment_000003.mp4       a finished segment
        segment_000003.json      its figures and ledger, and the digest of the file beside it

A segment, or the analysis, counts as done when its record is whole and the file has the digest
that the record names; anything else is done again.  A job with another key starts afresh.  The
folder goes when the output is there, unless the job is to be kept; the lock goes last, so that
a run that was killed at that very moment still knows its own result.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from faceswap_cli.config import JobOptions
from faceswap_cli.errors import FaceswapError, InputError, NoFaceFound, OutputError, PolicyError, UsageError
from faceswap_cli.jobs.files import flush_folder, read_json, sha256, write_json
from faceswap_cli.jobs.keys import Key, differences, digest_of
from faceswap_cli.jobs.locks import is_current, try_lock, wait_until_free
from faceswap_cli.jobs.seal import LOCK, folder_of, is_sealed, seal_of, write_seal
from faceswap_cli.jobs.store import load_analysis, save_analysis
from faceswap_cli.records import Analysis, LedgerRow, Segment, SegmentResult

WORKERS = "workers"
WORKERS_END_S = 20.0
"""Processes of a run that was killed notice it and end; a new run waits for them at most this long."""
_ANSWERS = (NoFaceFound, UsageError, PolicyError)
"""Errors with which the same command would end again: nothing is worth keeping."""
_ATTEMPTS = 50
_LARGEST = 1e15
"""Of the numbers in a ledger"""


class Journal:
    """The open folder of a job; see :func:`open_journal`."""

    def __init__(self, output: Path, lock: IO[str]) -> None:
        self.folder = folder_of(output)
        self._output = output
        self._lock = lock
        self._key: Key = {}
        self._owner = seal_of(lock)

    def analysis(self, key: Key) -> Analysis | None:
        """What an earlier run found in pass 1; None when there is nothing, or nothing whole, for ``key``."""
        record, path = read_json(self.folder / "analysis.json"), self.folder / "analysis.npz"
        try:
            if record.get("key") != key or record.get("sha256") != sha256(path):
                return None
            return load_analysis(path)
        except (OSError, InputError):
            return None

    def keep_analysis(self, key: Key, analysis: Analysis) -> None:
        """Keep what pass 1 found."""
        path = self.folder / "analysis.npz"
        save_analysis(path, analysis)
        write_json(path.with_suffix(".json"), {"key": key, "sha256": sha256(path)})

    def begin(self, key: Key) -> list[str]:
        """The job is known now: keep what belongs to it, drop what does not.

        Returns what differs from the job found here: empty when there was none, or the same one.
        """
        self._key = key
        head = self.folder / "job.json"
        if is_sealed(self._output, self._owner) and self._owner["key"] != digest_of(key):
            raise OutputError(
                f"{self._output} exists and was made by a different command; use --force to replace it"
            )
        found = read_json(head).get("key")
        if found == key:
            return []
        segments = sorted(self.folder.glob("segment_*"))
        for path in segments:
            path.unlink(missing_ok=True)
        write_json(head, {"key": key})
        if not segments or found is None:
            return []
        return differences(found, key) if isinstance(found, dict) else ["key"]

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
            "sha256": sha256(result.path),
        }
        write_json(result.path.with_suffix(".json"), record)

    def _read(self, segment: Segment) -> SegmentResult | None:
        path = self.segment_path(segment)
        record = read_json(path.with_suffix(".json"))
        try:
            if record["segment"] != asdict(segment) or record["sha256"] != sha256(path):
                return None
            ledger = tuple(map(ledger_row, record["ledger"]))
            frames, faces = int(record["frames"]), int(record["swapped_faces"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None
        return SegmentResult(segment, path, frames, faces, ledger)

    def seal(self, finished: Path) -> None:
        """Note that ``finished`` is about to become the output: its time and size survive the rename."""
        found = finished.stat()
        seal = {"key": digest_of(self._key), "size": found.st_size, "mtime_ns": found.st_mtime_ns}
        write_seal(self._lock, json.dumps(seal))

    @property
    def worth_keeping(self) -> bool:
        """Whether a later run can use what is here."""
        return any(self.folder.glob("segment_*.json")) or (self.folder / "analysis.json").exists()


def ledger_row(found: dict[str, Any]) -> LedgerRow:
    """A row out of a record; :class:`ValueError` or :class:`TypeError` when it is none."""
    row = LedgerRow(**{**found, "box": tuple(found["box"])})
    numbers = [row.time_s, *row.box, row.yaw, row.pitch, row.roll, row.occluded, row.mask_area, row.strength]
    if not isinstance(row.in_front, dict) or any(type(name) is not str for name in row.in_front):
        raise ValueError("no row of a ledger")
    numbers += row.in_front.values()
    known = [row.identity_distance] if row.identity_distance is not None else []
    good = all(type(one) is int for one in (row.pts, row.track, row.person)) and len(row.box) == 4
    good = good and type(row.swapped) is bool and {type(row.reason), type(row.source)} == {str}
    if not good or any(type(one) not in (int, float) or abs(one) > _LARGEST for one in numbers + known):
        raise ValueError("no row of a ledger")
    return row


@contextmanager
def open_journal(output: Path, job: JobOptions) -> Iterator[Journal]:
    """The job folder of ``output``, locked; gone after success or when nothing is worth keeping.

    ``job.restart`` throws away what is found, ``job.keep`` leaves the folder in place after success.
    """
    folder = folder_of(output)
    with _entered(folder, output) as lock:
        if not wait_until_free(folder / WORKERS, WORKERS_END_S):
            raise OutputError(
                f"render processes of an earlier run for {output} have not ended yet; try again soon"
            )
        journal = Journal(output, lock)
        _sweep(folder, all_of_it=job.restart)
        finished = False
        try:
            yield journal
            finished = True
        except FaceswapError as error:
            finished = isinstance(error, _ANSWERS)
            raise
        finally:
            if finished and job.keep and journal.worth_keeping:
                _sweep(folder)
                write_seal(lock, "")
            elif finished or not journal.worth_keeping:
                _remove(folder)


@contextmanager
def _entered(folder: Path, output: Path) -> Iterator[IO[str]]:
    """The lock of ``folder``, which is made if need be: two runs on one output exclude each other.

    A run that ends removes the folder, so the lock is tried again when it was that of a removed one.
    """
    for _ in range(_ATTEMPTS):
        try:
            folder.mkdir(exist_ok=True)
            handle = (folder / LOCK).open("a+", encoding="utf-8")
        except OSError as error:
            if isinstance(error, (FileNotFoundError, FileExistsError)) and _just_removed(folder):
                continue
            raise OutputError(
                f"cannot write beside {output} ({error.strerror}); choose another -o"
            ) from error
        with handle:
            if not try_lock(handle):
                raise OutputError(f"another run is working on {output}; wait for it, or choose another -o")
            if is_current(handle, folder / LOCK):
                yield handle
                return
    raise OutputError(f"the job folder {folder} appears and disappears; is another run working on {output}?")


def _just_removed(folder: Path) -> bool:
    """Whether ``folder`` is not there but could be: another run has ended a moment ago."""
    return folder.parent.is_dir() and not (folder.exists() and not folder.is_dir())


def _sweep(folder: Path, *, all_of_it: bool = False) -> None:
    """Remove what a killed run left half-done; with ``all_of_it`` everything but the lock."""
    for path in folder.iterdir():
        if path.name != LOCK and (all_of_it or path.name.endswith((".part", ".parcel", WORKERS))):
            _unlink(path)


def _remove(folder: Path) -> None:
    """All of ``folder``, the lock last."""
    with suppress(OSError):
        _sweep(folder, all_of_it=True)
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
    flush_folder(folder.parent)


def _unlink(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
