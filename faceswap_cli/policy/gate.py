"""Sources and targets are shown to the classifier before anything is rendered.

Without a classifier nothing happens.  A refusal is a :class:`PolicyError` that says what was found,
how sure the classifier is, and where and when; nothing is refused without a word.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from faceswap_cli import color
from faceswap_cli.config import PolicyOptions
from faceswap_cli.errors import PolicyError
from faceswap_cli.events import NEVER, Listener, StopRequest, ignore, progress
from faceswap_cli.faces.crops import cut, upright_crop
from faceswap_cli.policy.classifier import Classifier
from faceswap_cli.policy.store import in_force
from faceswap_cli.records import F32, U8, Analysis, Clip, Face, Frame, SourceIdentity
from faceswap_cli.video.reader import read_frames

LONG_SIDE = 1024
"""Frames are looked at up to this size; classifiers take a quarter of it."""
FACE_SIDE = 384
FACE_MARGIN = 2.0
"""Side of a face crop over the size of the mesh in it: hair and shoulders are part of the look."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """Why something was refused."""

    file: str
    label: str
    score: float
    """Probability that the classifier gives"""
    limit: float
    part: str
    """``whole picture`` or ``face N``, the faces counted from the left"""
    time_s: float | None
    """From the beginning of the clip; None in a picture"""
    model_sha256: str


@dataclass
class _Tally:
    """What was looked at and how close it came."""

    looks: int = 0
    nearest: float = 0.0
    """Largest score over its limit"""


def check_sources(people: Sequence[SourceIdentity], options: PolicyOptions) -> None:
    """Every source photograph, whole and its face."""
    model = in_force(options)
    if model is None:
        return
    tally = _Tally()
    for person in people:
        for photo in person.photos:
            looks = _looks(photo.rgb, [photo.landmarks])
            _judge(model, looks, photo.path.name, None, tally)
        kept = person.enrolled
        if not person.photos and kept is not None:
            _judge(model, [("whole picture", kept.texture)], person.name, None, tally)
    _tell(tally, "source pictures")


def check_picture(rgb: U8, faces: Sequence[Face], name: str, options: PolicyOptions) -> None:
    """The target picture, whole and each face."""
    model = in_force(options)
    if model is not None:
        tally = _Tally()
        _judge(model, _looks(rgb, [face.landmarks for face in faces]), name, None, tally)
        _tell(tally, "target pictures")


def check_clip(
    clip: Clip,
    analysis: Analysis,
    options: PolicyOptions,
    listen: Listener = ignore,
    stop: StopRequest = NEVER,
) -> None:
    """Frames of the target: one every ``options.every_s`` seconds and at least one of every shot."""
    model = in_force(options)
    if model is None or not len(analysis.pts):
        return
    wanted = sampled_pts(analysis, float(clip.time_base), options.every_s)
    tally = _Tally()
    with closing(_frames_at(clip, wanted)) as frames:
        for number, frame in enumerate(frames, start=1):
            stop.check("looking at the content")
            rgb, small_from_display = display_rgb(frame, clip)
            meshes = _meshes_at(analysis, frame.pts, small_from_display)
            time_s = clip.seconds(frame.pts)
            _judge(model, _looks(rgb, meshes), clip.path.name, time_s, tally)
            listen(progress("check", number, len(wanted)))
    _tell(tally, "pictures of the target")


def sampled_pts(analysis: Analysis, tick_s: float, every_s: float) -> list[int]:
    """Times of the frames that are looked at: a grid, and the middle of each shot."""
    pts = analysis.pts
    grid = pts[0] + np.arange(0.0, float(pts[-1] - pts[0]) + 1e-9, every_s / tick_s)
    rows = np.searchsorted(pts, np.ceil(grid - 1e-6), side="left")
    chosen = set(pts[np.minimum(rows, len(pts) - 1)].tolist())
    for shot in analysis.shots:
        inside = pts[(pts >= shot.first_pts) & (pts < shot.end_pts)]
        if len(inside):
            chosen.add(int(inside[len(inside) // 2]))
    return sorted(chosen)


def _frames_at(clip: Clip, wanted: Sequence[int]) -> Generator[Frame, None, None]:
    places = set(wanted)
    with closing(read_frames(clip, first_pts=wanted[0], end_pts=wanted[-1] + 1)) as frames:
        for frame in frames:
            if frame.pts in places:
                yield frame


def display_rgb(frame: Frame, clip: Clip) -> tuple[U8, float]:
    """(h, w, 3) upright with square pixels, at most ``LONG_SIDE`` long; and small over display scale."""
    rgb, _ = color.downscaled_rgb(frame.planes, clip.color, LONG_SIDE)
    upright = clip.upright(rgb)
    width, height = clip.display_size
    scale = min(LONG_SIDE / max(width, height), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    if size != (upright.shape[1], upright.shape[0]):
        upright = cv2.resize(upright, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(upright, np.uint8), scale


def _meshes_at(analysis: Analysis, pts: int, scale: float) -> list[F32]:
    """Faces shown at ``pts``, in pixels of the small picture."""
    rows = [(track, track.at(pts)) for track in analysis.tracks]
    return [track.landmarks[row] * np.float32(scale) for track, row in rows if row is not None]


def _looks(rgb: U8, meshes: Sequence[F32]) -> list[tuple[str, U8]]:
    """(name of the part, picture): the whole and every face, from the left."""
    ordered = sorted(meshes, key=lambda mesh: float(mesh[:, 0].mean()))
    faces = [cut(rgb, upright_crop(mesh, FACE_SIDE, FACE_MARGIN), FACE_SIDE) for mesh in ordered]
    return [("whole picture", rgb), *((f"face {k}", face) for k, face in enumerate(faces, start=1))]


def _judge(
    model: Classifier, looks: Sequence[tuple[str, U8]], name: str, time_s: float | None, tally: _Tally
) -> None:
    for part, picture in looks:
        scores = model.classify(picture)
        tally.looks += 1
        for label, limit in model.rules.refuse.items():
            tally.nearest = max(tally.nearest, scores[label] / limit)
            if scores[label] >= limit:
                raise _refusal(Finding(name, label, scores[label], limit, part, time_s, model.sha256), model)


def _refusal(found: Finding, model: Classifier) -> PolicyError:
    when = "" if found.time_s is None else f" at {stamp(found.time_s)}"
    return PolicyError(
        f"{found.file} is refused by the content classifier {model.path.name}: {found.label!r} "
        f"{found.score:.3f} (refused from {found.limit:g}) in the {found.part}{when}; nothing was made, "
        "use other material, or look at the limits in its rules",
        details={"policy": {**asdict(found), "score": round(found.score, 6)}},
    )


def stamp(seconds: float) -> str:
    """``hh:mm:ss.mmm``, a form that ``--start`` takes."""
    total = round(seconds * 1000)
    return f"{total // 3_600_000:02d}:{total // 60_000 % 60:02d}:{total // 1000 % 60:02d}.{total % 1000:03d}"


def _tell(tally: _Tally, what: str) -> None:
    _log.info(
        "content classifier: %d %s looked at, nothing refused (the nearest came to %.0f %% of its limit)",
        tally.looks,
        what,
        100 * tally.nearest,
    )
