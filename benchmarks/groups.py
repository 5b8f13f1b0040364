"""Whether a method serves everybody alike: its figures by group of the source and of the target.

    python benchmarks/groups.py PICTURES LABELS.csv [--targets 3] [--method fslsd] [--json FILE]

PICTURES is a folder of pictures of one face each.  LABELS.csv has a column ``file`` and one column for each
way to group them ("sex", "origin", ...).  Each picture is a source once and is swapped onto ``--targets``
others, drawn at random.  A further grouping, ``skin``, is measured: thirds of the typology angle of the skin
(Chardon et al. 1991), which light and exposure of a photograph move too.

identity: distance of the result from the source (same person < 0.6);  strangers: of the target from the
source, before the swap: groups that the network tells apart less well have smaller distances of both kinds;
rho: the share of that distance which is towards the target (above .5: nearer to the source);
skin: CIE76 difference of mean skin color, result and target.
Behind each mean half the width of its 95 % interval.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.enroll import Target, swapped
from faceswap_cli.config import DetectOptions, JobOptions, PasteOptions
from faceswap_cli.errors import FaceswapError
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry import align
from faceswap_cli.identity.embed import embed
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.records import F32, F64, U8, Face, SourceIdentity
from faceswap_cli.swap import appearance, build_method
from faceswap_cli.video.picture import read_picture

FIGURES = ("identity", "strangers", "rho", "skin")
SKIN = "skin"
_THIRDS = ("darkest third", "middle third", "lightest third")
_SIDE = 192


@dataclass(frozen=True, eq=False)
class Person:
    """One picture of the folder."""

    source: SourceIdentity = field(repr=False)
    target: Target = field(repr=False)
    embedding: F32 = field(repr=False)
    """(128,)"""
    skin: F64 = field(repr=False)
    """(3,) mean Lab"""
    groups: dict[str, str]


def skin_color(rgb: U8, face: Face) -> F64:
    """(3,) mean Lab of the skin."""
    matrix = align.scaled(align.unit_from_points(face.landmarks), _SIDE)
    lab = appearance.lab_from_rgb(cut(rgb, matrix, _SIDE))
    weight = appearance.skin_weight(lab, align.apply(matrix, face.landmarks) / np.float32(_SIDE))
    return np.asarray((lab * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1.0), np.float64)


def typology_angle(lab: F64) -> float:
    """Degrees; the higher, the lighter."""
    return float(np.degrees(np.arctan2(lab[0] - 50.0, lab[2])))


def people(folder: Path, labels: Path) -> list[Person]:
    """All pictures of the table in which one face is found."""
    with labels.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        path = folder / row.pop("file")
        try:
            source = load_photos([path], DetectOptions())
        except FaceswapError as error:
            print(f"{path.name} is left out: {error}")
            continue
        rgb = read_picture(path).rgb
        face = find_faces(rgb)[0]
        seen = embed(rgb, face.landmarks[None], flip=True)[0]
        found.append(Person(source, Target(rgb, face), seen, skin_color(rgb, face), row))
    by_skin = np.argsort(np.argsort([typology_angle(person.skin) for person in found]))
    for person, rank in zip(found, by_skin, strict=True):
        person.groups[SKIN] = _THIRDS[int(rank) * 3 // len(found)]
    return found


def figures(result: U8, source: Person, target: Person) -> dict[str, float] | None:
    """None where no face is found in the result."""
    faces = find_faces(result)
    if not faces:
        return None
    seen = embed(result, faces[0].landmarks[None], flip=True)[0]
    ours, theirs = (float(np.linalg.norm(seen - one.embedding)) for one in (source, target))
    return {
        "identity": ours,
        "strangers": float(np.linalg.norm(source.embedding - target.embedding)),
        "rho": theirs / max(ours + theirs, 1e-9),
        SKIN: float(np.linalg.norm(skin_color(result, target.target.face) - target.skin)),
    }


Row = tuple[Mapping[str, str], Mapping[str, str], dict[str, float]]


def swaps(known: Sequence[Person], count: int, method_name: str) -> tuple[list[Row], int]:
    """Groups of source and target and the figures of each swap; and how many faces were not found again."""
    method = build_method(method_name, JobOptions(device="cpu"), PasteOptions())
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    lost = 0
    for k, person in enumerate(known):
        prepared = method.prepare(person.source)
        others = [row for row in range(len(known)) if row != k]
        for row in rng.choice(others, count, replace=False):
            other = known[int(row)]
            found = figures(swapped(method, prepared, other.target), person, other)
            if found is None:
                lost += 1
            else:
                rows.append((person.groups, other.groups, found))
    return rows, lost


def table(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """``SIDE, GROUPING: GROUP`` -> figure -> mean and half the width of its 95 % interval."""
    cells: dict[str, list[dict[str, float]]] = defaultdict(list)
    for source, target, found in rows:
        cells["all"].append(found)
        for side, groups in (("source", source), ("target", target)):
            for name, value in groups.items():
                cells[f"{side}, {name}: {value}"].append(found)
    out: dict[str, dict[str, Any]] = {}
    for name in sorted(cells):
        values = {key: np.array([found[key] for found in cells[name]]) for key in FIGURES}
        out[name] = {"swaps": len(cells[name])} | {
            key: (float(x.mean()), float(1.96 * x.std() / np.sqrt(len(x)))) for key, x in values.items()
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--targets", type=int, default=3, help="of each source")
    parser.add_argument("--method", default="fslsd")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    known = people(asked.pictures, asked.labels)
    rows, lost = swaps(known, asked.targets, asked.method)
    found = table(rows)
    print(f"{len(known)} people, {len(rows)} swaps, {asked.method}; no face found again in {lost}")
    print(f"{'':34s} swaps  " + "  ".join(f"{name:>11s}" for name in FIGURES))
    for name, cell in found.items():
        cells = "  ".join(f"{cell[key][0]:6.3f}±{cell[key][1]:.2g}".rjust(11) for key in FIGURES)
        print(f"{name:34s} {cell['swaps']:5d}  {cells}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
