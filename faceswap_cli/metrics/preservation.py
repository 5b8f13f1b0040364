"""What happened to pixels: where something changed, what was kept, how sharp the face is.

Pictures are display RGB, uint8 (H, W, 3), result and target of one size; points are display
pixels with centers at integer + 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as index
from faceswap_cli.geometry.align import FFHQ_SCALE, unit_from_points
from faceswap_cli.records import F32, F64, U8

CHANGED_LEVELS = 4.0
"""A face counts as changed from this mean difference on (8 bit levels, averaged to 32 x 32).

On twelve clips: coding at crf 28 alone at most 3.0, swapped faces at least 10."""
CHANGED_DARK = 40.0
"""Faces below this mean level count from less, half at the least: in the dark two people differ by 2.7."""
CHANGED_OVER_REST = 3.0
"""... and only when it differs this many times more than the picture around it (encoder, label, grading)."""
PSNR_LIMIT = 100.0
"""dB; stands for "equal", which has no finite PSNR."""
OUTSIDE_MARGIN = 0.15
"""The hull of a face is widened by this share of its width before the outside is measured."""
INNER_SHARE = 0.8
"""The inner face is the face's oval shrunk to this size about its center: no hair, no mask edge."""
_SMALL = 32


def luma(rgb: U8) -> F32:
    """(H, W, 3) -> (H, W) in [0, 255], BT.601 weights."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def hull(points: F32, shape: tuple[int, int], *, grow_px: int = 0) -> U8:
    """(N, 2 or 3) points -> (H, W) uint8, 255 inside their convex hull, widened by ``grow_px``."""
    mask = np.zeros(shape, dtype=np.uint8)
    corners = np.round((points[:, :2] - 0.5) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(corners), 255, lineType=cv2.LINE_8, shift=4)
    if grow_px > 0:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow_px + 1, 2 * grow_px + 1))
        mask = cv2.dilate(mask, disc)
    return np.asarray(mask, dtype=np.uint8)


def inner_oval(points: F32) -> F32:
    """(478, 3) mesh -> (36, 2) the oval, shrunk about its center."""
    oval = points[list(index.OVAL), :2]
    center = oval.mean(axis=0)
    return np.asarray(center + INNER_SHARE * (oval - center), dtype=np.float32)


def region(points: F32, shape: tuple[int, int], margin_px: int = 2) -> tuple[slice, slice]:
    """Rows and columns of the picture that hold the points; empty when they lie outside."""
    low = np.floor(points[:, :2].min(axis=0)).astype(int) - margin_px
    high = np.ceil(points[:, :2].max(axis=0)).astype(int) + margin_px
    x0, y0 = np.clip(low, 0, (shape[1], shape[0]))
    x1, y1 = np.clip(high, 0, (shape[1], shape[0]))
    return slice(int(y0), int(y1)), slice(int(x0), int(x1))


def change(result: U8, target: U8, points: F32) -> tuple[float, bool]:
    """How much a face differs, in 8 bit levels, and whether that counts as changed.

    Both are averaged to 32 x 32 over the face's square first, so that coding noise cancels
    out and a new face, which differs at low frequencies too, does not.
    """
    unit = unit_from_points(points, FFHQ_SCALE)
    theirs = _small(target, unit)
    difference = np.abs(_small(result, unit).astype(np.float32) - theirs).mean(axis=2)
    at = points[:, :2] @ unit[:2, :2].T + unit[:2, 2]
    inside = hull((at * _SMALL).astype(np.float32), (_SMALL, _SMALL)) > 0
    if not inside.any():
        return 0.0, False
    amount = float(difference[inside].mean())
    levels = CHANGED_LEVELS * float(np.clip(theirs[inside].mean() / CHANGED_DARK, 0.5, 1.0))
    return amount, amount >= max(levels, CHANGED_OVER_REST * _rest(result, target))


def _small(rgb: U8, unit_from_display: F64) -> U8:
    """The face's square, averaged down to 32 x 32."""
    side = float(1.0 / np.hypot(unit_from_display[0, 0], unit_from_display[0, 1]))
    over = int(np.clip(np.ceil(side / _SMALL), 1, 16)) * _SMALL
    matrix = np.diag([over, over, 1.0]) @ unit_from_display
    crop = cv2.warpAffine(rgb, cv2_matrix(matrix), (over, over), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(crop, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _rest(result: U8, target: U8) -> float:
    """Difference of the least changed quarter of the picture: what grading or a shift of levels does."""
    ours, theirs = (cv2.resize(rgb, (32, 32), interpolation=cv2.INTER_AREA) for rgb in (result, target))
    return float(np.percentile(cv2.absdiff(ours, theirs).mean(axis=2), 25))


def cv2_matrix(matrix: F64) -> F64:
    """(3, 3) between pixel spaces with centers at + 0.5 -> (2, 3) for OpenCV, centers at integers."""
    shifted = matrix.copy()
    shifted[:2, 2] += matrix[:2, :2] @ np.array([0.5, 0.5]) - 0.5
    return np.asarray(shifted[:2])


def outside_mse(result: U8, target: U8, faces: Sequence[F32]) -> float:
    """Mean squared error (8 bit levels, over R, G, B) outside the widened hulls of ``faces``."""
    shape = (result.shape[0], result.shape[1])
    outside = np.full(shape, 255, dtype=np.uint8)
    for points in faces:
        grow = int(np.ceil(OUTSIDE_MARGIN * float(np.ptp(points[:, 0]))))
        outside[hull(points, shape, grow_px=grow) > 0] = 0
    count = int(cv2.countNonZero(outside))
    if count == 0:
        return float("nan")
    squares = cv2.absdiff(result, target).astype(np.uint16) ** 2
    means = cv2.mean(squares, mask=outside)
    return float(sum(means[:3]) / 3)


def psnr(mse: float) -> float:
    """Decibels for 8 bit levels; 100 stands for no error at all."""
    if np.isnan(mse):
        return float("nan")
    return float(min(PSNR_LIMIT, 10 * np.log10(255.0**2 / mse))) if mse > 0 else PSNR_LIMIT


def detail_and_luma(rgb: U8, points: F32) -> tuple[float, float]:
    """Inside the inner face, at full resolution: variance of the Laplacian, mean luma."""
    oval = inner_oval(points)
    rows, columns = region(oval, rgb.shape[:2])
    gray = luma(rgb[rows, columns]) if rows.stop > rows.start and columns.stop > columns.start else None
    if gray is None or min(gray.shape) < 3:
        return float("nan"), float("nan")
    shape = (gray.shape[0], gray.shape[1])
    inside = hull(oval - np.array([columns.start, rows.start], np.float32), shape) > 0
    if not inside.any():
        return float("nan"), float("nan")
    edges = cv2.Laplacian(gray, cv2.CV_32F)
    return float(edges[inside].var()), float(gray[inside].mean())
