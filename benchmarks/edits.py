"""What ``--edit`` does to a picture, measured on the result by the face mesh, beside what was asked.

    python benchmarks/edits.py SOURCE TARGET... [--method mesh] [--sheet SHEET.png] [--json FILE]

Every target is swapped without and with each edit; the mesh is found anew in both results.  Printed are, as
medians over the targets: the change that is found of the asked attribute, the largest change among the others
(expressions and gaze in their units, angles per 10 degrees), and the identity distance to the source (same
person < 0.6) without and with the edit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli.config import EditOptions, SwapOptions, parse_edits
from faceswap_cli.faces.crops import cut, upright_crop
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.identity.embed import embed
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.pictures import swap_image
from faceswap_cli.records import F32, U8, SourceIdentity
from faceswap_cli.swap.edits import changes
from faceswap_cli.video.picture import read_picture

ASKED = (
    *("smile=0.5", "smile=1", "smile=-0.5", "mouth=0.5", "mouth=1", "mouth=-1", "brow=1", "brow=-0.5"),
    *("blink=0.5", "blink=1", "blink=-0.3", "gaze_x=0.5", "gaze_x=-0.5", "gaze_y=0.5", "gaze_y=-0.5"),
    *("yaw=5", "yaw=-10", "yaw=15", "pitch=5", "pitch=-10", "roll=5", "roll=-10"),
)
ANGLES = ("yaw", "pitch", "roll")
TILE = 200


def outcome(source: SourceIdentity, target: Path, options: SwapOptions) -> tuple[U8, F32, float]:
    """Picture, mesh found in it, identity distance."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.png"
        swap_image(source, target, result, options)
        rgb = read_picture(result).rgb
    found = find_faces(rgb)
    face = max(found, key=lambda one: float(np.ptp(one.landmarks[:, 0])))
    apart = embed(rgb, face.landmarks[None])[0] - source.embedding
    return rgb, face.landmarks, float(np.linalg.norm(apart))


def side_effect(told: dict[str, float], asked: str) -> tuple[str, float]:
    """The attribute that was not asked for and changed most, angles counted per 10 degrees."""
    others = {name: value / (10 if name in ANGLES else 1) for name, value in told.items() if name != asked}
    name = max(others, key=lambda one: abs(others[one]))
    return name, others[name]


def tile(rgb: U8, points: F32, text: str) -> U8:
    view = cut(rgb, upright_crop(points, TILE, 1.9), TILE).copy()
    cv2.putText(view, text, (5, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return view


def measure(source: SourceIdentity, target: Path, options: SwapOptions, asked: list[str]) -> tuple[list, U8]:
    """One row per edit, and a strip of views."""
    plain, mesh, distance = outcome(source, target, options)
    before = read_picture(target).rgb
    views = [tile(before, find_faces(before)[0].landmarks, "target"), tile(plain, mesh, "no edit")]
    rows = []
    for text in asked:
        edits = parse_edits(text)
        rgb, found, apart = outcome(source, target, replace(options, edit=EditOptions(**edits)))
        told = changes(mesh, found)
        (name,) = edits
        rows.append({"edit": text, "found": told[name], "all": told, "identity": (distance, apart)})
        rows[-1]["side"] = side_effect(told, name)
        views.append(tile(rgb, mesh, text))
        print(f"  {target.stem:24s} {text:12s} found {told[name]:+.2f}", flush=True)
    return rows, np.concatenate(views, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("targets", type=Path, nargs="+")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--edits", nargs="*", default=list(ASKED))
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    options = SwapOptions(method=given.method)
    source = load_photos([given.source], options.detect)
    done = [measure(source, target, options, given.edits) for target in given.targets]
    if given.json:
        given.json.write_text(json.dumps([rows for rows, _ in done]))
    if given.sheet:
        sheet = np.concatenate([view for _, view in done])
        cv2.imwrite(str(given.sheet), sheet[..., ::-1])
    print("| edit | found (median) | lowest, highest | largest side effect | identity before | after |")
    print("|---|---|---|---|---|---|")
    for number, text in enumerate(given.edits):
        rows = [found[number] for found, _ in done]
        values = [row["found"] for row in rows]
        side = sorted((abs(row["side"][1]), row["side"][0]) for row in rows)[len(rows) // 2]
        before, after = (np.median([row["identity"][k] for row in rows]) for k in (0, 1))
        spread = f"{min(values):+.2f}, {max(values):+.2f}"
        print(
            f"| {text} | {np.median(values):+.2f} | {spread} | {side[1]} {side[0]:.2f} "
            f"| {before:.3f} | {after:.3f} |"
        )


if __name__ == "__main__":
    main()
