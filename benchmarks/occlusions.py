"""How well the occluder head finds what was marked by hand in front of faces.

python benchmarks/occlusions.py FOLDER... [--pool POOL]

``occlusions.json`` holds polygons, never pictures: frames are looked up by file name below the folders, and
crops of the training pool (of people that are held out) by row.  Frames that are missing are counted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry import align, masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import appearance
from faceswap_cli.swap.occluder_head import look
from faceswap_cli.swap.occlusion import Front, find_front
from faceswap_cli.training.pool import Pool, open_pool

MARKS = Path(__file__).with_name("occlusions.json")
CLASSES = ("rim", "lens", "thing")


def read_frame(path: Path, number: int) -> U8:
    """(H, W, 3) of a picture, or of a frame of a clip."""
    if path.suffix.lower() in (".jpg", ".png"):
        return np.asarray(Image.open(path).convert("RGB"))
    with av.open(str(path)) as container:
        for k, frame in enumerate(container.decode(video=0)):
            if k == number:
                return np.asarray(frame.to_ndarray(format="rgb24"))
    raise SystemExit(f"{path} has no frame {number}")


def draw(mark: dict[str, Any], side: int) -> dict[str, F32]:
    """Truth by class, each (side, side) in {0, 1}."""
    canvas = {name: np.zeros((side, side), np.uint8) for name in CLASSES}
    for name, key in (("lens", "lens"), ("rim", "rim_areas"), ("thing", "thing")):
        for polygon in mark.get(key, []):
            cv2.fillPoly(canvas[name], [np.round(np.array(polygon) * 16).astype(np.int32)], 1, 8, 4)
    if mark.get("rim_areas") and not any(line.get("closed") for line in mark["rim_lines"]):
        canvas["rim"] &= 1 - canvas["lens"]
    for line in mark.get("rim_lines", []):
        points = [np.round(np.array(line["points"]) * 16).astype(np.int32)]
        thick = max(round(line["width"]), 1)
        cv2.polylines(canvas["rim"], points, bool(line.get("closed")), 1, thick, 8, 4)
    canvas["lens"] &= 1 - canvas["rim"]
    return {name: value.astype(np.float32) for name, value in canvas.items()}


def find(crop: U8, points: F32) -> tuple[Front, F32]:
    """What the renderer keeps of a crop; and the matte of everything but glasses."""
    n = crop.shape[0]
    small = cv2.resize(appearance.lab_from_rgb(crop), (96, 96), interpolation=cv2.INTER_AREA)
    light = appearance.light_at(small, appearance.skin_weight(small, points), points)
    expected = warp.scatter(points[:, :2], light, levels=(2, 4, 8, 16), side=64)
    seen, window = look(crop, points), Window.full(n)
    with_glasses = find_front(crop, expected, points, window, seen)
    return with_glasses, find_front(crop, expected, points, window, seen, glasses=False).matte


def place(mark: dict[str, Any], frame: U8, side: int, pool: Pool | None) -> tuple[U8, F32]:
    """The marked crop and its mesh in unit coordinates."""
    matrix = np.vstack([np.array(mark["crop_from_frame"]).reshape(2, 3), [0, 0, 1]])
    if pool is not None:
        points = pool.landmarks[mark["pool_row"]]
    else:
        near = np.linalg.inv(matrix)[:2] @ (side / 2, side / 2, 1)
        faces = find_faces(frame)
        points = min(faces, key=lambda f: float(np.hypot(*(f.landmarks[:, :2].mean(0) - near)))).landmarks
    return cut(frame, matrix, side), np.asarray(align.apply(matrix, points) / side, np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--pool", type=Path)
    given = parser.parse_args(arguments)
    files = {path.name: path for folder in given.folders for path in folder.rglob("*") if path.is_file()}
    pool = open_pool(given.pool) if given.pool else None
    stored = json.loads(MARKS.read_text(encoding="utf-8"))
    side, missing = int(stored["crop_side"]), 0
    overlaps: dict[str, list[float]] = {name: [] for name in CLASSES}
    alarms: list[tuple[float, str]] = []
    for mark in stored["frames"]:
        name = mark.get("file", f"pool {mark.get('pool_row')}")
        of_pool = pool if "pool_row" in mark else None
        if ("pool_row" in mark and pool is None) or ("file" in mark and mark["file"] not in files):
            missing += 1
            continue
        frame = (
            np.asarray(of_pool.pixels[mark["pool_row"]])
            if of_pool
            else read_frame(files[name], mark["frame"])
        )
        crop, points = place(mark, frame, side, of_pool)
        front, others = find(crop, points)
        oval = masks.union(points, (parts.OVAL,), side) > 0.5
        if mark.get("clear"):
            below = (np.arange(side) + 0.5)[:, None] / side > points[list(parts.BROWS), 1].min()
            lens = front.lens if front.lens is not None else np.zeros_like(front.matte)
            taken = np.maximum(front.matte, lens)[oval & below]
            alarms.append((float(taken.mean()), f"{name}:{mark['frame']}"))
            continue
        truth = draw(mark, side)
        lens = front.lens if front.lens is not None else np.zeros_like(front.matte)
        rim = np.clip(front.matte - others, 0, 1)
        for key, found in (("rim", rim), ("lens", lens), ("thing", others)):
            if key in mark.get("unmarked", []) or not truth[key].any():
                continue
            inside = oval if key == "thing" else np.ones_like(oval)
            t, f = truth[key][inside] > 0.5, found[inside] > 0.5
            overlaps[key].append(float((t & f).sum() / max((t | f).sum(), 1)))
            print(f"{name:36s} {mark.get('frame', ''):>4} {key:6s} IoU {overlaps[key][-1]:.2f}")
    for key, values in overlaps.items():
        if values:
            print(f"{key:6s} IoU {np.mean(values):.3f} over {len(values)} frames")
    if alarms:
        worst = max(alarms)
        mean = float(np.mean([share for share, _ in alarms]))
        print(
            f"clear  {mean:.3%} of the face taken over {len(alarms)} frames; "
            f"worst {worst[0]:.3%} in {worst[1]}"
        )
    print(f"{missing} marked frames were not found")


if __name__ == "__main__":
    main()
