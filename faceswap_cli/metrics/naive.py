"""The naive baseline: what sixty lines give, and what every method of the program must beat.

Frame by frame, with nothing carried over: landmarks of the plain detector, a piecewise affine
warp of the source (one affine map per triangle of the target's points), a blurred-Lab color
swap, a feathered hull.  Not a method of the program: ``faceswap evaluate --suite`` measures both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import Delaunay

from faceswap_cli.color import planes_region_from_rgb
from faceswap_cli.config import DetectOptions, EncodeOptions
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.metrics.pairs import display_rgb
from faceswap_cli.records import F32, U8, Clip, Frame
from faceswap_cli.video.picture import read_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.writer import write_segment

_MARGIN_PX = 8


def hull_mask(points: F32, shape: tuple[int, int]) -> F32:
    """(N, 2) points -> (H, W) in [0, 1]: their convex hull, shrunk a little and feathered."""
    hard = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(hard, cv2.convexHull(np.round(points).astype(np.int32)), 255)
    width = max(3, int(np.ptp(points[:, 0]) * 0.06))
    shrunk = cv2.erode(hard, np.ones((width, width), np.uint8))
    return np.asarray(cv2.GaussianBlur(shrunk, (0, 0), width / 2), np.float32) / np.float32(255)


def triangle_warp(source: U8, from_points: F32, to_points: F32, shape: tuple[int, int]) -> U8:
    """Draw ``source`` with its (N, 2) ``from_points`` at ``to_points``: one affine map per triangle."""
    mesh = Delaunay(to_points.astype(np.float64))
    grid = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1).reshape(-1, 2) + 0.5
    triangle = mesh.find_simplex(grid)
    affine = mesh.transform[triangle]
    first = np.einsum("nij,nj->ni", affine[:, :2], grid - affine[:, 2])
    weights = np.concatenate([first, 1 - first.sum(axis=1, keepdims=True)], axis=1)
    at = np.einsum("nk,nkj->nj", weights, from_points[mesh.simplices[triangle]].astype(np.float64)) - 0.5
    at[triangle < 0] = -1
    maps = at.reshape(*shape, 2).astype(np.float32)
    return np.asarray(cv2.remap(source, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))


def swap_frame(source: U8, source_points: F32, target: U8, target_points: F32) -> U8:
    """(H, W, 3) uint8 target -> the same with the source's face at the target's (N, 2) points."""
    low = np.maximum(np.floor(target_points.min(axis=0)).astype(int) - _MARGIN_PX, 0)
    high = np.minimum(np.ceil(target_points.max(axis=0)).astype(int) + _MARGIN_PX, target.shape[1::-1])
    (x0, y0), (x1, y1) = low, high
    region, points = target[y0:y1, x0:x1], target_points - low.astype(np.float32)
    shape = (region.shape[0], region.shape[1])
    shrink = min(1.0, float(np.ptp(points[:, 0]) / np.ptp(source_points[:, 0])))
    small = np.asarray(cv2.resize(source, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)
    warped = triangle_warp(small, source_points * np.float32(shrink), points, shape)
    sigma = 0.12 * float(np.ptp(points[:, 0]))
    lab, under = (cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for rgb in (warped, region))
    lab += cv2.GaussianBlur(under, (0, 0), sigma) - cv2.GaussianBlur(lab, (0, 0), sigma)
    drawn = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255
    mask = hull_mask(points, shape)[..., None]
    out = target.copy()
    out[y0:y1, x0:x1] = np.round(mask * drawn + (1 - mask) * region).astype(np.uint8)
    return out


def swap_clip(source: Path, target: Path, output: Path, max_frames: int | None = None) -> int:
    """Swap the largest face of every frame; returns the number of frames.  No sound, upright, 8 bit."""
    clip = probe(target)
    width, height = clip.display_size
    upright = replace(clip, width=width, height=height, rotation=0, mirrored=False, sample_aspect=Fraction(1))
    photo = read_picture(source).rgb
    with (
        closing(FaceFinder(DetectOptions())) as finder,
        closing(read_frames(clip)) as frames,
    ):
        faces = find_faces(photo, finder=finder)
        if not faces:
            raise NoFaceFound(f"no face in {source.name}; use a photo that shows the face from the front")
        points = faces[0].landmarks[:, :2]
        swapped = _swap_frames(islice(frames, max_frames), clip, photo, points, finder)
        return write_segment(output, upright, swapped, EncodeOptions())


def _swap_frames(
    frames: Iterator[Frame], clip: Clip, photo: U8, points: F32, finder: FaceFinder
) -> Iterator[Frame]:
    for frame in frames:
        rgb = display_rgb(frame, clip)
        faces = find_faces(rgb, finder=finder)
        if faces:
            rgb = swap_frame(photo, points, rgb, faces[0].landmarks[:, :2])
        planes = planes_region_from_rgb(rgb, clip.color, frame.planes.bit_depth, frame.planes.chroma_step)
        yield replace(frame, planes=planes)
