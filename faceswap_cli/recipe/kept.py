"""A finished job whose folder was kept (``--keep``): its files, and what another rendering can reuse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import InputError, OutputError
from faceswap_cli.jobs.files import read_json, read_object, sha256
from faceswap_cli.jobs.journal import Journal, ledger_row
from faceswap_cli.jobs.keys import Key, differences
from faceswap_cli.jobs.locks import try_lock
from faceswap_cli.jobs.plan import frames_within
from faceswap_cli.jobs.seal import LOCK, folder_of
from faceswap_cli.jobs.store import load_analysis
from faceswap_cli.recipe.inputs import Known
from faceswap_cli.recipe.raw import NAME, load_raw
from faceswap_cli.recipe.record import Recipe, parsed
from faceswap_cli.records import Analysis, Clip, LedgerRow, Plan, Segment, SegmentResult
from faceswap_cli.swap import method_name
from faceswap_cli.swap.engine import Scene
from faceswap_cli.swap.ledger import ledger_rows

_SAME_FILE = frozenset({"input"})
"""Of the target's times and place in the file system; what it holds has been compared already."""
_AFTER_FINDING = frozenset({"smooth.strength", "smooth.code_radius", "track.fade_frames"})
"""Used when all faces of the clip have been found."""
_UNTOUCHED_FRAMES = ("schema", "program", "encode.", "mark.")
"""What frames depend on in which nothing is swapped, besides the target."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The folder of a kept job."""

    folder: Path
    known: Known
    recipe: Recipe
    tell: Callable[[str], None] = field(default=lambda text: None, repr=False, compare=False)
    """Gets a message when less can be reused than one would hope"""

    def analysis(self, clip: Clip, options: SwapOptions, key: Key) -> Analysis | None:
        """The kept one or, where only the smoothing is another, one made of the faces found then."""
        record, path = read_json(self.folder / "analysis.json"), self.folder / "analysis.npz"
        try:
            changed = _changed(record["key"], key)
            if record["sha256"] != sha256(path):
                raise InputError(f"{path.name} is damaged")
            kept = load_analysis(path)
            if not changed:
                return kept
            return self._smoothed_anew(clip, options, key, kept)
        except (OSError, InputError, KeyError, TypeError) as error:
            self.tell(f"the faces are found again: {' '.join(str(error).split())}")
            return None

    def _smoothed_anew(self, clip: Clip, options: SwapOptions, key: Key, kept: Analysis) -> Analysis:
        from faceswap_cli.tracking.analyse import build_analysis

        found, old = load_raw(self.folder / NAME)
        if changed := _changed(old, key) - _AFTER_FINDING:
            raise InputError(f"they were found with another setting of {', '.join(sorted(changed))}")
        found = replace(found, size_changes=kept.size_changes)
        return build_analysis(found, clip, options.track, options.smooth, kept.damaged_packets)

    def lend(self, journal: Journal, job: Plan, scene: Scene, key: Key) -> None:
        """Segments that would come out alike: all of the same job, else those without a swapped face."""
        raw = self.folder / NAME
        if raw.is_file() and not (journal.folder / NAME).exists():
            with suppress(OSError):
                _share(raw, journal.folder / NAME)
        old = read_json(self.folder / "job.json").get("key")
        if not isinstance(old, dict):
            return
        changed = _changed(old, key)
        alike = not any(name.startswith(_UNTOUCHED_FRAMES) for name in changed)
        there = journal.done(job.segments)
        records = {_place(record["segment"]): record for record in self._records()}
        for segment in job.segments:
            record = records.get(_place(asdict(segment)))
            if record is None or segment.index in there or (changed and (segment.touched or not alike)):
                continue
            result = self._taken_over(record, segment, scene, journal.segment_path(segment))
            if result is not None:
                journal.keep(result)

    def _records(self) -> Iterator[dict[str, Any]]:
        """What the journal noted of each segment, with its file."""
        for path in sorted(self.folder.glob("segment_*.json")):
            record = read_json(path)
            place = record.get("segment")
            if isinstance(place, dict) and all(isinstance(one, int) for one in _place(place)):
                yield {**record, "file": path.with_suffix(".mp4")}

    def _taken_over(
        self, record: dict[str, Any], segment: Segment, scene: Scene, path: Path
    ) -> SegmentResult | None:
        try:
            if sha256(record["file"]) != record["sha256"]:
                return None
            frames, faces = int(record["frames"]), int(record["swapped_faces"])
            rows = _rows(record, segment, scene)
            _share(record["file"], path)
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None
        return SegmentResult(segment, path, frames, faces, rows)


def _changed(old: Key, new: Key) -> set[str]:
    """Names of ingredients that differ in more than their spelling, the target's file left out."""
    differing = set(differences(old, new)) - _SAME_FILE
    return {name for name in differing if _meant(name, old.get(name)) != _meant(name, new.get(name))}


def _meant(name: str, text: str | None) -> float | str | None:
    """``30`` and ``30.0`` are one setting, and so are ``auto`` and the method that it stands for."""
    if text is not None and name == "method":
        return method_name(text.strip("'"))
    try:
        return float(text) if text is not None and "." in name else text
    except ValueError:
        return text


def _share(file: Path, path: Path) -> None:
    """``file`` under the name ``path`` as well: files of job folders are replaced, never written into."""
    path.unlink(missing_ok=True)
    try:
        os.link(file, path)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(file, path)


def _place(segment: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a segment the same one: its number and its neighbors do not."""
    return tuple(segment.get(name) for name in ("first_pts", "end_pts", "frames", "touched", "copied"))


def _rows(record: dict[str, Any], segment: Segment, scene: Scene) -> tuple[LedgerRow, ...]:
    """The ledger of a copied segment; of an untouched one a new one, since it holds smoothed faces."""
    if segment.touched:
        return tuple(map(ledger_row, record["ledger"]))
    pts = frames_within(segment, scene.analysis).tolist()
    return tuple(row for one in pts for row in ledger_rows(one, (), scene))


def kept_job(result: Path) -> Kept | None:
    """The kept job of ``result``; None when there is none, or one that is of no use."""
    folder = folder_of(result)
    noted = read_object(folder / "recipe.json")
    try:
        known = Known(
            target=Path(noted["target"]),
            sources=tuple(Path(name) for source in noted["sources"] for name in source["files"]),
            parsing=None if noted["parsing"] is None else Path(noted["parsing"]),
            mask=None if noted.get("mask") is None else Path(noted["mask"]),
        )
        return Kept(folder, known, parsed(noted["result"], f"{folder.name}/recipe.json"))
    except (KeyError, TypeError, InputError):
        return None


@contextmanager
def in_use(kept: Kept) -> Iterator[None]:
    """Nobody removes or rewrites the folder meanwhile; several may read it."""
    try:
        handle = (kept.folder / LOCK).open("a")
    except OSError as error:
        raise InputError(f"{kept.folder} cannot be read ({error.strerror})") from error
    with handle:
        if not try_lock(handle, shared=True):
            raise OutputError(f"another run is working in {kept.folder}; wait for it")
        yield
