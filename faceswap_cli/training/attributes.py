"""Teach the edits of appearance (``nets.attributes``) on the codes of a pool's faces.

``python -m faceswap_cli.training.attributes POOL LABELS.csv OUT.safetensors [--steps N] [--seed S]``

LABELS has the columns ``row`` (of the pool), ``age`` (years) and ``masculine`` (-1 to 1), empty where nothing
is known (``weights/build/labels.py`` makes it); the color of the lips is measured.  First the readers are
fitted and frozen, then the editor learns with the losses of Latent-to-Latent: the wanted attributes and all
others (L_A), back and forth again (L_C), the neighborhood (L_N), the same person (L_F); that no change is
none (L_I) holds by construction.  The shortest way to another reading is one that hardly shows (readers are
accurate); L_N therefore holds the edit near the way on which people with more of the attribute lie.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from faceswap_cli.errors import FaceswapError, InputError
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.nets.attributes import ATTRIBUTES, Attributes
from faceswap_cli.nets.facespace import CODE, SHAPE, TEXTURE, FaceSpace
from faceswap_cli.records import F32
from faceswap_cli.swap.facespace import SIDE, digest, geometry, space, unflat
from faceswap_cli.training.facespace import Faces, codes_of, looked_at, ridge
from faceswap_cli.training.pool import open_pool

MIDDLE_AGE, AGE_UNIT = 45.0, 20.0
"""Years that count as 0, and as a change of 1."""
FEWEST = 40
"""Labels of an attribute below which nothing is learned from them."""
_ATTRIBUTE, _CYCLE, _NEAR, _PERSON = 1.0, 1.0, 0.3, 1.0
_REACH = 2.0
"""Largest change that is taught."""
_RIDGE = 60.0

log = logging.getLogger(__name__)


def read_labels(path: Path, rows: NDArray[np.int64]) -> F32:
    """(M, 2) age and masculine of the pool's ``rows`` in units of the sliders; NaN where unknown."""
    found = np.full((len(rows), 2), np.nan, np.float32)
    place = {int(row): k for k, row in enumerate(rows)}
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            for line in csv.DictReader(handle):
                k = place.get(int(line["row"]))
                if k is None:
                    continue
                if line["age"]:
                    found[k, 0] = (float(line["age"]) - MIDDLE_AGE) / AGE_UNIT
                if line["masculine"]:
                    found[k, 1] = float(line["masculine"])
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is not a table with the columns row, age, masculine ({error})") from error
    return found


def lips_of(net: FaceSpace) -> tuple[Tensor, float]:
    """How red the lips of a code are, over the skin around: (CODE,) weights, and the deviation over codes."""
    lips = masks.union(geometry(), (parts.LIPS_OUTER,), SIDE)
    lips = lips / max(float(lips.sum()), 1e-6)
    rows = [float((unflat(row)[..., 1] * lips).sum()) for row in net.basis.numpy()]
    weights = torch.tensor(rows + [0.0] * SHAPE)
    return weights, float(weights.norm().clamp_min(1e-6))


def targets(net: FaceSpace, faces: Faces, labels: F32, codes: Tensor) -> Tensor:
    """(M, attributes) in units of the sliders, NaN where unknown."""
    weights, deviation = lips_of(net)
    measured = (codes @ weights) / deviation
    return torch.cat([torch.from_numpy(labels), measured[:, None]], dim=1)


def fit_readers(
    net: Attributes,
    codes: Tensor,
    wanted: Tensor,
    steps: int,
    seed: int,
    names: Sequence[str] = ATTRIBUTES,
    strength: float = _RIDGE,
) -> None:
    """Straight readings by ridge regression, then the correction, in place; frozen afterwards.

    ``names``: of the columns of ``wanted``; ``strength``: of the regularisation.
    """
    torch.manual_seed(seed)
    readers = net.readers
    known = ~wanted.isnan()
    for k, name in enumerate(names):
        rows = known[:, k]
        if int(rows.sum()) < FEWEST:
            raise InputError(f"only {int(rows.sum())} pictures say {name}; {FEWEST} are needed")
        weight, bias = straight(codes[rows], wanted[rows, k : k + 1], strength)
        readers.straight.weight.data[k] = weight[0]
        readers.straight.bias.data[k] = bias[0]
    bent = [*readers.first.parameters(), *readers.last.parameters()]
    adam = torch.optim.AdamW(bent, lr=1e-3, weight_decay=0.3)
    truth = wanted.nan_to_num()
    for _ in range(steps):
        rows = torch.randint(len(codes), (256,))
        noisy = codes[rows] + 0.3 * torch.randn(256, CODE)
        error = (readers(noisy) - truth[rows]).square() * known[rows]
        adam.zero_grad()
        torch.autograd.backward(error.sum() / known[rows].sum().clamp_min(1))
        adam.step()
    readers.requires_grad_(False).eval()


