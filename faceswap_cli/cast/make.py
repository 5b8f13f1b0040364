"""From an analysis to the entries of a cast file: names, remarks, what the people look like."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from faceswap_cli.cast.file import Entry, Role
from faceswap_cli.records import F32, I64, Analysis, FaceTrack, Person
from faceswap_cli.tracking.people import track_doubt

FACES_KEPT = 5
"""Embeddings of a person in the file: the mean, and the tracks that differ most from it and each other."""
_GAP_S = 1.0
"""Shorter absences are not shown."""
_STRETCHES = 6


def cast_entries(analysis: Analysis, time_base: Fraction) -> tuple[Entry, ...]:
    """One entry for each person, in the order of ``analysis.people``, named A, B, C ..."""
    entries = []
    for person, name in zip(analysis.people, names(len(analysis.people)), strict=True):
        tracks = tracks_of(analysis, person)
        role = Role(name, (), _faces(person, tracks), person_doubt(tracks))
        entries.append(Entry(role, _remarks(person, tracks, role.doubt, analysis, time_base)))
    return tuple(entries)


def tracks_of(analysis: Analysis, person: Person) -> tuple[FaceTrack, ...]:
    return tuple(track for track in analysis.tracks if track.track_id in person.tracks)


def person_doubt(tracks: Sequence[FaceTrack]) -> str:
    """Why a person can hardly be recognized: the reason of the longest track; empty if any track suffices."""
    reasons = [(len(track.pts), track_doubt(track)) for track in tracks]
    return max(reasons)[1] if reasons and all(reason for _, reason in reasons) else ""


def names(count: int) -> list[str]:
    """A to Z, then AA, AB and so on."""
    return [_letters(k) for k in range(count)]


def _letters(k: int) -> str:
    head, last = divmod(k, 26)
    return (_letters(head - 1) if head else "") + chr(ord("A") + last)


def _faces(person: Person, tracks: Sequence[FaceTrack]) -> F32:
    """(K, 128): farthest-point choice among the clear tracks, begun at the person's mean."""
    clear = [track.embedding for track in tracks if not track_doubt(track)]
    chosen = [person.embedding]
    while clear and len(chosen) < FACES_KEPT:
        stack = np.stack(chosen)
        far = [float(np.linalg.norm(stack - one, axis=1).min()) for one in clear]
        best = int(np.argmax(far))
        if far[best] < 0.05:
            break
        chosen.append(clear.pop(best))
    return np.stack(chosen).astype(np.float32)


def _remarks(
    person: Person, tracks: Sequence[FaceTrack], doubt: str, analysis: Analysis, time_base: Fraction
) -> tuple[str, ...]:
    pts = np.unique(np.concatenate([track.pts for track in tracks]))
    share = len(pts) / max(len(analysis.pts), 1)
    shots = sum(_seen_in(pts, shot.first_pts, shot.end_pts) for shot in analysis.shots)
    where = "1 shot" if shots == 1 else f"{shots} shots"
    remarks = [
        f"seen {_stretches(pts, analysis, time_base)}; in {share:.0%} of the frames, {where}",
        f"{_box(tracks, analysis, time_base)}; --face {person.person + 1}",
    ]
    if doubt:
        remarks.append(f"{doubt[0].upper()}{doubt[1:]}: may be one of the others. Compare the pictures.")
    return tuple(remarks)


def _seen_in(pts: I64, first: int, end: int) -> bool:
    return bool(np.searchsorted(pts, end) > np.searchsorted(pts, first))


def _stretches(pts: I64, analysis: Analysis, time_base: Fraction) -> str:
    """``0:00.0 to 0:04.2, 0:09.0 to 0:12.4``, from the beginning of what was analyzed."""
    seconds = (pts - analysis.pts[0]) * float(time_base)
    breaks = np.flatnonzero(np.diff(seconds) > _GAP_S)
    firsts = seconds[np.concatenate([[0], breaks + 1])]
    lasts = seconds[np.concatenate([breaks, [len(seconds) - 1]])]
    told = [f"{moment(a)} to {moment(b)}" for a, b in zip(firsts, lasts, strict=True)]
    more = f" and {len(told) - _STRETCHES} times more" if len(told) > _STRETCHES else ""
    return ", ".join(told[:_STRETCHES]) + more


def _box(tracks: Sequence[FaceTrack], analysis: Analysis, time_base: Fraction) -> str:
    """The face in the middle of its longest track."""
    track = max(tracks, key=lambda track: len(track.pts))
    row = len(track.pts) // 2
    points = track.landmarks[row, :, :2]
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    at = moment(float((track.pts[row] - analysis.pts[0]) * time_base))
    return f"face {x1 - x0:.0f}x{y1 - y0:.0f} px at {x0:.0f},{y0:.0f} ({at})"


def moment(seconds: float) -> str:
    """``75.25`` -> ``1:15.2``."""
    tenths = round(max(float(seconds), 0.0) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"
