"""When tuning has done its work: likeness to a picture that nothing was trained on.

The reference is a photograph held out, or, with fewer than three, a changed copy of the best one; the
targets are made ones of their own.  Landmarks that drift away from where they belong cost too, so that
a likeness bought with a wrong expression does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.enrol.samples import Sample, joined, shown
from faceswap_cli.enrol.views import View
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.training import augment
from faceswap_cli.training.observers import Observers

_DRIFT, _ALLOWED = 10.0, 1.05
"""Price of landmark error (in crop sides) above this many times the error at the start."""
_SMALL = 160
"""Side at which results are judged: what shows only at full size is not likeness."""


@dataclass(frozen=True, eq=False)
class Gauge:
    """Samples and the embedding that their results should have."""

    samples: Sequence[Sample] = field(repr=False)
    reference: Tensor = field(repr=False)
    """(128,)"""
    error: float
    """Mean landmark error at the start, in crop sides"""

    def score(self, net: Fslsd256, eyes: Observers, rows: Tensor, z: Tensor) -> float:
        """Distance to the reference and the price of drift; lower is better."""
        distance, error = look(net, eyes, self.samples, self.reference, rows, z)
        return distance + _DRIFT * max(error - _ALLOWED * self.error, 0.0)


@torch.no_grad()
def look(
    net: Fslsd256, eyes: Observers, samples: Sequence[Sample], reference: Tensor, rows: Tensor, z: Tensor
) -> tuple[float, float]:
    """Mean distance to ``reference`` and mean landmark error over ``samples``, one after the other."""
    found = []
    for sample in samples:
        source, scene = joined([sample], rows[None], z[None])
        face = net(source, scene).face.float()
        result = shown(face, sample.target, scene).clamp(-1, 1)
        small = F.interpolate(result, size=(_SMALL, _SMALL), mode="area")
        points = eyes.points(result, sample.wanted)
        embedding, _ = eyes.look(small, points)
        error = (points[..., :2] - sample.wanted[..., :2]).norm(dim=-1).mean()
        found.append((float((embedding[0] - reference).norm()), float(error)))
    distance, error_ = np.mean(found, axis=0)
    return float(distance), float(error_)


@torch.no_grad()
def changed_copy(eyes: Observers, view: View, rng: augment.Rng) -> Tensor:
    """(128,) embedding of ``view`` mirrored, in other light, coarser: a picture that was not trained on."""
    rgb, points = augment.flip(view.rgb, view.points, torch.ones(1, dtype=torch.bool))
    rgb = augment.recolour(rgb, rng, 0.6)
    rgb = F.interpolate(
        F.interpolate(rgb, size=(128, 128), mode="area"), size=rgb.shape[-2:], mode="bilinear"
    )
    embedding: Tensor = eyes.look(rgb, points)[0][0]
    return embedding
