"""The detection stage of a clip: every frame's faces, in display pixels.

Two steps.  The first looks at each frame alone, on several threads: all faces on an overview of
about 640 px, then, where the frame has more to give and wherever a swap is planned, each face
again on an upright crop cut straight from the planes.  The second runs in order: a face that was
there a moment ago and is not seen now is looked for at its old place, so hands, blinks of the
detector and faces too small or too turned for the overview (found by a patient search every now
and then) are carried on; and a face that appears is looked for in the frames before.
The result depends on the clip and the options alone, not on the number of threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np

from faceswap_cli.color import downscaled_rgb, warp_rgb
from faceswap_cli.config import DetectOptions
from faceswap_cli.faces.crops import CROP, same_face, shape_error, width_px
from faceswap_cli.faces.finder import DOUBTFUL_SHAPE, Cut, FaceFinder
from faceswap_cli.faces.lids import with_true_lids
from faceswap_cli.records import F32, F64, U8, Clip, Face, Frame, WithFaces
from faceswap_cli.stream import ordered_map

OVERVIEW = 640
"""Long side of the picture on which all faces of a frame are looked for."""
ENOUGH_PX, POOR_PX = 96.0, 72.0
"""Meshes at least this large on the overview gain nothing measurable from a closer look; below the
second they drift away from what full resolution shows (2 % of the eye distance at 45 px, and more jitter)."""
ALIKE = (0.02, 0.04)
"""Mean distance of two looks, in face widths, up to which they are averaged evenly, and from which the second
one does not count: of an extreme close-up it may be wrong by a tenth."""
PATIENT_EVERY = 12
"""Interval, in frames without a face, of the search in tiles and turned pictures;"""
PADDED_EVERY = 4
"""with room around the picture, for faces that fill it;"""
SECOND_LOOK_EVERY = 48
"""and, in frames with one, of the search in tiles for smaller ones."""
TURNED_SHAPE = 0.045
"""Upright faces whose meshes are bent less than this are looked at for orientation now and then."""
_RIGHT_CORNER, _LEFT_CORNER = 33, 263
TILE = 640
MOST_TILES = 12
FOLLOWED_FRAMES = 6
"""A face lost for more frames than this is no longer looked for at its old place."""
LOOK_BACK_BYTES = 100e6
"""Frames held back, so that a face that appears can be looked for in the ones before: at most
``PATIENT_EVERY``, fewer where they are large."""
THUMBNAIL = (48, 27)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the first look at a frame gives."""

    frame: Frame
    faces: tuple[Face, ...]
    thumbnail: U8 = field(repr=False)
    """(27, 48, 3) the whole frame, for finding cuts"""

    def without_pixels(self) -> WithFaces[Face]:
        return WithFaces(self.frame, self.faces)


def detect_faces(
    frames: Iterable[Frame], clip: Clip, options: DetectOptions
) -> Generator[WithFaces[Face], None, None]:
    """Each frame with its faces, largest first, in display pixels."""
    with closing(observe(frames, clip, options)) as seen:
        for one in seen:
            yield one.without_pixels()


def observe(
    frames: Iterable[Frame], clip: Clip, options: DetectOptions, *, twice: bool = False
) -> Generator[Seen, None, None]:
    """Each frame with its faces and a thumbnail; closing it closes ``frames`` and the models.

    ``twice`` averages two measurements of each face.  Their errors differ, and a swapped face would move with
    each of them.
    """
    workers = options.workers or os.cpu_count() or 1
    finder = FaceFinder(options, twice=twice)
    try:
        first = ordered_map(partial(look, clip=clip, finder=finder), frames, workers)
        with closing(first), closing(_followed(first, clip, finder)) as seen:
            for one in _looked_back(seen, clip, finder):
                yield replace(one, faces=tuple(with_true_lids(face) for face in one.faces))
    finally:
        finder.close()


