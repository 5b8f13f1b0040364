"""What the face of a track looks like: its embedding, and where the person changes.

A cut between two people in like light may escape every look at the picture.  A few faces of a track are
embedded at regular distances; where they jump, the track is split, so that no track holds two people.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from faceswap_cli.faces.crops import width_px
from faceswap_cli.faces.stage import Seen, display_crop
from faceswap_cli.identity.embed import CHIP, chip_from_points, embed_chips
from faceswap_cli.identity.pose import pose
from faceswap_cli.identity.quality import SIDE, sharpness
from faceswap_cli.records import F32, F64, U8, Clip, Face
from faceswap_cli.tracking.people import ALIKE
from faceswap_cli.tracking.tracks import Piece

BEST_CHIPS = 8
CHIP_EVERY = 4
"""Frames of a track between two that are considered for its embedding,"""
SAMPLE_EVERY = 12
"""and between two that are embedded to see whether it is still the same person."""
SAMPLED_AT_ONCE = 8
SIDES = 3
"""Samples on each side that are compared; one alone may be turned or covered."""
WHOLE, LEAST_SCORE = 0.97, 0.6
"""Of a sampled face: the share of its mesh within the picture, and how well its mesh is shaped."""
LEAST_WORTH = 0.2
"""Faces worth less (small, turned) do not show who a person is."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One embedded face."""

    row: int
    worth: float
    embedding: F32 = field(repr=False)


