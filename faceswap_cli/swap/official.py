"""What the published FSLSD networks are fed with: pictures, 106 points, masks.

Everything follows the published inference code number for number.  Points are (x, y) pixels; label maps
are uint8 (H, W); masks are 1 where the source shows.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from faceswap_cli.errors import UsageError
from faceswap_cli.numerics import NotFinite
from faceswap_cli.records import F32, U8

DILATION_PX = 50
"""Side of the square that grows the mask, in pixels of the 1024 picture; anchor (25, 25)."""

FACE_LABELS = {
    "celebamask": (1, 2, 3, 4, 5, 6, 7, 10, 11, 12),
    "bisenet": (1, 2, 3, 4, 5, 6, 10, 11, 12, 13),
}
"""Labels that count as face: skin, brows, eyes, glasses, nose, mouth, lips.  Two numberings are in use."""

_CONTOUR_LEFT = (127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)
_CONTOUR_RIGHT = (356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152)
_MEANS: dict[int, tuple[int, ...]] = {
    33: (70, 46), 34: (63, 105), 35: (105, 66), 36: (66, 107), 37: (107,), 38: (55,), 39: (65,),
    40: (52,), 41: (53,), 42: (336,), 43: (296, 336), 44: (334, 296), 45: (293, 334),
    46: (300, 276), 47: (283,), 48: (282,), 49: (295,), 50: (285,), 51: (168, 6), 52: (197,),
    53: (5,), 54: (4, 1), 55: (193, 122), 56: (198,), 57: (129,), 58: (98, 240), 59: (97,),
    60: (2,), 61: (326,), 62: (327, 460), 63: (358,), 64: (420,), 65: (417, 351), 66: (33,),
    67: (161, 160), 68: (159,), 69: (158, 157), 70: (133,), 71: (153,), 72: (145, 144), 73: (163,),
    75: (362,), 76: (385, 384), 77: (386,), 78: (388, 387), 79: (263,), 80: (390,), 81: (374, 373),
    82: (380,), 84: (61,), 85: (39, 40), 86: (37,), 87: (0,), 88: (267,), 89: (269, 270),
    90: (291,), 91: (321,), 92: (314, 405), 93: (17,), 94: (84, 181), 95: (91,), 96: (62, 78),
    97: (81,), 98: (13,), 99: (311,), 100: (292, 308), 101: (402,), 102: (14,), 103: (178,),
    104: (468,), 105: (473,),
}  # fmt: skip


def _resampled(line: F32, count: int) -> F32:
    """(K, 2) polyline -> (count, 2) points at equal arc length, ends included."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(wanted, along, line[:, k]) for k in (0, 1)], axis=1).astype(np.float32)


def points106(landmarks: NDArray[np.floating]) -> F32:
    """(478, 2 or 3) mesh points -> (106, 2) in the layout of LaPa, same pixels.

    An approximation: about 0.03 of the eye distance inside the face and 0.06 on the contour of near-frontal
    heads.  On a turned head the mesh follows the jaw where annotators follow the visible outline.
    """
    mesh = np.asarray(landmarks, dtype=np.float32)[:, :2]
    points = np.zeros((106, 2), np.float32)
    points[:17] = _resampled(mesh[list(_CONTOUR_LEFT)], 17)
    points[32:15:-1] = _resampled(mesh[list(_CONTOUR_RIGHT)], 17)
    for index, of in _MEANS.items():
        points[index] = mesh[list(of)].mean(axis=0)
    points[74] = points[66:74].mean(axis=0)
    points[83] = points[75:83].mean(axis=0)
    return points


def label_mask(labels: U8, numbering: str = "celebamask") -> Tensor:
    """(512, 512) labels -> (1, 1, 512, 512), 1 on the face.  Hair, ears and neck are out."""
    if numbering not in FACE_LABELS:
        raise UsageError(f"label numbering must be one of {', '.join(FACE_LABELS)}, not {numbering}")
    return torch.from_numpy(np.isin(labels, FACE_LABELS[numbering]).astype(np.float32))[None, None]


def grow(mask: Tensor, square_px: int = DILATION_PX) -> Tensor:
    """(N, 1, H, W) -> the same: gray dilation by a square, zero outside, soft edges kept.

    out[y, x] is the maximum over y - 25 .. y + 24, the same in x: a pixel grows by 24 up and left, 25 down
    and right.
    """
    before = square_px // 2
    after = square_px - 1 - before
    padded = functional.pad(mask, (before, after, before, after))
    return functional.max_pool2d(
        functional.max_pool2d(padded, (square_px, 1), stride=1), (1, square_px), stride=1
    )


def face_mask(indicator: Tensor, side: int = 1024) -> Tensor:
    """(1, 1, 512, 512) indicator -> (1, 1, side, side): bilinear with half-pixel centers, then dilated."""
    big = functional.interpolate(indicator, size=(side, side), mode="bilinear", align_corners=False)
    return grow(big, max(2, round(DILATION_PX * side / 1024)))


def to_input(rgb: U8) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [-1, 1]: (x / 255 - 0.5) / 0.5"""
    planes = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None]
    return (planes.float() / 255.0 - 0.5) / 0.5


def to_input_batch(rgb: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [-1, 1], as :func:`to_input`, on any device"""
    return (rgb.permute(0, 3, 1, 2).float() / 255.0 - 0.5) / 0.5


def to_samples(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, H, W, 4) uint8 on the same device: :func:`to_uint8`, then 1 where all is finite"""
    known = torch.isfinite(pictures).all(dim=1, keepdim=True)
    scaled = (pictures.float().clamp(-1, 1) + 1) / 2 * 255 + 0.5
    samples = torch.where(known, scaled.clamp(0, 255), 0.0).to(torch.uint8)
    return torch.cat([samples, known.to(torch.uint8)], dim=1).permute(0, 2, 3, 1).contiguous()


def from_samples(samples: Tensor) -> list[U8]:
    """The pictures (H, W, 3) of :func:`to_samples`; :class:`NotFinite` when one has NaN or infinity"""
    if not bool(samples[..., 3].all()):
        raise NotFinite("the network's face")
    return [np.ascontiguousarray(one[..., :3].numpy()) for one in samples]


def to_uint8(picture: Tensor) -> U8:
    """(1, 3, H, W) -> (H, W, 3): clamped to [-1, 1], (x + 1) / 2 * 255 + 0.5, truncated"""
    if not bool(torch.isfinite(picture).all()):
        raise NotFinite("the network's face")
    scaled = (picture[0].float().clamp(-1, 1) + 1) / 2 * 255 + 0.5
    pixels: U8 = scaled.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return pixels


def shrink_to_256(rgb: U8) -> U8:
    """(S, S, 3) -> (256, 256, 3) by the antialiasing bilinear filter that the encoder was trained with."""
    from PIL import Image

    return np.asarray(Image.fromarray(rgb).resize((256, 256), Image.Resampling.BILINEAR))
