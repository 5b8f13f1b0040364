"""Profile 256 of ``fslsd``: the renderer, our own network's picture in its gaps, and the refiner.

The network draws the face at 256 px from the source's structure and the target's appearance
(``nets.fslsd256``): inverted codes, structure rows moved by the landmark direction, appearance rows of the
target, blended features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faceswap_cli.config import JobOptions, PasteOptions, mapper_share
from faceswap_cli.devices import resolve_device
from faceswap_cli.geometry import align
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import SIDE, STRUCTURE_ROWS
from faceswap_cli.nets.meshfield import LIGHT_CELLS
from faceswap_cli.numerics import finite, told
from faceswap_cli.records import F32, FaceCrop, RenderedFace, SourceIdentity
from faceswap_cli.swap import renderer, scene
from faceswap_cli.swap.batches import batches_for
from faceswap_cli.swap.fslsd256_person import Code, Prepared, codes_on
from faceswap_cli.swap.fslsd256_weights import (
    FILE,
    basis_of,
    calls_of,
    digest,
    half,
    one_thread_each,
    preset_of,
    ready_net,
)
from faceswap_cli.swap.lane import Lane
from faceswap_cli.swap.method import CodeSmoothing, Task, covered
from faceswap_cli.swap.methods.mesh import crop_side
from faceswap_cli.swap.refiner_weights import refiner_on
from faceswap_cli.swap.refining import Refine
from faceswap_cli.swap.shrunk import Shrunk
from faceswap_cli.swap.source_face import source_face
from faceswap_cli.swap.texture import Texture
from faceswap_cli.weights.registry import bundled

_LIGHT = 3 * LIGHT_CELLS**2
_ROWS_BETA, _LIGHT_BETA = 10.0, 12.0
"""Appearance is steady, light moves a little."""


class Fslsd256Method:
    """See the module docstring.  Weights are loaded once per process, when first needed."""

    name = "fslsd"
    crop_scale = align.SWAP_SCALE
    memory_mb = 320

    def __init__(self, job: JobOptions, paste: PasteOptions, weights: Path) -> None:
        self._weights, self.paste = weights, paste
        self.device = resolve_device(job.device).name
        one_thread_each(self.device)
        self._shares, self._mapper = renderer.default_shares(job), mapper_share(job.mapper)
        # On CUDA several processes share the device where somebody asks for them: threads of one wait for the
        # interpreter long before the device is busy.
        self.light = self.device == "cpu" or (self.device.startswith("cuda") and job.workers > 1)
        self.inputs_digest = digest(weights)
        self.batches = batches_for(self.device, job)
        self.refine: Refine | None = None
        """Takes the bundled refiner's place"""
        self._shrunk, self.lane = Shrunk(SIDE), Lane(self.device)
        preset = preset_of(weights)
        self.code_rows = (preset.rows - STRUCTURE_ROWS, preset.style)
        sizes = (int(np.prod(self.code_rows)), _LIGHT)
        own = [np.full(n, beta, np.float32) for n, beta in zip(sizes, (_ROWS_BETA, _LIGHT_BETA), strict=True)]
        self.smoothing = CodeSmoothing(np.concatenate([renderer.BETA, *own]))

    def crop_side(self, face_px: float) -> int:
        """As large as the face in the frame; the network sees it at 256."""
        return crop_side(face_px)

    def net(self) -> Fslsd256:
        return ready_net(self._weights, self.device)

    @torch.inference_mode()
    def prepare(self, source: SourceIdentity) -> Prepared:
        """Fuse the photographs, then encode the fused picture."""
        ready = source_face(source, self._mapper)
        net = self.net()
        rgb = self._input(ready.texture)
        embedding = torch.tensor(source.embedding)[None].to(self.device)
        z = functional.normalize(embedding - net.mean_embedding, dim=-1)
        with half(self.device):
            found = net.encode_source(rgb, z)
        arrays = {side: m.float().cpu().numpy() for side, m in found.maps.items()}
        flat = [t.float().cpu().numpy() for t in (found.rgb, found.w, found.z)]
        with told(f"(method {self.name}, {source.name})"):
            for array in flat:
                finite(array, "the code of the source")
        return Prepared(ready, ready.texture.points, flat[0], flat[1], flat[2], arrays)

    def _input(self, texture: Texture) -> Tensor:
        """The source's picture as the network takes it, on the device."""
        return _to_input(torch.from_numpy(texture.picture(SIDE)[None]).to(self.device))

    def encode(self, prepared: Prepared, crop: FaceCrop) -> F32:
        """(D,) the look of the target, and the appearance rows and light that the network reads from it."""
        return self.encode_batch([Task(prepared, crop)])[0]

    def render(self, prepared: Prepared, crop: FaceCrop, code: F32, seed: int) -> RenderedFace:
        """Draw the source as the target; only the bounds of the face come back."""
        return self.render_batch([Task(prepared, crop, code, seed)])[0]

    def encode_batch(self, tasks: Sequence[Task]) -> list[F32]:
        """The codes of several crops."""
        measured = self._measured(tasks)
        return [
            Code(renderer.measure(task.crop, self.paste).packed(), *found).packed()
            for task, found in zip(tasks, measured, strict=True)
        ]

    @torch.inference_mode()
    def _measured(self, tasks: Sequence[Task]) -> Iterator[tuple[F32, F32]]:
        """What the network sees in each target: appearance rows and light."""
        net = self.net()
        rgb, points = self._small([task.crop for task in tasks])
        wanted = torch.from_numpy(np.stack([self.mesh_for(task) for task in tasks]))
        drawn = scene.draw(wanted, self._outline_before(tasks, wanted - points))
        light = scene.face_light(rgb, drawn)
        gain = scene.gain_of(light)
        erased = scene.erase(scene.brighter(rgb, gain), drawn, scene.brighter(light, gain))
        rows = self.lane.call(calls_of(net, self.device).style, erased)
        return zip(*(_arrays(x) for x in (rows, light)), strict=True)

    def mesh_for(self, task: Task) -> F32:
        """(478, 3) mesh of the swapped face, unit coordinates."""
        return renderer.mesh_for(task.prepared.face, task.crop, self._shares)

    def render_batch(self, tasks: Sequence[Task]) -> list[RenderedFace]:
        """Several faces; those of one person go through the network together."""
        people: dict[int, list[int]] = {}
        for k, task in enumerate(tasks):
            people.setdefault(id(task.prepared), []).append(k)
        faces: dict[int, RenderedFace] = {}
        refine = self.refine or refiner_on(self.device)
        for chosen in people.values():
            some = [tasks[k] for k in chosen]
            codes = [self.unpacked(task.code) for task in some]
            for k, code, (picture, drawn) in zip(chosen, codes, self._drawn(some, codes), strict=True):
                look, task = renderer.Look.unpacked(code.look), tasks[k]
                faces[k] = renderer.render(
                    task.prepared.face,
                    task.crop,
                    look,
                    drawn,
                    self.paste,
                    task.seed,
                    renderer.Drawing(picture, refine),
                )
        return [faces[k] for k in range(len(tasks))]

    @torch.inference_mode()
    def _drawn(self, tasks: Sequence[Task], codes: Sequence[Code]) -> list[tuple[F32, F32]]:
        """Of each face (256, 256, 3) R'G'B' in [0, 1] and its mesh (478, 3) in unit coordinates.

        All tasks are of one person.
        """
        net, prepared = self.net(), tasks[0].prepared
        rgb, points = self._small([task.crop for task in tasks])
        light, rows = (
            torch.from_numpy(np.stack([getattr(code, name) for code in codes])) for name in ("light", "rows")
        )
        own = torch.tensor(prepared.points).expand(len(tasks), -1, -1)
        wanted = torch.from_numpy(np.stack([self.mesh_for(task) for task in tasks]))
        pairing = scene.pair_to(own, points, basis_of(net), wanted)
        drawn = scene.draw(wanted, self._outline_before(tasks, wanted - points))
        pairing = replace(pairing, visible=scene.gated(pairing.visible, drawn, own, wanted))
        gain = scene.gain_of(light)
        seen = scene.build_scene(
            scene.brighter(rgb, gain), points, pairing, drawn, scene.brighter(light, gain)
        )
        codes_of = codes_on(prepared, self.device)
        face = self.lane.call(calls_of(net, self.device).face, *codes_of, rows, *seen.tensors())
        pictures = finite(_arrays(((face + 1) / (2 * gain)).clamp(0, 1)), "the network's face")
        return list(zip(pictures, wanted.numpy(), strict=True))

    def _small(self, crops: Sequence[FaceCrop]) -> tuple[Tensor, Tensor]:
        """The crops as the network takes them, and their meshes (N, 478, 3) in unit coordinates."""
        points = np.stack([crop.landmarks / np.float32(crop.rgb.shape[0]) for crop in crops])
        rgb = torch.from_numpy(np.stack([self._shrunk.of(crop.rgb) for crop in crops]))
        return _to_input(rgb), torch.from_numpy(points.astype(np.float32))

    def _outline_before(self, tasks: Sequence[Task], moves: Tensor) -> Tensor | None:
        """Meshes (N, 478, 3) of what the frame shows where an edit has moved it, with the same ``moves``."""
        if all(task.crop.before is None for task in tasks):
            return None
        return torch.from_numpy(np.stack([covered(task.crop)[-1] for task in tasks])) + moves

    def unpacked(self, code: F32) -> Code:
        look, rows, light = np.split(code, np.cumsum([renderer.CODE, int(np.prod(self.code_rows))]))
        return Code(look, rows.reshape(self.code_rows), light.reshape(3, LIGHT_CELLS, LIGHT_CELLS))


def _arrays(x: Tensor) -> F32:
    return np.asarray(x.float().cpu().numpy())


def _to_input(rgb: Tensor) -> Tensor:
    """(N, 256, 256, 3) uint8 -> (N, 3, 256, 256) in [-1, 1], channels last."""
    return (rgb.permute(0, 3, 1, 2).float() / 127.5) - 1


def build_fslsd256(job: JobOptions, paste: PasteOptions) -> Fslsd256Method:
    """Builder for the profiles of ``methods.fslsd``."""
    return Fslsd256Method(job, paste, bundled(FILE))