@dataclass(eq=False)
class Chips:
    """Of one growing piece: the best few chips, a heap of (quality, row, chip), and samples over time."""

    heap: list[tuple[float, int, U8]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    waiting: list[tuple[float, int, U8]] = field(default_factory=list)

    def consider(self, row: int, face: Face, seen: Seen, clip: Clip) -> None:
        """Keep the chip of ``face`` if it is among the best so far, or due as a sample."""
        if row % CHIP_EVERY and row > 2:
            return
        worth = chip_worth(face)
        best = len(self.heap) < BEST_CHIPS or worth > self.heap[0][0]
        due = row % SAMPLE_EVERY == 0 and worth >= LEAST_WORTH and is_whole(face, clip)
        if not best and not due:
            return
        chip = display_crop(seen.frame, clip, chip_from_points(face.landmarks), CHIP)
        entry = (worth, row, chip)
        if best and len(self.heap) < BEST_CHIPS:
            heapq.heappush(self.heap, entry)
        elif best:
            heapq.heapreplace(self.heap, entry)
        if due:
            self.waiting.append(entry)
            if len(self.waiting) >= SAMPLED_AT_ONCE:
                self.embed_waiting()

    def embed_waiting(self) -> None:
        """Turn the chips that wait into samples."""
        if self.waiting:
            found = embed_chips(np.stack([chip for _, _, chip in self.waiting]))
            rows = zip(self.waiting, found, strict=True)
            self.samples += [Sample(row, worth, one) for (worth, row, _), one in rows]
            self.waiting.clear()

    def embedding(self, begin: int, end: int) -> F32 | None:
        """(128,) mean of the best chips of rows ``begin`` to ``end``, weighted by their worth."""
        best = sorted((entry for entry in self.heap if begin <= entry[1] < end), key=lambda entry: entry[1])
        if best:
            found = embed_chips(np.stack([chip for _, _, chip in best]))
            weights = [max(worth, 1e-3) for worth, _, _ in best]
        else:
            own = [sample for sample in self.samples if begin <= sample.row < end]
            if not own:
                return None
            found = np.stack([sample.embedding for sample in own])
            weights = [sample.worth for sample in own]
        return np.average(found, axis=0, weights=weights).astype(np.float32)

    def sharpness(self) -> float:
        """Mean over the chips, in (0, 1]; 1 without any."""
        return float(np.mean([chip_sharpness(chip) for _, _, chip in self.heap])) if self.heap else 1.0


def is_whole(face: Face, clip: Clip) -> bool:
    """Whether the face lies within the picture: one cut by its edge looks like another person."""
    inside = (face.landmarks[:, :2] >= 0) & (face.landmarks[:, :2] <= clip.display_size)
    return bool(inside.all(axis=1).mean() > WHOLE) and face.score >= LEAST_SCORE


def chip_sharpness(chip: U8) -> float:
    """(150, 150, 3) -> (0, 1]."""
    gray = cv2.cvtColor(cv2.resize(chip, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return sharpness(np.asarray(gray, np.float32))


def chip_worth(face: Face) -> float:
    """Large, frontal and well seen faces say most about who a person is."""
    turned = pose(face.landmarks)
    frontal = float(np.exp(-((float(turned.yaw) / 35) ** 2) - (float(turned.pitch) / 35) ** 2))
    return face.score * min(width_px(face.landmarks) / CHIP, 1.0) * frontal


def one_person_each(piece: Piece, chips: Chips, moved: Sequence[float]) -> list[Piece]:
    """``piece`` with its embedding, split wherever the person in it changes.

    ``moved`` (frames so far,) says how much the picture changed from the frame before.
    """
    chips.embed_waiting()
    steps = _steps(piece, moved)
    begins = [0]
    for last, first in changes(chips.samples):
        begins.append(_sharpest(last, first, steps))
    parts = _unlike_parts([*begins, len(piece.frames)], chips)
    sharp = chips.sharpness()
    return [
        Piece(
            frames=piece.frames[a:b],
            landmarks=piece.landmarks[a:b],
            scores=piece.scores[a:b],
            embedding=embedding,
            sharpness=sharp,
            split=a > 0,
        )
        for a, b, embedding in parts
    ]


def _unlike_parts(bounds: Sequence[int], chips: Chips) -> list[tuple[int, int, F32 | None]]:
    """(first row, end, embedding) of the parts between ``bounds``; those that look alike are one."""
    parts: list[tuple[int, int, F32 | None]] = []
    for begin, end in pairwise(bounds):
        own = chips.embedding(begin, end)
        if parts and (parts[-1][2] is None or own is None or np.linalg.norm(parts[-1][2] - own) <= ALIKE):
            before = parts.pop()[0]
            begin, own = before, chips.embedding(before, end)
        parts.append((begin, end, own))
    return parts


def changes(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """(last row of one person, first row of the next) for every change."""
    found: list[tuple[int, int]] = []
    begin = 0
    for k in range(1, len(samples)):
        before, after = samples[max(begin, k - SIDES) : k], samples[k : k + SIDES]
        apart = float(np.linalg.norm(_mean(before) - _mean(after)))
        # The very step must be large too: a slow turn of the head changes the means as well.
        step = float(np.linalg.norm(samples[k - 1].embedding - samples[k].embedding))
        if min(apart, step) > ALIKE and _steepest(k, samples, begin):
            found.append((samples[k - 1].row, samples[k].row))
            begin = k
    return found


def _steepest(k: int, samples: Sequence[Sample], begin: int) -> bool:
    """Whether the means differ less a sample later."""
    if k + 1 >= len(samples):
        return True
    now = _mean(samples[max(begin, k - SIDES) : k]) - _mean(samples[k : k + SIDES])
    later = _mean(samples[max(begin, k + 1 - SIDES) : k + 1]) - _mean(samples[k + 1 : k + 1 + SIDES])
    return float(np.linalg.norm(now)) >= float(np.linalg.norm(later))


def _mean(samples: Sequence[Sample]) -> F64:
    mean: F64 = np.average(
        [sample.embedding for sample in samples], axis=0, weights=[sample.worth for sample in samples]
    )
    return mean


def _steps(piece: Piece, moved: Sequence[float]) -> F64:
    """(K,) how abruptly the face and the picture changed before each row, in no unit."""
    size = np.maximum(np.ptp(piece.landmarks[..., 0], axis=1), 1.0)
    jumps = np.abs(np.diff(piece.landmarks[..., :2], axis=0)).mean(axis=(1, 2)) / size[1:]
    around = np.asarray(moved, np.float64)[piece.frames[1:]]
    return np.concatenate([[0.0], jumps / max(float(np.median(jumps)) if len(jumps) else 1.0, 1e-4) + around])


def _sharpest(last: int, first: int, steps: F64) -> int:
    """The row from ``last`` + 1 to ``first`` at which the change is most abrupt."""
    return last + 1 + int(steps[last + 1 : first + 1].argmax())
