"""The naive baseline: what sixty lines give, and what every method of the program must beat.

Frame by frame, with nothing carried over: landmarks of the plain detector, a piecewise affine
warp of the source (one affine map per triangle of the target's points), a blurred-Lab colour
swap, a feathered hull.  Not part of the program; ``faceswap evaluate`` measures both.

    python benchmarks/prototype.py SOURCE.jpg TARGET.mp4 OUT.mp4 [--max-frames 90]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import cv2
import numpy as np
from scipy.spatial import Delaunay

from faceswap_cli.config import DetectOptions
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.records import F32, U8


def hull_mask(points: F32, shape: tuple[int, int]) -> F32:
    """(N, 2) points -> (H, W) in [0, 1]: their convex hull, shrunk a little and feathered."""
    hard = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(hard, cv2.convexHull(np.round(points).astype(np.int32)), 255)
    width = max(3, int(np.ptp(points[:, 0]) * 0.06))
    shrunk = cv2.erode(hard, np.ones((width, width), np.uint8))
    return cv2.GaussianBlur(shrunk, (0, 0), width / 2).astype(np.float32) / 255


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
    """(H, W, 3) uint8 target -> the same with the source's face at the target's points."""
    low = np.maximum(np.floor(target_points.min(axis=0)).astype(int) - 8, 0)
    high = np.minimum(np.ceil(target_points.max(axis=0)).astype(int) + 8, target.shape[1::-1])
    (x0, y0), (x1, y1) = low, high
    region, points = target[y0:y1, x0:x1], target_points - low.astype(np.float32)
    shape = (region.shape[0], region.shape[1])
    shrink = min(1.0, float(np.ptp(points[:, 0]) / np.ptp(source_points[:, 0])))
    source = np.asarray(
        cv2.resize(source, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8
    )
    warped = triangle_warp(source, source_points * np.float32(shrink), points, shape)
    sigma = 0.12 * float(np.ptp(points[:, 0]))
    lab, under = (cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for rgb in (warped, region))
    lab += cv2.GaussianBlur(under, (0, 0), sigma) - cv2.GaussianBlur(lab, (0, 0), sigma)
    drawn = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255
    mask = hull_mask(points, shape)[..., None]
    out = target.copy()
    out[y0:y1, x0:x1] = np.round(mask * drawn + (1 - mask) * region).astype(np.uint8)
    return out


def swap_clip(source_path: Path, target_path: Path, output: Path, max_frames: int) -> int:
    """Swap the largest face of every frame; returns the number of frames.  No sound, 8 bit."""
    source = cv2.cvtColor(cv2.imread(str(source_path)), cv2.COLOR_BGR2RGB)
    finder = FaceFinder(DetectOptions())
    source_points = find_faces(source, finder=finder)[0].landmarks[:, :2]
    done = 0
    with av.open(str(target_path)) as reader, av.open(str(output), "w") as writer:
        stream = reader.streams.video[0]
        stream.thread_type = "AUTO"
        out = writer.add_stream("libx264", rate=stream.average_rate, options={"crf": "12", "preset": "fast"})
        out.width, out.height, out.pix_fmt = stream.width // 2 * 2, stream.height // 2 * 2, "yuv420p"
        out.codec_context.time_base = stream.time_base
        for frame in reader.decode(stream):
            rgb = frame.to_ndarray(format="rgb24")
            faces = find_faces(rgb, finder=finder)
            if faces:
                rgb = swap_frame(source, source_points, rgb, faces[0].landmarks[:, :2])
            swapped = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb[: out.height, : out.width]))
            swapped.pts, swapped.time_base = frame.pts, stream.time_base
            writer.mux(out.encode(swapped))
            done += 1
            if done == max_frames:
                break
        writer.mux(out.encode(None))
    finder.close()
    return done


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--max-frames", type=int, default=0, help="stop after so many frames; 0: all")
    args = parser.parse_args()
    frames = swap_clip(args.source, args.target, args.output, args.max_frames)
    print(f"{args.output}: {frames} frames")


if __name__ == "__main__":
    main()
