"""Random changes of pictures and meshes, batched in torch: the footage that studio pictures are not.

Pictures (N, 3, S, S) in [-1, 1]; points (N, 478, 3) unit coordinates.  ``rng`` is numpy's, one per
process, so that a run can be continued exactly.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceswap_cli.faces.landmarks import EYES, IRISES, LIPS, topology
from faceswap_cli.geometry.align import SWAP_SCALE
from faceswap_cli.nets.meshfield import displacement, warp
from faceswap_cli.swap.shape import remove_pose
from faceswap_cli.training.losses import blur

Rng = np.random.Generator


def uniform(rng: Rng, low: float, high: float, *shape: int) -> Tensor:
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def chance(rng: Rng, p: float, n: int) -> Tensor:
    """(N, 1, 1, 1) of 0 and 1."""
    return torch.from_numpy((rng.random(n) < p).astype(np.float32))[:, None, None, None]


def flip(rgb: Tensor, points: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror the pictures and meshes of ``which`` (N,) bool."""
    mirror = torch.from_numpy(topology().mirror)
    turned = points[:, mirror] * points.new_tensor([-1, 1, 1]) + points.new_tensor([1, 0, 0])
    pick = which[:, None, None]
    return torch.where(pick[..., None], rgb.flip(3), rgb), torch.where(pick, turned, points)


def crop_matrix(rng: Rng, n: int, degrees: float, scale: float, shift: float) -> Tensor:
    """(N, 2, 3): swap crop to FFHQ crop, unit coordinates, with a random similarity on top."""
    angle = torch.deg2rad(uniform(rng, -degrees, degrees, n))
    size = SWAP_SCALE * torch.exp(uniform(rng, -scale, scale, n))
    c, s = angle.cos() * size, angle.sin() * size
    center = 0.5 + uniform(rng, -shift, shift, n, 2)
    linear = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], 1)
    return torch.cat([linear, (center - linear.sum(2) / 2)[..., None]], dim=2)