def straight(codes: Tensor, values: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Weight (1, CODE) and bias (1,) of a straight reading of ``values`` (M, 1)."""
    weight, bias = ridge(codes, values, strength)
    weight[:, TEXTURE:] = 0.0  # shape says more about lens and pose than about age
    return weight, bias


def baselines(net: Attributes) -> None:
    """Directions that change one attribute by 1: straight along its reading, and without what others read."""
    weight = net.readers.straight.weight.detach()
    for k in range(len(weight)):
        net.linear[k] = weight[k] / weight[k].square().sum()
        others = torch.cat([weight[:k], weight[k + 1 :]])
        basis = torch.linalg.qr(others.T)[0]
        free = weight[k] - basis @ (basis.T @ weight[k])
        net.conditional[k] = free / (free @ weight[k])


def ways(net: Attributes, codes: Tensor, wanted: Tensor) -> Tensor:
    """(TEXTURE, attributes): how the mean face changes with each attribute alone, per unit as read."""
    with torch.no_grad():
        told = torch.where(wanted.isnan(), net.readers(codes), wanted)
    along, _ = ridge(told, codes[:, :TEXTURE], 1.0)
    read = net.readers.straight.weight.detach()[:, :TEXTURE] @ along
    found: Tensor = along @ torch.linalg.inv(read)
    return found


def teach(
    net: Attributes, codes: Tensor, along: Tensor, person: tuple[Tensor, Tensor], steps: int, seed: int
) -> None:
    """The editor, in place.  ``along`` from :func:`ways`; ``person``: frozen regressor from codes to
    embeddings, weight and bias."""
    torch.manual_seed(seed)
    editor, readers = net.editor, net.readers
    editor.straight.weight.data.copy_(along)
    torch.nn.init.zeros_(editor.last.weight)
    adam = torch.optim.AdamW(editor.parameters(), lr=1e-3, weight_decay=0.01)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    size = (256, along.shape[1])
    for step in range(steps):
        code = codes[torch.randint(len(codes), (256,))]
        change = _REACH * (torch.rand(size) * 2 - 1) * (torch.rand(size) < 0.5)
        change = torch.where(change.abs() < 0.05, torch.zeros_like(change), change)
        out = editor(code, change)
        reached = (readers(out) - readers(code) - change).square().sum(1).mean()
        cycle = (editor(out, -change) - code).square().sum(1).mean()
        near = (out - code)[:, :TEXTURE].sub(change @ along.T).square().sum(1).mean()
        before, after = (x @ person[0].T + person[1] for x in (code, out))
        same = (1 - F.cosine_similarity(before, after, dim=1)).mean()
        loss = _ATTRIBUTE * reached + _CYCLE * cycle + _NEAR * near + _PERSON * same
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
        fall.step()
        if step % 500 == 499:
            told = (float(x.detach()) for x in (reached, cycle, near, same))
            log.info("step %d attribute %.4f cycle %.4f near %.3f person %.4f", step + 1, *told)
    net.eval()


@torch.inference_mode()
def exam(
    net: Attributes, codes: Tensor, wanted: Tensor, names: Sequence[str] = ATTRIBUTES
) -> dict[str, float]:
    """On people not learned from: do readings follow labels, and what do edits of 0.5 do to readings?"""
    figures = {}
    read = net.readers(codes)
    for k, name in enumerate(names):
        rows = ~wanted[:, k].isnan()
        if int(rows.sum()) > 4:
            pair = torch.stack([read[rows, k], wanted[rows, k]])
            figures[f"{name}_read"] = float(torch.corrcoef(pair)[0, 1])
        change = torch.zeros(len(codes), len(names))
        change[:, k] = 0.5
        out = net.edited(codes, change)
        moved = (net.readers(out) - read).mean(0)
        figures[f"{name}_done"] = float(moved[k]) / 0.5
        figures[f"{name}_others"] = float((moved.abs().sum() - moved[k].abs()) / 0.5)
        back = net.edited(out, -change) - codes
        figures[f"{name}_cycle"] = float(back.norm(dim=1).mean() / (out - codes).norm(dim=1).mean())
    return figures


def stored(net: Attributes) -> dict[str, Tensor]:
    """What a file holds of ``net``: half precision."""
    return {name: value.detach().half().contiguous() for name, value in net.state_dict().items()}


def write(net: Attributes, path: Path) -> None:
    """The file, bound to the space of faces; it appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    save_file(stored(net), part, metadata={"space": digest()})
    os.replace(part, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m faceswap_cli.training.attributes", description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        pool, faces_of = open_pool(given.pool), space()
        faces = looked_at(pool, held_out=False)
        codes = codes_of(faces_of, faces)
        wanted = targets(faces_of, faces, read_labels(given.labels, faces.rows), codes)
        net = Attributes()
        fit_readers(net, codes, wanted, given.steps // 3, given.seed)
        baselines(net)
        z = F.normalize(torch.from_numpy(faces.embedding) - faces_of.mapper.mean_embedding, dim=1)
        along = ways(net, codes, wanted)
        teach(net, codes, along, ridge(codes, z, 50.0), given.steps, given.seed)
        if len(pool.rows(held_out=True)) > 1:
            other = looked_at(pool, held_out=True)
            seen = codes_of(faces_of, other)
            told = targets(faces_of, other, read_labels(given.labels, other.rows), seen)
            log.info("held-out people: %s", exam(net, seen, told))
        write(net, given.out)
    except FaceswapError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
