"""What enrollment is worth: likeness of ``fslsd`` by number of photographs.

    python benchmarks/enroll.py --people A.mp4 B.mp4 --clips X.mp4 Y.mp4 --out DIR [--frames 6]

Frames of a person's clip serve as photographs: the sharpest frontal one alone, three, and five over the clip.
Three further frames are never shown to the enrollment; the distance of every swapped face from them is the
figure that counts.  Swaps are made on some frames of each clip of somebody else.  Writes DIR/NAME.json and
DIR/NAME.png for each person and prints a table of the means.

identity: distance to the unseen photographs (same person < 0.6);  own: to those enrolled;
landmarks: error of lips and eyes against those wanted, % of the eye distance;  sharp: finest detail
against that of the target;  cpu_s: seconds of one core that the enrollment took.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.enrollment.make import EnrollOptions, enroll
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry import align
from faceswap_cli.geometry.paste import paste_into_rgb
from faceswap_cli.identity.embed import embed
from faceswap_cli.identity.faceid import source_of, write_faceid
from faceswap_cli.identity.quality import quality
from faceswap_cli.metrics.pairs import display_rgb
from faceswap_cli.records import F32, U8, Face, FaceCrop
from faceswap_cli.swap import build_method
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames

PHOTOS, UNSEEN, LOOKED_AT = 5, 3, 40
COUNTS = (("1 photo", 1), ("3 photos", 3), ("5 photos", PHOTOS))
EYES_AND_LIPS = (33, 133, 159, 145, 263, 362, 386, 374, 61, 291, 13, 14, 0, 17)


@dataclass(frozen=True, eq=False)
class Target:
    """One frame to swap in."""

    rgb: U8 = field(repr=False)
    face: Face = field(repr=False)


def spread_frames(path: Path, count: int) -> list[U8]:
    """``count`` frames evenly over the clip, upright."""
    clip = probe(path)
    step = max(clip.frames // count, 1)
    return [display_rgb(f, clip) for k, f in enumerate(read_frames(clip)) if k % step == 0][:count]


def photographs(path: Path, folder: Path) -> tuple[list[Path], F32]:
    """Files of the photographs to enroll, best first, and embeddings of those that are not shown."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = [(rgb, faces[0].landmarks) for rgb in spread_frames(path, LOOKED_AT) if (faces := find_faces(rgb))]
    rows = np.linspace(0, len(seen) - 1, PHOTOS + UNSEEN).round().astype(int)
    hidden = rows[1::3][:UNSEEN]
    shown = [seen[k] for k in rows if k not in hidden]
    shown.sort(key=lambda pair: -quality(*pair))
    files = []
    for k, (rgb, _) in enumerate(shown[:PHOTOS]):
        files.append(folder / f"photo{k}.png")
        Image.fromarray(rgb).save(files[-1])
    return files, np.concatenate([embed(seen[k][0], seen[k][1][None], flip=True) for k in hidden])


def targets_of(path: Path, count: int) -> list[Target]:
    found = [(rgb, find_faces(rgb)) for rgb in spread_frames(path, count)]
    return [Target(rgb, faces[0]) for rgb, faces in found if faces]


def crop_of(method: Any, target: Target) -> FaceCrop:
    """The target's face as ``method`` takes it."""
    unit = align.unit_from_points(target.face.landmarks, method.crop_scale)
    side = method.crop_side(2.0 * float(align.square_from_unit(unit)[2]))
    matrix = align.scaled(unit, side)
    points = align.apply(matrix, target.face.landmarks)
    return FaceCrop(0, cut(target.rgb, matrix, side, sharp=True), matrix, points)


def swapped(method: Any, prepared: Any, target: Target) -> U8:
    crop = crop_of(method, target)
    drawn = method.render(prepared, crop, method.encode(prepared, crop), 0)
    pasted = paste_into_rgb(target.rgb.astype(np.float32) / np.float32(255), [drawn])
    return np.asarray((np.clip(pasted, 0, 1) * 255).round(), np.uint8)


def figures(result: U8, target: Target, unseen: F32, own: F32) -> dict[str, float] | None:
    faces = find_faces(result)
    if not faces:
        return None
    found = embed(result, faces[0].landmarks[None], flip=True)[0]
    rows = list(EYES_AND_LIPS)
    wanted, have = target.face.landmarks[rows, :2], faces[0].landmarks[rows, :2]
    eyes = float(np.linalg.norm(target.face.landmarks[33, :2] - target.face.landmarks[263, :2]))
    matrix = align.scaled(align.unit_from_points(target.face.landmarks), 256)
    small = [cut(rgb, matrix, 256)[80:190, 80:176] for rgb in (result, target.rgb)]
    fine = [float(np.abs(cv2.Laplacian(x.mean(axis=2), cv2.CV_64F)).mean()) for x in small]
    return {
        "identity": float(np.linalg.norm(unseen - found, axis=1).mean()),
        "own": float(np.linalg.norm(own - found)),
        "landmarks": float(np.linalg.norm(have - wanted, axis=1).mean() / eyes * 100),
        "sharp": fine[0] / max(fine[1], 1e-6),
    }


def measure(person: Path, clips: list[Path], out: Path, frames: int, method_name: str) -> dict[str, Any]:
    method = build_method(method_name, JobOptions(device="cpu"), PasteOptions())
    files, unseen = photographs(person, out / person.stem)
    targets = [target for clip in clips for target in targets_of(clip, frames)]
    table: dict[str, Any] = {}
    pictures: list[list[U8]] = [[face_of(t.rgb, t) for t in targets]]
    for name, count in COUNTS:
        started = time.process_time()
        made = enroll(person.stem, files[:count], EnrollOptions(), lambda stage, done, total: None)
        spent = time.process_time() - started
        path = out / person.stem / f"{count}.faceid"
        write_faceid(path, made)
        source = source_of([path])
        prepared = method.prepare(source)
        results = [swapped(method, prepared, target) for target in targets]
        rows = [figures(r, t, unseen, source.embedding) for r, t in zip(results, targets, strict=True)]
        kept = [row for row in rows if row is not None]
        table[name] = {key: float(np.mean([row[key] for row in kept])) for key in kept[0]}
        table[name] |= {"cpu_s": spent, "faces": len(kept), "bytes": path.stat().st_size}
        pictures.append([face_of(r, t) for r, t in zip(results, targets, strict=True)])
        print(person.stem, name, json.dumps(table[name]), flush=True)
    sheet = np.concatenate([np.concatenate(row[:8], axis=1) for row in pictures])
    Image.fromarray(sheet).save(out / f"{person.stem}.png")
    (out / f"{person.stem}.json").write_text(json.dumps(table, indent=1))
    return table


def face_of(rgb: U8, target: Target) -> U8:
    return cut(rgb, align.scaled(align.unit_from_points(target.face.landmarks), 200), 200)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=Path, nargs="+", required=True)
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=6, help="of each clip")
    parser.add_argument("--method", default="fslsd")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for person in asked.people:
        if not (asked.out / f"{person.stem}.json").exists():
            measure(person, asked.clips, asked.out, asked.frames, asked.method)
    tables = [json.loads((asked.out / f"{person.stem}.json").read_text()) for person in asked.people]
    print(f"{'':12s} identity  own  landmarks  sharp  cpu_s")
    for name, _ in COUNTS:
        mean = {
            k: np.mean([t[name][k] for t in tables])
            for k in ("identity", "own", "landmarks", "sharp", "cpu_s")
        }
        print(f"{name:12s} " + "  ".join(f"{mean[k]:.3f}" for k in mean))


if __name__ == "__main__":
    main()
