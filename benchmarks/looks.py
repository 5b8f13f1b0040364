"""Edits of a source's appearance, asked and found: the learned editor against two directions.

    python benchmarks/looks.py POOL LABELS.csv --sources PHOTO... --targets PHOTO... [--method fslsd]

Each portrait is swapped onto a target without and with every edit.  What is found is read from the results by
a measure that took no part in teaching: age and sex by ridge regression on identity embeddings of the pool's
photographs (their held-out correlation is printed first), lips by the color of the pixels there.

linear: along the reading of the attribute; conditional: the same without what the other attributes read
(InterFaceGAN, Shen et al. 2020); editor: the learned one-pass network.  ``found`` is the change per unit
asked, ``others`` the mean absolute change of the other two in their units, ``identity`` the distance from the
result without the edit, ``per found`` that distance over the change found.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.enroll import Target, swapped
from faceswap_cli.config import DetectOptions, JobOptions, PasteOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry import align, masks
from faceswap_cli.identity.embed import embed
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.nets.attributes import ATTRIBUTES
from faceswap_cli.records import F32, U8, SourceIdentity
from faceswap_cli.swap import appearance, build_method, facespace, retouch, sourcing
from faceswap_cli.swap.texture import build_texture
from faceswap_cli.training.attributes import read_labels
from faceswap_cli.training.facespace import ridge
from faceswap_cli.training.pool import Pool, open_pool
from faceswap_cli.video.picture import read_picture

HOWS = ("linear", "conditional", "editor")
LIPS_UNIT = 5.0
"""Units of a* that count as 1 of the lips, about what the editor is taught as one deviation."""


class Judge:
    """Reads attributes from a picture."""

    def __init__(self, pool: Pool, labels: Path) -> None:
        rows = pool.rows(held_out=False)
        told = torch.from_numpy(read_labels(labels, rows))
        self._mean = torch.from_numpy(pool.embedding[rows].mean(0))
        z = self._unit(torch.from_numpy(pool.embedding[rows]))
        self._maps = []
        for k in range(2):
            known = ~told[:, k].isnan()
            self._maps.append(ridge(z[known], told[known, k : k + 1], 3.0))
        rows = pool.rows(held_out=True)
        told = torch.from_numpy(read_labels(labels, rows))
        read = self._read(torch.from_numpy(pool.embedding[rows]))
        for k in range(2):
            known = ~told[:, k].isnan()
            pair = torch.stack([read[known, k], told[known, k]])
            print(f"judge of {ATTRIBUTES[k]}: correlation {float(torch.corrcoef(pair)[0, 1]):.2f}")

    def _unit(self, embeddings: torch.Tensor) -> torch.Tensor:
        return F.normalize(embeddings - self._mean, dim=1)

    def _read(self, embeddings: torch.Tensor) -> torch.Tensor:
        z = self._unit(embeddings)
        return torch.cat([z @ weight.T + bias for weight, bias in self._maps], dim=1)

    def look(self, rgb: U8) -> tuple[F32, F32] | None:
        """Attributes (3,) and embedding (128,); None where no face is found."""
        faces = find_faces(rgb)
        if not faces:
            return None
        mesh = faces[0].landmarks
        found = embed(rgb, mesh[None], flip=True)
        matrix = align.scaled(align.unit_from_points(mesh), 192)
        lab = appearance.lab_from_rgb(cut(rgb, matrix, 192))
        points = align.apply(matrix, mesh) / np.float32(192)
        lips = masks.union(points, (parts.LIPS_OUTER,), 192) * (
            1 - masks.union(points, (parts.LIPS_INNER,), 192)
        )
        red = float((lab[..., 1] * lips).sum() / max(float(lips.sum()), 1.0)) / LIPS_UNIT
        read = self._read(torch.from_numpy(found))[0].numpy()
        return np.array([*read, red], np.float32), found[0]


Figures = dict[tuple[str, str, float], list[tuple[float, float, float]]]


def edits_of(source: SourceIdentity, target: Target, judge: Judge, asked: Namespace, rows: Figures) -> None:
    """Every edit of one source in one target."""
    method = build_method(asked.method, JobOptions(device="cpu"), PasteOptions())
    plain = sourcing.source_texture(source, 0.0)
    setattr(sourcing, "_plain", lambda source, share: plain)  # noqa: B010  fused once, edited often
    before = judge.look(swapped(method, method.prepare(source), target))
    if before is None:
        return
    for how, (number, name), amount in itertools.product(HOWS, enumerate(ATTRIBUTES), asked.amounts):
        edited = replace(source, changes=((name, amount),))
        with edited_by(how):
            after = judge.look(swapped(method, method.prepare(edited), target))
        if after is None:
            continue
        change = after[0] - before[0]
        others = float(np.abs(np.delete(change, number)).mean())
        moved = float(np.linalg.norm(after[1] - before[1]))
        rows[how, name, amount].append((float(change[number]), others, moved))


@contextmanager
def edited_by(how: str) -> Iterator[None]:
    """Edits are made by the editor or one of the directions."""
    with patch.object(retouch, "retouched", functools.partial(retouch.retouched, how=how)):
        yield


def table(rows: Figures, amounts: Sequence[float]) -> None:
    print("edit           how          found/asked  others  identity  per found")
    for name, amount, how in itertools.product(ATTRIBUTES, amounts, HOWS):
        change, others, moved = np.mean(rows[how, name, amount], axis=0)
        per = moved / max(abs(change), 1e-3)
        figures = f"{change / amount:10.2f}  {others:6.2f}  {moved:8.3f}  {per:9.2f}"
        print(f"{name:10s}{amount:+.1f} {how:12s} {figures}")


def times(photo: Path) -> None:
    texture = build_texture(load_photos([photo], DetectOptions()).photos)
    for how in HOWS:
        started = time.process_time()
        for _ in range(5):
            retouch.change_of(facespace.code_of(texture), {"age": 1.0}, how)
        print(f"{how}: {(time.process_time() - started) * 200:.0f} ms of one core, once per source")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--sources", type=Path, nargs="+", required=True)
    parser.add_argument("--targets", type=Path, nargs="+", required=True)
    parser.add_argument("--amounts", type=float, nargs="+", default=[-2.0, -1.0, 1.0, 2.0])
    parser.add_argument("--method", default="fslsd")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    judge = Judge(open_pool(asked.pool), asked.labels)
    rows: Figures = defaultdict(list)
    for k, path in enumerate(asked.sources):
        rgb = read_picture(asked.targets[k % len(asked.targets)]).rgb
        target = Target(rgb, find_faces(rgb)[0])
        edits_of(load_photos([path], DetectOptions()), target, judge, asked, rows)
    print(f"{len(asked.sources)} sources, {asked.method}")
    table(rows, asked.amounts)
    times(asked.sources[0])


if __name__ == "__main__":
    main()
