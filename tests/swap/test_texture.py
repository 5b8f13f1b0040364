"""What of a photograph counts as seen."""

from __future__ import annotations

import numpy as np
from drawn import mesh_points

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.swap import texture
from faceswap_cli.swap.skin import whole_brows

SIDE = 320
POINTS = mesh_points(SIDE) / np.float32(SIDE)


def test_brows_are_seen_nearly_up_to_the_outline() -> None:
    inside = texture._inside(POINTS, SIDE)
    x, y = (POINTS[list(parts.BROWS), :2] * SIDE).astype(int).T
    assert inside[y, x].min() > 0.75
    x, y = (POINTS[list(parts.OVAL), :2] * SIDE).astype(int).T
    assert inside[y, x].max() < 0.1


def test_tails_end_beyond_the_rings_of_brows() -> None:
    window = Window.full(SIDE)
    ring = masks.union(POINTS, (parts.LEFT_BROW_RING, parts.RIGHT_BROW_RING), window) > 0.5
    whole = whole_brows((POINTS,), window) > 0.5
    columns = [np.flatnonzero(area.any(axis=0)) for area in (ring, whole)]
    assert columns[1][0] < columns[0][0] - 1
    assert columns[1][-1] > columns[0][-1] + 1
