"""A space of faces: codes that stand for a face's texture and shape, and who has which code.

Texture is what lies above low-frequency light and color, in the geometry of the mean face, the mean of both
halves (P numbers); shape is the mesh without its pose.  Both are linear in the code.  The mapper gives the
code of an identity embedding alone (after Nitzan et al. 2020: a frozen recognition network, a mapper, a
frozen generator, and a critic that holds the codes where those of real faces are).

A code has TEXTURE + SHAPE numbers, each of deviation 1 over people.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING = 128
TEXTURE, SHAPE = 112, 16
CODE = TEXTURE + SHAPE
MESH_POINTS = 478
AROUND_SIDE = 40


class FaceSpace(nn.Module):
    """Linear texture and shape.  P: numbers of a texture, see ``swap.facespace.flat``."""

    mean: Tensor
    basis: Tensor
    shape_mean: Tensor
    shape_basis: Tensor
    skin: Tensor
    around: Tensor

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("basis", torch.zeros(TEXTURE, pixels))
        self.register_buffer("shape_mean", torch.zeros(MESH_POINTS, 3))
        self.register_buffer("shape_basis", torch.zeros(SHAPE, MESH_POINTS, 3))
        self.register_buffer("skin", torch.zeros(3))
        self.register_buffer("around", torch.zeros(AROUND_SIDE, AROUND_SIDE, 3))
        self.mapper = Mapper()

    def texture(self, code: Tensor) -> Tensor:
        """(N, CODE) -> (N, P)."""
        return self.mean + code[:, :TEXTURE] @ self.basis

    def shape(self, code: Tensor) -> Tensor:
        """(N, CODE) -> (N, 478, 3) canonical, see ``swap.shape``."""
        return self.shape_mean + torch.einsum("nk,kpd->npd", code[:, TEXTURE:], self.shape_basis)

    def code(self, texture: Tensor, shape: Tensor) -> Tensor:
        """(N, P) and canonical (N, 478, 3) -> (N, CODE): the nearest code."""
        first = (texture - self.mean) @ self.basis.T / self.basis.square().sum(1)
        flat = self.shape_basis.flatten(1)
        second = (shape - self.shape_mean).flatten(1) @ flat.T / flat.square().sum(1)
        return torch.cat([first, second], dim=1)


class Mapper(nn.Module):
    """Identity embedding (N, 128), as the recognition network gives it -> code (N, CODE)."""

    mean_embedding: Tensor

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.register_buffer("mean_embedding", torch.zeros(EMBEDDING))
        self.straight = nn.Linear(EMBEDDING, CODE)
        self.first = nn.Linear(EMBEDDING, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, CODE)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, embedding: Tensor) -> Tensor:
        z = F.normalize(embedding - self.mean_embedding, dim=1)
        bent = F.leaky_relu(self.second(F.leaky_relu(self.first(8.0 * z), 0.2)), 0.2)
        out: Tensor = self.straight(z) + self.last(bent)
        return out


class CodeCritic(nn.Module):
    """(N, CODE) -> (N,) logit: is this the code of a real face?  Used in training only."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (CODE, 256, 128, 64)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.last = nn.Linear(sizes[-1], 1)

    def forward(self, code: Tensor) -> Tensor:
        for layer in self.layers:
            code = F.leaky_relu(layer(code), 0.2)
        out: Tensor = self.last(code)[:, 0]
        return out
