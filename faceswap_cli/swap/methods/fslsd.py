"""The ``fslsd`` method: structure of the source, appearance of the target, in a generator's latent codes.

Profile ``1024`` runs the official pSp and FSLSD checkpoints (``faceswap weights import``) as the published
inference code does, on crops in FFHQ alignment; the 106 points and the mask come from the mesh, or the mask
from a parsing map.  The published method ends with the whole crop; here its result is pasted where the mask
says so, and what passes in front of the face is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.devices import resolve_device
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align, masks, warp
from faceswap_cli.records import F32, F64, U8, FaceCrop, RenderedFace, SourceIdentity, SourcePhoto
from faceswap_cli.swap import appearance, mixing, official
from faceswap_cli.swap.batches import Batches, batches_for
from faceswap_cli.swap.fslsd_networks import PRECISIONS, MixOptions, OfficialNetworks, load_networks
from faceswap_cli.swap.lane import Lane, replayed
from faceswap_cli.swap.method import CodeSmoothing, SwapMethod, Task
from faceswap_cli.swap.methods.fslsd256 import build_fslsd256
from faceswap_cli.swap.occluder_head import look
from faceswap_cli.swap.occlusion import occluder_map
from faceswap_cli.video.picture import read_numbers
from faceswap_cli.weights.store import installed

SIDE = 1024
SMALL = 256
LAYERS, DIM = 18, 512
_STEADY_ROW, _STEADY_BETA, _MIDDLE_BETA = 10, 25.0, 10.0
"""Appearance rows from 10 on carry color and fine texture: nearly one value a shot."""
MAPS = ("released", "gaussian")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    codes: Tensor
    """(1, 18, 512); rows that are not taken from the source are 0"""
    points: F32
    """(106, 2) in pixels of the 256 crop"""


class Fslsd1024:
    """See the module docstring.  Networks run in one thread of their own, in the order of the calls."""

    name = "fslsd"
    crop_scale = align.FFHQ_SCALE
    light = False
    memory_mb = 0

    def __init__(
        self,
        networks: OfficialNetworks,
        how: MixOptions,
        paste: PasteOptions,
        labels: F64 | None = None,
        weights_digest: str = "",
        batches: Batches | None = None,
    ) -> None:
        parsed = b"" if labels is None else labels.tobytes()
        self.inputs_digest = hashlib.sha256(weights_digest.encode() + parsed).hexdigest()
        self._networks, self._how, self._paste, self._labels = networks, how, paste, labels
        self._rows = range(how.appear_from, LAYERS - 1)
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="networks")
        self.batches = batches or Batches(1)
        self._lane = Lane(str(networks.device))
        self._invert = replayed(partial(_codes, networks, self._rows), self._lane.device)
        self._draw = replayed(partial(_picture, networks, how), self._lane.device)
        row_beta = [_STEADY_BETA if row >= _STEADY_ROW else _MIDDLE_BETA for row in self._rows]
        self.smoothing = CodeSmoothing(np.repeat(np.array(row_beta, np.float32), DIM))

    def crop_side(self, face_px: float) -> int:
        """Always the size of the networks."""
        return SIDE

    def _run(self, work: Callable[[], T]) -> T:
        def quietly() -> T:
            with torch.inference_mode():
                return work()

        return self._runner.submit(quietly).result()

    def _inverted(self, rgb: U8, rows: range) -> Tensor:
        small = official.to_input(official.shrink_to_256(rgb))
        return self._run(lambda: self._networks.invert(small, rows).cpu())

    def prepare(self, source: SourceIdentity) -> _Prepared:
        """Invert the photographs; their codes are averaged by quality, the best one gives the points."""
        if not source.photos:
            raise InputError(
                f"{source.name} was enrolled without pictures, which profile 1024 needs; enroll with "
                "--keep-photos, or try --profile 256"
            )
        if source.changes:
            raise UsageError("profile 1024 has no edits of appearance; leave them out, or try --profile 256")
        rows = range(self._how.appear_from)
        weights = [max(photo.quality, 1e-3) for photo in source.photos]
        codes = torch.zeros(1, LAYERS, DIM)
        for photo, weight in zip(source.photos, weights, strict=True):
            rgb, _ = _aligned(photo)
            codes[:, : len(rows)] += self._inverted(rgb, rows) * (weight / sum(weights))
        best = source.photos[int(np.argmax(weights))]
        _, landmarks = _aligned(best)
        return _Prepared(codes, official.points106(landmarks * (SMALL / SIDE)))

    def encode(self, prepared: _Prepared, crop: FaceCrop) -> F32:
        """(rows * 512,) appearance rows of the target's inverted code."""
        return self.encode_batch([Task(prepared, crop)])[0]

    def render(self, prepared: _Prepared, crop: FaceCrop, code: F32, seed: int) -> RenderedFace:
        """Draw the swapped crop.  The networks' noise is fixed, so ``seed`` changes nothing."""
        return self.render_batch([Task(prepared, crop, code, seed)])[0]

    def encode_batch(self, tasks: Sequence[Task]) -> list[F32]:
        """The codes of several crops."""
        small = torch.from_numpy(np.stack([official.shrink_to_256(task.crop.rgb) for task in tasks]))
        codes = self._run(lambda: self._lane.call(self._invert, small))
        return [np.asarray(code.flatten().numpy(), np.float32) for code in codes]

    def render_batch(self, tasks: Sequence[Task]) -> list[RenderedFace]:
        """Several faces, of several people too."""
        target = torch.zeros(len(tasks), LAYERS, DIM)
        for row, task in zip(target, tasks, strict=True):
            row[self._rows.start : self._rows.stop] = torch.from_numpy(task.code).view(-1, DIM)
        source = torch.cat([task.prepared.codes for task in tasks])
        points = torch.from_numpy(np.stack([_both_points(task) for task in tasks]))
        mask = torch.cat([official.face_mask(self._indicator(task.crop)) for task in tasks])
        rgb = torch.from_numpy(np.stack([task.crop.rgb for task in tasks]))
        samples = self._run(lambda: self._lane.call(self._draw, source, target, points, rgb, mask))
        pictures = official.from_samples(samples)
        return [self._finished(*three) for three in zip(tasks, pictures, mask[:, 0].numpy(), strict=True)]

    def _finished(self, task: Task, picture: U8, mask: F32) -> RenderedFace:
        share, occluded = self._share(task.crop, mask)
        return RenderedFace(task.crop, picture, share * np.float32(task.crop.opacity), occluded)

    def _indicator(self, crop: FaceCrop) -> Tensor:
        """(1, 1, 512, 512): the face in the crop, from the parsing map when there is one, else the mesh."""
        if self._labels is not None:
            half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
            matrix = np.linalg.inv(half) @ np.diag([0.5, 0.5, 1]) @ crop.crop_from_frame @ half
            inside = cv2.warpAffine(self._labels, matrix[:2], (512, 512), flags=cv2.INTER_NEAREST)
        else:
            inside = masks.union(crop.landmarks / np.float32(SIDE), (parts.OVAL,), 512)
        return torch.from_numpy((inside > 0.5).astype(np.float32))[None, None]

    def _share(self, crop: FaceCrop, mask: F32) -> tuple[F32, float]:
        """Share of the result in the frame (S, S), and how much of it something in front took away."""
        points = crop.landmarks / np.float32(SIDE)
        width = float(np.ptp(points[list(parts.OVAL), 0])) * SIDE
        share = masks.soften(mask, max(self._paste.feather * width, official.DILATION_PX / 2))
        if not self._paste.occlusion:
            return share, 0.0
        front = _in_front(crop.rgb, points)
        taken = float((share * front).sum() / max(float(share.sum()), 1.0))
        return share * (1.0 - front), taken


