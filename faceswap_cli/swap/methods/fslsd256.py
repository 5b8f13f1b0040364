"""Profile 256 of ``fslsd``: our own network, with the warped source's finest detail on top.

The network draws the face at 256 px from the source's structure and the target's appearance
(``nets.fslsd256``); what lies above 256 px comes from the mesh warp, where the source is seen; sharpness and
grain are brought to the target's; between the lids lie the target's eyes (``swap.eyes``); what passes in
front of the face is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faceswap_cli.config import JobOptions, PasteOptions, mapper_share
from faceswap_cli.devices import resolve_device
from faceswap_cli.errors import WeightsError
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.geometry.paste import paste_into_crop
from faceswap_cli.identity.embed import embed
from faceswap_cli.keyframes import value_at
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import MESH_POINTS, SIDE, STRUCTURE_ROWS
from faceswap_cli.nets.meshfield import LIGHT_CELLS
from faceswap_cli.numerics import finite, told
from faceswap_cli.records import F32, FaceCrop, RenderedFace, SourceIdentity
from faceswap_cli.swap import appearance, calibration, scene
from faceswap_cli.swap.batches import batches_for
from faceswap_cli.swap.eyes import keep_eyes
from faceswap_cli.swap.features import (
    keep_colour,
    keep_mouth,
    keep_shut_eyes,
    limit_colour,
    limit_eyes,
    limit_lips,
)
from faceswap_cli.swap.fslsd256_person import Code, Prepared, codes_on, joined, shape_of, tones_of
from faceswap_cli.swap.fslsd256_weights import (
    FILE,
    Tuning,
    basis_of,
    calls_of,
    digest,
    half,
    one_thread_each,
    preset_of,
    ready_net,
    tuned_net,
)
from faceswap_cli.swap.lane import Lane
from faceswap_cli.swap.mesh_reader import mesh_network, steady_points
from faceswap_cli.swap.method import CodeSmoothing, Task, covered, in_frame
from faceswap_cli.swap.methods import mesh
from faceswap_cli.swap.occluder_head import look
from faceswap_cli.swap.occlusion import occluder_map
from faceswap_cli.swap.shape import mix_weights, proportions, remove_pose
from faceswap_cli.swap.shrunk import Shrunk
from faceswap_cli.swap.texture import Texture
from faceswap_cli.weights.registry import bundled

_AT_ONCE = 4
"""Faces that are drawn together to be looked at: more take memory that the job needs otherwise"""
_OPEN = 0.6
"""Share of an eye's usual opening from which its iris can be seen"""
TINT_SIDE = 128
"""Colours are compared at this size."""
ABOVE = 0.6
"""Blur, in pixels of the network's picture, that takes what it cannot hold"""
_LIGHT = 3 * LIGHT_CELLS**2
_OFFSET = MESH_POINTS * 3
_ROWS_BETA, _LIGHT_BETA, _OFFSET_BETA = 10.0, 12.0, 25.0
"""Appearance is steady, light moves a little; proportions of a person do not change at all."""


