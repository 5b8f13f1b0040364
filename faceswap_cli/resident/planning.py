"""What the host knows of faces that are to be drawn, ready to go up: everything but pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from faceswap_cli.records import F32
from faceswap_cli.resident import rasters
from faceswap_cli.resident.detail import wanted_of
from faceswap_cli.resident.posing import HeldCrop, Posing, pose
from faceswap_cli.swap.fslsd256_person import Code, Prepared
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One face to be drawn."""

    person: Prepared
    crop: HeldCrop
    code: F32
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Parts of codes, smoothed over time; see ``methods.fslsd256.Code``."""

    mesh: Tensor
    rows: Tensor
    light: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A batch of one person and one side, on the host."""

    posing: Posing
    codes: Codes
    sketches: Tensor
    layers: Tensor
    """Both of ``rasters.drawn_scene``"""
    masks: rasters.Masks
    shut: rasters.Shut | None
    outlines: Tensor | None
    """None where things in front are not looked for"""
    aims: Tensor
    """(N, 4) deviations of bands and grain"""
    grain: Tensor
    """(N, 1, S, S)"""
    opacity: Tensor
    """(N,)"""
    bounds: tuple[tuple[float, ...], ...]
    """x0, y0, x1, y1 in crop pixels beyond which the masks are 0"""

    def tensors(self) -> tuple[Tensor, ...]:
        """What goes up besides ``layers`` and ``masks.full``, in the order of ``finish``."""
        posing, codes = self.posing, self.codes
        return (
            self.sketches,
            self.masks.tinted,
            self.masks.moves,
            self.masks.known,
            posing.wanted,
            posing.shape,
            posing.losses,
            posing.windows,
            posing.trust,
            codes.mesh,
            codes.rows,
            codes.light,
            self.aims,
            self.grain,
        )


def plan(method: Fslsd256Method, faces: Sequence[Asked]) -> Drawing:
    """All ``faces`` are of one person and one side."""
    person, side = faces[0].person, faces[0].crop.side
    codes = [method.unpacked(face.code) for face in faces]
    points, crops = [face.crop.points for face in faces], [face.crop for face in faces]
    posing = pose(method, person, points, _stack(codes, "offset"), (crop.shape_mix for crop in crops))
    wanted = list(posing.wanted.numpy())
    sketches, layers = rasters.drawn_scene(wanted, method.lane)
    aims = np.stack([wanted_of(code.mesh) for code in codes])
    seeds, usual = [face.seed for face in faces], [crop.open_eyes for crop in crops]
    return Drawing(
        posing=posing,
        codes=Codes(*(_stack(codes, name) for name in ("mesh", "rows", "light"))),
        sketches=sketches,
        layers=layers,
        masks=rasters.face_masks(wanted, points, usual, side, method.lane),
        shut=rasters.shut_eyes(wanted, points, usual, side),
        outlines=rasters.outlines(points) if method.paste.occlusion else None,
        aims=torch.from_numpy(aims),
        grain=rasters.noise(wanted, seeds, aims[:, -1].tolist(), side, method.lane),
        opacity=torch.tensor([crop.opacity for crop in crops], dtype=torch.float32),
        bounds=tuple(rasters.mask_bounds(layer, side) for layer in layers.numpy()[:, 0]),
    )


def _stack(codes: Sequence[Code], name: str) -> Tensor:
    return torch.from_numpy(np.stack([getattr(code, name) for code in codes]))
