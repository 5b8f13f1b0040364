"""One face of one picture, as the figures of its surface see it: a crop in L*a*b*, its mesh, its skin."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as index
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.align import FFHQ_SCALE, apply, scaled, unit_from_points
from faceswap_cli.records import F32, F64, U8
from faceswap_cli.swap.appearance import lab_from_rgb, skin_weight

MOST_SIDE, LEAST_SIDE = 256, 32
"""Sides of the crops: as large as the face is in the picture, within these."""
SKIN_SIDE = 96
"""Skin is separated from what covers it on crops reduced to this side."""
_FOLDS = ((129, 203, 206, 216, 212), (358, 423, 426, 436, 432))
"""From the wings of the nose down past the corners of the mouth."""
_FOLD_WIDTH, _FEATURE_MARGIN, _RIM_MARGIN = 0.03, 0.02, 0.03
"""What is cut out of the skin around folds, features and the outline, as shares of the side."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceView:
    """A square crop of S px."""

    lab: F32 = field(repr=False)
    """(S, S, 3) L*a*b*"""
    points: F32 = field(repr=False)
    """(478, 3) in the unit square of the crop"""
    skin: F32 = field(repr=False)
    """(S, S) in [0, 1]: bare skin inside the outline, without features, hair, rims and deep shadows"""

    @property
    def side(self) -> int:
        return int(self.lab.shape[0])


def unit_square(points: F32) -> tuple[F64, int]:
    """(478, 3) display pixels -> matrix to the unit square around the face, and the side of its crop."""
    unit = unit_from_points(points, FFHQ_SCALE)
    own = round(1.0 / float(np.hypot(unit[0, 0], unit[0, 1])))
    return unit, int(np.clip(own, LEAST_SIDE, MOST_SIDE))


def face_view(rgb: U8, points: F32, unit: F64, side: int) -> FaceView:
    """Picture (H, W, 3) and mesh (478, 3) in its pixels, seen through the square ``unit``."""
    lab = lab_from_rgb(cut(rgb, scaled(unit, side), side))
    at = apply(unit, points)
    return FaceView(lab, at, bare_skin(lab, at))


def bare_skin(lab: F32, points: F32) -> F32:
    """(S, S, 3) and (478, 3) unit points -> (S, S) weight of bare skin."""
    side = lab.shape[0]
    size = min(side, SKIN_SIDE)
    small = np.asarray(cv2.resize(lab, (size, size), interpolation=cv2.INTER_AREA))
    weight = skin_weight(small, points)
    return np.asarray(cv2.resize(weight, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def plain_skin(view: FaceView) -> F32:
    """(S, S) the skin of ``view`` away from all that has an edge of its own: features, folds, outline."""
    side = view.side
    inside = masks.union(view.points, (index.OVAL,), side, -_RIM_MARGIN * side)
    edges = masks.union(view.points, index.FEATURE_RINGS, side, _FEATURE_MARGIN * side)
    lines = [np.round(view.points[list(fold), :2] * side - 0.5).astype(np.int32) for fold in _FOLDS]
    cv2.polylines(edges, lines, False, 1.0, max(round(_FOLD_WIDTH * side), 1))
    return np.asarray(view.skin * inside * (1 - edges), np.float32)
