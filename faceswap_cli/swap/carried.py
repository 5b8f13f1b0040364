"""The source's texture carried into a target: its geometry by a dense warp, its light by a relit field."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance
from faceswap_cli.swap.relighting import lit_as
from faceswap_cli.swap.source_face import SourceFace

COLORFUL = (0.15, 1.1)
"""Limits of the factor on a source's color contrast."""
_EYE_EDGE = 0.004
"""Softness of the eyes' outlines, as a share of the crop."""
_LIGHT_LEVELS = (2, 4, 8, 16)
_LIGHT_SIDE = 64
_SEEN_LEVELS = (2, 4, 8, 16, 32)
_SEEN = (0.1, 0.35)
"""Interpolated visibility from which the photograph shows a place, a little and wholly."""
_FACING = 0.05
_INSET = 0.2
"""Share of a lip at its inner edge that is not shown when the mouth opens otherwise: teeth, wet rims and the
dark line of a shut mouth reach into it"""
_MOUTH_OTHER = 0.1
"""Difference of the openings at which that holds wholly, in widths of the mouth"""
_MOUTH_UNLIKE, _LIPS_REACH = 0.2, 0.012
"""Excess of the photograph's mouth opening at which its lips are not shown at all, in widths of the mouth;
how far around the lips that holds, as a share of the crop."""


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """Fields over the target's crop; pixels are drawn in the windows where they are needed."""

    face: SourceFace
    points: F32 = field(repr=False)
    """(478, 3) mesh of the result in the target's crop, unit coordinates"""
    move: F32 = field(repr=False)
    """(n, n, 2) displacement from the crop to the texture, unit coordinates"""
    light_from: F32 = field(repr=False)
    light_to: F32 = field(repr=False)
    """(m, m, 3) low-frequency L*a*b* of the texture, as it is and as it is to be lit"""
    target_light: F32 = field(repr=False)
    """(m, m, 3) the target's own"""
    visibility: F32 = field(repr=False)
    """(m, m) in [0, 1]: 1 where a photograph showed the place"""
    colorful: F32 = field(repr=False)
    """(2,) factors on the contrast of a* and b*"""
    shade: F32 = field(repr=False)
    """(2,) hue of the target's shade (``appearance.measure_shade``)"""

    def lab(self, window: Window) -> F32:
        """(h, w, 3) L*a*b* of ``window``."""
        where, level = self._where(window)
        drawn = _sample(self.face.pyramid[level], where)
        before, after = warp.enlarge(self.light_from, window), warp.enlarge(self.light_to, window)
        eyes = masks.union(self.points, (parts.LEFT_EYE, parts.RIGHT_EYE), window)
        eyes = masks.blur(eyes, _EYE_EDGE * window.side)
        return appearance.relight(drawn, before, after, self.colorful, eyes, (self.face.shade, self.shade))

    def luma(self, window: Window) -> F32:
        """(h, w) its L* alone."""
        where, level = self._where(window)
        drawn = _sample(self.face.lumas[level], where)
        before, after = (
            warp.enlarge(np.ascontiguousarray(x[..., 0]), window) for x in (self.light_from, self.light_to)
        )
        return appearance.relit(drawn, before, after)[0]

    def seen(self, window: Window) -> F32:
        """(h, w) in [0, 1]: how far the photograph is shown.

        Lips of a mouth that was open in the photograph are stretched, and there are teeth between them.
        """
        shown = masks.eased(warp.enlarge(self.visibility, window), _SEEN)
        wider = parts.mouth_opening(self.face.texture.points) - parts.mouth_opening(self.points)
        unlike = np.clip(wider / _MOUTH_UNLIKE, 0.0, 1.0)
        if unlike > 0.0:
            reach = _LIPS_REACH * window.side
            lips = masks.blur(masks.union(self.points, (parts.LIPS_OUTER,), window, reach), reach)
            shown = shown * (1.0 - np.float32(unlike) * lips)
        return np.asarray(shown, np.float32)

    def other_mouth(self) -> float:
        """How far the mouth opens otherwise than in the photograph, 0 to 1."""
        return _other_mouth(self.face.texture.points, self.points)

    def _where(self, window: Window) -> tuple[F32, int]:
        pyramid = self.face.pyramid
        level = coarsest(pyramid[0].shape[0], len(pyramid), window.side)
        return warp.sample_map(self.move, window, pyramid[level].shape[0]), level


def carry(face: SourceFace, points: F32, light: F32, chroma: F32, shade: F32) -> Carried:
    """Fit the fields that carry ``face`` to the mesh ``points`` (478, 3), unit coordinates.

    ``light`` (478, 3): the target's light at those points; ``chroma`` (2,): its spread of color; ``shade``
    (2,): the hue of its shade.
    """
    texture = face.texture
    spread = warp.Spread(points[:, :2], trust(points))
    move = spread.field(_lips_alone(texture.points, points)[:, :2] - points[:, :2])
    lit = lit_as(face.light, light, points)
    values = np.column_stack([texture.light, lit, light])
    lights = spread.field(values, levels=_LIGHT_LEVELS, side=_LIGHT_SIDE)
    before, after, own = (np.ascontiguousarray(part) for part in np.split(lights, 3, axis=-1))
    seen = np.ones((_LIGHT_SIDE, _LIGHT_SIDE), np.float32)
    if float(texture.seen.min()) < _SEEN[1]:
        seen = spread.field(texture.seen[:, None], levels=_SEEN_LEVELS, side=_LIGHT_SIDE)[..., 0]
    colorful = np.clip(chroma / face.chroma, *COLORFUL).astype(np.float32)
    return Carried(face, points, move, before, after, own, seen, colorful, shade)


def _lips_alone(points: F32, drawn: F32) -> F32:
    """(478, 3) a texture's mesh with the inner edge of lips that are ``drawn`` otherwise moved into them."""
    out = points.copy()
    inner, outer = list(parts.LIPS_INNER), list(parts.LIPS_OUTER)
    out[inner] += np.float32(_INSET * _other_mouth(points, drawn)) * (points[outer] - points[inner])
    return out


def _other_mouth(points: F32, drawn: F32) -> float:
    return min(abs(parts.mouth_opening(points) - parts.mouth_opening(drawn)) / _MOUTH_OTHER, 1.0)


def trust(points: F32) -> F32:
    """(478,) how much each point of a mesh (478, 3) counts where several compete: those in sight most."""
    facing = warp.vertex_normals(points, parts.topology().triangles)[:, 2]
    found = np.maximum(masks.smoothstep((facing + _FACING) / 0.3), np.float32(0.02))
    # No triangle holds the irises: they are seen as the corner of their eye is.
    for iris, corner in ((parts.LEFT_IRIS, parts.LEFT_LIDS[2]), (parts.RIGHT_IRIS, parts.RIGHT_LIDS[2])):
        found[list(iris)] = max(float(found[corner]), 0.3)
    return found


def coarsest(largest: int, levels: int, side: int) -> int:
    """The coarsest texture that is still about as fine as a crop of ``side``.

    There are ``levels`` textures, each half as large as the one before; the first has side ``largest``.
    """
    ratio = largest / side
    return int(min(max(math.floor(math.log2(max(ratio, 1.0)) + 0.2), 0), levels - 1))


def _sample(picture: F32, where: F32) -> F32:
    return np.asarray(cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))
