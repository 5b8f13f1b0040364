"""What was seen while result and target were read in lockstep: the input of every figure.

Rows are target faces in frames, in the order of time.  The figures are computed from these
arrays alone, so the same rows can be charted, stored or measured again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.metrics.casting import Casting, alone
from faceswap_cli.metrics.heads import Heads, heads
from faceswap_cli.metrics.looks import Look, Looks, collect_looks
from faceswap_cli.metrics.source import Source
from faceswap_cli.records import F32, F64, I64, MESH_POINTS

Flags = NDArray[np.bool_]

CHANGED_SHARE = 0.25
"""A track counts as swapped when at least this share of its rows changed."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceRow:
    """One target face in one frame, and what the result shows in its place."""

    track: int
    change: float
    """Mean absolute difference inside the face in 8 bit levels, averaged to 32 x 32 first"""
    changed: bool
    target_points: F32 = field(repr=False)
    """(478, 3) display pixels, as detected in this frame of the target"""
    result_points: F32 = field(repr=False)
    """(478, 3) as detected in the result; NaN where the face is not found there"""
    to_source: float
    """Identity distance result - source; NaN where not found"""
    to_target: float
    """Identity distance result - target"""
    detail: float
    """Variance of the Laplacian inside the inner face of the target: low where the footage is blurred"""
    luma: tuple[float, float]
    """Mean luma inside the face, 0 to 255: result, target"""
    warp: tuple[float, float] = (0.0, 0.0)
    """Sum of squared errors after the warp from the frame before: result, target"""
    warp_weight: float = 0.0
    """Pixels in those sums; 0 at the start of a track"""
    skin: F32 = field(repr=False, default_factory=lambda: np.zeros((2, 0), np.float32))
    """(2, K) low-passed L* at the skin points: result, target; NaN where not found"""
    look: Look | None = field(repr=False, default=None)
    """The close look, in the frames in which one was taken"""
    person: int = 0
    """Whose face of the target it is; always 0 where there is one source"""


@dataclass(frozen=True, slots=True, eq=False)
class FrameRow:
    """One pair of frames."""

    seconds: float
    outside_mse: float
    """Mean squared error outside the changed faces, 8 bit levels squared; NaN when nothing is outside"""
    faces: tuple[FaceRow, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """All rows as arrays: F frames, R rows."""

    seconds: F64 = field(repr=False)
    """(F,)"""
    outside_mse: F64 = field(repr=False)
    """(F,)"""
    frame: I64 = field(repr=False)
    """(R,) position of the row's frame in ``seconds``"""
    track: I64 = field(repr=False)
    """(R,)"""
    change: F64 = field(repr=False)
    """(R,)"""
    changed: Flags = field(repr=False)
    """(R,)"""
    measured: Flags = field(repr=False)
    """(R,) rows of swapped tracks: the ones that the figures are about"""
    target_points: F32 = field(repr=False)
    """(R, 478, 3)"""
    result_points: F32 = field(repr=False)
    """(R, 478, 3) NaN where not found"""
    to_source: F64 = field(repr=False)
    """(R,)"""
    to_target: F64 = field(repr=False)
    """(R,)"""
    detail: F64 = field(repr=False)
    """(R,)"""
    luma: F64 = field(repr=False)
    """(R, 2) result, target"""
    warp: F64 = field(repr=False)
    """(R, 2) result, target: sums of squared errors"""
    warp_weight: F64 = field(repr=False)
    """(R,)"""
    skin: F64 = field(repr=False)
    """(R, 2, K) result, target"""
    target_heads: Heads = field(repr=False)
    """R"""
    result_heads: Heads = field(repr=False)
    """R, NaN where not found"""
    looks: Looks = field(repr=False)
    """Close looks at measured, found faces"""
    person: I64 = field(repr=False)
    """(R,) as the rows say"""
    casting: Casting = field(repr=False)
    """Who was put in for each person"""

    @property
    def found(self) -> Flags:
        """(R,) measured rows in which the result shows a face at that place."""
        return self.measured & ~np.isnan(self.result_points[:, 0, 0])

    def runs(self) -> list[I64]:
        """Row numbers of measured, found faces: one array per unbroken run of frames of a track."""
        out: list[I64] = []
        for track in np.unique(self.track[self.found]):
            rows = np.flatnonzero(self.found & (self.track == track))
            out.extend(np.split(rows, np.flatnonzero(np.diff(self.frame[rows]) != 1) + 1))
        return out

    def source_shape(self, rows: I64) -> F32:
        """(478, 3) canonical mesh of the source for ``rows`` of one track; NaN without one."""
        (person, _), *_ = Counter(self.person[rows].tolist()).most_common(1)
        return self.casting.source(person).shape


def collect(frames: Sequence[FrameRow], casting: Casting | None = None) -> Observations:
    """Rows of a clip in one piece of arrays."""
    casting = casting or alone(Source())
    rows = [(number, face) for number, frame in enumerate(frames) for face in frame.faces]
    faces = [face for _, face in rows]
    track = np.array([face.track for face in faces], dtype=np.int64)
    changed = np.array([face.changed for face in faces], dtype=bool)
    target = _points([face.target_points for face in faces])
    result = _points([face.result_points for face in faces])
    measured = swapped_rows(track, changed, np.ptp(target[:, :, 0], axis=1))
    return Observations(
        seconds=np.array([frame.seconds for frame in frames], dtype=np.float64),
        outside_mse=np.array([frame.outside_mse for frame in frames], dtype=np.float64),
        frame=np.array([number for number, _ in rows], dtype=np.int64),
        track=track,
        change=np.array([face.change for face in faces], dtype=np.float64),
        changed=changed,
        measured=measured,
        target_points=target,
        result_points=result,
        to_source=np.array([face.to_source for face in faces], dtype=np.float64),
        to_target=np.array([face.to_target for face in faces], dtype=np.float64),
        detail=np.array([face.detail for face in faces], dtype=np.float64),
        luma=np.array([face.luma for face in faces], dtype=np.float64).reshape(-1, 2),
        warp=np.array([face.warp for face in faces], dtype=np.float64).reshape(-1, 2),
        warp_weight=np.array([face.warp_weight for face in faces], dtype=np.float64),
        skin=_skin([face.skin for face in faces]),
        target_heads=heads(target),
        result_heads=heads(result),
        looks=collect_looks(
            [face.look if kept else None for face, kept in zip(faces, measured, strict=True)]
        ),
        person=np.array([face.person for face in faces], dtype=np.int64),
        casting=casting,
    )


def _points(each: Sequence[F32]) -> F32:
    return np.array(each, dtype=np.float32).reshape(-1, MESH_POINTS, 3)


def _skin(each: Sequence[F32]) -> F64:
    return np.array(each, dtype=np.float64) if each else np.zeros((0, 2, 0))


def swapped_rows(track: I64, changed: Flags, width: F32) -> Flags:
    """(R,) rows of the tracks that were swapped.

    A track counts as a whole, so a frame in which the swap failed is measured too instead of
    being left out.  When nothing changed anywhere (the target itself as result), the track
    with the largest total width stands in.
    """
    names, which = np.unique(track, return_inverse=True)
    if not len(names):
        return np.zeros(0, dtype=bool)
    share = np.bincount(which, weights=changed) / np.bincount(which)
    chosen = share >= CHANGED_SHARE
    if not chosen.any():
        chosen[np.argmax(np.bincount(which, weights=width))] = True
    return np.asarray(chosen[which])
