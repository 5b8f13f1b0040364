"""What is measured of targets: the code of ``methods.fslsd256``, for a batch of crops on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import SIDE
from faceswap_cli.nets.meshfield import LIGHT_CELLS
from faceswap_cli.records import F32
from faceswap_cli.resident import detail, lab, rasters, shading
from faceswap_cli.resident.packing import joined, parted
from faceswap_cli.resident.posing import HeldCrop, proportions_of
from faceswap_cli.resident.tables import Tables, resized, shrunk_or_grown
from faceswap_cli.swap import appearance, scene
from faceswap_cli.swap.fslsd256_person import Code, Prepared
from faceswap_cli.swap.fslsd256_weights import calls_of
from faceswap_cli.swap.lane import Visit, Work, replayed
from faceswap_cli.swap.methods import mesh
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Parts of codes, on the host when the visit is over."""

    mesh: Tensor
    rows: Tensor
    light: Tensor
    offset: Tensor

    def packed(self) -> list[F32]:
        """One code for each face."""
        parts = (x.numpy() for x in (self.mesh, self.rows, self.light, self.offset))
        return [Code(*one).packed() for one in zip(*parts, strict=True)]


def measure(
    method: Fslsd256Method,
    people: Sequence[Prepared],
    crops: Sequence[HeldCrop],
    there: Visit,
    tables: Tables,
) -> Measured:
    """The codes of ``crops``, which are of one side, for each his source."""
    points, side = [crop.points for crop in crops], crops[0].side
    offset, moved = proportions_of(method, people, points, (crop.shape_mix for crop in crops))
    brows = np.array([one[list(parts.BROWS), 1].mean() for one in points], np.float32)
    meshes = np.stack([one[:, :2] for one in points])
    drawn = (
        *rasters.drawn_scene(moved, method.lane),
        *rasters.skin_masks(points),
        rasters.inner_masks(points, side, method.lane),
        torch.from_numpy(brows),
        torch.from_numpy(meshes),
    )
    look = _look_of(method.net(), method.device, tables)
    found = look(torch.stack([crop.rgb for crop in crops]), *(there.up(x) for x in drawn))
    shapes = (mesh.CODE,), method.code_rows, (3, LIGHT_CELLS, LIGHT_CELLS)
    code, rows, light = parted(there.down(found), *shapes)
    return Measured(code, rows, light, offset)


@lru_cache(maxsize=4)
def _look_of(net: Fslsd256, device: str, tables: Tables) -> Work:
    """All that a device does for codes, recorded where it can be."""
    style = calls_of(net, device).plain_style

    def look(*inputs: Tensor) -> Tensor:
        """-> code of ``mesh`` (N, ``mesh.CODE``), rows (N, L - 7, C), light (N, 3, 8, 8)."""
        crops, sketches, layers, *rest = inputs
        rgb = crops.float()
        drawn, small = scene_on(sketches, layers), network_input(rgb, tables)
        light = scene.face_light(small, drawn)
        gain = scene.gain_of(light)
        erased = scene.erase(scene.brightened(small, gain), drawn, scene.brightened(light, gain))
        return joined(_light_and_detail(rgb, rest, tables), style(erased), light)

    return replayed(look, device)


def network_input(rgb: Tensor, tables: Tables) -> Tensor:
    """Crops (N, 3, S, S), levels of 255, as the network takes them: (N, 3, 256, 256) in [-1, 1]."""
    rgb = resized(rgb, SIDE, shrunk_or_grown(rgb.shape[-1], SIDE), tables)
    return (rgb / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def scene_on(sketches: Tensor, layers: Tensor) -> scene.Drawn:
    """``rasters.drawn_scene``, on the device."""
    sketch, both = (x.float() / 255 for x in (sketches, layers))
    return scene.Drawn(sketch, both[:, :1], both[:, 1:])


def _light_and_detail(rgb: Tensor, drawn: Sequence[Tensor], tables: Tables) -> Tensor:
    """(N, ``mesh.CODE``): see ``MeshMethod.encode``.

    ``drawn``: where skin may be and where colours and detail are measured, height of the brows, meshes.
    """
    skin, coloured, inner, brows, meshes = drawn
    n = appearance.LIGHT_SIDE
    small = lab.lab_from_rgb(resized(rgb, n, cv2.INTER_AREA, tables) / 255, tables)
    seen = shading.skin_weight(small, skin, brows, tables)
    light = shading.light_at(small, seen, meshes, tables)
    layers = detail.split_bands(lab.lightness(rgb, tables), tables)
    bands, grain = detail.measure_detail(layers, inner.float() / 255)
    chroma = detail.measure_chroma(small, coloured)
    tail = torch.cat([bands, grain[:, None].clamp_min(mesh.LEAST_GRAIN), chroma], dim=1)
    return torch.cat([light.flatten(1), tail.log()], dim=1)
