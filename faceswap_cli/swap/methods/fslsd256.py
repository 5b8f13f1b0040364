"""Profile 256 of ``fslsd``: our own network, with the warped source's finest detail on top.

The network draws the face at 256 px from the source's structure and the target's appearance
(``nets.fslsd256``); what lies above 256 px comes from the mesh warp, where the source is seen; sharpness and
grain are brought to the target's; what passes in front of the face is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.keyframes import value_at
from faceswap_cli.nets.fslsd256 import Fslsd256, Source
from faceswap_cli.nets.fslsd256_encoders import MESH_POINTS, SIDE, STRUCTURE_ROWS
from faceswap_cli.nets.meshfield import LIGHT_CELLS
from faceswap_cli.numerics import finite, told
from faceswap_cli.records import F32, U8, FaceCrop, RenderedFace, SourceIdentity
from faceswap_cli.swap import appearance, scene
from faceswap_cli.swap.fslsd256_weights import (
    FILE,
    Tuning,
    digest,
    half_precision,
    preset_of,
    ready_net,
    tuned_net,
)
from faceswap_cli.swap.method import CodeSmoothing, covered, in_frame
from faceswap_cli.swap.methods import mesh
from faceswap_cli.swap.occluder_head import look
from faceswap_cli.swap.occlusion import occluder_map
from faceswap_cli.swap.shape import Posed, mix_weights, proportions, remove_pose
from faceswap_cli.weights.registry import bundled

_LIGHT = 3 * LIGHT_CELLS**2
_OFFSET = MESH_POINTS * 3
_DARK, _MOST_GAIN = 0.35, 5.0
"""A face darker than this (mean R'G'B') is brightened for the network, at most so far: it has learned from
pictures that somebody could see."""
_MOUTH_EDGE = 0.004
"""Softness of the mouth's inner edge, as a share of the crop."""
_EYE_EDGE = 0.008
_ROWS_BETA, _LIGHT_BETA, _OFFSET_BETA = 10.0, 12.0, 25.0
"""Appearance is steady, light moves a little; proportions of a person do not change at all."""


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A source person, as arrays: workers map them instead of copying."""

    mesh: mesh.Prepared
    points: F32
    """(478, 3) unit coordinates in the source crop"""
    rgb: F32
    """(1, 3, 256, 256) in [-1, 1]"""
    w: F32
    z: F32
    maps: dict[int, F32]
    neutral: F32 | None = None
    """(478, 3) canonical shape of an enrolled person; else that of ``points`` serves"""
    tuning: Tuning | None = None

    def tensors(self, device: str) -> Source:
        def moved(x: F32) -> Tensor:
            return torch.from_numpy(x).to(device)

        maps = {side: moved(m) for side, m in self.maps.items()}
        return Source(moved(self.rgb), moved(self.w), moved(self.z), maps)

    def shape(self, device: str) -> Posed:
        """The person's mesh, split into pose and shape."""
        posed = remove_pose(torch.from_numpy(self.points)[None].to(device))
        if self.neutral is None:
            return posed
        return replace(posed, canonical=torch.from_numpy(self.neutral)[None].to(device))


@dataclass(frozen=True, slots=True, eq=False)
class _Code:
    """What is measured of a target crop, before or after smoothing over time."""

    mesh: F32
    """Light at the mesh points and detail, see ``methods.mesh``"""
    rows: F32
    """(L - 7, C) appearance rows"""
    light: F32
    """(3, 8, 8)"""
    offset: F32
    """(478, 3) canonical difference of proportions"""

    def packed(self) -> F32:
        return np.concatenate([self.mesh, self.rows.ravel(), self.light.ravel(), self.offset.ravel()])


class Fslsd256Method:
    """See the module docstring.  Weights are loaded once per process, when first needed."""

    name = "fslsd"
    crop_scale = align.SWAP_SCALE
    memory_mb = 320

    def __init__(self, job: JobOptions, paste: PasteOptions, weights: Path) -> None:
        self._weights, self._paste = weights, paste
        self._device = resolve_device(job.device).name
        self._mix, self._mapper = value_at(job.shape_mix), mapper_share(job.mapper)
        self.light = self._device == "cpu"
        self.inputs_digest = digest(weights)
        self._mesh = mesh.MeshMethod(job, paste)
        preset = preset_of(weights)
        self._rows = (preset.rows - STRUCTURE_ROWS, preset.style)
        sizes = (int(np.prod(self._rows)), _LIGHT, _OFFSET)
        betas = (_ROWS_BETA, _LIGHT_BETA, _OFFSET_BETA)
        own = [np.full(n, beta, np.float32) for n, beta in zip(sizes, betas, strict=True)]
        before = np.broadcast_to(np.asarray(self._mesh.smoothing.beta, np.float32), (mesh.CODE,))
        self.smoothing = CodeSmoothing(np.concatenate([before, *own]))

    def crop_side(self, face_px: float) -> int:
        """As large as the face in the frame; the network sees it at 256."""
        return self._mesh.crop_side(face_px)

    def _net(self, prepared: _Prepared | None = None) -> Fslsd256:
        if prepared is None or prepared.tuning is None:
            return ready_net(self._weights, self._device)
        return tuned_net(self._weights, self._device, prepared.tuning)

    @torch.inference_mode()
    def prepare(self, source: SourceIdentity) -> _Prepared:
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
        net = self._net()
        rgb = _to_input(ready.texture.picture(SIDE)).to(self._device)
        embedding = torch.from_numpy(source.embedding)[None].to(self._device)
        z = functional.normalize(embedding - net.mean_embedding, dim=-1)
        with self._half():
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
            share = np.float32(self._mapper)
            flat[1:] = [codes.rows[None] + share * (flat[1] - codes.rows[None]), codes.z[None]]
            tuning = Tuning(codes.digest, codes.deltas) if codes.deltas else None
        neutral = None if known is None or self._mapper > 0.0 else known.neutral
        return _Prepared(ready, ready.texture.points, flat[0], flat[1], flat[2], arrays, neutral, tuning)

    @torch.inference_mode()
    def encode(self, prepared: _Prepared, crop: FaceCrop) -> F32:
        """(D,) appearance rows and light of the target, proportions, and the code of ``methods.mesh``."""
        net = self._net()
        rgb, points = self._small(crop)
        theirs = remove_pose(points)
        offset = proportions(prepared.shape(self._device), theirs, net.expression)
        moves = theirs.direct(offset * self._weights_of_mix(crop))
        drawn = scene.draw(points + moves, self._outline_before(crop, moves))
        light = scene.face_light(rgb, drawn)
        gain = _gain(light)
        with self._half():
            erased = scene.erase(_brighter(rgb, gain), drawn, _brighter(light, gain))
            rows = net.style(erased)[:, STRUCTURE_ROWS:]
        found = (x[0].float().cpu().numpy() for x in (rows, light, offset))
        return _Code(self._mesh.encode(prepared.mesh, crop), *found).packed()

    def render(self, prepared: _Prepared, crop: FaceCrop, code: F32, seed: int) -> RenderedFace:
        """Draw the source as the target; only the bounds of the face come back."""
        parts_of = self._unpacked(code)
        face, mask, wanted = self._drawn(prepared, crop, parts_of)
        side = crop.rgb.shape[0]
        # With an edit both outlines are covered, the one that was there and the wanted one.
        window = Window.around(
            np.concatenate([p[list(parts.OVAL)] for p in (wanted, *covered(crop)[1:])]), side
        )
        part = mesh.cut_down(crop, window)
        warped, light = mesh.draw(prepared.mesh, wanted, parts_of.mesh, window)
        lab = appearance.lab_from_float(window.of(_enlarged(face, side)))
        if side > SIDE:
            lab[..., 0] += _above(warped[..., 0], side)
        _keep_eye_colour(lab, warped, wanted, window)
        mesh.match_detail(lab, parts_of.mesh, mesh.inner_face(wanted, window), seed)
        target = appearance.lab_from_rgb(part.rgb)
        _keep_mouth(lab, target, crop.landmarks / np.float32(side), wanted, window)
        share = np.clip(window.of(_enlarged(mask, side)), 0.0, 1.0)
        occluded = 0.0
        if self._paste.occlusion:
            real = in_frame(crop)
            seen = look(real.rgb, real.landmarks / np.float32(side))
            there = appearance.lab_from_rgb(window.of(real.rgb))
            front = occluder_map(there, light, wanted, window, seen)
            occluded = float((share * front).sum() / max(float(share.sum()), 1.0))
            share = share * (1.0 - front)
        drawn = np.asarray(wanted * side - np.array([window.x, window.y, 0]), np.float32)
        share = share * np.float32(crop.opacity)
        return RenderedFace(part, appearance.rgb_from_lab(lab), share, occluded, drawn)

    @torch.inference_mode()
    def _drawn(self, prepared: _Prepared, crop: FaceCrop, code: _Code) -> tuple[F32, F32, F32]:
        """Face (256, 256, 3) RGB in [0, 1], its mask (256, 256), landmarks (478, 3) in unit coordinates."""
        net = self._net(prepared)
        rgb, points = self._small(crop)
        source = prepared.tensors(self._device)
        own = torch.from_numpy(prepared.points)[None].to(self._device)
        offset, light, rows = (
            torch.from_numpy(np.ascontiguousarray(x))[None].to(self._device)
            for x in (code.offset, code.light, code.rows)
        )
        pairing = scene.pair(own, points, net.expression, self._weights_of_mix(crop), offset)
        drawn = scene.draw(pairing.wanted, self._outline_before(crop, pairing.wanted - points))
        pairing = replace(pairing, visible=scene.gated(pairing.visible, drawn, own, pairing.wanted))
        gain = _gain(light)
        seen = scene.build_scene(_brighter(rgb, gain), points, pairing, drawn, _brighter(light, gain))
        w_target = functional.pad(rows, (0, 0, STRUCTURE_ROWS, 0))
        with self._half():
            face = net(source, seen, w_target).face
        picture = (face[0].float().clamp(-1, 1).permute(1, 2, 0).cpu().numpy() + 1) / (2 * gain)
        finite(picture, "the network's face")
        return picture, drawn.mask[0, 0].cpu().numpy(), pairing.wanted[0].cpu().numpy()

    def _small(self, crop: FaceCrop) -> tuple[Tensor, Tensor]:
        """The crop as the network takes it, and its mesh (1, 478, 3) in unit coordinates."""
        side = crop.rgb.shape[0]
        how = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
        rgb = crop.rgb if side == SIDE else cv2.resize(crop.rgb, (SIDE, SIDE), interpolation=how)
        points = torch.from_numpy(np.asarray(crop.landmarks / np.float32(side), np.float32))[None]
        return _to_input(np.asarray(rgb, np.uint8)).to(self._device), points.to(self._device)

    def _outline_before(self, crop: FaceCrop, moves: Tensor) -> Tensor | None:
        """Mesh (1, 478, 3) of what the frame shows where an edit has moved it, with the same ``moves``."""
        if crop.before is None:
            return None
        return torch.from_numpy(covered(crop)[1])[None].to(self._device) + moves

    def _weights_of_mix(self, crop: FaceCrop) -> Tensor:
        mix = self._mix if crop.shape_mix is None else crop.shape_mix
        return mix_weights(mix).to(self._device)

    def _half(self) -> torch.autocast:
        kind = self._device.partition(":")[0]
        return torch.autocast(kind, torch.bfloat16, enabled=half_precision(self._device))

    def _unpacked(self, code: F32) -> _Code:
        sizes = np.cumsum([mesh.CODE, int(np.prod(self._rows)), _LIGHT])
        first, rows, light, offset = np.split(code, sizes)
        return _Code(
            first,
            rows.reshape(self._rows),
            light.reshape(3, LIGHT_CELLS, LIGHT_CELLS),
            offset.reshape(MESH_POINTS, 3),
        )


def _to_input(rgb: U8) -> Tensor:
    """(256, 256, 3) uint8 -> (1, 3, 256, 256) in [-1, 1], channels last."""
    return (torch.from_numpy(np.ascontiguousarray(rgb))[None].permute(0, 3, 1, 2).float() / 127.5) - 1


def _gain(light: Tensor) -> float:
    """Factor on R'G'B' that brings a dark face, known by its light map in [-1, 1], into view."""
    mean = float((light.mean() + 1) / 2)
    return min(max(_DARK / max(mean, 1e-3), 1.0), _MOST_GAIN)


def _brighter(rgb: Tensor, gain: float) -> Tensor:
    """``rgb`` in [-1, 1] with its R'G'B' multiplied."""
    return rgb if gain == 1.0 else ((rgb + 1) * gain - 1).clamp(-1.0, 1.0)


def _enlarged(image: F32, side: int) -> F32:
    if image.shape[0] == side:
        return image
    how = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), np.float32)


