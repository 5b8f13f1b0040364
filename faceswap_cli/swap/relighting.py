"""The target's light on the source's skin.

Light is known at the mesh points as low-frequency L*a*b* of skin (``appearance.light_at``), for the source's
texture and for the target in each frame.  Two parts carry it over:

- spherical harmonics of order 2 on the mesh's normals (Ramamoorthi and Hanrahan 2001), luminance only: their
  bounded log ratio turns the shading of the source into that of the target.  One fit a channel would color
  the shadows.
- what is left, luminance and chroma, as a cubic polynomial over the face: slow enough to keep the relief and
  the complexion of the source.

The result is the light that the source's texture has at its mesh points once it is lit as the target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32
from faceswap_cli.swap.appearance import LAB_OFFSET

_MOST_RATIO = 0.8
"""Log ratio of the two shadings, about its median, is held to this."""
_FLOOR = 0.3
"""Least shading, as a share of the median: harmonics may go below 0."""
_RIDGE = 0.05
_ORDERS = np.array([0, 1, 1, 1, 4, 4, 4, 4, 4], np.float32)
"""Relative penalty of each harmonic."""
_OUTLIER = 2.6
"""Deviations beyond which a point is not lit skin: a cast shadow, a highlight, hair."""
_LEAST_SPREAD = 0.004
_FACING = (0.15, 0.35)
"""Depth of the normals from which a point is seen, a little and well."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceLight:
    """Light of a source texture at the mesh points."""

    lab: F32 = field(repr=False)
    """(478, 3) low-frequency L*a*b*"""
    shading: F32 = field(repr=False)
    """(478,) linear luminance by the harmonics, above 0"""


def source_light(lab: F32, points: F32) -> SourceLight:
    """Of a texture with mesh ``points`` (478, 3) whose light at them is ``lab`` (478, 3)."""
    return SourceLight(lab, _shading(lab[:, 0], points))


def lit_as(source: SourceLight, light: F32, points: F32) -> F32:
    """(478, 3) light of the source's texture, carried to the mesh ``points`` (478, 3) and lit by ``light``.

    ``light`` (478, 3): the target's own, at the same points.
    """
    ratio = np.log(_shading(light[:, 0], points) / source.shading)
    middle = np.median(ratio)
    # L* + 16 is the cube root of luminance, and a*, b* scale with it.
    scale = np.exp((np.clip(ratio - middle, -_MOST_RATIO, _MOST_RATIO) + middle) / 3)
    lit = source.lab * scale[:, None]
    lit[:, 0] += LAB_OFFSET * (scale - 1)
    offset = np.float32(LAB_OFFSET)
    have, want = (np.maximum(x[:, 0] + offset, 1.0) for x in (lit, light))
    chroma = light[:, 1:] / want[:, None] - lit[:, 1:] / have[:, None]
    rest = _smooth(np.column_stack([np.log(want / have), chroma]), _seen(points))
    out = np.empty_like(lit)
    out[:, 0] = have * np.exp(rest[:, 0])
    out[:, 1:] = (lit[:, 1:] / have[:, None] + rest[:, 1:]) * out[:, :1]
    out[:, 0] -= offset
    return np.asarray(out, np.float32)


def _seen(points: F32) -> F32:
    """(478,) weight of the mesh points in fits: 0 where they face away; irises do not count."""
    facing = warp.vertex_normals(points, parts.topology().triangles)[:, 2]
    weight = masks.eased(facing, _FACING)
    weight[list(parts.IRISES)] = 0.0
    return np.asarray(weight + 1e-4, np.float32)


def _harmonics(normals: F32) -> F32:
    """(N, 3) -> (N, 9) real spherical harmonics up to order 2, not normalized."""
    x, y, z = normals.T
    one = np.ones_like(x)
    return np.stack([one, x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], axis=1)


def _shading(lightness: F32, points: F32) -> F32:
    """(478,) L* at the mesh points -> linear luminance as the harmonics explain it."""
    luminance = ((np.maximum(lightness, 0.0) + LAB_OFFSET) / (100 + LAB_OFFSET)) ** 3
    basis = _harmonics(warp.vertex_normals(points, parts.topology().triangles))
    weight = seen = _seen(points)
    penalty = np.diag(_ORDERS) * _RIDGE * float(seen.sum()) + 1e-6 * np.eye(9)
    for _ in range(3):
        weighted = (basis * weight[:, None]).T
        found = np.linalg.solve(weighted @ basis + penalty, weighted @ luminance)
        off = np.abs(luminance - basis @ found)
        spread = 1.4826 * float(np.median(off[seen > 0.5])) + _LEAST_SPREAD if (seen > 0.5).any() else 1.0
        weight = seen * np.clip(_OUTLIER - off / spread, 0.02, 1.0)
    shading = basis @ found
    return np.asarray(np.maximum(shading, max(_FLOOR * float(np.median(shading)), 1e-4)), np.float32)


def _smooth(values: F32, weight: F32) -> F32:
    """(478, D) values as cubic polynomials of the place on the mean face, fitted by ``weight`` (478,)."""
    basis = _cubics()
    weighted = (basis * weight[:, None]).T
    penalty = 1e-3 * float(weight.sum()) * np.diag([0.0] + [1.0] * 9)
    return np.asarray(basis @ np.linalg.solve(weighted @ basis + penalty, weighted @ values), np.float32)


@lru_cache(maxsize=1)
def _cubics() -> F32:
    """(478, 10) monomials up to the third degree, each about as large as the others."""
    x, y = parts.topology().mean_shape[:, :2].T
    terms = [x**i * y**j for degree in range(4) for i in range(degree, -1, -1) for j in [degree - i]]
    basis = np.stack(terms, axis=1)
    return np.asarray(basis / np.abs(basis).max(axis=0), np.float32)
