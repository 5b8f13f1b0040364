"""Faces of single frames linked to tracks: one person in one shot.

Linking is done while the clip streams by and is careful: where two faces could be confused,
both tracks end and new ones begin.  :func:`joined` puts the pieces together again by what the
faces look like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from faceswap_cli.faces.crops import overlap, width_px
from faceswap_cli.faces.landmarks import bounds
from faceswap_cli.geometry.align import apply, unit_from_points
from faceswap_cli.identity.embed import SAME_PERSON
from faceswap_cli.records import F32, F64, I64, Face

FARTHEST = 0.6
"""Largest mean movement of the mesh between frames, in face widths; grows with the gap."""
FORBIDDEN = 1e3
AMBIGUOUS = 0.3
"""A second choice whose cost is this near to the first makes a link doubtful."""
SHORTEST = 3
"""Tracks seen in fewer frames are taken for mistakes, unless the shot itself is that short."""
SURELY_SAME, SURE_FRAMES = 0.5, 8
"""Pieces of this many frames or more are joined only if they are nearer than this."""
LONG = 30
WELL_SEEN = 0.78
LEAST_SEEN = 0.7
RESTLESS = 0.005
"""Pieces of fewer than LONG frames and a mean score below WELL_SEEN are looked at twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A run of one face, as found; frames counted in the clip."""

    frames: I64 = field(repr=False)
    """(K,) strictly increasing, with gaps where the face was not seen"""
    landmarks: F32 = field(repr=False)
    """(K, 478, 3) display pixels"""
    scores: F32 = field(repr=False)
    """(K,)"""
    embedding: F32 | None = field(repr=False, default=None)
    """(128,) mean over the best frames; None when the piece was too short to look at"""
    sharpness: float = 1.0
    """in (0, 1], of the faces that ``embedding`` was taken from"""
    split: bool = False
    """Begins where the piece before ended because the person changed: the two are never joined."""

    @property
    def span(self) -> tuple[int, int]:
        """First and last frame."""
        return int(self.frames[0]), int(self.frames[-1])


def link_cost(known: F32, found: F32, gap: int) -> float:
    """Of calling two meshes one face, ``gap`` frames apart: 0 the same place, above 1 unlikely."""
    size = max(width_px(known), width_px(found), 1.0)
    moved = float(np.linalg.norm(known[:, :2] - found[:, :2], axis=1).mean()) / size
    grown = abs(np.log(width_px(found) / max(width_px(known), 1.0)))
    if moved > FARTHEST * (1 + 0.15 * (gap - 1)) or grown > 0.5 + 0.05 * gap:
        return FORBIDDEN
    return moved / FARTHEST + 0.5 * (1 - overlap(bounds(known), bounds(found))) + 0.5 * float(grown)


def assign(costs: F64) -> list[tuple[int, int]]:
    """(K, F) costs -> pairs (known, found) of least total cost; forbidden ones left out."""
    if not costs.size:
        return []
    rows, columns = _cheapest(costs)
    return [(int(k), int(f)) for k, f in zip(rows, columns, strict=True) if costs[k, f] < FORBIDDEN]


def _cheapest(costs: F64) -> tuple[I64, I64]:
    """Rows and columns of the assignment of least cost."""
    if min(costs.shape) == 1:  # nearly every frame of most clips; the library takes half a second to load
        row, column = divmod(int(costs.argmin()), costs.shape[1])
        return np.array([row]), np.array([column])
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(costs)
    return rows, columns


def doubtful(costs: F64, row: int, column: int) -> bool:
    """Whether another face would have done nearly as well for this one."""
    others = np.concatenate([np.delete(costs[row], column), np.delete(costs[:, column], row)])
    return bool((others < costs[row, column] + AMBIGUOUS).any())


@dataclass(eq=False)
class Open:
    """A piece that is still growing."""

    frames: list[int] = field(default_factory=list)
    landmarks: list[F32] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, frame: int, face: Face) -> None:
        self.frames.append(frame)
        self.landmarks.append(face.landmarks)
        self.scores.append(face.score)

    def expected(self, frame: int) -> F32:
        """The mesh moved on at its last speed, at most as far as it moved last."""
        last = self.landmarks[-1]
        if len(self.frames) < 2 or self.frames[-1] - self.frames[-2] > 2:
            return last
        step = (last - self.landmarks[-2])[:, :2].mean(axis=0) / (self.frames[-1] - self.frames[-2])
        moved: F32 = last.copy()
        moved[:, :2] += np.float32(min(frame - self.frames[-1], 3)) * step
        return moved

    def closed(self) -> Piece:
        return Piece(
            frames=np.array(self.frames, dtype=np.int64),
            landmarks=np.stack(self.landmarks).astype(np.float32),
            scores=np.array(self.scores, dtype=np.float32),
        )


class Linker:
    """Grows pieces frame by frame; ``bridge`` is the longest gap in frames."""

    def __init__(self, bridge: int) -> None:
        self.bridge = bridge
        self.open: list[Open] = []

    def step(self, frame: int, faces: Sequence[Face], *, cut: bool) -> tuple[list[Open], list[Open]]:
        """Take one frame in: (the piece of each face, pieces that ended)."""
        ended = self._ended(frame, cut=cut)
        costs = self._costs(frame, faces)
        of_face: dict[int, Open] = {}
        for row, column in assign(costs):
            piece = self.open[row]
            if doubtful(costs, row, column):
                ended.append(piece)
            else:
                of_face[column] = piece
        self.open = [piece for piece in self.open if piece not in ended]
        for column, face in enumerate(faces):
            if column not in of_face:
                of_face[column] = Open()
                self.open.append(of_face[column])
            of_face[column].add(frame, face)
        return [of_face[column] for column in range(len(faces))], ended

    def finish(self) -> list[Open]:
        """The pieces still open at the end."""
        left, self.open = self.open, []
        return left

    def _ended(self, frame: int, *, cut: bool) -> list[Open]:
        ended = [piece for piece in self.open if cut or frame - piece.frames[-1] - 1 > self.bridge]
        self.open = [piece for piece in self.open if piece not in ended]
        return ended

    def _costs(self, frame: int, faces: Sequence[Face]) -> F64:
        costs = np.full((len(self.open), len(faces)), FORBIDDEN)
        for row, piece in enumerate(self.open):
            gap = frame - piece.frames[-1]
            for column, face in enumerate(faces):
                near = (piece.landmarks[-1], piece.expected(frame))
                costs[row, column] = min(link_cost(mesh, face.landmarks, gap) for mesh in near)
        return costs


def joined(pieces: Sequence[Piece], shot_of: I64, bridge: int) -> list[Piece]:
    """Pieces of one shot that follow each other closely put together, the most alike first.

    ``shot_of`` (frames of the clip,) numbers the shots, ``bridge`` is the longest gap in frames.
    """
    rest = sorted(pieces, key=lambda piece: piece.span)
    while True:
        options = [
            (cost, a, b)
            for a, first in enumerate(rest)
            for b, second in enumerate(rest)
            if a != b
            and (cost := _join_cost(first, second, shot_of, bridge)) is not None
            and not _leads_through(first, second, rest, shot_of, bridge)
        ]
        if not options:
            return rest
        _, a, b = min(options)
        whole = _joined(rest[a], rest[b])
        rest = sorted([p for k, p in enumerate(rest) if k not in (a, b)] + [whole], key=lambda p: p.span)


def _leads_through(first: Piece, second: Piece, rest: Sequence[Piece], shot_of: I64, bridge: int) -> bool:
    """Whether a piece between the two continues one and is continued by the other."""
    between = [p for p in rest if first.span[1] < p.span[0] and p.span[1] < second.span[0]]
    follows = [p for p in between if _join_cost(first, p, shot_of, bridge) is not None]
    return any(_join_cost(p, second, shot_of, bridge) is not None for p in follows)


def _join_cost(first: Piece, second: Piece, shot_of: I64, bridge: int) -> float | None:
    """None when ``second`` does not continue ``first``."""
    gap = second.span[0] - first.span[1]
    if second.split and gap == 1:
        return None
    if not 1 <= gap <= bridge + 1 or shot_of[first.span[1]] != shot_of[second.span[0]]:
        return None
    place = link_cost(first.landmarks[-1], second.landmarks[0], gap)
    if place >= FORBIDDEN:
        return None
    if first.embedding is None or second.embedding is None:
        return 1.0 + place if place < 0.6 else None
    unlike = float(np.linalg.norm(first.embedding - second.embedding))
    long = min(len(first.frames), len(second.frames)) >= SURE_FRAMES
    return unlike + 0.2 * place if unlike < (SURELY_SAME if long else SAME_PERSON) else None


def _joined(first: Piece, second: Piece) -> Piece:
    embeddings = [(p.embedding, len(p.frames)) for p in (first, second) if p.embedding is not None]
    mean = (
        np.average([e for e, _ in embeddings], axis=0, weights=[n for _, n in embeddings])
        if embeddings
        else None
    )
    return Piece(
        frames=np.concatenate([first.frames, second.frames]),
        landmarks=np.concatenate([first.landmarks, second.landmarks]),
        scores=np.concatenate([first.scores, second.scores]),
        embedding=None if mean is None else mean.astype(np.float32),
        sharpness=max(first.sharpness, second.sharpness),
        split=first.split,
    )


def lasting(pieces: Sequence[Piece], shot_of: I64) -> list[Piece]:
    """Without those that are seen for a moment only: a swap that flashes up is worse than none."""
    lengths = np.bincount(shot_of) if len(shot_of) else np.zeros(1, np.int64)
    kept = [p for p in pieces if len(p.frames) >= min(SHORTEST, int(lengths[shot_of[p.span[0]]]))]
    return [p for p in kept if credible(p)]


def credible(piece: Piece) -> bool:
    """Whether a short, poorly seen piece is a face at all.

    Patterns that pass for a face do so now and then, and the mesh laid over them changes its
    shape from frame to frame (0.006 to 0.026 of the crop, faces 0.0005 to 0.003).
    """
    if len(piece.frames) >= LONG or float(piece.scores.mean()) >= WELL_SEEN:
        return True
    first, last = piece.span
    steady = len(piece.frames) > LEAST_SEEN * (last - first + 1)
    return steady and restlessness(piece) < RESTLESS


def restlessness(piece: Piece) -> float:
    """Median change of the mesh's shape between neighboring frames, in shares of the crop's side."""
    near = np.flatnonzero(np.diff(piece.frames) == 1)
    if not len(near):
        return 0.0
    units = unit_from_points(piece.landmarks)
    shapes = np.stack([apply(m, mesh)[:, :2] for m, mesh in zip(units, piece.landmarks, strict=True)])
    steps = np.abs(shapes[near + 1] - shapes[near]).mean(axis=(1, 2))
    return float(np.median(steps))


def filled(piece: Piece) -> tuple[I64, F32, F32]:
    """Every frame from first to last: (frames, landmarks, confidence); gaps interpolated, confidence 0."""
    first, last = piece.span
    frames = np.arange(first, last + 1, dtype=np.int64)
    confidence = np.zeros(len(frames), np.float32)
    confidence[piece.frames - first] = np.clip(piece.scores, 0.05, 1.0)
    if len(frames) == len(piece.frames):
        return frames, piece.landmarks, confidence
    after = np.clip(np.searchsorted(piece.frames, frames), 1, max(len(piece.frames) - 1, 1))
    before = after - 1
    width = (piece.frames[after] - piece.frames[before]).astype(np.float32)
    share = ((frames - piece.frames[before]) / width).astype(np.float32)[:, None, None]
    landmarks = (1 - share) * piece.landmarks[before] + share * piece.landmarks[after]
    return frames, landmarks.astype(np.float32), confidence


def opacity(count: int, fade: int, *, fade_in: bool, fade_out: bool) -> F32:
    """(count,) 1 with ramps of ``fade`` frames, never steeper than the track is long."""
    values = np.ones(count, np.float32)
    length = min(fade, max(count // 3, 0))
    ramp = (np.arange(1, length + 1) / (length + 1)).astype(np.float32)
    if length and fade_in:
        values[:length] = ramp
    if length and fade_out:
        values[-length:] = np.minimum(values[-length:], ramp[::-1])
    return values
