"""Portraits onto portraits: a contact sheet to look at.

    python benchmarks/stills.py SOURCES TARGETS --out DIR [--count 12] [--method fslsd]

Takes ``--count`` portraits of each folder, spread over the sorted names, swaps each onto each with
``faceswap batch``, and writes DIR/sheet.png: targets along the top, sources down the left, the
aligned faces of the results.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry.align import scaled, unit_from_points
from faceswap_cli.records import U8
from faceswap_cli.video.picture import read_picture

TILE = 192
KINDS = {".jpg", ".jpeg", ".png", ".webp"}


def spread(folder: Path, count: int) -> list[Path]:
    """``count`` pictures of a folder, evenly over the sorted names."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS)
    rows = np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)
    return [files[row] for row in rows]


def tile_matrix(picture: U8) -> NDArray[np.float64]:
    """Picture -> square of TILE pixels around its largest face."""
    faces = find_faces(picture)
    if not faces:
        raise SystemExit("a picture without a face is of no use here")
    return scaled(unit_from_points(faces[0].landmarks, 1.0), TILE)


def tile(picture: U8, matrix: NDArray[np.float64]) -> U8:
    shrunk = cv2.warpAffine(picture, matrix[:2], (TILE, TILE), flags=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


def swap_all(sources: list[Path], targets: list[Path], out: Path, method: str) -> dict[tuple[str, str], Path]:
    """All products, by one command; where each result lies."""
    command = [sys.executable, "-m", "faceswap_cli", "batch", *map(str, targets), "--method", method]
    for source in sources:
        command += ["--source", str(source)]
    template = out / "pictures" / "{source}__{stem}.png"
    subprocess.run([*command, "-o", str(template), "--force", "--quiet"], check=True)
    return {
        (source.stem, target.stem): out / "pictures" / f"{source.stem}__{target.stem}.png"
        for source in sources
        for target in targets
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path)
    parser.add_argument("targets", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--method", default="fslsd")
    chosen = parser.parse_args()
    sources, targets = spread(chosen.sources, chosen.count), spread(chosen.targets, chosen.count)
    results = swap_all(sources, targets, chosen.out, chosen.method)
    pictures = {path: read_picture(path).rgb for path in {*sources, *targets}}
    matrices = {path: tile_matrix(picture) for path, picture in pictures.items()}
    top = [np.full((TILE, TILE, 3), 255, np.uint8), *(tile(pictures[t], matrices[t]) for t in targets)]
    lines = [np.hstack(top)]
    for source in sources:
        swapped = [read_picture(results[source.stem, target.stem]).rgb for target in targets]
        faces = [tile(picture, matrices[t]) for picture, t in zip(swapped, targets, strict=True)]
        lines.append(np.hstack([tile(pictures[source], matrices[source]), *faces]))
    sheet = chosen.out / "sheet.png"
    cv2.imwrite(str(sheet), np.vstack(lines)[..., ::-1])
    print(sheet)


if __name__ == "__main__":
    main()
