"""Skin of a target and the light on it: ``appearance.skin_weight`` and ``light_at`` for batches.

Pictures are small here, (N, 3, n, n) Lab.  Medians of some pixels are taken by sorting all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceswap_cli.geometry.masks import LEAST_WEIGHT
from faceswap_cli.resident.tables import Tables, along
from faceswap_cli.resident.warp import sample
from faceswap_cli.swap import appearance


def smoothstep(x: Tensor) -> Tensor:
    """``masks.smoothstep``."""
    t = x.clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def masked_blur(image: Tensor, weight: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean (N, C, n, n) and blurred weight (N, 1, n, n); ``blur`` is a matrix of :class:`Tables`."""
    bottom = along(weight, blur)
    return along(image * weight, blur) / bottom.clamp_min(LEAST_WEIGHT), bottom


def skin_weight(lab: Tensor, skin: Tensor, brow_line: Tensor, tables: Tables) -> Tensor:
    """(N, 1, n, n): where skin is seen.

    ``skin`` (N, 1, n, n): where it may be, ``brow_line`` (N,): height of the brows, unit coordinates.
    """
    side = lab.shape[-1]
    area = skin.flatten(1)
    chosen = area > appearance.SOME_SKIN
    cells = torch.arange(side * side, device=lab.device)
    x = (cells % side) / side - 0.5
    below = torch.div(cells, side, rounding_mode="floor") / side - brow_line[:, None]
    x = x.expand_as(below)
    basis = torch.stack([torch.ones_like(x), x, below.clamp_min(0.0), x * x], dim=2)
    above = below < 0.0
    near = _near_shading(lab.flatten(2).transpose(1, 2), area * chosen, basis, above, tables)
    enough = chosen.sum(1, keepdim=True) >= appearance.FEW_PIXELS
    near = torch.where(enough, near * chosen, torch.ones_like(near))
    return skin * near.reshape(skin.shape)


def _near_shading(values: Tensor, inside: Tensor, basis: Tensor, above: Tensor, tables: Tables) -> Tensor:
    """(N, P): 1 close to the robust shading of the skin, 0 far from it; see ``appearance``.

    ``values`` (N, P, 3), ``inside`` (N, P) share of skin, ``basis`` (N, P, 4), ``above`` (N, P) the brows.
    """
    floor = tables.of("spread floor", lambda: appearance.SPREAD_FLOOR)
    weight = inside * torch.ones_like(inside).masked_fill(above, appearance.UNLIKELY_SKIN)
    sure = weight > 0.5
    off = values - _median(values, sure).masked_fill(~sure.any(1)[:, None], 0.0)[:, None]
    near = inside
    for turn in range(3):
        if turn:
            off = values - basis @ _fitted(basis, values, weight)
        counted = weight > appearance.OF_MOST * weight.amax(1, keepdim=True)
        spread = appearance.DEVIATION * _median(off.abs(), counted) + floor
        distance = (off.abs() / spread[:, None]).amax(2)
        distance = torch.where(above & (off[..., 0] < 0.0), distance * appearance.FOREHEAD, distance)
        near = smoothstep(appearance.OUTLIER + 1.0 - distance)
        weight = inside * near
    return near


def _fitted(basis: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """(N, 4, 3) of the weighted least squares."""
    heavy = (basis * weight[..., None]).transpose(1, 2)
    size = basis.shape[2]
    eye = torch.eye(size, device=basis.device)
    # The library's solver would wait to be told whether it could; this matrix is positive definite.
    rows = torch.cat([heavy @ basis + appearance.STEADY * eye, heavy @ values], dim=2)
    for k in range(size):
        pivot = rows[:, k : k + 1] / rows[:, k : k + 1, k : k + 1]
        rows = rows - (rows[:, :, k : k + 1] - eye[:, k : k + 1]) * pivot
    return rows[:, :, size:]


def _median(values: Tensor, chosen: Tensor) -> Tensor:
    """(N, C) of those ``values`` (N, P, C) that are ``chosen`` (N, P); infinity without any."""
    ranked = values.masked_fill(~chosen[..., None], torch.inf).sort(dim=1).values
    count = chosen.sum(1)
    both = torch.stack([(count - 1).clamp_min(0) // 2, count // 2], dim=1)[..., None]
    return ranked.gather(1, both.expand(-1, -1, values.shape[2])).mean(1)


def light_at(lab: Tensor, skin: Tensor, points: Tensor, tables: Tables) -> Tensor:
    """(N, 478, 3) low-frequency Lab at mesh points (N, 478, 2) in unit coordinates, from skin only."""
    side = lab.shape[-1]
    near, weight = masked_blur(lab[:, :1], skin, tables.blur(side, appearance.LIGHT_SIGMA * side))
    light, _ = masked_blur(lab, skin, tables.blur(side, appearance.CHROMA_SIGMA * side))
    trust = smoothstep(weight / appearance.LIGHT_TRUST)
    light = torch.cat([light[:, :1] + (near - light[:, :1]) * trust, light[:, 1:]], dim=1)
    return sample(light, (points * side - 0.5)[:, :, None])[..., 0].transpose(1, 2)
