"""Masks by quicker ways are the masks of the plain ones."""

from __future__ import annotations

import numpy as np
import pytest

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from tests.faces.meshes import face


@pytest.mark.parametrize("pixels", [-3.0, 0.0, 0.4, 5.0, 11.2])
def test_grown_unions_are_unions_that_grow(pixels: float) -> None:
    mesh = face(100, 100)
    points = (mesh - mesh.min()) / np.ptp(mesh)
    rings = (parts.LEFT_EYE, parts.LIPS_OUTER)
    plain = masks.grow(masks.union(points, rings, 200), pixels)
    np.testing.assert_array_equal(masks.union(points, rings, 200, pixels), plain)
