"""Teach an edit of the user's own from labeled pictures (``faceswap train --attribute``).

Readers, editor and losses are those of ``training.attributes``; the attribute joins the bundled ones, which
an edit of it leaves alone.  Two things differ, for there are hundreds of pictures and not thousands.  People
held out say first whether the label can be seen in a face at all.  And the way from the mean face without
it to the one with it, which the editor is held near, is cleared of what chance gave it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import faceswap_cli
from faceswap_cli.config import EDIT_RANGES
from faceswap_cli.errors import InputError, OutputError, UsageError
from faceswap_cli.nets.attributes import ATTRIBUTES, Attributes
from faceswap_cli.nets.facespace import CODE, TEXTURE
from faceswap_cli.own_edits import is_name
from faceswap_cli.swap.facespace import digest, space
from faceswap_cli.swap.retouch import attributes
from faceswap_cli.training.attributes import baselines, fit_readers, stored, straight, teach, ways
from faceswap_cli.training.facespace import ridge
from faceswap_cli.training.labelled import Labelled, Tell, read_labelled
from faceswap_cli.user_files import taught_path
from faceswap_cli.weights.store import make_room
from faceswap_cli.weights.taught import save_taught

FEWEST, FEWEST_PEOPLE = 25, 20
"""Pictures of either side, and people, below which nothing is learned."""
RESERVED = ("own",)
"""Names that mean something else in a configuration file."""
_STRENGTH = 240.0
"""Of the readers' regularisation: better on people held out than less, with hundreds of pictures."""
_FOLDS = 5
_SURE = 2.33
"""Deviations above chance, which chance alone reaches once in a hundred times."""
_LEAST = {True: 0.6, False: 0.25}
"""Accuracy of two sides, and correlation of numbers, below which an edit would show little of it."""
_STEPS, _OTHERS = 2000, 2000
"""Steps of the editor, and faces besides the given ones that it learns on: drawn from the space."""
_TIED = 0.75
"""Difference of a bundled attribute between the sides, in its deviations, from which on it is named."""
_ROOM = 1 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well held-out people are recognized."""

    figure: float
    """Balanced accuracy of two sides, correlation of numbers"""
    chance: float
    least: float
    """What it takes to be learned"""
    two_sided: bool

    def __str__(self) -> str:
        if self.two_sided:
            return f"right in {self.figure:.0%} of people held out (chance is {self.chance:.0%})"
        return f"correlation {self.figure:.2f} on people held out (chance is {self.chance:.0f})"


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learned from what."""

    name: str
    path: Path
    verdict: Verdict
    sides: tuple[int, int]
    """Pictures without and with"""
    people: int
    notes: tuple[str, ...] = field(default=())


def check_name(name: str) -> str:
    """``name``; :class:`UsageError` for what cannot be the name of an edit."""
    if name in EDIT_RANGES or name in RESERVED:
        raise UsageError(f"--attribute {name} is a word of --edit already; choose another name")
    if not is_name(name):
        raise UsageError(
            f"--attribute {name[:60]!r} is not a name; use 1 to 24 small letters, digits and _, letter first"
        )
    return name


def train_attribute(
    name: str, given: list[Path], tell: Tell, *, force: bool = False, seed: int = 0
) -> Lesson:
    """Learn the edit ``name`` from ``given`` (see ``training.labelled.read_labelled``) and install it.

    :class:`InputError` when there are too few pictures, or the faces do not show the label.
    """
    path = taught_path(check_name(name))
    if path.exists() and not force:
        raise OutputError(f"{path} exists; --force replaces it, or choose another name")
    make_room(path.parent, _ROOM)
    labelled = read_labelled(given, tell)
    check_enough(name, labelled)
    found = judged(labelled, seed)
    if found.figure < found.least:
        raise InputError(
            f"the faces do not show {name}: {found}, {found.least:.2f} is needed with this many pictures; "
            "look at the labels, or give more pictures"
        )
    net = taught_net(name, labelled, tell, seed)
    without, with_it = labelled.sides
    about = {
        "program": faceswap_cli.__version__,
        "pictures": f"{with_it} with, {without} without, {labelled.people} people",
        "told": str(found),
    }
    save_taught(path, name, stored(net), digest(), about)
    notes = (*labelled.notes, *tied(name, labelled))
    return Lesson(name, path, found, labelled.sides, labelled.people, notes)


def check_enough(name: str, labelled: Labelled) -> None:
    """:class:`InputError` where there are too few faces of a side, or of too few people."""
    without, with_it = labelled.sides
    if min(without, with_it) < FEWEST:
        raise InputError(
            f"{name}: {with_it} usable faces with it and {without} without; {FEWEST} of either are needed, "
            "100 are better"
        )
    if labelled.people < FEWEST_PEOPLE:
        raise InputError(
            f"{name}: the pictures show only {labelled.people} people; {FEWEST_PEOPLE} are needed, or it "
            "would be learned how these look"
        )