def look(frame: Frame, clip: Clip, finder: FaceFinder) -> Seen:
    """Faces of a single frame."""
    overview, display_from_overview = _overview(frame, clip)
    meshes = finder.anywhere(overview)
    if frame.index % (SECOND_LOOK_EVERY if meshes else PATIENT_EVERY) == 0:
        meshes = _patient(meshes, overview, display_from_overview, frame, clip, finder)
    else:
        meshes = [mesh * display_from_overview for mesh in meshes]
        if not meshes and frame.index % PADDED_EVERY == 0:
            meshes = _confirmed(finder.padded(overview), display_from_overview, frame, clip, finder)
    closer = [_closer(mesh, display_from_overview, frame, clip, finder) for mesh in meshes]
    cut = partial(display_crop, frame, clip)
    meshes = [
        finder.right_way_up(mesh, cut) if _may_be_turned(mesh, frame.index) else mesh
        for mesh in closer
        if mesh is not None
    ]
    thumbnail = cv2.resize(overview, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return Seen(frame, finder.accept(meshes, clip.display_size), np.asarray(thumbnail, np.uint8))


def _may_be_turned(mesh: F32, index: int) -> bool:
    """Whether it is worth a second look which way up a face is."""
    across = _eye_axis(mesh)
    level = abs(float(across[1])) < float(across[0])
    return not level or shape_error(mesh) > TURNED_SHAPE or index % PATIENT_EVERY == 0


def display_crop(frame: Frame, clip: Clip, crop_from_display: F64, side: int = CROP) -> U8:
    """(side, side, 3) of the upright picture, cut straight from the planes."""
    return warp_rgb(frame.planes, clip.color, crop_from_display @ clip.display_from_frame, side)


def _overview(frame: Frame, clip: Clip, long_side: int = OVERVIEW) -> tuple[U8, np.float32]:
    """The upright frame in square pixels, and display pixels per pixel of it."""
    rgb, _ = downscaled_rgb(frame.planes, clip.color, long_side)
    if clip.sample_aspect != 1:
        width = max(round(rgb.shape[0] * clip.width * float(clip.sample_aspect) / clip.height), 1)
        rgb = np.asarray(cv2.resize(rgb, (width, rgb.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
    upright = np.asarray(clip.upright(rgb), np.uint8)
    return upright, np.float32(clip.display_size[0] / upright.shape[1])


def _closer(
    mesh: F32, display_from_overview: np.float32, frame: Frame, clip: Clip, finder: FaceFinder
) -> F32 | None:
    """``mesh`` in display pixels, measured again at full resolution where that helps, or in any case.

    Between "helps" and "does not" the two are mixed, so a face that grows slowly makes no jump.
    None when the closer look shows that this is not a face.
    """
    cut = partial(display_crop, frame, clip)
    doubtful = shape_error(mesh) > DOUBTFUL_SHAPE
    size = width_px(mesh) / float(display_from_overview)
    share = 0.0
    if display_from_overview > 1.0:
        share = float(np.clip((ENOUGH_PX - size) / (ENOUGH_PX - POOR_PX), 0, 1))
    if not doubtful and share == 0 and not finder.twice:
        return mesh
    exact = finder.confirmed(mesh, cut) if doubtful else finder.again(mesh, cut)
    if exact is None:
        return None if doubtful else mesh
    if doubtful:
        return exact
    if finder.twice:
        apart = float(np.linalg.norm((exact - mesh)[:, :2], axis=1).mean()) / width_px(mesh)
        share = max(share, 0.5 * float(np.clip((ALIKE[1] - apart) / (ALIKE[1] - ALIKE[0]), 0, 1)))
    return ((1 - share) * mesh + share * exact).astype(np.float32)


def _patient(
    meshes: list[F32], overview: U8, scale: np.float32, frame: Frame, clip: Clip, finder: FaceFinder
) -> list[F32]:
    """Display meshes of one look, plus small faces found in tiles, plus turned ones if there were none."""
    found = [mesh * scale for mesh in meshes]
    if scale > 1.25:
        full, full_scale = _overview(frame, clip, max(clip.width, clip.height))
        side = TILE
        while (full.shape[0] // side + 1) * (full.shape[1] // side + 1) > MOST_TILES:
            side = side * 5 // 4
        for mesh in finder.in_tiles(full, side):
            small = mesh * full_scale
            if width_px(mesh) < 0.5 * side and not any(same_face(small, other) for other in found):
                found.append(small)
    if found:
        return found
    turned = _confirmed(finder.any_way_up(overview), scale, frame, clip, finder)
    return turned or _confirmed(finder.padded(overview), scale, frame, clip, finder)


def _confirmed(
    meshes: list[F32], scale: np.float32, frame: Frame, clip: Clip, finder: FaceFinder
) -> list[F32]:
    """Those of the overview's ``meshes`` that are seen again on their own crops, in display pixels."""
    cut = partial(display_crop, frame, clip)
    shown = [mesh * scale for mesh in meshes]
    return [mesh for mesh in shown if finder.confirmed(mesh, cut) is not None]


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """A face of the frames before, and for how many it has not been seen."""

    mesh: F32
    lost: int = 0


def _followed(seen: Iterable[Seen], clip: Clip, finder: FaceFinder) -> Generator[Seen, None, None]:
    """Faces missing from a frame looked for where they were in the one before."""
    known: list[_Known] = []
    for one in seen:
        cut = partial(display_crop, one.frame, clip)
        meshes, changed = _turned_back([face.landmarks for face in one.faces], known, cut, finder)
        missing = [old for old in known if not any(same_face(old.mesh, mesh, 0.2) for mesh in meshes)]
        lost: list[_Known] = []
        for old in missing[: finder.options.max_faces]:
            again = finder.again(old.mesh, cut)
            if again is None:
                lost.append(replace(old, lost=old.lost + 1))
            else:
                meshes.append(again)
        measured = _as_if_upright(meshes, one.frame, clip, finder)
        changed = changed or any(new is not old for new, old in zip(measured, meshes, strict=True))
        meshes = measured
        more = changed or len(meshes) > len(one.faces)
        faces = finder.accept(meshes, clip.display_size) if more else one.faces
        known = [_Known(face.landmarks) for face in faces]
        known += [old for old in lost if old.lost < FOLLOWED_FRAMES]
        yield replace(one, faces=faces)


def _turned_back(
    meshes: list[F32], known: list[_Known], cut: Cut, finder: FaceFinder
) -> tuple[list[F32], bool]:
    """``meshes``, those replaced that stand on their head where the frame before had the face upright."""
    changed = False
    for k, mesh in enumerate(meshes):
        for old in known:
            if not same_face(old.mesh, mesh, 0.2) or float(_eye_axis(old.mesh) @ _eye_axis(mesh)) > 0:
                continue
            again = finder.again(old.mesh, cut)
            if again is not None and finder.unsteadiness(again, cut) < finder.unsteadiness(mesh, cut):
                meshes[k], changed = again, True
    return meshes, changed


def _as_if_upright(meshes: list[F32], frame: Frame, clip: Clip, finder: FaceFinder) -> list[F32]:
    """``meshes``, those that lie or stand on their head measured as upright ones: in the whole picture.

    On a crop of its own a mesh comes out a little different, and so would the swapped face.
    """
    quarters = [_quarter(mesh) for mesh in meshes]
    if not any(quarters):
        return meshes
    overview, scale = _overview(frame, clip)
    seen = {quarter: finder.turned(overview, quarter) for quarter in set(quarters) - {0}}
    measured = []
    for mesh, quarter in zip(meshes, quarters, strict=True):
        same = (other * scale for other in seen.get(quarter, []) if same_face(other * scale, mesh))
        found = next((other for other in same if _quarter(other) == quarter), None)
        exact = None if found is None else _closer(found, scale, frame, clip, finder)
        measured.append(mesh if exact is None else exact)
    return measured


def _quarter(mesh: F32) -> int:
    """Quarter turns counter-clockwise that bring the eyes nearest to level, 0 to 3."""
    across = _eye_axis(mesh)
    return round(float(np.arctan2(across[1], across[0])) / (np.pi / 2)) % 4


def _eye_axis(mesh: F32) -> F32:
    return mesh[_LEFT_CORNER, :2] - mesh[_RIGHT_CORNER, :2]


def _looked_back(seen: Iterable[Seen], clip: Clip, finder: FaceFinder) -> Iterator[Seen]:
    """A face that appears looked for in the frames before: it came in at the edge, or was overlooked."""
    held: deque[Seen] = deque()
    longest = _frames_held(clip)
    for one in seen:
        known = [face.landmarks for face in held[-1].faces] if held else []
        for face in one.faces if held else ():
            if not any(same_face(face.landmarks, mesh, 0.2) for mesh in known):
                _carry_back(face.landmarks, held, clip, finder)
        held.append(one)
        if len(held) > longest:
            yield held.popleft()
    yield from held


def _carry_back(mesh: F32, held: deque[Seen], clip: Clip, finder: FaceFinder) -> None:
    """Add the face of ``mesh`` to the frames held, latest first, as long as it is found."""
    for k in reversed(range(len(held))):
        meshes = [face.landmarks for face in held[k].faces]
        found = finder.again(mesh, partial(display_crop, held[k].frame, clip))
        if found is None or any(same_face(found, other, 0.2) for other in meshes):
            return
        faces = finder.accept([*meshes, found], clip.display_size)
        if len(faces) == len(meshes):
            return
        held[k] = replace(held[k], faces=faces)
        mesh = found


def _frames_held(clip: Clip) -> int:
    size = clip.width * clip.height * (1.5 if clip.bit_depth == 8 else 3.0)
    return int(np.clip(LOOK_BACK_BYTES // max(size, 1.0), 2, PATIENT_EVERY))
