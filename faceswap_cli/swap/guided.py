"""Maps whose edges follow the picture's: a guided filter in color, fitted at a smaller size if wanted."""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.records import F32

_UPPER = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def follow_edges(maps: F32, lab: F32, radius: float, noise: float, step: int = 1) -> F32:
    """``maps`` (h, w, K) as local linear functions of the colors ``lab`` (h, w, 3).

    ``radius`` px; ``noise``: variance of L*, a*, b* that counts as flat; the functions are found at 1 /
    ``step`` of the size.
    """
    h, w, count = maps.shape
    size = (max(w // step, 1), max(h // step, 1))
    box = (2 * max(round(radius / step), 1) + 1,) * 2

    def mean(x: F32) -> F32:
        planes = [cv2.blur(part, box, borderType=cv2.BORDER_REFLECT) for part in cv2.split(x)]
        return np.asarray(cv2.merge(planes), np.float32).reshape(x.shape)

    def small(x: F32) -> F32:
        return x if step == 1 else np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA), np.float32)

    guide, own = small(lab), small(maps).reshape(size[1], size[0], count)
    products = [guide[..., i] * guide[..., j] for i, j in _UPPER]
    products += [guide[..., i] * own[..., k] for k in range(count) for i in range(3)]
    means = mean(np.dstack([guide, own, *products]))
    center, level, second = np.split(means, [3, 3 + count], axis=-1)
    spread = [second[..., n] - center[..., i] * center[..., j] for n, (i, j) in enumerate(_UPPER)]
    inverse = _inverse(
        *(s + np.float32(noise) if i == j else s for s, (i, j) in zip(spread, _UPPER, strict=True))
    )
    out = np.empty_like(maps)
    for k in range(count):
        shared = [second[..., 6 + 3 * k + i] - center[..., i] * level[..., k] for i in range(3)]
        slope = np.dstack([sum(inverse[i][j] * shared[j] for j in range(3)) for i in range(3)])
        offset = level[..., k] - (slope * center).sum(axis=-1)
        fit = mean(np.dstack([slope, offset]).astype(np.float32))
        fit = fit if step == 1 else cv2.resize(fit, (w, h), interpolation=cv2.INTER_LINEAR)
        out[..., k] = (fit[..., :3] * lab).sum(axis=-1) + fit[..., 3]
    return out


def _inverse(a: F32, b: F32, c: F32, d: F32, e: F32, f: F32) -> list[list[F32]]:
    """Of symmetric matrices, element by element, from their upper triangles by rows."""
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    scale = 1 / np.maximum(a * aa + b * bb + c * cc, np.float32(1e-6))
    return [
        [aa * scale, bb * scale, cc * scale],
        [bb * scale, dd * scale, ee * scale],
        [cc * scale, ee * scale, ff * scale],
    ]
