"""What is measured of targets: the code of ``methods.fslsd256``, for a batch of crops on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.nets.fslsd256_encoders import SIDE
from faceswap_cli.records import F32
from faceswap_cli.resident import detail, lab, rasters, shading
from faceswap_cli.resident.posing import HeldCrop, proportions_of
from faceswap_cli.resident.tables import Tables, resized, shrunk_or_grown
from faceswap_cli.swap import appearance, scene
from faceswap_cli.swap.fslsd256_weights import calls_of
from faceswap_cli.swap.lane import Visit
from faceswap_cli.swap.methods import mesh
from faceswap_cli.swap.methods.fslsd256 import Code, Fslsd256Method, Prepared


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
    points = [crop.points for crop in crops]
    offset, moved = proportions_of(method, people, points, (crop.shape_mix for crop in crops))
    rgb = torch.stack([crop.rgb for crop in crops]).float()
    looks = _appearance(method, rgb, moved, there, tables)
    rows, light = (there.down(x) for x in looks)
    return Measured(there.down(_light_and_detail(method, rgb, points, there, tables)), rows, light, offset)


def network_input(rgb: Tensor, tables: Tables) -> Tensor:
    """Crops (N, 3, S, S), levels of 255, as the network takes them: (N, 3, 256, 256) in [-1, 1]."""
    rgb = resized(rgb, SIDE, shrunk_or_grown(rgb.shape[-1], SIDE), tables)
    return (rgb / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def scene_on(sketches: Tensor, layers: Tensor) -> scene.Drawn:
    """``rasters.drawn_scene``, on the device."""
    sketch, both = (x.float() / 255 for x in (sketches, layers))
    return scene.Drawn(sketch, both[:, :1], both[:, 1:])


def _appearance(
    method: Fslsd256Method, rgb: Tensor, moved: Sequence[F32], there: Visit, tables: Tables
) -> tuple[Tensor, Tensor]:
    """Rows of the network (N, L - 7, C) and light (N, 3, 8, 8)."""
    drawn = scene_on(*(there.up(x) for x in rasters.drawn_scene(moved, method.lane)))
    small = network_input(rgb, tables)
    light = scene.face_light(small, drawn)
    gain = scene.gain_of(light)
    erased = scene.erase(scene.brightened(small, gain), drawn, scene.brightened(light, gain))
    return calls_of(method.net(), method.device).style(erased), light


def _light_and_detail(
    method: Fslsd256Method, rgb: Tensor, points: Sequence[F32], there: Visit, tables: Tables
) -> Tensor:
    """(N, ``mesh.CODE``): see ``MeshMethod.encode``."""
    side, n = rgb.shape[-1], appearance.LIGHT_SIDE
    skin, coloured = (there.up(x) for x in rasters.skin_masks(points))
    inner = there.up(rasters.inner_masks(points, side, method.lane)).float() / 255
    brows = np.array([one[list(parts.BROWS), 1].mean() for one in points], np.float32)
    meshes = there.up(torch.from_numpy(np.stack([one[:, :2] for one in points])))
    small = lab.lab_from_rgb(resized(rgb, n, cv2.INTER_AREA, tables) / 255, tables)
    seen = shading.skin_weight(small, skin, there.up(torch.from_numpy(brows)), tables)
    light = shading.light_at(small, seen, meshes, tables)
    bands, grain = detail.measure_detail(detail.split_bands(lab.lightness(rgb, tables), tables), inner)
    chroma = detail.measure_chroma(small, coloured)
    tail = torch.cat([bands, grain[:, None].clamp_min(mesh.LEAST_GRAIN), chroma], dim=1)
    return torch.cat([light.flatten(1), tail.log()], dim=1)
