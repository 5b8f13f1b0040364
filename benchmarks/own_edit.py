"""An edit of one's own, asked and found.

    python benchmarks/own_edit.py NAME WITH WITHOUT --sources PHOTO... --targets PHOTO... [--method fslsd]

NAME was taught before (``faceswap train --attribute NAME WITH WITHOUT``).  Each source is swapped onto a
target without and with the edit.  What is found is read from the results by a measure that took no part in
teaching: ridge regression on identity embeddings of the same pictures, its accuracy on people held out
printed first.  ``found`` is the change in ways from the one mean to the other; ``identity`` the distance from
the result without the edit.  ``linear`` and ``conditional`` are the directions of ``looks.py``.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.enroll import Target, swapped
from benchmarks.looks import HOWS, edited_by
from faceswap_cli.config import DetectOptions, JobOptions, PasteOptions
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.identity.embed import embed
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import build_method
from faceswap_cli.training.facespace import ridge
from faceswap_cli.training.labelled import Labelled, read_labelled
from faceswap_cli.video.picture import read_picture

STRENGTH, FOLDS = 3.0, 5


class Judge:
    """Reads the attribute from a picture: 0 is the mean of those without it, 1 of those with it."""

    def __init__(self, known: Labelled) -> None:
        self._mean = known.embedding.mean(0)
        z, values = self._unit(known.embedding), known.values[:, None]
        self._map = ridge(z, values, STRENGTH)
        held = torch.zeros(len(z))
        fold = torch.from_numpy(np.random.default_rng(0).permutation(known.people)[known.person] % FOLDS)
        for k in range(FOLDS):
            weight, bias = ridge(z[fold != k], values[fold != k], STRENGTH)
            held[fold == k] = (z[fold == k] @ weight.T + bias)[:, 0]
        sides = [held[known.values < 0], held[known.values > 0]]
        low, high = (float(side.mean()) for side in sides)
        right = [float((sides[0] < (low + high) / 2).float().mean())]
        right.append(float((sides[1] > (low + high) / 2).float().mean()))
        print(f"judge: right in {np.mean(right):.0%} of people held out")
        self._low, self._way = low, high - low

    def _unit(self, embeddings: Tensor) -> Tensor:
        return F.normalize(embeddings - self._mean, dim=1)

    def look(self, rgb: U8) -> tuple[float, F32] | None:
        """Attribute and embedding (128,); None where no face is found."""
        faces = find_faces(rgb)
        if not faces:
            return None
        found = embed(rgb, faces[0].landmarks[None], flip=True)
        weight, bias = self._map
        read = float((self._unit(torch.from_numpy(found)) @ weight.T + bias)[0, 0])
        return (read - self._low) / self._way, found[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("given", type=Path, nargs=2)
    parser.add_argument("--sources", type=Path, nargs="+", required=True)
    parser.add_argument("--targets", type=Path, nargs="+", required=True)
    parser.add_argument("--amounts", type=float, nargs="+", default=[-1.0, -0.5, 0.5, 1.0])
    parser.add_argument("--method", default="fslsd")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    judge = Judge(read_labelled(asked.given, lambda stage, done, total: None))
    method = build_method(asked.method, JobOptions(device="cpu"), PasteOptions())
    rows: dict[tuple[str, float], list[tuple[float, float]]] = defaultdict(list)
    for k, path in enumerate(asked.sources):
        rgb = read_picture(asked.targets[k % len(asked.targets)]).rgb
        target, source = Target(rgb, find_faces(rgb)[0]), load_photos([path], DetectOptions())
        before = judge.look(swapped(method, method.prepare(source), target))
        for how, amount in itertools.product(HOWS, asked.amounts) if before else ():
            edited = replace(source, changes=((asked.name, amount),))
            with edited_by(how):
                after = judge.look(swapped(method, method.prepare(edited), target))
            if before and after:
                rows[how, amount].append((after[0] - before[0], float(np.linalg.norm(after[1] - before[1]))))
    print("edit   how          found  lowest highest  identity")
    for amount, how in itertools.product(asked.amounts, HOWS):
        found, moved = np.array(rows[how, amount]).T
        low, high = found.min(), found.max()
        print(f"{amount:+.1f}   {how:12s} {found.mean():+.2f}   {low:+.2f}  {high:+.2f}  {moved.mean():8.3f}")


if __name__ == "__main__":
    main()
