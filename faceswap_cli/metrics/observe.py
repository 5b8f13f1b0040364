"""From pairs of frames to rows: the one place where a swapped face is looked at.

A target face and the face of the result in the same place belong together (largest overlap
of the boxes); target faces of neighboring frames are linked in the same way, so that figures
over time follow one face.  No smoothing, no guessing: a face that is not found is a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from faceswap_cli.metrics.casting import Casting
from faceswap_cli.metrics.looks import LOOK_EVERY, look
from faceswap_cli.metrics.observations import FaceRow, FrameRow
from faceswap_cli.metrics.pairs import SeenPair
from faceswap_cli.metrics.preservation import change, detail_and_luma, outside_mse
from faceswap_cli.metrics.source import Source
from faceswap_cli.metrics.temporal import skin_levels, skin_points, warp_errors
from faceswap_cli.records import F32, F64, U8, Face
from faceswap_cli.stream import ordered_map

Embedder = Callable[[U8, F32], F32]
"""(H, W, 3) RGB and (N, 478, 3) points -> (N, 128) identity embeddings."""

SAME_FACE = 0.4
"""Overlap (intersection over union of the boxes) from which two boxes are the same face."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkedPair:
    """A pair of frames, the one before it, and the track of every target face."""

    number: int
    """Of the pair, from 0"""
    pair: SeenPair
    before: SeenPair | None
    tracks: tuple[int, ...]
    continued: tuple[bool, ...]
    """Was the track there in the frame before?"""


def overlaps(first: Iterable[Face], second: Iterable[Face]) -> F64:
    """Intersection over union of all boxes: (number of first, number of second)."""
    a = np.array([face.box for face in first], dtype=np.float64).reshape(-1, 1, 4)
    b = np.array([face.box for face in second], dtype=np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    total = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    return np.asarray(shared / np.maximum(total - shared, 1e-9))


def matches(first: Iterable[Face], second: Iterable[Face]) -> dict[int, int]:
    """Position in ``first`` -> position in ``second``: best overlaps first, each face once."""
    table = overlaps(first, second)
    found: dict[int, int] = {}
    while table.size and table.max() >= SAME_FACE:
        one, other = np.unravel_index(int(table.argmax()), table.shape)
        found[int(one)] = int(other)
        table[one, :], table[:, other] = 0, 0
    return found


def link(pairs: Iterable[SeenPair]) -> Iterator[LinkedPair]:
    """Number the target's faces through time; a face that jumps or is away starts a new track."""
    before: SeenPair | None = None
    past: tuple[int, ...] = ()
    unused = 0
    for number, pair in enumerate(pairs):
        known = matches(pair.target_faces, before.target_faces) if before else {}
        tracks = []
        for position in range(len(pair.target_faces)):
            if position in known:
                tracks.append(past[known[position]])
            else:
                tracks.append(unused)
                unused += 1
        past = tuple(tracks)
        continued = tuple(position in known for position in range(len(tracks)))
        yield LinkedPair(number, pair, before, past, continued)
        before = pair


def observe(linked: LinkedPair, embed: Embedder, casting: Casting) -> FrameRow:
    """Look at every target face of one frame.  A pure function: frames run in parallel."""
    pair = linked.pair
    place = matches(pair.target_faces, pair.result_faces)
    rows = []
    for position, face in enumerate(pair.target_faces):
        shown = pair.result_faces[place[position]] if position in place else None
        person = casting.person(pair.seconds, face.landmarks)
        source = casting.source(person)
        distances = _distances(pair, face, shown, embed, source.embedding)
        row = replace(_face_row(linked, position, face, shown, distances), person=person)
        if shown is not None:
            row = _with_surface(row, linked, source)
        rows.append(row)
    hulls = [row.target_points for row in rows if row.changed]
    hulls += [row.result_points for row in rows if row.changed and not np.isnan(row.result_points[0, 0])]
    return FrameRow(pair.seconds, outside_mse(pair.result, pair.target, hulls), tuple(rows))


def _face_row(
    linked: LinkedPair, position: int, face: Face, shown: Face | None, distances: tuple[float, float]
) -> FaceRow:
    pair, before, points = linked.pair, linked.before, face.landmarks
    amount, changed = change(pair.result, pair.target, points)
    # Under the same light a small face differs by little: who it looks like tells as well.
    changed = changed or distances[0] < distances[1]
    ours, theirs = detail_and_luma(pair.result, points), detail_and_luma(pair.target, points)
    warp, weight = (0.0, 0.0), 0.0
    if before is not None and linked.continued[position]:
        warp, weight = warp_errors((before.result, pair.result), (before.target, pair.target), points)
    return FaceRow(
        track=linked.tracks[position],
        change=amount,
        changed=changed,
        target_points=points,
        result_points=shown.landmarks if shown is not None else np.full_like(points, np.nan),
        to_source=distances[0],
        to_target=distances[1],
        detail=theirs[0],
        luma=(ours[1], theirs[1]),
        warp=warp,
        warp_weight=weight,
        skin=np.full((2, len(skin_points())), np.nan, np.float32),
    )


def _with_surface(row: FaceRow, linked: LinkedPair, source: Source) -> FaceRow:
    """``row``, whose face the result shows, with what its skin looks like."""
    pair, own, target = linked.pair, row.result_points, row.target_points
    skin = np.stack([skin_levels(pair.result, own), skin_levels(pair.target, target)])
    close = linked.number % LOOK_EVERY == 0
    return replace(
        row, skin=skin, look=look(pair.result, own, pair.target, target, source) if close else None
    )


def _distances(
    pair: SeenPair, face: Face, shown: Face | None, embed: Embedder, source: F32
) -> tuple[float, float]:
    """Identity distance of the result's face to the source and to the target's face."""
    if shown is None:
        return float("nan"), float("nan")
    ours = embed(pair.result, shown.landmarks[None])[0]
    theirs = embed(pair.target, face.landmarks[None])[0]
    return float(np.linalg.norm(ours - source)), float(np.linalg.norm(ours - theirs))


def observe_all(
    pairs: Generator[SeenPair, None, None], embed: Embedder, casting: Casting, workers: int
) -> Generator[FrameRow, None, None]:
    """Stage: pairs of frames -> rows, in order."""

    def work(linked: LinkedPair) -> FrameRow:
        return observe(linked, embed, casting)

    with closing(pairs), closing(ordered_map(work, link(pairs), workers)) as rows:
        yield from rows