def _above(luma: F32, side: int) -> F32:
    """What of ``luma`` (h, w), part of a crop of ``side``, a 256 px crop cannot hold."""
    sigma = 0.6 * side / SIDE
    return np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _keep_eye_colour(lab: F32, warped: F32, wanted: F32, window: Window) -> None:
    """Colour (not lightness) of the eyes from the warped source: few pixels taught the network; in place."""
    eyes = masks.union(wanted, (parts.LEFT_EYE, parts.RIGHT_EYE), window)
    share = masks.blur(eyes, _EYE_EDGE * window.side)[..., None]
    lab[..., 1:] += (warped[..., 1:] - lab[..., 1:]) * share


def _keep_mouth(lab: F32, target: F32, points: F32, wanted: F32, window: Window) -> None:
    """The inside of an open mouth is the target's own, moved to the new lips; in place."""
    ring = list(parts.LIPS_INNER)
    inside = masks.union(wanted, (parts.LIPS_INNER,), window)
    inside = masks.blur(inside, _MOUTH_EDGE * window.side)
    rows, columns = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
    if not len(rows):
        return
    area = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    move = (points[ring, :2] - wanted[ring, :2]) * window.side
    # Twenty points around a small hole: the move is all but constant inside, a plane fits it.
    around = np.c_[window.pixels(wanted[ring]), np.ones(len(ring))]
    plane, *_ = np.linalg.lstsq(around, move, rcond=None)
    y, x = np.mgrid[area].astype(np.float32)
    shift = np.stack([x, y, np.ones_like(x)], axis=-1) @ plane.astype(np.float32)
    where = np.stack([x + shift[..., 0], y + shift[..., 1]], axis=-1)
    own = cv2.remap(target, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lab[area] += (own - lab[area]) * inside[area][..., None]


def build_fslsd256(job: JobOptions, paste: PasteOptions) -> Fslsd256Method:
    """Builder for the profiles of ``methods.fslsd``."""
    return Fslsd256Method(job, paste, bundled(FILE))
