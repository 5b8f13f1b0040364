"""What happened to each face of a frame, as rows of the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from faceswap_cli.geometry.paste import pasted_area
from faceswap_cli.records import F32, LedgerRow, RenderedFace
from faceswap_cli.swap.proportions import facing

if TYPE_CHECKING:
    from faceswap_cli.swap.engine import Scene

COVERED, TURNED, NOT_AT_ALL = "covered", "turned away", "strength 0"
"""Why the ledger calls a chosen face not swapped."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the ledger says of one drawn face."""

    track_id: int
    shown: bool
    """False where something covers all of it"""
    area: float
    """Pixels of the frame that it replaces, as a soft count"""
    occluded: float
    in_front: dict[str, float] = field(default_factory=dict)
    """Share of it by what covers it"""
    distance: float | None = None
    """Of its identity from the source's, where that is measured"""


def drawn_of(faces: Sequence[RenderedFace], scene: Scene) -> tuple[Drawn, ...]:
    """The same of faces that are at hand."""
    people = {track.track_id: track.person for track in scene.analysis.tracks}
    return tuple(
        Drawn(
            face.crop.track_id,
            float(face.mask.max()) > 0.0,
            pasted_area(face),
            face.occluded,
            face.in_front,
            _distance(face, people[face.crop.track_id], scene),
        )
        for face in faces
    )


def ledger_rows(pts: int, faces: Sequence[Drawn], scene: Scene) -> tuple[LedgerRow, ...]:
    """One row for every face of the frame at ``pts``; ``faces`` are those that were drawn."""
    from faceswap_cli.identity.pose import pose

    drawn = {face.track_id: face for face in faces}
    strength = scene.amounts(pts).strength
    rows = []
    for track in scene.analysis.tracks:
        row = track.at(pts)
        if row is None:
            continue
        points = track.landmarks[row]
        angles = pose(points)
        face = drawn.get(track.track_id)
        swapped = face is not None and face.shown
        box = (*points[:, :2].min(axis=0).tolist(), *points[:, :2].max(axis=0).tolist())
        rows.append(
            LedgerRow(
                pts=pts,
                time_s=round(scene.clip.seconds(pts), 6),
                track=track.track_id,
                person=track.person,
                swapped=swapped,
                reason="" if swapped else _why_not(face, points, track.person in scene.prepared, strength),
                box=tuple(round(v, 1) for v in box),
                yaw=round(float(angles.yaw), 2),
                pitch=round(float(angles.pitch), 2),
                roll=round(float(angles.roll), 2),
                identity_distance=face.distance if face else None,
                occluded=round(face.occluded, 4) if face else 0.0,
                mask_area=round(face.area, 1) if face else 0.0,
                source=scene.source_names.get(track.person, "") if swapped else "",
                strength=round(strength, 4) if swapped else 0.0,
                in_front=face.in_front if face else {},
            )
        )
    return tuple(rows)


def coverage(rows: Iterable[LedgerRow]) -> float | None:
    """Share of the frames that show a chosen person in which a chosen person was swapped.

    A person is chosen when at least one of its frames was swapped; None without any.  Frames where
    ``--strength`` is 0 do not count.
    """
    rows = list(rows)
    chosen = {row.person for row in rows if row.swapped}
    wanted = {row.pts for row in rows if row.person in chosen and row.reason != NOT_AT_ALL}
    done = {row.pts for row in rows if row.swapped}
    return len(done) / len(wanted) if wanted else None


def _why_not(face: Drawn | None, points: F32, chosen: bool, strength: float) -> str:
    if face is not None:
        return COVERED if facing(points) > 0 else TURNED
    return NOT_AT_ALL if chosen and strength <= 0 else "not chosen"


def _distance(face: RenderedFace, person: int, scene: Scene) -> float | None:
    wanted = scene.source_embeddings.get(person)
    if wanted is None:
        return None
    from faceswap_cli.identity.embed import embed

    found = embed(face.rgb, face.crop.landmarks[None])[0]
    return round(float(np.linalg.norm(found - wanted)), 4)
