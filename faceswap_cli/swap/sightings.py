"""What is in front of the faces of a clip, on a few of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from faceswap_cli import color
from faceswap_cli.cast.make import tracks_of
from faceswap_cli.cast.sheet import spread_frames
from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, masks
from faceswap_cli.nets.occluder import CLASSES, SIDE
from faceswap_cli.records import F32, F64, U8, Analysis, Clip, FaceTrack, Person
from faceswap_cli.swap.glasses import rim_evidence, wears_glasses
from faceswap_cli.swap.occluder_head import look
from faceswap_cli.video.reader import read_frames

FRAMES = 9
"""Looked at for each person; each costs a seek"""
_LARGEST = 768
_GLASSES = [CLASSES.index(name) for name in ("rim", "lens")]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face at one time."""

    person: int
    pts: int
    glasses: bool
    covered: float
    """Share of the face's area under anything, 0 to 1"""


def look_at(rgb: U8, points: F32) -> tuple[bool, float]:
    """Glasses, and the covered share of a crop (S, S, 3) with its mesh (478, 2+) in unit coordinates."""
    seen = look(rgb, points)
    worn = wears_glasses(rim_evidence(seen, points))
    shares = seen.shares.copy()
    shares[..., _GLASSES] *= np.float32(worn)
    side = shares.shape[0]
    inner = (points[:, :2] - np.float32(0.5)) / np.float32(seen.share) + np.float32(0.5)
    oval = masks.union(inner, (parts.OVAL,), side)
    front = shares[..., 1:].sum(axis=-1) > 0.5
    covered = float((front * oval).sum() / max(float(oval.sum()), 1e-6))
    return worn > 0.5, covered


def sightings(
    clip: Clip, analysis: Analysis, people: Iterable[Person], count: int = FRAMES, stop: StopRequest = NEVER
) -> Iterator[Sighting]:
    """Up to ``count`` frames of each person, spread over the time in which they are seen."""
    for person in people:
        for track, row in spread_frames(tracks_of(analysis, person), count):
            stop.check("looking at what is in front of faces")
            if (rgb := _crop(clip, analysis, track, row)) is not None:
                points = np.asarray(align.apply(_matrix(track, row, 1), track.landmarks[row]), np.float32)
                yield Sighting(person.person, int(track.pts[row]), *look_at(rgb, points))


def glasses_share(found: Iterable[Sighting], person: int) -> float:
    """Share of the frames looked at in which ``person`` wears glasses."""
    worn = [one.glasses for one in found if one.person == person]
    return sum(worn) / max(len(worn), 1)


def _crop(clip: Clip, analysis: Analysis, track: FaceTrack, row: int) -> U8 | None:
    """(S, S, 3), or None where the frame is damaged."""
    side = int(np.clip(2.0 * align.square_from_unit(_matrix(track, row, 1))[2], SIDE, _LARGEST))
    crop_from_frame = _matrix(track, row, side) @ clip.display_from_frame
    pts = int(track.pts[row])
    with closing(read_frames(clip, first_pts=pts, end_pts=pts + 1, known=analysis.pts)) as frames:
        frame = next(frames, None)
    return None if frame is None else color.warp_rgb(frame.planes, clip.color, crop_from_frame, side)


def _matrix(track: FaceTrack, row: int, side: int) -> F64:
    """(3, 3) ``crop_from_display`` of a crop of ``side``."""
    return align.scaled(align.unit_from_points(track.landmarks[row], align.SWAP_SCALE), side)
