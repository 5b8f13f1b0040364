"""Who of a clip is who of a cast file: by their faces, never by number or place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceswap_cli.cast.file import Cast, Role
from faceswap_cli.cast.make import person_doubt, tracks_of
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.records import F64, I64, Analysis, Person
from faceswap_cli.tracking.people import ALIKE, MARGIN

SAME_TRACK = 0.25
"""A face that hardly shows who it is counts only as the very one that the file was made from."""


@dataclass(frozen=True, slots=True)
class Match:
    """Which person plays which role."""

    roles: dict[int, Role]
    """person -> role; persons who are nobody of the cast are left out"""
    notes: tuple[str, ...]
    """What the user should know: roles not found, persons in no role, look-alikes"""


def match(analysis: Analysis, cast: Cast, clip: str) -> Match:
    """Assign the persons of ``analysis`` to the roles of ``cast``, the surest first.

    One role may be played by several persons (one person taken for two), but never by two who are
    seen at the same time.  :class:`NoFaceFound` when no role with a source is in the clip, whose
    name is ``clip``.
    """
    distances = _distances(analysis, cast.roles)
    free = _pairs(analysis, cast.roles, distances)
    given: dict[int, int] = {}
    together = _together(analysis)
    for k, r in free:
        rivals = [other for other, role in given.items() if role == r]
        if k not in given and not any(together[k, other] for other in rivals):
            given[k] = r
    if not any(cast.roles[r].sources for r in given.values()):
        raise NoFaceFound(_nobody(cast, distances, clip))
    found = {analysis.people[k].person: cast.roles[r] for k, r in sorted(given.items())}
    return Match(found, tuple(_notes(analysis, cast, distances, given, clip)))


def _distances(analysis: Analysis, roles: Sequence[Role]) -> F64:
    """(people, roles): from a person's mean to the nearest face of a role."""
    rows = [
        [float(np.linalg.norm(role.faces - person.embedding, axis=1).min()) for role in roles]
        for person in analysis.people
    ]
    return np.array(rows, dtype=np.float64).reshape(len(analysis.people), len(roles))


def _pairs(analysis: Analysis, roles: Sequence[Role], distances: F64) -> list[tuple[int, int]]:
    """(person, role) that may be the same, nearest first."""
    found = []
    for k, person in enumerate(analysis.people):
        unclear = bool(person_doubt(tracks_of(analysis, person)))
        for r, role in enumerate(roles):
            limit = SAME_TRACK if role.doubt else ALIKE
            others = np.delete(distances[k], r).min(initial=np.inf)
            told = not unclear or distances[k, r] < SAME_TRACK or others > distances[k, r] + MARGIN
            if distances[k, r] < limit and told:
                found.append((float(distances[k, r]), k, r))
    return [(k, r) for _, k, r in sorted(found)]


def _together(analysis: Analysis) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """(people, people): whether the two are found in one and the same frame."""
    seen = [_found(analysis, person) for person in analysis.people]
    shared = [[bool(np.intersect1d(a, b).size) for b in seen] for a in seen]
    return np.array(shared, dtype=np.bool_).reshape(len(seen), len(seen))


def _found(analysis: Analysis, person: Person) -> I64:
    """Times at which the face itself was found, not bridged."""
    pts = [track.pts[track.confidence > 0] for track in tracks_of(analysis, person)]
    return np.concatenate(pts) if pts else np.zeros(0, np.int64)


def _nobody(cast: Cast, distances: F64, clip: str) -> str:
    wanted = [r for r, role in enumerate(cast.roles) if role.sources]
    nearest = f"{distances[:, wanted].min():.2f}" if distances.size else "none"
    names = ", ".join(cast.roles[r].name for r in wanted)
    return (
        f"nobody in {clip} looks like {names} of {cast.path.name} (nearest distance {nearest}, the same "
        f"person is below {ALIKE}); make a cast of this clip with 'faceswap inspect CLIP --cast FILE'"
    )


def _notes(analysis: Analysis, cast: Cast, distances: F64, given: dict[int, int], clip: str) -> list[str]:
    name = cast.path.name
    notes = [
        f"{role.name} of {name} is not seen in {clip}"
        for r, role in enumerate(cast.roles)
        if role.sources and r not in given.values()
    ]
    strangers = [person.person + 1 for k, person in enumerate(analysis.people) if k not in given]
    if strangers:
        count = "1 person" if len(strangers) == 1 else f"{len(strangers)} people"
        listed = ", ".join(f"--face {number}" for number in strangers[:6])
        notes.append(f"{count} of {clip} ({listed}) not in {name}: left as they are")
    for k, r in given.items():
        others = np.delete(distances[k], r)
        if others.size and others.min() < distances[k, r] + MARGIN and cast.roles[r].sources:
            notes.append(
                f"--face {analysis.people[k].person + 1} of {clip} looks almost as much like another person "
                f"of {name} as like {cast.roles[r].name}: check the result"
            )
    return notes
