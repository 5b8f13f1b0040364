"""The source faces and the people who get them: one source person for all chosen people, or a cast."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from faceswap_cli.cast.file import Cast, read_cast
from faceswap_cli.cast.match import match
from faceswap_cli.config import DetectOptions, TrackOptions
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.records import F32, Analysis, SourceIdentity
from faceswap_cli.tracking.people import choose_cast

Load = Callable[[Sequence[Path]], SourceIdentity]
"""Photographs of one person -> their identity"""


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The people whose faces are put in."""

    people: tuple[SourceIdentity, ...]
    cast: Cast | None = None
    """Who gets which; None: all that the options choose get the first"""
    files: tuple[tuple[Path, ...], ...] = ()
    """For each of ``people`` the files or folders that were given"""
    chosen: Mapping[int, int] | None = None
    """person -> row of ``people``, where an earlier run has settled it; wins over ``cast`` and the options"""

    @property
    def digest(self) -> str:
        """SHA-256 over the photographs of all, in order."""
        if len(self.people) == 1:
            return self.people[0].digest
        return hashlib.sha256(" ".join(one.digest for one in self.people).encode()).hexdigest()


def load_sources(photos: Sequence[Path], track: TrackOptions, load: Load) -> Sources:
    """One person of ``photos`` or, with ``track.cast``, one for every group of photographs it names."""
    if track.cast is None:
        return Sources((load(photos),), files=(tuple(photos),))
    if photos:
        more = Path(photos[0]).name
        raise UsageError(f"{track.cast.name} names the sources: with --cast give only the target, not {more}")
    cast = read_cast(track.cast)
    return Sources(tuple(load(files) for files in _groups(cast)), cast, _groups(cast))


def _groups(cast: Cast) -> tuple[tuple[Path, ...], ...]:
    """Photographs of each source person, once each, in the order of the file."""
    return tuple(dict.fromkeys(role.sources for role in cast.roles if role.sources))


def assign(
    analysis: Analysis, sources: Sources, track: TrackOptions, detect: DetectOptions, clip: str
) -> tuple[dict[int, int], tuple[str, ...]]:
    """person -> row of ``sources.people``, and what the user should know about it."""
    if sources.chosen is not None:
        return _settled(sources.chosen, analysis, clip), ()
    if sources.cast is None:
        return choose_cast(analysis, track, _reference(track, detect)), ()
    found = match(analysis, sources.cast, clip)
    rows = {files: row for row, files in enumerate(_groups(sources.cast))}
    given = {person: rows[role.sources] for person, role in found.roles.items() if role.sources}
    return given, found.notes


def _settled(chosen: Mapping[int, int], analysis: Analysis, clip: str) -> dict[int, int]:
    if not set(chosen) <= {person.person for person in analysis.people}:
        raise InputError(f"the people found in {clip} are not those of the original job; swap it again")
    return dict(chosen)


def _reference(track: TrackOptions, detect: DetectOptions) -> F32 | None:
    if track.reference is None:
        return None
    from faceswap_cli.identity.photos import load_photos

    return load_photos([track.reference], replace(detect, source_face="auto")).embedding
