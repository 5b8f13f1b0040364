"""The engine's two stages on a device: frames are uploaded, cut and measured; faces are drawn and pasted.

Between them the planes and crops of a frame stay where they are; its code comes down, is smoothed over time
on the host and goes up again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from faceswap_cli.geometry import align
from faceswap_cli.numerics import NotFinite, finite
from faceswap_cli.records import F32, F64, FaceTrack, Frame, Planes
from faceswap_cli.resident.finish import draw
from faceswap_cli.resident.measure import measure
from faceswap_cli.resident.paste import Patches, Place, laid_over, layers, paste
from faceswap_cli.resident.planes import Held, cut_crops, cuts_of, together, upload
from faceswap_cli.resident.planning import Asked, plan
from faceswap_cli.resident.posing import HeldCrop
from faceswap_cli.resident.tables import Tables
from faceswap_cli.swap.batches import MOST, Batches, in_batches
from faceswap_cli.swap.engine import (
    Encoded,
    Scene,
    StageClock,
    Stages,
    Swapped,
    Window,
    asked,
    crop_matrix,
    named,
)
from faceswap_cli.swap.fslsd256_person import Prepared
from faceswap_cli.swap.ledger import Drawn, ledger_rows
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method

A = TypeVar("A")
B = TypeVar("B")
IN_FLIGHT = 4
"""Groups of frames at a time in each stage: one uploads and one is drawn while masks of others are drawn."""


@lru_cache(maxsize=4)
def tables_on(device: str) -> Tables:
    """Of all that is drawn on ``device``."""
    return Tables(device)


def stages_on_device(method: Fslsd256Method) -> Stages[HeldCrop]:
    """The stages that keep frames on the method's device."""
    work = _Work(method, tables_on(method.device))
    return Stages(work.begin, work.finish, IN_FLIGHT)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """One face of a group of frames, not yet cut."""

    held: Held
    """Its frame"""
    person: Prepared
    crop_from_display: F64
    track: FaceTrack
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class _Face:
    """One drawn face."""

    crop: HeldCrop
    rgb: Tensor
    mask: Tensor
    told: F32
    """(4,) see ``finish.Faces``"""
    bounds: tuple[float, ...]

    def drawn(self) -> Drawn:
        """What the ledger tells of it."""
        _, largest, area, occluded = (float(v) for v in self.told)
        scale = abs(float(np.linalg.det(self.crop.crop_from_frame[:2, :2])))
        return Drawn(self.crop.track_id, largest > 0.0, area / max(scale, 1e-9), occluded)