def crop(rgb: Tensor, points: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """FFHQ crops and meshes -> swap crops and meshes; ``matrix`` (N, 2, 3) swap to FFHQ."""
    side = rgb.shape[-1]
    axis = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    where = (
        torch.stack([x, y], -1).reshape(1, -1, 2) @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]
    )
    grid = (where * 2 - 1).reshape(len(rgb), side, side, 2)
    cut = F.grid_sample(rgb, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(
        -1, 1
    )
    return cut, into_crop(points, matrix)


def into_crop(points: Tensor, matrix: Tensor) -> Tensor:
    """Points in FFHQ unit coordinates -> swap unit coordinates; depth scaled alike."""
    linear = matrix[:, :, :2]
    xy: Tensor = (points[..., :2] - matrix[:, None, :, 2]) @ torch.linalg.inv(linear).transpose(1, 2)
    if points.shape[-1] == 2:
        return xy
    size = torch.linalg.det(linear).abs().sqrt()[:, None, None]
    return torch.cat([xy, points[..., 2:] / size], dim=-1)


def valid_mask(polygons: Tensor, side: int) -> Tensor:
    """Unit polygons (N, 4, 2) -> (N, 1, side, side): 1 where the picture is real, not padding."""
    out = np.zeros((len(polygons), 1, side, side), np.uint8)
    for canvas, polygon in zip(out, polygons.numpy(), strict=True):
        corners = np.clip(polygon * side, -8 * side, 8 * side)
        cv2.fillConvexPoly(canvas[0], np.round(corners).astype(np.int32), 1)
    return torch.from_numpy(out).float()


def reposed(
    rgb: Tensor, points: Tensor, others: Tensor, rng: Rng, strength: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The same people in another pose and with another mouth and eyes, drawn by a mesh warp.

    ``others`` (N, 478, 3): meshes of other pictures, whose difference to a third serves as expression.
    """
    n = len(points)
    posed = remove_pose(points)
    offset = remove_pose(others).canonical - posed.canonical
    moving = torch.zeros(478, 1)
    moving[list(LIPS + EYES + IRISES)] = 1.0
    moved = posed.canonical + offset * moving * uniform(rng, 0, 0.9 * strength, n, 1, 1)
    # A face that is turned already has no other half to show: turn it less.
    room = (1 - 1.6 * posed.angles()[:, :1].abs()).clamp(0.1, 1)
    angles = uniform(rng, -1, 1, n, 3) * torch.tensor([0.30, 0.16, 0.06]) * strength * room
    turned = moved @ rotation(angles).transpose(1, 2)
    wanted = posed.place(turned) + smooth_noise(points, rng, 0.006 * strength)
    return warp(rgb, displacement(points, wanted)), wanted


def rotation(angles: Tensor) -> Tensor:
    """(N, 3) yaw, pitch, roll in radians -> (N, 3, 3)."""
    (cy, cp, cr), (sy, sp, sr) = angles.cos().unbind(1), angles.sin().unbind(1)
    zero, one = torch.zeros_like(cy), torch.ones_like(cy)

    def stack(*rows: tuple[Tensor, ...]) -> Tensor:
        return torch.stack([torch.stack(row, -1) for row in rows], 1)

    yaw = stack((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))
    pitch = stack((one, zero, zero), (zero, cp, -sp), (zero, sp, cp))
    roll = stack((cr, -sr, zero), (sr, cr, zero), (zero, zero, one))
    return roll @ pitch @ yaw


def smooth_noise(points: Tensor, rng: Rng, size: float) -> Tensor:
    """Smooth random displacement of meshes: neighboring points move together."""
    n = len(points)
    lattice = uniform(rng, -size, size, n, 2, 5, 5)
    grid = (points[..., :2] * 2 - 1)[:, :, None]
    moves = F.grid_sample(lattice, grid, mode="bicubic", padding_mode="border", align_corners=False)[..., 0]
    return torch.cat([moves.transpose(1, 2), torch.zeros(n, points.shape[1], 1)], dim=2)


def recolor(rgb: Tensor, rng: Rng, strength: float = 1.0) -> Tensor:
    """Exposure, contrast, gamma, saturation, tint, and a smooth change of light across the picture."""
    n = len(rgb)
    x = (rgb + 1) / 2

    def around(width: float, *shape: int) -> Tensor:
        return torch.exp(uniform(rng, -width * strength, width * strength, *shape))

    x = x.clamp(1e-3, 1) ** around(0.25, n, 1, 1, 1)
    light = F.interpolate(around(0.35, n, 1, 3, 3), size=x.shape[-2:], mode="bicubic", align_corners=False)
    x = x * light.clamp(0.4, 2.0) * around(0.15, n, 1, 1, 1) * around(0.08, n, 3, 1, 1)
    gray = x.mean(1, keepdim=True)
    x = gray + (x - gray) * around(0.35, n, 1, 1, 1)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * around(0.15, n, 1, 1, 1)
    return (x * 2 - 1).clamp(-1, 1)


def degraded(rgb: Tensor, rng: Rng, p: float) -> Tensor:
    """Blur, lost resolution, noise and compression, each with probability ``p``."""
    n = len(rgb)
    rgb = rgb.clone()
    fates = rng.random((n, 4)) < p
    for i in range(n):
        one = rgb[i : i + 1]
        if fates[i, 0]:
            one = blur(one, 9, float(rng.uniform(0.6, 2.0)))
        if fates[i, 1]:
            side = int(rgb.shape[-1] / rng.uniform(1.3, 3.0))
            small = F.interpolate(one, size=(side, side), mode="area")
            one = F.interpolate(small, size=rgb.shape[-2:], mode="bicubic", align_corners=False)
        if fates[i, 2]:
            grain = torch.from_numpy(rng.standard_normal(one.shape, dtype=np.float32))
            one = one + grain * float(rng.uniform(0.005, 0.06))
        rgb[i] = one[0].clamp(-1, 1)
        if fates[i, 3]:
            rgb[i] = compressed(rgb[i], int(rng.integers(25, 80)))
    return rgb


def compressed(rgb: Tensor, quality: int) -> Tensor:
    """One picture (3, S, S) through JPEG."""
    pixels: NDArray[np.uint8] = ((rgb + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    _, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    back = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if back is None:
        return rgb
    return torch.from_numpy(np.ascontiguousarray(back[..., ::-1])).permute(2, 0, 1).float() / 127.5 - 1


def holes(visible: Tensor, eyes: Tensor, mouth: Tensor, rng: Rng, p: float, whole: float) -> Tensor:
    """Forget parts of the warped source, so that codes and drawn landmarks stay useful.

    With probability ``p`` each: an ellipse, the eyes, the mouth; with ``whole``: everything.
    """
    n, _, side, _ = visible.shape
    axis = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    center, radius = uniform(rng, 0.25, 0.75, n, 2, 1, 1), uniform(rng, 0.04, 0.16, n, 2, 1, 1)
    ellipse = (
        (((x - center[:, :1]) / radius[:, :1]) ** 2 + ((y - center[:, 1:]) / radius[:, 1:]) ** 2) < 1
    ).float()
    for gone in (ellipse, eyes, mouth):
        visible = visible * (1 - gone * chance(rng, p, n))
    return visible * (1 - chance(rng, whole, n))


def diff_augment(rgb: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """DiffAugment (Zhao et al. 2020), color and translation by up to an eighth; differentiable."""
    n, side = len(rgb), rgb.shape[-1]

    def one() -> Tensor:
        return torch.rand(n, 1, 1, 1, device=rgb.device, dtype=rgb.dtype)

    rgb = rgb + (one() - 0.5) * 0.4
    gray = rgb.mean(1, keepdim=True)
    rgb = gray + (rgb - gray) * (one() + 0.5)
    mean = rgb.mean((1, 2, 3), keepdim=True)
    rgb = mean + (rgb - mean) * (one() * 0.6 + 0.7)
    reach = side // 8
    dx, dy = (int(torch.randint(-reach, reach + 1, ())) for _ in range(2))
    both = F.pad(torch.cat([rgb, mask], 1), (reach, reach, reach, reach))
    both = both[..., reach + dy : reach + dy + side, reach + dx : reach + dx + side]
    return both[:, :3], both[:, 3:]
