"""Who is who: tracks grouped to persons, and the person that is meant.

Identity is decided for whole tracks, by the mean embedding of their best frames, never frame by
frame, and over the whole clip: a person in several shots is one person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceswap_cli.config import TrackOptions
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.identity.embed import SAME_PERSON
from faceswap_cli.identity.pose import pose
from faceswap_cli.records import F32, F64, Analysis, FaceTrack, Person

ALIKE = 0.46
"""Mean distance of two groups of tracks up to which they are one person.

Measured on 35 people (49 clips, faces of 60 to 330 px): tracks of one person are at most 0.33 apart,
seconds of one person up to 0.57, different people of one camera from 0.45 on; average linkage cut between
0.45 and 0.48 makes no error in either.  Taking two people for one is worse than the reverse.
"""
ADOPT, MARGIN = 0.5, 0.08
"""A track that hardly shows who it is joins a person nearer than this, if all others are clearly farther."""
SMALLEST_PX, BLURRED, TURNED_DEG = 28.0, 0.22, 55.0
"""Always below this width, below this sharpness or beyond this yaw a face hardly shows who it is: its
embedding is then more than 0.35 from the same face seen well (measured), close to that of others."""
BYSTANDER = 0.05
"""Persons on screen for less than this share of the main person's time get no number of their own."""
_NEVER = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """What grouping needs to know of a track."""

    first: int
    last: int
    embedding: F32 | None
    weight: float
    """Frames times size: how much the track says about the person."""
    clear: bool = True
    """False when the face is too small, blurred or turned to show who it is."""


def groups(tracks: Sequence[Presence]) -> list[list[int]]:
    """Positions of the tracks of each person.

    Average linkage over the clear tracks; two tracks that are seen at the same time are two people,
    however alike.  An unclear track joins the person that it is clearly nearest to, or stays alone.
    """
    clear = [k for k, track in enumerate(tracks) if track.clear and track.embedding is not None]
    sets = _linked(clear, tracks)
    means = [_mean(members, tracks) for members in sets]
    rest = [k for k in range(len(tracks)) if k not in set(clear)]
    for k in sorted(rest, key=lambda k: -tracks[k].weight):
        home = _adopted(tracks[k], sets, means, tracks)
        if home is None:
            sets.append([k])
        else:
            sets[home].append(k)
    return [sorted(members) for members in sets]


def _linked(chosen: Sequence[int], tracks: Sequence[Presence]) -> list[list[int]]:
    if len(chosen) < 2:
        return [[k] for k in chosen]
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    points = _points(chosen, tracks)
    first = np.array([tracks[k].first for k in chosen])
    last = np.array([tracks[k].last for k in chosen])
    rows, columns = np.triu_indices(len(chosen), 1)
    together = (first[rows] <= last[columns]) & (first[columns] <= last[rows])
    # So far apart that no average with it comes below the limit.
    distances = np.where(together, _NEVER, pdist(points))
    labels = fcluster(linkage(distances, "average"), ALIKE, "distance")
    found: dict[int, list[int]] = {}
    for k, label in zip(chosen, labels.tolist(), strict=True):
        found.setdefault(label, []).append(k)
    return list(found.values())


def _mean(members: Sequence[int], tracks: Sequence[Presence]) -> F64:
    weights = [max(tracks[k].weight, 1e-6) for k in members]
    mean: F64 = np.average(_points(members, tracks), axis=0, weights=weights)
    return mean


def _points(members: Sequence[int], tracks: Sequence[Presence]) -> F64:
    """(len(members), 128); all of them have an embedding."""
    found = (tracks[k].embedding for k in members)
    return np.stack([one for one in found if one is not None]).astype(np.float64)


def _adopted(
    track: Presence, sets: Sequence[Sequence[int]], means: Sequence[F64], tracks: Sequence[Presence]
) -> int | None:
    """The person of an unclear track; None when it is not clear."""
    if track.embedding is None or not means:
        return None
    distances = np.array([np.linalg.norm(track.embedding - mean) for mean in means])
    others = [any(_overlap(track, tracks[k]) for k in sets[home]) for home in range(len(means))]
    free = np.where(others, np.inf, distances)
    home = int(free.argmin())
    runner_up = np.delete(free, home).min(initial=np.inf)
    if free[home] >= ADOPT or runner_up < free[home] + MARGIN:
        return None
    return home


def _overlap(one: Presence, other: Presence) -> bool:
    return one.first <= other.last and other.first <= one.last


def doubt(landmarks: F32, sharpness: float) -> str:
    """Why a face hardly shows who it is, from its meshes (T, 478, 3) in pixels; empty when it does."""
    width = float(np.ptp(landmarks[..., 0], axis=1).max())
    if width < SMALLEST_PX:
        return f"too small ({width:.0f} px)"
    if sharpness < BLURRED:
        return "too blurred"
    yaw = float(np.abs(pose(landmarks).yaw).min())
    return f"turned away (by {yaw:.0f} degrees at least)" if yaw > TURNED_DEG else ""


def track_doubt(track: FaceTrack) -> str:
    """:func:`doubt` of a track, from the frames in which its face was found."""
    found = track.confidence > 0
    return doubt(track.landmarks[found] if found.any() else track.landmarks, track.sharpness)


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
                embedding=_embedding(chosen),
            )
        )
    main = max((person.frames for person in found), default=0)
    # Bystanders come last, so that a face at the back does not shift the numbers of the others.
    found.sort(key=lambda person: (person.frames < BYSTANDER * main, person.mean_x))
    return tuple(
        Person(k, p.tracks, p.frames, p.mean_size_px, p.mean_x, p.embedding) for k, p in enumerate(found)
    )


def _embedding(tracks: Sequence[FaceTrack]) -> F32:
    """(128,) mean by frames, of the tracks that show who it is, if there are any."""
    clear = [track for track in tracks if not track_doubt(track)] or list(tracks)
    mean = np.average([t.embedding for t in clear], axis=0, weights=[len(t.pts) for t in clear])
    return np.asarray(mean, np.float32)


def choose_cast(analysis: Analysis, track: TrackOptions, reference: F32 | None = None) -> dict[int, int]:
    """person -> source (0) for ``--face`` or, if ``reference`` (128,) is given, ``--ref``."""
    persons = analysis.people
    if not persons:
        raise NoFaceFound("no face was found in the target; nothing to swap")
    if reference is not None:
        name = track.reference.name if track.reference is not None else "the reference"
        rows = matching(np.stack([person.embedding for person in persons]), reference, name)
        return {persons[row].person: 0 for row in rows}
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


def matching(embeddings: F32 | F64, reference: F32, name: str) -> list[int]:
    """Rows of (N, 128) that are the person of ``reference``, the nearest first.

    More than one where the person is seen several times at once: in a mirror, on a screen.
    :class:`NoFaceFound` without any.
    """
    distances = np.linalg.norm(embeddings - reference, axis=1)
    best = int(distances.argmin())
    if distances[best] >= SAME_PERSON:
        raise NoFaceFound(
            f"nobody in the target looks like {name} (nearest distance {distances[best]:.2f}, "
            f"the same person is below {SAME_PERSON}); try another photo or --face N"
        )
    apart = np.maximum(distances, np.linalg.norm(embeddings - embeddings[best], axis=1))
    return [best, *(row for row in np.flatnonzero(apart < ALIKE).tolist() if row != best)]
