"""Labelled codes and files of taught edits, made in an instant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from faceswap_cli.nets.attributes import ATTRIBUTES, Attributes
from faceswap_cli.nets.facespace import CODE
from faceswap_cli.swap import facespace
from faceswap_cli.training.attributes import stored
from faceswap_cli.training.labelled import Labelled
from faceswap_cli.user_files import taught_path
from faceswap_cli.weights.taught import save_taught


def labelled(
    count: int = 160, *, told_by: int | None = 7, two_sided: bool = True, people: int = 0
) -> Labelled:
    """Faces whose label is number ``told_by`` of their codes and some noise; None: nothing but noise."""
    draw = torch.Generator().manual_seed(4)
    codes = torch.randn(count, CODE, generator=draw)
    value = torch.randn(count, generator=draw)
    values = torch.where(value > 0, 1.0, -1.0) if two_sided else (value - value.mean()) / value.std()
    if told_by is not None:
        codes[:, told_by] += 1.5 * values
    person = np.arange(count) % people if people else np.arange(count)
    return Labelled(codes, values, torch.randn(count, 128, generator=draw), person, two_sided)


def installed(name: str, seed: int = 0, space: str = "") -> Path:
    """A file of the edit ``name`` that moves one number of a code."""
    torch.manual_seed(seed)
    net = Attributes(len(ATTRIBUTES) + 1)
    torch.nn.init.zeros_(net.editor.straight.weight)
    net.editor.straight.weight.data[5, -1] = 0.5
    torch.nn.init.zeros_(net.editor.last.weight)
    path = taught_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"program": "0", "pictures": "30 with, 30 without, 60 people", "told": "right in 90%"}
    save_taught(path, name, stored(net), space or facespace.digest(), about)
    return path
