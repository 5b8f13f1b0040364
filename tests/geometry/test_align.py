"""Known points and round trips of the one alignment."""

from __future__ import annotations

import numpy as np
import pytest

from faceswap_cli.geometry import align
from faceswap_cli.records import Clip, ColorTags


def face(center: tuple[float, float] = (100.0, 80.0), eyes: float = 40.0, roll: float = 0.0) -> np.ndarray:
    """A mesh of which only the points used for alignment are set: eyes apart, mouth below."""
    points = np.zeros((478, 3), np.float32)
    points[list(align.EYE_IMAGE_LEFT), 0] = -eyes / 2
    points[list(align.EYE_IMAGE_RIGHT), 0] = eyes / 2
    points[list(align.MOUTH_CORNERS), 1] = 44.0
    c, s = np.cos(roll), np.sin(roll)
    turned = points[:, :2] @ np.array([[c, s], [-s, c]])
    points[:, :2] = turned + center
    return points


def test_ffhq_square_of_an_upright_face() -> None:
    center, axis, half = align.square_from_unit(align.unit_from_points(face(), scale=1.0))
    np.testing.assert_allclose(center, (100.0, 84.4), atol=1e-5)
    np.testing.assert_allclose(axis, (1.0, 0.0), atol=1e-7)
    assert half == pytest.approx(max(2.0 * 40.0, 1.8 * 44.0))


@pytest.mark.parametrize("roll", [-2.5, -0.4, 0.0, 0.9, 3.0])
def test_alignment_undoes_roll(roll: float) -> None:
    upright = align.apply(align.unit_from_points(face()), face())
    turned = align.apply(align.unit_from_points(face(roll=roll)), face(roll=roll))
    np.testing.assert_allclose(turned, upright, atol=1e-5)
    assert turned[33, 0] < turned[263, 0]


def test_square_and_matrix_are_inverse() -> None:
    rng = np.random.default_rng(3)
    angle = rng.uniform(-3, 3, 7)
    center = rng.uniform(0, 500, (7, 2))
    axis = np.stack([np.cos(angle), np.sin(angle)], -1)
    half = rng.uniform(10, 200, 7)
    back = align.square_from_unit(align.unit_from_square(center, axis, half))
    for found, expected in zip(back, (center, axis, half), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_depth_scales_with_the_picture() -> None:
    points = face()
    points[:, 2] = 10.0
    moved = align.apply(np.diag([2.0, 2.0, 1.0]), points)
    np.testing.assert_allclose(moved[:, 2], 20.0)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_display_from_frame_covers_the_display(rotation: int) -> None:
    from fractions import Fraction
    from pathlib import Path

    clip = Clip(
        path=Path("x"), container="", codec="", width=60, height=40, pixel_format="yuv420p",
        work_format="yuv420p", bit_depth=8, time_base=Fraction(1, 25), start_pts=0, average_rate=Fraction(25),
        frames=1, duration_s=1.0, rotation=rotation, sample_aspect=Fraction(4, 3), color=ColorTags(),
        streams=(), video_stream=0,
    )  # fmt: skip
    corners = np.array([[0, 0], [60, 0], [0, 40], [60, 40]], float)
    seen = align.apply(clip.display_from_frame, corners)
    width, height = clip.display_size
    np.testing.assert_allclose(seen.min(axis=0), (0, 0), atol=1e-4)
    np.testing.assert_allclose(seen.max(axis=0), (width, height), atol=1e-4)
    # 90 degrees counter-clockwise: the top right corner of the stored frame comes to the top left.
    if rotation == 90:
        np.testing.assert_allclose(seen[1], (0, 0), atol=1e-4)