def _codes(networks: OfficialNetworks, rows: range, small: Tensor) -> Tensor:
    return networks.invert(official.to_input_batch(small), rows)


def _picture(networks: OfficialNetworks, how: MixOptions, *inputs: Tensor) -> Tensor:
    """Codes of source and target, points, pictures (N, S, S, 3) uint8 and masks -> samples."""
    source, target, points, rgb, mask = inputs
    return official.to_samples(networks.swap(source, target, points, official.to_input_batch(rgb), mask, how))


def _both_points(task: Task) -> F32:
    """(212, 2) of source and target in pixels of the 256 picture."""
    own = official.points106(task.crop.landmarks * (SMALL / SIDE))
    return np.concatenate([task.prepared.points, own])


def _in_front(rgb: U8, points: F32) -> F32:
    """(S, S) in [0, 1]: occluders, tested at a quarter of the size against the target's own light."""
    small = cv2.resize(rgb, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    lab = appearance.lab_from_rgb(small)
    light = appearance.light_at(lab, appearance.skin_weight(lab, points), points)
    trust = np.ones(len(points), np.float32)
    field = warp.scatter(points[:, :2], light, trust, levels=(2, 4, 8, 16), side=32)
    seen = look(small, points, align.FFHQ_SCALE)
    front = occluder_map(small, field, points, masks.Window.full(SMALL), seen)
    return np.asarray(cv2.resize(front, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.float32)


def _aligned(photo: SourcePhoto) -> tuple[U8, F32]:
    """The FFHQ crop of a photograph at 1024, and the landmarks in it."""
    crop_from_photo = align.scaled(align.unit_from_points(photo.landmarks, align.FFHQ_SCALE), SIDE)
    return cut(photo.rgb, crop_from_photo, SIDE), align.apply(crop_from_photo, photo.landmarks)


def read_parsing(path: Path, numbering: str) -> F64:
    """(H, W) indicator of the face from a label map: a PNG of the frame's size, one number a pixel."""
    labels = read_numbers(path)
    if labels.ndim != 2:
        raise InputError(f"parsing map {path} has {labels.shape[-1]} channels; give a gray or palette PNG")
    face = official.label_mask(labels.astype(np.uint8), numbering)
    return face[0, 0].numpy().astype(np.float64)


def build_fslsd1024(job: JobOptions, paste: PasteOptions) -> Fslsd1024:
    """Networks, options and parsing map of one job."""
    if job.mapper != "landmarks":
        raise UsageError(f"profile 1024 has no mapper {job.mapper!r}; leave --mapper out")
    if job.landmark_maps not in MAPS:
        raise UsageError(f"landmark_maps must be one of {', '.join(MAPS)}, not {job.landmark_maps}")
    if job.precision not in PRECISIONS:
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}, not {job.precision}")
    how = MixOptions(
        appear_from=mixing.appear_from_row(job.appear_from, layers=LAYERS - 2),
        maps=job.landmark_maps,
        edit_strength=job.edit_strength,
    )
    labels = None if job.parsing is None else read_parsing(job.parsing, job.parsing_labels)
    device = resolve_device(job.device).name
    networks = load_networks(device, job.precision)
    digest = " ".join(card.sha256 for card in installed())
    return Fslsd1024(networks, how, paste, labels, digest, batches_for(device, job))


PROFILES: dict[str, Callable[[JobOptions, PasteOptions], SwapMethod]] = {
    "256": build_fslsd256,
    "1024": build_fslsd1024,
}
"""Every profile by name, the preferred one first."""


def build_fslsd(job: JobOptions, paste: PasteOptions) -> SwapMethod:
    """Builder for ``faceswap_cli.swap.METHODS``: the profile of ``job``, ``auto`` is the first."""
    profile = next(iter(PROFILES)) if job.profile == "auto" else job.profile
    if profile not in PROFILES:
        raise UsageError(f"fslsd has no profile {job.profile!r}; try one of auto, {', '.join(PROFILES)}")
    return PROFILES[profile](job, paste)
