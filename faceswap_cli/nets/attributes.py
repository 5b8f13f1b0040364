"""Edits of a face's appearance in the space of codes: one pass, all attributes at once.

After Latent-to-Latent (Khodadadeh et al., WACV 2022): w' = f(w, change).  ``Readers`` are the frozen
regressors that say which attributes a code has; ``Editor`` is f.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.facespace import CODE, TEXTURE

ATTRIBUTES = ("age", "masculine", "lips")
"""Those that come with the program, in the order of every vector of attributes; each of deviation 1 over the
people it was learned from.  Networks of an attribute that a user taught have it as one more behind these."""


class Readers(nn.Module):
    """(N, CODE) -> (N, attributes): a straight reading and a bent correction."""

    def __init__(self, count: int = len(ATTRIBUTES), width: int = 48) -> None:
        super().__init__()
        self.straight = nn.Linear(CODE, count)
        self.first = nn.Linear(CODE, width)
        self.last = nn.Linear(width, count)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, code: Tensor) -> Tensor:
        out: Tensor = self.straight(code) + self.last(torch.tanh(self.first(code)))
        return out


class Editor(nn.Module):
    """(N, CODE), (N, attributes) wanted change -> (N, CODE).  Shape numbers stay as they are."""

    def __init__(self, count: int = len(ATTRIBUTES), width: int = TEXTURE) -> None:
        super().__init__()
        self.first = nn.Linear(TEXTURE + count, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, TEXTURE)
        self.straight = nn.Linear(count, TEXTURE, bias=False)

    def forward(self, code: Tensor, change: Tensor) -> Tensor:
        texture = code[:, :TEXTURE]
        moved = self._bent(texture, change) - self._bent(texture, torch.zeros_like(change))
        return torch.cat([texture + self.straight(change) + moved, code[:, TEXTURE:]], dim=1)

    def _bent(self, texture: Tensor, change: Tensor) -> Tensor:
        x = torch.tanh(self.first(torch.cat([texture / 2, change], dim=1)))
        out: Tensor = self.last(torch.tanh(self.second(x)))
        return out


class Attributes(nn.Module):
    """What is stored: the readers, the editor, and the directions it is compared with."""

    linear: Tensor
    conditional: Tensor

    def __init__(self, count: int = len(ATTRIBUTES)) -> None:
        super().__init__()
        self.readers, self.editor = Readers(count), Editor(count)
        self.register_buffer("linear", torch.zeros(count, CODE))
        self.register_buffer("conditional", torch.zeros(count, CODE))

    def edited(self, code: Tensor, change: Tensor, how: str = "editor") -> Tensor:
        """``how``: ``editor``, or one of the baselines ``linear`` and ``conditional``."""
        if how == "editor":
            out: Tensor = self.editor(code, change)
            return out
        return code + change @ (self.linear if how == "linear" else self.conditional)


def unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1)
