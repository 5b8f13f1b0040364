"""The 478-point face mesh as a plain, batched, differentiable network.

The model is MediaPipe's face landmark network with attention (Apache-2.0; weights converted by
``weights/build/mesh.py``): a trunk of depthwise-separable blocks gives 468 points, and three
regions (lips, two eyes) are cut from an early feature map and refined, the eyes with irises.
The layer sizes follow that file; the code here is our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_SIDE = 192
"""The network sees pictures of this side, RGB in [0, 1]."""
_FEATURE_SIDE = 48
_REGION_SIDE = 16
_REGION_SCALE = 1.5

LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409, 78, 95, 88,
    178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415, 76, 77, 90, 180, 85,
    16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408, 62, 96, 89, 179, 86, 15, 316,
    403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
)  # fmt: skip
"""Mesh points that the lip refinement replaces, in the order of its output."""
EYE_RIGHT = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22,
    26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224,
    223, 222, 221, 189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63,
    105, 66, 107, 55, 193,
)  # fmt: skip
"""The subject's right eye, at the image's left; the first 16 are its contour."""
EYE_LEFT = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254,
    253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453,
    464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349,
    350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip
# Points whose connecting line gives the turn of a region's window.
_TURN = {"lips": (61, 291), "right": (33, 133), "left": (362, 263)}
_EYE_CONTOUR = 16


def _same_pad(x: Tensor) -> Tensor:
    """Padding of a stride-2, 3 x 3 convolution on an even side: none before, one after."""
    return F.pad(x, (0, 1, 0, 1))


class Block(nn.Module):
    """Depthwise 3 x 3, pointwise, residual, PReLU; with ``down`` the side is halved."""

    def __init__(self, inner: int, outer: int, down: bool = False) -> None:
        super().__init__()
        self.down, self.grow = down, outer - inner
        self.depth = nn.Conv2d(inner, inner, 3, 2 if down else 1, 0 if down else 1, groups=inner)
        self.point = nn.Conv2d(inner, outer, 1)
        self.act = nn.PReLU(outer)

    def forward(self, x: Tensor) -> Tensor:
        y = self.point(self.depth(_same_pad(x) if self.down else x))
        if self.down:
            x = F.max_pool2d(x, 2)
        if self.grow:
            x = F.pad(x, (0, 0, 0, 0, 0, self.grow))
        out: Tensor = self.act(x + y)
        return out


def _stage(inner: int, outer: int) -> list[nn.Module]:
    return [Block(inner, outer, down=True), Block(outer, outer), Block(outer, outer)]


def _squeeze(inner: int) -> list[nn.Module]:
    return [nn.Conv2d(inner, 32, 1), nn.PReLU(32), Block(32, 32)]


class _Region(nn.Module):
    """Refinement of one region: (N, 32, 16, 16) features -> points in units of a 64 px window."""

    def __init__(self, points: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(Block(32, 32), Block(32, 32), *_stage(32, 64), Block(64, 128, down=True))
        self.heads = nn.ModuleList(
            nn.Sequential(
                Block(128, 128), Block(128, 128), *_stage(128, 128), *_squeeze(128), nn.Conv2d(32, 2 * n, 2)
            )
            for n in points
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return torch.cat([head(x).float().reshape(len(x), -1, 2) for head in self.heads], dim=1)


class FaceMesh(nn.Module):
    """(N, 3, 192, 192) RGB in [0, 1] -> points (N, 478, 3) in its pixels and a face score (N,), a logit."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2), nn.PReLU(16), Block(16, 16), Block(16, 16), Block(16, 32, down=True)
        )
        self.trunk = nn.Sequential(
            Block(32, 32),
            Block(32, 32),
            *_stage(32, 64),
            *_stage(64, 128),
            *_stage(128, 128),
            *_stage(128, 128),
            *_squeeze(128),
        )
        self.points = nn.Conv2d(32, 468 * 3, 3)
        self.flag = nn.Conv2d(32, 1, 3)
        self.lips = _Region([80])
        self.right = _Region([71, 5])
        self.left = _Region([71, 5])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        early = self.early(_same_pad(x))
        late = self.trunk(early)
        mesh = self.points(late).float().reshape(len(x), 468, 3)
        refined = [
            self._refine(self.lips, early, mesh, LIPS, _TURN["lips"]),
            self._refine(self.right, early, mesh, EYE_RIGHT, _TURN["right"]),
            self._refine(self.left, early, mesh, EYE_LEFT, _TURN["left"]),
        ]
        xy = torch.cat([mesh[..., :2], *refined], dim=1)[:, merge_order(x.device)]
        z = mesh[..., 2]
        irises = [
            z[:, list(eye[:_EYE_CONTOUR])].mean(1, keepdim=True).expand(-1, 5)
            for eye in (EYE_RIGHT, EYE_LEFT)
        ]
        depth = torch.cat([z, *irises], dim=1)
        return torch.cat([xy, depth[..., None]], dim=-1), self.flag(late).float().flatten()

    def _refine(
        self, region: nn.Module, features: Tensor, mesh: Tensor, points: Sequence[int], turn: tuple[int, int]
    ) -> Tensor:
        """Points of one region in input pixels, (N, K, 2)."""
        linear, shift = region_window(mesh[..., :2] / 4, points, turn)
        local = region(cut_region(features, linear, shift))
        moved: Tensor = local @ linear.transpose(1, 2) + 4 * shift[:, None]
        return moved


