"""Pictures of faces with a label of the user's: two folders, or a table of files and values."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceswap_cli.config import DetectOptions
from faceswap_cli.errors import FaceswapError, InputError, NoFaceFound
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.identity.photos import picture_files
from faceswap_cli.output import check_disk
from faceswap_cli.swap.facespace import space
from faceswap_cli.training.facespace import MOST_YAW, Faces, codes_of, looked_at
from faceswap_cli.training.pool import SIDE, Item, aligned, pack
from faceswap_cli.video.picture import read_picture

MOST = 2000
"""Pictures that are looked at; of more an even choice."""
SAME = 0.45
"""Distance of embeddings below which two pictures are taken for one person."""
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Faces as codes, each with its label."""

    codes: Tensor = field(repr=False)
    """(M, CODE)"""
    values: Tensor = field(repr=False)
    """(M,) -1 without and 1 with; of a table with more than two values their deviations from the mean"""
    embedding: Tensor = field(repr=False)
    """(M, 128)"""
    person: NDArray[np.int64] = field(repr=False)
    """(M,) pictures of one number look like one person"""
    two_sided: bool
    """False where the labels have more than two values"""
    notes: tuple[str, ...] = ()

    @property
    def people(self) -> int:
        return int(self.person.max()) + 1

    @property
    def sides(self) -> tuple[int, int]:
        """Pictures below and above the middle: without and with."""
        return int((self.values < 0).sum()), int((self.values > 0).sum())


def read_labelled(given: Sequence[Path], tell: Tell) -> Labelled:
    """``given``: a folder of pictures with it and one of pictures without, or a CSV with file and value."""
    labels = _labels(given)
    if len(labels) > MOST:
        labels = [labels[k] for k in np.linspace(0, len(labels) - 1, MOST).round().astype(int)]
    check_disk(Path(tempfile.gettempdir()), len(labels) * 3 * SIDE**2, "the faces while they are looked at")
    notes: list[str] = []
    values: list[float] = []
    with tempfile.TemporaryDirectory(prefix="faceswap-") as folder:
        found = _items(labels, values, notes, tell)
        faces = looked_at(pack(found, Path(folder) / "pool", held_out_share=0.0), held_out=False)
    if turned := len(values) - len(faces.rows):
        notes.append(f"{turned} faces are turned by more than {MOST_YAW:.0f} degrees and were left out")
    own = np.array(values)[faces.rows]
    return _labelled(faces, own, two_sided=len(set(values)) == 2, notes=tuple(notes))


def _labelled(
    faces: Faces, values: NDArray[np.float64], *, two_sided: bool, notes: tuple[str, ...]
) -> Labelled:
    if two_sided:
        scaled = np.where(values == values.max(), 1.0, -1.0) if np.ptp(values) else np.sign(values)
    else:
        scaled = (values - values.mean()) / max(float(values.std()), 1e-9)
    return Labelled(
        codes_of(space(), faces),
        torch.from_numpy(scaled.astype(np.float32)),
        torch.from_numpy(faces.embedding),
        alike(faces.embedding),
        two_sided,
        notes,
    )


def alike(embedding: NDArray[np.float32]) -> NDArray[np.int64]:
    """(M,) numbers from 0: the same for pictures (M, 128) that chains of likeness connect."""
    from scipy.sparse.csgraph import connected_components

    near = torch.cdist(torch.from_numpy(embedding), torch.from_numpy(embedding)).numpy() < SAME
    return np.asarray(connected_components(near, directed=False)[1], np.int64)


def _labels(given: Sequence[Path]) -> list[tuple[Path, float]]:
    """Files and what is said of them."""
    if len(given) == 2:
        for folder in given:
            if not folder.is_dir():
                raise InputError(f"{folder} is not a folder; give one of pictures with it and one without")
        with_it, without = (picture_files([folder]) for folder in given)
        if {path.resolve() for path in with_it} & {path.resolve() for path in without}:
            raise InputError(f"{given[0]} and {given[1]} hold the same files; give two folders")
        return [*((path, 1.0) for path in with_it), *((path, -1.0) for path in without)]
    table = given[0]
    if table.is_dir():
        raise InputError(f"{table} is one folder; give a second one, of pictures without it, or a CSV")
    return _table(table)


def _table(path: Path) -> list[tuple[Path, float]]:
    found: dict[Path, float] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            for number, line in enumerate(csv.DictReader(handle), start=2):
                file, value = path.parent / line["file"], float(line["value"])
                if not math.isfinite(value):
                    raise InputError(f"{path} line {number}: the value must be a number")
                if found.setdefault(file, value) != value:
                    raise InputError(f"{path} line {number}: {line['file']} has two values")
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is not a table with the columns file, value ({error})") from error
    if len(set(found.values())) < 2:
        raise InputError(f"{path} needs at least two different values; it says nothing about any difference")
    return list(found.items())


def _items(
    labels: Sequence[tuple[Path, float]], values: list[float], notes: list[str], tell: Tell
) -> Iterator[Item]:
    """Aligned faces; ``values`` gets those of what was found, ``notes`` what was left out."""
    options = DetectOptions()
    with closing(FaceFinder(options)) as finder:
        for count, (path, value) in enumerate(labels, start=1):
            tell("pictures", count, len(labels))
            try:
                item = _item(path, options, finder)
            except FaceswapError as error:
                notes.append(f"{error}; left out")
                continue
            values.append(value)
            yield item


def _item(path: Path, options: DetectOptions, finder: FaceFinder) -> Item:
    rgb = read_picture(path, options.max_pixels).rgb
    faces = find_faces(rgb, options, finder)
    if not faces:
        raise NoFaceFound(f"no face in {path}")
    # A name of its own for each: how many pictures of a person there are is looked at later.
    return aligned(rgb, faces[0].landmarks, str(path), "own", path.name)
