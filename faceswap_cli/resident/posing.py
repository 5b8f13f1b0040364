"""Meshes of a batch, reckoned on the host: no pixels are needed, and devices wait at small decompositions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from faceswap_cli.faces.landmarks import topology
from faceswap_cli.nets.meshfield import shown
from faceswap_cli.records import F32, F64
from faceswap_cli.resident.planes import Held
from faceswap_cli.swap import calibration, scene
from faceswap_cli.swap.fslsd256_person import Prepared, joined, shape_of
from faceswap_cli.swap.fslsd256_weights import basis_of
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.swap.methods.mesh import trust_of
from faceswap_cli.swap.shape import Posed, proportions, remove_pose, retarget, shape_inputs


@dataclass(frozen=True, slots=True, eq=False)
class HeldCrop:
    """A face cut out, whose pixels lie on the device; see ``records.FaceCrop``."""

    track_id: int
    held: Held
    """The frame that it was cut out of"""
    side: int
    crop_from_frame: F64
    landmarks: F32
    """(478, 3) in crop pixels"""
    opacity: float
    open_eyes: tuple[float, float]
    shape_mix: float | None
    rgb: Tensor
    """(3, S, S) uint8"""

    @property
    def points(self) -> F32:
        """(478, 3) unit coordinates."""
        return np.asarray(self.landmarks / np.float32(self.side), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Posing:
    """What a batch of one person is to look like, in unit coordinates of the crops."""

    wanted: Tensor
    """(N, 478, 3)"""
    shape: Tensor
    """(N, K) input of the structure encoder"""
    losses: Tensor
    """(N, 2) of ``scene.unlike``"""
    windows: Tensor
    """(N, 3, 3) of ``scene.part_windows``"""
    trust: Tensor
    """(N, 478) of ``mesh.trust_of``"""


@torch.inference_mode()
def proportions_of(
    method: Fslsd256Method, people: Sequence[Prepared], points: Sequence[F32], mixes: Iterable[float | None]
) -> tuple[Tensor, list[F32]]:
    """Of targets, for each his source: the differences of proportions (N, 478, 3), and meshes with them."""
    meshes = torch.from_numpy(np.stack(points))
    theirs = remove_pose(meshes)
    offset = proportions(joined([shape_of(one) for one in people]), theirs, basis_of(method.net()))
    moved = meshes + theirs.direct(offset * method.weights_of_mix(mixes))
    return offset, list(moved.numpy())


@torch.inference_mode()
def pose(
    method: Fslsd256Method,
    person: Prepared,
    points: Sequence[F32],
    offset: Tensor,
    mixes: Iterable[float | None],
) -> Posing:
    """Of targets that take the face of ``person``; ``offset`` (N, 478, 3) is smoothed over time."""
    meshes, basis = torch.from_numpy(np.stack(points)), basis_of(method.net(person))
    asked = calibration.moved(meshes, [person.correction] * len(meshes))
    theirs, (own, posed) = remove_pose(asked), _source(person)
    wanted = retarget(theirs, asked, offset, method.weights_of_mix(mixes))
    own = own.expand(len(meshes), -1, -1)
    return Posing(
        wanted,
        shape_inputs(_repeated(posed, len(meshes)), theirs, basis, (own, wanted)),
        scene.unlike(own, wanted),
        scene.part_windows(meshes),
        torch.from_numpy(np.stack([trust_of(one) for one in wanted.numpy()])),
    )


@lru_cache(maxsize=8)
@torch.inference_mode()
def _source(person: Prepared) -> tuple[Tensor, Posed]:
    """(1, 478, 3) the mesh in the source's crop, and the same without its pose."""
    own = torch.tensor(person.points)[None]
    return own, remove_pose(own)


@lru_cache(maxsize=8)
@torch.inference_mode()
def shown_of(person: Prepared) -> Tensor:
    """(1, V) how well the points of the source are seen."""
    return shown(_source(person)[0], torch.from_numpy(topology().triangles))


def _repeated(posed: Posed, count: int) -> Posed:
    names = ("canonical", "rotation", "scale", "centre")
    return Posed(*(getattr(posed, name).expand(count, -1, -1) for name in names))
