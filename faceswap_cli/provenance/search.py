"""Looking for the invisible mark in a file: where the faces are is known already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from faceswap_cli import color
from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align
from faceswap_cli.provenance.watermark import GRID, Aligned, Detection, search
from faceswap_cli.records import F32, U8, Analysis, Clip, Face, FaceTrack, Frame
from faceswap_cli.video.reader import read_frames

MOST_FRAMES = 128
"""Of each person: the score grows with the number of different frames, slowly beyond these."""
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def search_clip(clip: Clip, analysis: Analysis, stop: StopRequest = NEVER) -> Detection:
    """Every person of ``analysis``, on frames spread over the time that the person is seen."""
    return search(looks_of(clip, analysis, stop))


def looks_of(clip: Clip, analysis: Analysis, stop: StopRequest = NEVER) -> Iterator[Aligned]:
    """The faces that are looked at, cut and aligned, in the order of the frames."""
    wanted = _spread(analysis)
    if wanted:
        yield from _from_frames(clip, wanted, stop)


def search_picture(rgb: U8, faces: Sequence[Face]) -> Detection:
    """Every face of a picture (H, W, 3); there is one look only, so the mark is weaker than in a clip."""
    return search(_from_picture(rgb, number, face) for number, face in enumerate(faces))


Look = tuple[FaceTrack, int]
"""A track and the row of one of its frames"""


def _spread(analysis: Analysis) -> dict[int, list[Look]]:
    """pts -> what to look at then."""
    wanted: dict[int, list[Look]] = {}
    for person in analysis.people:
        tracks = [track for track in analysis.tracks if track.track_id in person.tracks]
        seen = [(t, int(row)) for t in tracks for row in np.flatnonzero(t.confidence > 0)]
        seen.sort(key=lambda look: (int(look[0].pts[look[1]]), look[0].track_id))
        count = min(MOST_FRAMES, len(seen))
        for k in range(count):
            track, row = seen[int((k + 0.5) * len(seen) / count)]
            wanted.setdefault(int(track.pts[row]), []).append((track, row))
    return wanted


def _from_frames(clip: Clip, wanted: dict[int, list[Look]], stop: StopRequest) -> Iterator[Aligned]:
    last = max(wanted)
    with closing(read_frames(clip, first_pts=min(wanted))) as frames:
        for frame in frames:
            stop.check("looking for the invisible mark")
            for track, row in wanted.get(frame.pts, ()):
                yield _from_frame(frame, clip, track, row)
            if frame.pts >= last:
                break


def _from_frame(frame: Frame, clip: Clip, track: FaceTrack, row: int) -> Aligned:
    crop_from_display = align.scaled(track.crop_from_display[row], GRID)
    luma = color.warp_luma(frame.planes, clip.color, crop_from_display @ clip.display_from_frame, GRID)
    points = align.apply(crop_from_display, track.landmarks[row])
    return Aligned(track.person, track.track_id, luma, points)


def _from_picture(rgb: U8, number: int, face: Face) -> Aligned:
    crop_from_image = align.scaled(align.unit_from_points(face.landmarks), GRID)
    luma: F32 = cut(rgb, crop_from_image, GRID, sharp=True) @ _LUMA
    return Aligned(number, number, luma, align.apply(crop_from_image, face.landmarks))
