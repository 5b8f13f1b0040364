"""The third player of FaceID-GAN (Shen et al., CVPR 2018): a classifier of 2 N classes.

Class n is a real picture of person n, class N + n a synthetic one.  The classifier learns to
tell them apart; the generator wants its picture of person n in class n.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.blocks import CheapDown, conv, lrelu

INPUT_SIDE = 112
SCALE = 24.0
MARGIN = 0.2


class ThirdPlayer(nn.Module):
    """(N, 3, 112, 112) in [-1, 1] -> unit features (N, 256); logits by :meth:`logits`."""

    def __init__(self, people: int, widths: tuple[int, ...] = (48, 96, 192, 256)) -> None:
        super().__init__()
        self.people = people
        self.stem = conv(3, widths[0], 3, 2)
        self.downs = nn.ModuleList(CheapDown(a, b) for a, b in itertools.pairwise(widths))
        self.last = nn.Linear(widths[-1] * 49, 256)
        self.centres = nn.Parameter(torch.randn(2 * people, 256))

    def forward(self, x: Tensor) -> Tensor:
        x = lrelu(self.stem(x))
        for down in self.downs:
            x = down(x)
        return F.normalize(self.last(x.flatten(1)).float(), dim=1)

    def logits(self, features: Tensor, real: Tensor | None = None) -> Tensor:
        """Scaled cosines (N, 2 * people); ``real`` (N,): classes to lower by the margin."""
        cosine = features @ F.normalize(self.centres, dim=1).t()
        if real is not None:
            cosine = cosine - MARGIN * F.one_hot(real, 2 * self.people)
        return SCALE * cosine
