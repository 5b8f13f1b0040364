"""Shape of a face without its pose: expression numbers and retargeted landmarks, batched in torch.

Convention: meshes (N, 478, 3) in unit-square crop coordinates, z in the same unit, growing away
from the viewer.  *Canonical* means turned to the front, with the size and place of the mean face
(outer eye corners 1 apart).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from faceswap_cli.faces.landmarks import (
    BROWS,
    EYES,
    IRISES,
    LEFT_EYE,
    LEFT_IRIS,
    LIPS,
    OVAL,
    RIGHT_EYE,
    RIGHT_IRIS,
    STABLE,
    SUBSET,
    topology,
)

INNER_MIX = 0.5
"""Share of the source's own proportions given to the inner face; the outline keeps the target's."""
_OUTLINE_REACH = 0.35
"""Distance from the outline, in eye-corner distances, at which that share is reached."""
_SPEAKING_REACH = 0.08
"""How far around lips, lids and brows the skin goes along."""


@dataclass(frozen=True, eq=False)
class Posed:
    """Meshes split into pose and canonical shape: ``points = center + scale * canonical @ rotation^T``."""

    canonical: Tensor = field(repr=False)
    """(N, 478, 3)"""
    rotation: Tensor = field(repr=False)
    """(N, 3, 3)"""
    scale: Tensor = field(repr=False)
    """(N, 1, 1)"""
    center: Tensor = field(repr=False)
    """(N, 1, 3)"""

    def place(self, canonical: Tensor) -> Tensor:
        """Canonical meshes (N, 478, 3) in the pose of this batch."""
        return self.center + self.scale * canonical @ self.rotation.transpose(1, 2)

    def direct(self, offset: Tensor) -> Tensor:
        """Canonical offsets (N, 478, 3) turned and scaled into this batch's pose."""
        return self.scale * offset @ self.rotation.transpose(1, 2)

    def angles(self) -> Tensor:
        """(N, 3) yaw, pitch, roll in radians, signs as the rotation matrix has them."""
        r = self.rotation
        yaw = torch.asin(r[:, 0, 2].clamp(-1, 1))
        pitch = torch.atan2(-r[:, 1, 2], r[:, 2, 2])
        roll = torch.atan2(-r[:, 0, 1], r[:, 0, 0])
        return torch.stack([yaw, pitch, roll], dim=1)


def remove_pose(points: Tensor) -> Posed:
    """Least-squares similarity (Umeyama 1991) of the stable points onto the mean face."""
    stable = list(STABLE)
    mean = torch.from_numpy(topology().mean_shape).to(points)
    model, seen = mean[stable], points[:, stable]
    model_center, center = model.mean(0), seen.mean(1, keepdim=True)
    a, b = model - model_center, seen - center
    u, s, vt = torch.linalg.svd(b.transpose(1, 2) @ a)
    sign = torch.det(u @ vt)
    fix = torch.ones_like(s)
    fix[:, 2] = sign
    rotation = u @ (fix[..., None] * vt)
    scale = ((s * fix).sum(1) / a.square().sum())[:, None, None]
    canonical = (points - center) @ rotation / scale + model_center
    return Posed(canonical, rotation, scale, center - scale * model_center @ rotation.transpose(1, 2))


def expression(canonical: Tensor, basis: Tensor) -> Tensor:
    """(N, 478, 3) and an orthonormal basis (K, 478, 3) -> (N, K)."""
    mean = torch.from_numpy(topology().mean_shape).to(canonical)
    return torch.einsum("npd,kpd->nk", canonical - mean, basis.to(canonical))


def without_expression(offset: Tensor, basis: Tensor) -> Tensor:
    """The part of ``offset`` (N, 478, 3) that no expression explains: proportions of the person."""
    basis = basis.to(offset)
    return offset - torch.einsum("nk,kpd->npd", torch.einsum("npd,kpd->nk", offset, basis), basis)


@lru_cache(maxsize=1)
def speaking() -> Tensor:
    """(478,) 1 on lips, lids, irises and brows, which carry expression; soft around."""
    mean = torch.from_numpy(topology().mean_shape)[:, :2].float()
    reach = torch.cdist(mean, mean[[*LIPS, *EYES, *IRISES, *BROWS]]).amin(1)
    return (-((reach / _SPEAKING_REACH) ** 2) / 2).exp()


def mix_weights(inner: float = INNER_MIX) -> Tensor:
    """(478, 1): how much of the source's proportions each point takes; 0 on the outline.

    On lips, lids and brows it is the square of ``inner``: there proportions are read as expression, and
    likeness hardly depends on them.
    """
    mean = torch.from_numpy(topology().mean_shape)[:, :2]
    reach = torch.cdist(mean, mean[list(OVAL)]).amin(1) / _OUTLINE_REACH
    return (inner ** (1 + speaking()) * reach.clamp(0, 1))[:, None]


def proportions(source: Posed, target: Posed, basis: Tensor) -> Tensor:
    """Canonical offsets (N, 478, 3) from the target's proportions to the source's.

    Only what the expression basis cannot explain: nearly constant over a clip, so it may be smoothed
    over time.  An iris moves with its eye.
    """
    offset = without_expression(source.canonical - target.canonical, basis)
    for ring, iris in ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS)):
        offset[:, list(iris)] = offset[:, list(ring)].mean(1, keepdim=True)
    return offset


def retarget(target: Posed, points: Tensor, offset: Tensor, mix: Tensor) -> Tensor:
    """Target meshes ``points`` (N, 478, 3) with some of the source's proportions.

    ``offset`` from :func:`proportions`; ``mix`` (478, 1) or (N, 478, 1).  Pose and expression stay the
    target's.
    """
    return points + target.direct(offset * mix)


def shape_inputs(source: Posed, target: Posed, basis: Tensor, points: tuple[Tensor, Tensor]) -> Tensor:
    """Input of the structure encoder: (N, ``fslsd256.SHAPE_INPUTS``).

    ``points``: meshes of source and (retargeted) target in unit coordinates.
    """
    subset = list(SUBSET)
    own, wanted = (p[:, subset, :2] - 0.5 for p in points)
    parts = [own, wanted, wanted - own]
    numbers = [source.angles(), target.angles(), *(expression(p.canonical, basis) for p in (source, target))]
    return torch.cat([p.flatten(1) for p in parts] + numbers, dim=1)


def fit_expression_basis(differences: Tensor, size: int) -> Tensor:
    """Principal directions (size, 478, 3), orthonormal, of same-person shape differences (M, 478, 3)."""
    _, _, vt = torch.linalg.svd(differences.flatten(1).double(), full_matrices=False)
    basis: Tensor = vt[:size].float().reshape(-1, 478, 3)
    if len(basis) < size:
        basis = torch.cat([basis, basis.new_zeros(size - len(basis), 478, 3)])
    return basis


__all__ = [
    "INNER_MIX",
    "IRISES",
    "Posed",
    "expression",
    "fit_expression_basis",
    "mix_weights",
    "proportions",
    "remove_pose",
    "retarget",
    "shape_inputs",
    "speaking",
]
