"""A few faces of each person, drawn and looked at before the clip is (``swap.calibration``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np

from faceswap_cli.config import JobOptions
from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.identity.pose import pose
from faceswap_cli.memory import give_back
from faceswap_cli.records import FaceCrop, FaceTrack
from faceswap_cli.swap.engine import Scene, cut_crop
from faceswap_cli.swap.method import Calibrating, SwapMethod
from faceswap_cli.swap.selective import Selection
from faceswap_cli.video.reader import read_frames

STATIONS, FACES_EACH, FRAMES_APART = 4, 2, 6
"""Places in the clip, faces at each, and frames between these: decoding begins anew at each place."""
MOST_STATIONS = 24
"""For all people together: in a crowd one place each must do."""
_SIDE = 256
"""Largest side of a crop: finer detail says nothing of landmarks."""
_MOST_YAW = 35.0
"""Degrees; of heads turned further half the landmarks are guessed."""

Row = tuple[FaceTrack, int]


def calibrated(scene: Scene, job: JobOptions, stop: StopRequest = NEVER) -> Scene:
    """``scene`` with its people corrected, where the method can do that.  The same for the same clip."""
    if not looks_first(scene.method, job):
        return scene
    ready = dict(scene.prepared)
    sides = {track: min(side, _SIDE) for track, side in scene.sides.items()}
    plain = replace(scene, selection=Selection(), sides=sides)  # edits move landmarks on purpose
    for person in scene.prepared:
        stop.check("drawing the first faces")
        crops = [cut for station in stations(scene, person) for cut in _crops(plain, station)]
        ready[person] = with_crops(scene.method, ready[person], crops, job)
    give_back()
    return replace(scene, prepared=ready)


def looks_first(method: SwapMethod, job: JobOptions) -> TypeGuard[Calibrating]:
    """Whether ``method`` can look at what it draws, and is asked to."""
    return job.calibrate and isinstance(method, Calibrating)


def with_crops(method: SwapMethod, prepared: Any, crops: Sequence[FaceCrop], job: JobOptions) -> Any:
    """``prepared`` after a look at what ``method`` makes of ``crops``; itself without any."""
    return method.calibrated(prepared, crops) if crops and looks_first(method, job) else prepared


def stations(scene: Scene, person: int) -> list[list[Row]]:
    """Rows of tracks to look at: a few runs, evenly over the time in which the person is shown well."""
    rows = [
        (track, row)
        for track in scene.analysis.tracks
        if track.person == person
        for row in np.flatnonzero(_well_shown(track)).tolist()
    ]
    if not rows:
        return []
    count = max(min(STATIONS, len(rows), MOST_STATIONS // len(scene.prepared)), 1)
    chosen = [rows[int((k + 0.5) * len(rows) / count)] for k in range(count)]
    return [_run(track, row) for track, row in chosen]


def _well_shown(track: FaceTrack) -> np.ndarray[Any, np.dtype[np.bool_]]:
    turned = np.abs(pose(track.landmarks).yaw) > _MOST_YAW
    return np.asarray((track.confidence > 0) & (track.opacity >= 1) & ~turned)


def _run(track: FaceTrack, row: int) -> list[Row]:
    shown = _well_shown(track)
    rows = range(row, min(row + FACES_EACH * FRAMES_APART, len(shown)), FRAMES_APART)
    return [(track, k) for k in rows if shown[k]]


def _crops(scene: Scene, rows: Sequence[Row]) -> Iterator[FaceCrop]:
    """The faces of one run, cut out; one decoding."""
    wanted = {int(track.pts[row]): (track, row) for track, row in rows}
    first, last = min(wanted), max(wanted)
    frames = read_frames(scene.clip, first_pts=first, end_pts=last + 1, known=scene.analysis.pts)
    with closing(frames):
        for frame in frames:
            if frame.pts in wanted:
                yield cut_crop(frame, scene, *wanted[frame.pts])
