"""Who is who: tracks grouped to persons, and the person that is meant.

Identity is decided for whole tracks, by the mean embedding of their best frames, never frame by
frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceswap_cli.config import TrackOptions
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.identity.embed import SAME_PERSON
from faceswap_cli.records import F32, F64, Analysis, FaceTrack, Person

MERGE = 0.55
"""Groups of tracks whose mean embeddings are nearer than this are one person."""
BYSTANDER = 0.05
"""Persons on screen for less than this share of the main person's time get no number of their own."""


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """What grouping needs to know of a track."""

    first: int
    last: int
    embedding: F32 | None
    weight: float
    """Frames times size: how much the track says about the person."""


def groups(tracks: Sequence[Presence]) -> list[list[int]]:
    """Positions of the tracks of each person.

    Agglomerative: the two groups most alike are merged as long as they are alike at all.  Two
    tracks that are seen at the same time are two people, however alike.
    """
    clusters = [[k] for k in range(len(tracks))]
    means: list[F64 | None] = [
        None if t.embedding is None else t.embedding.astype(np.float64) for t in tracks
    ]
    weights = [max(track.weight, 1e-6) for track in tracks]
    while len(clusters) > 1:
        best = _nearest(clusters, means, tracks)
        if best is None:
            break
        a, b = best
        total = weights[a] + weights[b]
        one, other = means[a], means[b]
        if one is not None and other is not None:
            means[a] = (one * weights[a] + other * weights[b]) / total
        weights[a] = total
        clusters[a] += clusters[b]
        for column in (clusters, means, weights):
            del column[b]
    return [sorted(cluster) for cluster in clusters]


def _nearest(
    clusters: list[list[int]], means: list[F64 | None], tracks: Sequence[Presence]
) -> tuple[int, int] | None:
    known = [k for k, mean in enumerate(means) if mean is not None]
    if len(known) < 2:
        return None
    points = np.stack([mean for mean in means if mean is not None])
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    distances[np.tril_indices(len(known))] = np.inf
    for flat in np.argsort(distances, axis=None):
        a, b = divmod(int(flat), len(known))
        if distances[a, b] >= MERGE:
            return None
        if not _together(clusters[known[a]], clusters[known[b]], tracks):
            return known[a], known[b]
    return None


def _together(one: list[int], other: list[int], tracks: Sequence[Presence]) -> bool:
    """Whether any two tracks of the groups are seen at the same time."""
    return any(
        tracks[i].first <= tracks[j].last and tracks[j].first <= tracks[i].last for i in one for j in other
    )


def people(tracks: Sequence[FaceTrack], sets: Sequence[Sequence[int]]) -> tuple[Person, ...]:
    """Persons numbered from the left of the picture; ``sets`` holds positions in ``tracks``."""
    found = []
    for members in sets:
        chosen = [tracks[k] for k in members]
        widths = [np.ptp(track.landmarks[..., 0], axis=1) for track in chosen]
        places = [track.landmarks[..., 0].mean(axis=1) for track in chosen]
        frames = [len(track.pts) for track in chosen]
        found.append(
            Person(
                person=0,
                tracks=tuple(track.track_id for track in chosen),
                frames=sum(frames),
                mean_size_px=float(np.concatenate(widths).mean()),
                mean_x=float(np.concatenate(places).mean()),
                embedding=np.average([t.embedding for t in chosen], axis=0, weights=frames).astype(
                    np.float32
                ),
            )
        )
    main = max((person.frames for person in found), default=0)
    # Bystanders come last, so that a face at the back does not shift the numbers of the others.
    found.sort(key=lambda person: (person.frames < BYSTANDER * main, person.mean_x))
    return tuple(
        Person(k, p.tracks, p.frames, p.mean_size_px, p.mean_x, p.embedding) for k, p in enumerate(found)
    )


def choose_cast(analysis: Analysis, track: TrackOptions, reference: F32 | None = None) -> dict[int, int]:
    """person -> source (0) for ``--face`` or, if ``reference`` (128,) is given, ``--ref``."""
    persons = analysis.people
    if not persons:
        raise NoFaceFound("no face was found in the target; nothing to swap")
    if reference is not None:
        return {_like(persons, reference, track): 0}
    if track.face == "all":
        return {person.person: 0 for person in persons}
    if track.face == "largest":
        return {max(persons, key=presence).person: 0}
    number = 1 if track.face == "left" else int(track.face)
    if number > len(persons):
        count = "1 person" if len(persons) == 1 else f"{len(persons)} people"
        raise NoFaceFound(f"--face {number}: the target shows {count}; try --face 1 or --face all")
    return {persons[number - 1].person: 0}


def presence(person: Person) -> float:
    """Face area times time on screen."""
    return person.frames * person.mean_size_px**2


def _like(persons: Sequence[Person], reference: F32, track: TrackOptions) -> int:
    distances = [float(np.linalg.norm(person.embedding - reference)) for person in persons]
    best = int(np.argmin(distances))
    if distances[best] >= SAME_PERSON:
        name = track.reference.name if track.reference is not None else "the reference"
        raise NoFaceFound(
            f"nobody in the target looks like {name} (nearest distance {distances[best]:.2f}, "
            f"the same person is below {SAME_PERSON}); try another photo or --face N"
        )
    return persons[best].person
