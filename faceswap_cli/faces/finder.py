"""All ways to look for faces in one upright picture: at once, in tiles, turned, where one was before.

A :class:`FaceFinder` holds the models, one set per thread; the code that makes one closes it.  Its
methods are pure functions of their arguments.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from faceswap_cli.config import DetectOptions
from faceswap_cli.faces.crops import (
    back,
    overlap,
    same_face,
    shape_error,
    turn_crop,
    upright_crop,
    width_px,
    without_doubles,
)
from faceswap_cli.faces.landmarker import Landmarker, Range
from faceswap_cli.faces.landmarks import bounds
from faceswap_cli.records import F32, F64, U8, Face

HEAD_OVER_MESH = 1.3
"""A face as people measure it, ear to ear, over the width of its mesh."""
WORST_SHAPE = 0.16
"""Meshes bent more than this are not faces; real ones measured 0.03, at most 0.09."""
DOUBTFUL_SHAPE = 0.08
"""Meshes bent more than this must be seen a second time, on a crop of their own."""
CONFIDENCE = 0.5
SURE_CONFIDENCE = 0.35
"""Asked of a crop in which a face has already been seen."""

ROOM_AROUND = 0.4
"""Added on all sides of a picture that a face fills, as a share of its long side."""
LEAN_DEG = 25.0
STEADY, STEADIER = 0.0115, 0.6
"""Below the first a mesh is taken as the right way up; a turned one must be steadier by the second."""
ROOM = 2.6
"""Side of the crop in which turned faces are looked for, over the mesh: what was seen may be off by a lot."""

Cut = Callable[[F64], U8]
"""crop_from_image (3, 3) -> (256, 256, 3) of the picture that is searched."""


class FaceFinder:
    """The models, made lazily for each thread that asks."""

    def __init__(self, options: DetectOptions, *, twice: bool = False) -> None:
        """``twice``: a clip's faces are measured on the overview and on crops of their own, and averaged."""
        self.options = options
        self.twice = twice
        self._local = threading.local()
        self._lock = threading.Lock()
        self._made: list[Landmarker] = []

    def close(self) -> None:
        """Free all models; no thread may be searching any more."""
        with self._lock:
            made, self._made = self._made, []
            self._local = threading.local()
        for landmarker in made:
            landmarker.close()

    def anywhere(self, rgb: U8) -> list[F32]:
        """Meshes found in one look at (H, W, 3): the long-distance detector, else the close-up one."""
        return self._look("full", rgb) or self._look("short", rgb)

    def any_way_up(self, rgb: U8) -> list[F32]:
        """The same, and faces that lie on their side or stand on their head where none is upright.

        The close-up detector comes last: it sees upright faces in the folds of turned ones.
        """
        reaches: tuple[Range, ...] = ("full", "short")
        for reach in reaches:
            for quarter in (0, 1, 3, 2):
                if found := self.turned(rgb, quarter, reach):
                    return found
        return []

    def turned(self, rgb: U8, quarter: int, reach: Range = "full") -> list[F32]:
        """Meshes found in ``rgb`` turned by ``quarter`` quarters counter-clockwise, in its own pixels."""
        found = self._look(reach, np.ascontiguousarray(np.rot90(rgb, quarter)))
        return [_unturned(mesh, quarter, rgb.shape[1], rgb.shape[0]) for mesh in found]

    def padded(self, rgb: U8) -> list[F32]:
        """Meshes of faces that fill the picture or are cut by its edge: seen with room around them."""
        edge = round(ROOM_AROUND * max(rgb.shape[:2]))
        wide = np.asarray(cv2.copyMakeBorder(rgb, edge, edge, edge, edge, cv2.BORDER_REPLICATE), np.uint8)
        offset = np.array([edge, edge, 0], np.float32)
        return [mesh - offset for mesh in self.anywhere(wide)]

    def in_tiles(self, rgb: U8, side: int) -> list[F32]:
        """Meshes found in overlapping squares of ``side`` pixels: small faces, seen closer."""
        found: list[F32] = []
        for x, y in _corners(rgb.shape[1], rgb.shape[0], side):
            tile = rgb[y : y + side, x : x + side]
            offset = np.array([x, y, 0], np.float32)
            found += [mesh + offset for mesh in self._look("full", tile)]
        return without_doubles(found)

    def again(self, mesh: F32, cut: Cut) -> F32 | None:
        """Measure the face of ``mesh`` again on an upright crop; None when it is not seen there."""
        crop_from_image = upright_crop(mesh)
        rgb = cut(crop_from_image)
        for reach in ("short", "full"):
            seen = [back(other, crop_from_image) for other in self._look(reach, rgb, sure=True)]
            seen = [other for other in seen if overlap(bounds(other), bounds(mesh)) > 0.25]
            if seen:
                return max(seen, key=lambda other: overlap(bounds(other), bounds(mesh)))
        return None

    def confirmed(self, mesh: F32, cut: Cut) -> F32 | None:
        """The face of ``mesh`` on its own crop, if it is there and of the same size and place.

        Lettering and patterns that pass for a face in the whole picture fail here.
        """
        found = self.again(mesh, cut)
        if found is None or shape_error(found) > WORST_SHAPE:
            return None
        return found if overlap(bounds(found), bounds(mesh)) > 0.5 else None

    def unsteadiness(self, mesh: F32, cut: Cut) -> float:
        """How far the mesh moves, in face widths, when it is measured on crops that lean to either side.

        A face seen the right way up gives 0.002 to 0.01, one seen upside down 0.013 to 0.1, though its
        mesh may be as well shaped.  Infinite when it is not seen on that crop.
        """
        moved = []
        for degrees in (-LEAN_DEG, LEAN_DEG):
            crop_from_image = turn_crop(degrees) @ upright_crop(mesh)
            looks = self._look("short", cut(crop_from_image), sure=True)
            seen = [back(other, crop_from_image) for other in looks]
            steps = [float(np.abs(other[:, :2] - mesh[:, :2]).mean()) for other in seen]
            moved.append(min(steps, default=float("inf")) / max(width_px(mesh), 1.0))
        return sum(moved) / 2

    def right_way_up(self, mesh: F32, cut: Cut) -> F32:
        """``mesh``, or the same face turned by one to three quarters, where that is seen more steadily."""
        steadiest = self.unsteadiness(mesh, cut)
        if steadiest < STEADY:
            return mesh
        best, old = mesh, upright_crop(mesh, margin=ROOM)
        for degrees in (180, 90, 270):
            crop_from_image = turn_crop(degrees) @ old
            for other in self._look("short", cut(crop_from_image), sure=True):
                found = self.again(back(other, crop_from_image), cut)
                if found is None or shape_error(found) > WORST_SHAPE or not same_face(found, mesh):
                    continue
                moved = self.unsteadiness(found, cut)
                if moved < min(STEADIER * steadiest, STEADY * 2):
                    best, steadiest = found, moved
        return best

    def accept(self, meshes: Sequence[F32], size: tuple[int, int]) -> tuple[Face, ...]:
        """Faces that pass the checks, largest first; ``size`` is (width, height) of the picture."""
        faces = [_face(mesh) for mesh in without_doubles(meshes) if self._plausible(mesh, size)]
        return tuple(faces[: self.options.max_faces])

    def _plausible(self, mesh: F32, size: tuple[int, int]) -> bool:
        box = bounds(mesh)
        wide, high = float(box[2] - box[0]), float(box[3] - box[1])
        small = HEAD_OVER_MESH * max(wide, high) < self.options.min_face_px
        if small or not 0.3 < wide / max(high, 1e-6) < 3.0:
            return False
        inside = np.all((mesh[:, :2] >= 0) & (mesh[:, :2] <= np.array(size)), axis=1).mean()
        return bool(inside > 0.35) and shape_error(mesh) < WORST_SHAPE

    def _look(self, reach: Range, rgb: U8, *, sure: bool = False) -> list[F32]:
        models: dict[tuple[Range, bool], Landmarker] | None = getattr(self._local, "models", None)
        if models is None:
            models = self._local.models = {}
        if (reach, sure) not in models:
            confidence = SURE_CONFIDENCE if sure else CONFIDENCE
            made = Landmarker(reach, 2 if sure else self.options.max_faces, confidence)
            with self._lock:
                self._made.append(made)
            models[reach, sure] = made
        return models[reach, sure].detect(rgb)


def _face(mesh: F32) -> Face:
    score = float(np.clip(1.15 - shape_error(mesh) / WORST_SHAPE, 0.05, 1.0))
    return Face(box=bounds(mesh), landmarks=mesh.astype(np.float32), score=score)


def _unturned(mesh: F32, quarter: int, width: int, height: int) -> F32:
    """Points of a picture turned by ``quarter`` quarters counter-clockwise, in the unturned one's pixels."""
    x, y, z = mesh[:, 0], mesh[:, 1], mesh[:, 2]
    turned = {0: (x, y), 1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}
    return np.stack([*turned[quarter], z], axis=1)


def _corners(width: int, height: int, side: int) -> list[tuple[int, int]]:
    """Top left corners of squares that cover the picture and overlap by a third or more."""

    def starts(length: int) -> list[int]:
        if length <= side:
            return [0]
        count = int(np.ceil((length - side) / (side * 2 / 3))) + 1
        return [round(k * (length - side) / (count - 1)) for k in range(count)]

    return [(x, y) for y in starts(height) for x in starts(width)]