def region_window(points: Tensor, subset: Sequence[int], turn: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Window of a region in feature pixels: linear part (N, 2, 2) and shift (N, 2), from its 16 x 16 pixels.

    The window is turned with the line between the two ``turn`` points and is 1.5 x as large as
    the points' extent along its own axes.
    """
    line = points[:, turn[1]] - points[:, turn[0]]
    length = line.norm(dim=-1).clamp_min(1e-6)
    c, s = line[:, 0] / length, line[:, 1] / length
    p = points[:, list(subset)]
    own = torch.stack(
        [p[..., 0] * c[:, None] + p[..., 1] * s[:, None], p[..., 1] * c[:, None] - p[..., 0] * s[:, None]], -1
    )
    high, low = own.amax(1), own.amin(1)
    middle = (high + low) / 2
    center = torch.stack([c * middle[:, 0] - s * middle[:, 1], s * middle[:, 0] + c * middle[:, 1]], -1)
    scale = (high - low) * (_REGION_SCALE / _REGION_SIDE)
    linear = torch.stack(
        [
            torch.stack([c * scale[:, 0], -s * scale[:, 1]], -1),
            torch.stack([s * scale[:, 0], c * scale[:, 1]], -1),
        ],
        1,
    )
    half = points.new_full((2,), _REGION_SIDE / 2)
    return linear, center - linear @ half


def cut_region(features: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    """Bilinear samples (N, C, 16, 16) of ``features`` (N, C, 48, 48); zero outside its pixel centers."""
    axis = torch.arange(_REGION_SIDE, device=features.device, dtype=torch.float32) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    where = torch.stack([x, y], -1).reshape(1, -1, 2) @ linear.transpose(1, 2) + shift[:, None] - 0.5
    last = _FEATURE_SIDE - 1
    inside = ((where >= 0) & (where <= last)).all(-1)
    grid = (where * (2 / last) - 1).reshape(len(features), _REGION_SIDE, _REGION_SIDE, 2)
    cut = F.grid_sample(features.float(), grid, align_corners=True)
    return cut * inside.reshape(-1, 1, _REGION_SIDE, _REGION_SIDE)


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)  # kept for calls with gradients too
def merge_order(device: torch.device) -> Tensor:
    """For each of the 478 points its row in (mesh 468, lips 80, right eye 71 + 5, left eye 71 + 5)."""
    table = torch.arange(478, device="cpu")
    starts = {548 + 71: range(468, 473), 548 + 76 + 71: range(473, 478)}
    for start, points in ((468, LIPS), (548, EYE_RIGHT), (548 + 76, EYE_LEFT)):
        table[list(points)] = torch.arange(start, start + len(points), device="cpu")
    for start, irises in starts.items():
        table[list(irises)] = torch.arange(start, start + 5, device="cpu")
    return table.to(device)