class _Work:
    """Both stages with what they share."""

    def __init__(self, method: Fslsd256Method, tables: Tables) -> None:
        self._method, self._tables = method, tables

    @torch.inference_mode()
    def begin(self, frames: Sequence[Frame], scene: Scene, clock: StageClock) -> list[Encoded[HeldCrop]]:
        """Upload, cut and measure."""
        start = time.perf_counter()
        chosen = [scene.chosen(frame.pts) for frame in frames]
        shown = [k for k, rows in enumerate(chosen) if rows]
        if not shown:
            return [Encoded(frame, (), ()) for frame in frames]
        # Batches of the method are sized by what faces take.
        held = in_batches(self._uploaded, [frames[k].planes for k in shown], Batches(MOST))
        start = clock.add("upload", start)
        faces = [
            _Found(one, scene.prepared[track.person], crop_matrix(scene, track, row), track, row)
            for k, one in zip(shown, held, strict=True)
            for track, row in chosen[k]
        ]

        def measured(some: Sequence[_Found]) -> list[tuple[HeldCrop, F32]]:
            found = in_batches(lambda part: self._measured(part, scene), some, self._method.batches)
            for _, code in found:
                finite(code, "the code of a target face")
            return found

        done = iter(named(measured, faces, [frames[k] for k in shown for _ in chosen[k]], scene))
        clock.add("encode faces", start)
        pairs = [[next(done) for _ in rows] for rows in chosen]
        return [
            Encoded(frame, tuple(crop for crop, _ in own), tuple(code for _, code in own))
            for frame, own in zip(frames, pairs, strict=True)
        ]

    def _uploaded(self, pictures: Sequence[Planes]) -> list[Held]:
        with self._method.lane.visit() as there:
            group = upload(pictures, self._method.lane, there)
        return [group.one(k) for k in range(len(pictures))]

    def _measured(self, faces: Sequence[_Found], scene: Scene) -> list[tuple[HeldCrop, F32]]:
        from_display = scene.clip.display_from_frame
        sides = [scene.sides[face.track.track_id] for face in faces]
        matrices = [face.crop_from_display @ from_display for face in faces]
        cuts = [
            cuts_of(face.held, matrix, side)
            for face, matrix, side in zip(faces, matrices, sides, strict=True)
        ]
        keys = [(side, cut[0].shrink, cut[1].shrink) for side, cut in zip(sides, cuts, strict=True)]

        def alike(some: Sequence[int]) -> list[tuple[HeldCrop, F32]]:
            pictures = list(dict.fromkeys(faces[k].held for k in some))
            with self._method.lane.visit() as there:
                rgb = cut_crops(
                    together(pictures),
                    scene.clip.colour,
                    [pictures.index(faces[k].held) for k in some],
                    [cuts[k] for k in some],
                    (there, self._tables, sides[some[0]]),
                )
                crops = [_held(faces[k], matrices[k], rgb[n], scene) for n, k in enumerate(some)]
                people = [faces[k].person for k in some]
                found = measure(self._method, people, crops, there, self._tables)
            return list(zip(crops, found.packed(), strict=True))

        return _grouped(keys, alike)

    @torch.inference_mode()
    def finish(self, windows: Sequence[Window[HeldCrop]], scene: Scene, clock: StageClock) -> list[Swapped]:
        """Draw and paste."""
        start = time.perf_counter()
        items = [window[centre] for window, centre in windows]
        tasks = [[Asked(*one) for one in asked(window, scene)] for window in windows]
        of = [item.frame for item, some in zip(items, tasks, strict=True) for _ in some]

        def drawn(some: Sequence[Asked]) -> list[_Face]:
            return in_batches(self._drawn, some, self._method.batches)

        done = iter(named(drawn, [task for some in tasks for task in some], of, scene))
        faces = [[next(done) for _ in some] for some in tasks]
        start = clock.add("render faces", start)
        shown = [(item.frame, own) for item, own in zip(items, faces, strict=True) if own]
        pasted = iter(in_batches(lambda part: self._pasted(part, scene), shown, self._method.batches))
        planes = [next(pasted) if own else item.frame.planes for item, own in zip(items, faces, strict=True)]
        clock.add("paste", start)
        return [
            Swapped(
                replace(item.frame, planes=new),
                item.frame,
                ledger_rows(item.frame.pts, [face.drawn() for face in own], scene),
                len(own),
            )
            for item, own, new in zip(items, faces, planes, strict=True)
        ]

    def _drawn(self, faces: Sequence[Asked]) -> list[_Face]:
        def alike(some: Sequence[int]) -> list[_Face]:
            drawing = plan(self._method, [faces[k] for k in some])
            with self._method.lane.visit() as there:
                crops = torch.stack([faces[k].crop.rgb for k in some])
                found = draw(self._method, faces[some[0]].person, crops, drawing, (there, self._tables))
            told = found.told.numpy()
            if not told[:, 0].all():
                raise NotFinite("a drawn face")
            return [
                _Face(faces[k].crop, found.rgb[n], found.mask[n], told[n], drawing.bounds[n])
                for n, k in enumerate(some)
            ]

        return _grouped([(id(face.person), face.crop.side) for face in faces], alike)

    def _pasted(self, frames: Sequence[tuple[Frame, list[_Face]]], scene: Scene) -> list[Planes]:
        faces = [(n, face) for n, (_, own) in enumerate(frames) for face in own]
        done: list[tuple[list[int], Patches]] = []
        with self._method.lane.visit() as there:
            held = together([own[0].crop.held for _, own in frames])
            for layer in layers([n for n, _ in faces]):
                keys = [faces[k][1].crop.side for k in layer]
                for some in _alike(keys):
                    chosen = [faces[layer[k]] for k in some]
                    places = [Place(n, face.crop.crop_from_frame, face.bounds) for n, face in chosen]
                    pictures = (
                        torch.stack([face.rgb for _, face in chosen]),
                        torch.stack([face.mask for _, face in chosen]),
                    )
                    found = paste(held, scene.clip.colour, places, pictures, there, self._tables)
                    done.append(([n for n, _ in chosen], found.brought(there)))
        patches: list[list[tuple[tuple[int, int], list[np.ndarray]]]] = [[] for _ in frames]
        for pictures_of, found in done:
            for k, n in enumerate(pictures_of):
                patches[n].append(found.one(k))
        return [laid_over(frame.planes, own) for (frame, _), own in zip(frames, patches, strict=True)]


def _held(face: _Found, crop_from_frame: F64, rgb: Tensor, scene: Scene) -> HeldCrop:
    track, row = face.track, face.row
    return HeldCrop(
        track_id=track.track_id,
        held=face.held,
        side=rgb.shape[-1],
        crop_from_frame=crop_from_frame,
        landmarks=align.apply(face.crop_from_display, track.landmarks[row]),
        opacity=float(track.opacity[row]),
        open_eyes=scene.open_eyes[track.track_id],
        shape_mix=scene.amounts(int(track.pts[row])).shape_mix,
        rgb=rgb,
    )


def _alike(keys: Sequence[Hashable]) -> list[list[int]]:
    """Numbers of those with the same key."""
    found: dict[Hashable, list[int]] = {}
    for k, key in enumerate(keys):
        found.setdefault(key, []).append(k)
    return list(found.values())


def _grouped(keys: Sequence[Hashable], work: Callable[[Sequence[int]], Sequence[B]]) -> list[B]:
    """``work`` on the numbers of those with the same key; results in the order of ``keys``."""
    done: dict[int, B] = {}
    for some in _alike(keys):
        done.update(zip(some, work(some), strict=True))
    return [done[k] for k in range(len(keys))]