class Fslsd256Method:
    """See the module docstring.  Weights are loaded once per process, when first needed."""

    name = "fslsd"
    crop_scale = align.SWAP_SCALE
    memory_mb = 320

    def __init__(self, job: JobOptions, paste: PasteOptions, weights: Path) -> None:
        self._weights, self.paste = weights, paste
        self.device = resolve_device(job.device).name
        one_thread_each(self.device)
        self._mix, self._mapper = value_at(job.shape_mix), mapper_share(job.mapper)
        # On CUDA several processes share the device where somebody asks for them: threads of one wait for the
        # interpreter long before the device is busy.
        self.light = self.device == "cpu" or (self.device.startswith("cuda") and job.workers > 1)
        self.inputs_digest = digest(weights)
        self.batches = batches_for(self.device, job)
        self._mesh, self._shrunk, self.lane = (
            mesh.MeshMethod(job, paste),
            Shrunk(SIDE),
            Lane(self.device),
        )
        preset = preset_of(weights)
        self.code_rows = (preset.rows - STRUCTURE_ROWS, preset.style)
        sizes = (int(np.prod(self.code_rows)), _LIGHT, _OFFSET)
        betas = (_ROWS_BETA, _LIGHT_BETA, _OFFSET_BETA)
        own = [np.full(n, beta, np.float32) for n, beta in zip(sizes, betas, strict=True)]
        before = np.broadcast_to(np.asarray(self._mesh.smoothing.beta, np.float32), (mesh.CODE,))
        self.smoothing = CodeSmoothing(np.concatenate([before, *own]))

    def crop_side(self, face_px: float) -> int:
        """As large as the face in the frame; the network sees it at 256."""
        return self._mesh.crop_side(face_px)

    def net(self, prepared: Prepared | None = None) -> Fslsd256:
        if prepared is None or prepared.tuning is None:
            return ready_net(self._weights, self.device)
        return tuned_net(self._weights, self.device, prepared.tuning)

    @torch.inference_mode()
    def prepare(self, source: SourceIdentity) -> Prepared:
        """Fuse the photographs, then encode the fused picture once; an enrolled person is encoded already."""
        known = source.enrolled
        # A person drawn from the embedding alone has no codes of pictures.
        codes = None if known is None or self._mapper == 1.0 else known.codes
        if codes is not None and codes.base != self.inputs_digest:
            raise WeightsError(
                f"{source.name} was enrolled with other weights of fslsd than those installed; "
                "enroll again, or try --method mesh"
            )
        ready = self._mesh.prepare(source)
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
        tuning = None
        if codes is not None:
            if codes.rows[None].shape != flat[1].shape:
                raise WeightsError(f"the codes of {source.name} fit no {self._weights.name}; enroll again")
            share, rows = np.float32(self._mapper), codes.rows[None] + self._change(source, flat[1])
            flat[1:] = [rows + share * (flat[1] - rows), codes.z[None]]
            tuning = Tuning(codes.digest, codes.deltas) if codes.deltas else None
        neutral = None if known is None or self._mapper > 0.0 else known.neutral
        # An edited person is not to be brought back to what she was.
        identity = None if source.changes else np.asarray(source.embedding, np.float32)
        points = ready.texture.points
        return Prepared(ready, points, flat[0], flat[1], flat[2], arrays, neutral, tuning, identity=identity)

    def _change(self, source: SourceIdentity, rows: F32) -> F32 | float:
        """What an edit of appearance does to the codes, ``rows`` being those of the edited picture."""
        if not source.changes:
            return 0.0
        plain = self._mesh.prepare(replace(source, changes=())).texture
        with half(self.device):
            before = self.net().style(self._input(plain))
        return np.asarray(rows - _arrays(before), np.float32)

    def _input(self, texture: Texture) -> Tensor:
        """The source's picture as the network takes it, on the device."""
        return _to_input(torch.from_numpy(texture.picture(SIDE)[None]).to(self.device))

    def encode(self, prepared: Prepared, crop: FaceCrop) -> F32:
        """(D,) appearance rows and light of the target, proportions, and the code of ``methods.mesh``."""
        return self.encode_batch([Task(prepared, crop)])[0]

    def render(self, prepared: Prepared, crop: FaceCrop, code: F32, seed: int) -> RenderedFace:
        """Draw the source as the target; only the bounds of the face come back."""
        return self.render_batch([Task(prepared, crop, code, seed)])[0]

    def encode_batch(self, tasks: Sequence[Task]) -> list[F32]:
        """The codes of several crops."""
        measured = self._measured(tasks)
        return [
            Code(self._mesh.encode(task.prepared.mesh, task.crop), *found).packed()
            for task, found in zip(tasks, measured, strict=True)
        ]

    @torch.inference_mode()
    def _measured(self, tasks: Sequence[Task]) -> Iterator[tuple[F32, F32, F32]]:
        """What the network sees in each target: appearance rows, light, difference of proportions."""
        net = self.net()
        rgb, points = self._small([task.crop for task in tasks])
        theirs = remove_pose(points)
        own = joined([shape_of(task.prepared) for task in tasks])
        offset = proportions(own, theirs, basis_of(net))
        moves = theirs.direct(offset * self.weights_of_mix(task.crop.shape_mix for task in tasks))
        drawn = scene.draw(points + moves, self._outline_before(tasks, points, moves))
        light = scene.face_light(rgb, drawn)
        gain = scene.gain_of(light)
        erased = scene.erase(scene.brighter(rgb, gain), drawn, scene.brighter(light, gain))
        rows = self.lane.call(calls_of(net, self.device).style, erased)
        return zip(*(_arrays(x) for x in (rows, light, offset)), strict=True)

    def render_batch(self, tasks: Sequence[Task]) -> list[RenderedFace]:
        """Several faces; those of one person go through the network together."""
        people: dict[int, list[int]] = {}
        for k, task in enumerate(tasks):
            people.setdefault(id(task.prepared), []).append(k)
        faces: dict[int, RenderedFace] = {}
        for chosen in people.values():
            some = [tasks[k] for k in chosen]
            codes = [self.unpacked(task.code) for task in some]
            for k, code, drawn in zip(chosen, codes, self._drawn(some, codes), strict=True):
                faces[k] = self._finished(tasks[k], code, *drawn)
        return [faces[k] for k in range(len(tasks))]

    def _finished(self, task: Task, code: Code, face: F32, mask: F32, wanted: F32) -> RenderedFace:
        """The network's picture with what the crop's full resolution adds, and its mask."""
        crop, side = task.crop, task.crop.rgb.shape[0]
        # With an edit both outlines are covered, the one that was there and the wanted one.
        window = Window.around(
            np.concatenate([p[list(parts.OVAL)] for p in (wanted, *covered(crop)[1:])]), side
        )
        part = mesh.cut_down(crop, window)
        carried = mesh.carry(task.prepared.mesh, wanted, code.mesh)
        small = appearance.lab_from_float(face)
        limit_colour(small, carried.lab(Window.full(TINT_SIDE)), warp.enlarge(carried.light_to, TINT_SIDE))
        lab = np.ascontiguousarray(window.of(_enlarged(small, side)))
        if side > SIDE:
            lab[..., 0] += _above(carried.luma(window), side)
        target, points = appearance.lab_from_rgb(part.rgb), crop.landmarks / np.float32(side)
        keep_colour(lab, carried.lab, wanted, window)
        limit_lips(lab, target, points, wanted, window)
        limit_eyes(lab, target, points, wanted, window)
        mesh.match_detail(lab, code.mesh, mesh.inner_face(wanted, window), task.seed)
        keep_mouth(lab, target, points, wanted, window)
        keep_eyes(lab, target, crop, wanted, window, tones_of(task.prepared))
        keep_shut_eyes(lab, target, crop, wanted, window)
        share = np.clip(window.of(_enlarged(mask, side)), 0.0, 1.0)
        occluded = 0.0
        if self.paste.occlusion:
            real = in_frame(crop)
            seen = look(real.rgb, real.landmarks / np.float32(side))
            there = target if real is crop else appearance.lab_from_rgb(window.of(real.rgb))
            front = occluder_map(there, carried.light(window), wanted, window, seen)
            occluded = float((share * front).sum() / max(float(share.sum()), 1.0))
            share = share * (1.0 - front)
        drawn = np.asarray(wanted * side - np.array([window.x, window.y, 0]), np.float32)
        share = share * np.float32(crop.opacity)
        return RenderedFace(part, appearance.rgb_from_lab(lab), share, occluded, drawn)

    @torch.inference_mode()
    def _drawn(self, tasks: Sequence[Task], codes: Sequence[Code]) -> list[tuple[F32, F32, F32]]:
        """Of each face (256, 256, 3) RGB in [0, 1], mask (256, 256), landmarks (478, 3) in unit coordinates.

        All tasks are of one person.
        """
        net, prepared = self.net(tasks[0].prepared), tasks[0].prepared
        rgb, points = self._small([task.crop for task in tasks])
        offset, light, rows = (
            torch.from_numpy(np.stack([getattr(code, name) for code in codes]))
            for name in ("offset", "light", "rows")
        )
        own = torch.tensor(prepared.points).expand(len(tasks), -1, -1)
        mix = self.weights_of_mix(task.crop.shape_mix for task in tasks)
        asked = calibration.moved(points, [task.prepared.correction for task in tasks])
        pairing = scene.pair(own, asked, basis_of(net), mix, offset)
        drawn = scene.draw(pairing.wanted, self._outline_before(tasks, points, pairing.wanted - points))
        pairing = replace(pairing, visible=scene.gated(pairing.visible, drawn, own, pairing.wanted))
        gain = scene.gain_of(light)
        seen = scene.build_scene(
            scene.brighter(rgb, gain), points, pairing, drawn, scene.brighter(light, gain)
        )
        codes_of = codes_on(prepared, self.device)
        face = self.lane.call(calls_of(net, self.device).face, *codes_of, rows, *seen.tensors())
        picture = (face + 1) / (2 * gain)
        masks_of, meshes = _arrays(drawn.mask[:, 0]), _arrays(pairing.wanted)
        return list(zip(finite(_arrays(picture), "the network's face"), masks_of, meshes, strict=True))

    def calibrated(self, prepared: Prepared, crops: Sequence[FaceCrop]) -> Prepared:
        """``prepared``, corrected by how a few drawn faces are seen."""
        plain = replace(prepared, correction=None, likeness=None)
        now = parts.eye_apertures(np.stack([crop.landmarks for crop in crops]))
        usual = np.array([crop.open_eyes for crop in crops])
        few = [crops[k : k + _AT_ONCE] for k in range(0, len(crops), _AT_ONCE)]
        looks = calibration.Seen.joined([self.seen(plain, some) for some in few])
        fixed = calibration.correction(looks, now > _OPEN * usual)
        likeness = None
        if prepared.identity is not None:
            mean = _arrays(self.net().mean_embedding)
            likeness = calibration.missing_likeness(looks, prepared.identity, mean)
        return replace(plain, correction=fixed, likeness=likeness)

    @torch.inference_mode()
    def seen(self, prepared: Prepared, crops: Sequence[FaceCrop]) -> calibration.Seen:
        """The finished faces of ``crops``, looked at.

        Faces and targets are looked at by the same network, whose own errors so cancel out.  What is done to
        a face after it was drawn (colours, lips, eyes, detail) moves its points as much as drawing does.
        """
        tasks = [Task(prepared, crop) for crop in crops]
        codes = [self.unpacked(code) for code in self.encode_batch(tasks)]
        rgb, points = self._small(crops)
        drawn = self._drawn(tasks, codes)
        wanted = torch.from_numpy(np.stack([mesh for _, _, mesh in drawn]))
        faces = map(self._finished, tasks, codes, *zip(*drawn, strict=True))
        shown = [self._shrunk.of(paste_into_crop(*pair)) for pair in zip(crops, faces, strict=True)]
        net = mesh_network()
        found = steady_points(net, _to_input(torch.from_numpy(np.stack(shown))), wanted)
        theirs = steady_points(net, rgb, points)
        meshes = (found * SIDE).numpy()
        embeddings = [embed(one, mesh[None], flip=True) for one, mesh in zip(shown, meshes, strict=True)]
        return calibration.Seen(found, wanted - points + theirs, theirs, np.concatenate(embeddings))

    def _small(self, crops: Sequence[FaceCrop]) -> tuple[Tensor, Tensor]:
        """The crops as the network takes them, and their meshes (N, 478, 3) in unit coordinates."""
        points = np.stack([crop.landmarks / np.float32(crop.rgb.shape[0]) for crop in crops])
        rgb = torch.from_numpy(np.stack([self._shrunk.of(crop.rgb) for crop in crops]))
        return _to_input(rgb), torch.from_numpy(points.astype(np.float32))

    def _outline_before(self, tasks: Sequence[Task], points: Tensor, moves: Tensor) -> Tensor | None:
        """Meshes (N, 478, 3) of what the frame shows where an edit has moved it, with the same ``moves``."""
        if all(task.crop.before is None for task in tasks):
            return None
        meshes = [covered(task.crop) for task in tasks]
        before = [
            torch.from_numpy(found[1]) if len(found) > 1 else points[k] for k, found in enumerate(meshes)
        ]
        return torch.stack(before) + moves

    def weights_of_mix(self, mixes: Iterable[float | None]) -> Tensor:
        """(N, 478, 1) of the ``shape_mix`` of each crop."""
        return torch.stack([_mix(self._mix if mix is None else mix) for mix in mixes])

    def unpacked(self, code: F32) -> Code:
        sizes = np.cumsum([mesh.CODE, int(np.prod(self.code_rows)), _LIGHT])
        first, rows, light, offset = np.split(code, sizes)
        return Code(
            first,
            rows.reshape(self.code_rows),
            light.reshape(3, LIGHT_CELLS, LIGHT_CELLS),
            offset.reshape(MESH_POINTS, 3),
        )


@lru_cache(maxsize=64)
@torch.inference_mode()
def _mix(share: float) -> Tensor:
    return mix_weights(share)


def _arrays(x: Tensor) -> F32:
    return np.asarray(x.float().cpu().numpy())


def _to_input(rgb: Tensor) -> Tensor:
    """(N, 256, 256, 3) uint8 -> (N, 3, 256, 256) in [-1, 1], channels last."""
    return (rgb.permute(0, 3, 1, 2).float() / 127.5) - 1


def _enlarged(image: F32, side: int) -> F32:
    if image.shape[0] == side:
        return image
    how = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), np.float32)


def _above(luma: F32, side: int) -> F32:
    """What of ``luma`` (h, w), part of a crop of ``side``, a 256 px crop cannot hold."""
    sigma = ABOVE * side / SIDE
    return np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def build_fslsd256(job: JobOptions, paste: PasteOptions) -> Fslsd256Method:
    """Builder for the profiles of ``methods.fslsd``."""
    return Fslsd256Method(job, paste, bundled(FILE))