def judged(labelled: Labelled, seed: int = 0) -> Verdict:
    """Every person read by a reader that was fitted on the others."""
    read = _read_apart(labelled, seed)
    truth = labelled.values
    if not labelled.two_sided:
        figure = float(torch.corrcoef(torch.stack([read, truth]))[0, 1].nan_to_num())
        return Verdict(figure, 0.0, max(_SURE / labelled.people**0.5, _LEAST[False]), False)
    sides = [truth < 0, truth > 0]
    middle = sum(float(read[side].mean()) for side in sides) / 2
    right = [float(((read > middle) == (truth > 0))[side].float().mean()) for side in sides]
    people = [len(np.unique(labelled.person[side.numpy()])) for side in sides]
    error = 0.5 * sum(0.25 / count for count in people) ** 0.5
    return Verdict(sum(right) / 2, 0.5, max(0.5 + _SURE * error, _LEAST[True]), True)


def _read_apart(labelled: Labelled, seed: int) -> Tensor:
    order = np.random.default_rng(seed).permutation(labelled.people)
    fold = torch.from_numpy(order[labelled.person] % _FOLDS)
    read = torch.zeros(len(labelled.codes))
    for k in range(_FOLDS):
        own, others = fold == k, fold != k
        weight, bias = straight(labelled.codes[others], labelled.values[others, None], _STRENGTH)
        read[own] = (labelled.codes[own] @ weight.T + bias)[:, 0]
    return read


def taught_net(name: str, labelled: Labelled, tell: Tell, seed: int = 0, steps: int = _STEPS) -> Attributes:
    """Networks of the bundled attributes and ``name`` behind them."""
    net = Attributes(len(ATTRIBUTES) + 1)
    codes, known = labelled.codes, attributes().readers
    others = torch.randn(_OTHERS, CODE, generator=torch.Generator().manual_seed(seed)).clamp(-3.5, 3.5)
    with torch.no_grad():
        wanted = torch.cat([known(codes), labelled.values[:, None]], dim=1)
        blank = torch.cat([known(others), torch.full((len(others), 1), torch.nan)], dim=1)
    everybody = torch.cat([codes, others])
    names = (*ATTRIBUTES, name)
    tell("teach", 0, 2)
    fit_readers(net, everybody, torch.cat([wanted, blank]), steps // 2, seed, names, _STRENGTH)
    along = calibrated(net, codes, wanted)
    baselines(net)
    tell("teach", 1, 2)
    z = F.normalize(labelled.embedding - space().mapper.mean_embedding, dim=1)
    teach(net, everybody, along, ridge(codes, z, 50.0), steps, seed)
    tell("teach", 2, 2)
    return net


@torch.no_grad()
def calibrated(net: Attributes, codes: Tensor, wanted: Tensor) -> Tensor:
    """(TEXTURE, attributes) as ``training.attributes.ways``; the last is the way between the means of the
    sides, and its reader is scaled, in place, to read that way as what it is."""
    along = ways(net, codes, wanted)
    read, last = net.readers.straight, net.readers.last
    own = steady_way(codes[:, :TEXTURE], wanted)
    own -= along[:, :-1] @ (read.weight[:-1, :TEXTURE] @ own)
    told = float(read.weight[-1, :TEXTURE] @ own)
    if told <= 1e-3:
        raise InputError("the mean faces of the two sides do not differ in the label; give more pictures")
    for layer in (read, last):
        layer.weight[-1] /= told
        layer.bias[-1] /= told
    along[:, -1] = own
    return along


def steady_way(texture: Tensor, wanted: Tensor) -> Tensor:
    """(TEXTURE,) change of the mean face with the last column of ``wanted``, the others held; what may be
    chance is shrunk (James and Stein 1961, number by number)."""
    weight, bias = ridge(wanted, texture, 1.0)
    rest = texture - wanted @ weight.T - bias
    away = (wanted - wanted.mean(0)).double()
    scatter = torch.linalg.inv(away.T @ away + torch.eye(away.shape[1], dtype=torch.float64))[-1, -1]
    noise = rest.var(0) * float(scatter)
    way = weight[:, -1]
    return way * (1 - noise / way.square().clamp_min(1e-12)).clamp_min(0.0)


def tied(name: str, labelled: Labelled) -> list[str]:
    """Which of the bundled attributes differ between the sides: the edit was taught to leave them alone."""
    with torch.no_grad():
        read = attributes().readers(labelled.codes)
    apart = read[labelled.values > 0].mean(0) - read[labelled.values < 0].mean(0)
    found = [attribute for attribute, size in zip(ATTRIBUTES, apart, strict=True) if abs(float(size)) > _TIED]
    return (
        [f"pictures with {name} also differ in {', '.join(found)}, which the edit leaves alone"]
        if found
        else []
    )
