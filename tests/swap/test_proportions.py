"""The shape of a swapped face: the source's proportions, the target's movement."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import mesh_points

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry.canonical import remove_pose
from faceswap_cli.records import F32
from faceswap_cli.swap.proportions import (
    INNER,
    Shares,
    difference,
    facing,
    identity_offset,
    neutral_shape,
    result_mesh,
)

MEAN = parts.topology().mean_shape
NOSE = list(parts.NOSE)
LIDS = (159, 145)


def wide_nose(by: float = 1.4) -> F32:
    """(478, 3) canonical: the mean face with a wider nose and a wider jaw."""
    shape = MEAN.copy()
    shape[:, 0] *= 1.0 + (by - 1.0) * np.exp(
        -np.square(np.linalg.norm(MEAN[:, :2] - MEAN[4, :2], axis=1) / 0.3)
    )
    return shape


def rotated(points: F32, degrees: float) -> F32:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T, np.float32)


def test_pose_is_removed_whatever_it_is() -> None:
    points = rotated(mesh_points(), 25) * 3 + 40
    canonical, pose = remove_pose(points)
    np.testing.assert_allclose(canonical, MEAN, atol=1e-4)
    np.testing.assert_allclose(pose.place(canonical), points, atol=0.02)


def test_nothing_moves_without_shares_or_difference() -> None:
    points = mesh_points()
    np.testing.assert_allclose(result_mesh(points, wide_nose(), MEAN, Shares(0, 0)), points, atol=1e-3)
    np.testing.assert_allclose(result_mesh(points, MEAN, MEAN, Shares(1, 1)), points, atol=1e-3)


def test_a_difference_of_identity_passes_and_a_smile_less_so() -> None:
    nose = wide_nose() - MEAN
    kept = identity_offset(nose)
    assert (kept[NOSE] * nose[NOSE]).sum() > 0.2 * (nose[NOSE] ** 2).sum()
    smile = np.zeros_like(MEAN)
    for corner, out in ((61, -1.0), (291, 1.0)):
        near = np.exp(-np.square(np.linalg.norm(MEAN[:, :2] - MEAN[corner, :2], axis=1) / 0.15))
        smile += near[:, None] * np.array([0.08 * out, -0.08, 0.0], np.float32)
    left = identity_offset(smile)
    share = (left * smile).sum() / (smile**2).sum()
    assert share < (kept * nose).sum() / (nose**2).sum()


def test_taking_an_expression_away_never_turns_a_difference_round() -> None:
    pouting = MEAN.copy()
    pouting[list(parts.LIPS), 0] *= 0.8
    apart = difference(pouting, MEAN)
    offset = identity_offset(apart)
    free = np.setdiff1d(np.arange(len(MEAN)), parts.IRISES)  # an iris goes where its lids go
    assert (offset[free] * apart[free] >= 0).all()
    assert (np.abs(offset[free]) <= np.abs(apart[free]) / INNER + 1e-6).all()


def test_a_head_that_was_turned_a_little_moves_no_mouth_aside() -> None:
    aside = MEAN.copy()
    aside[list(parts.LIPS), 0] += 0.05
    assert np.abs(difference(aside, MEAN)).max() < 5e-3
    wide = MEAN * np.array([1.1, 1, 1], np.float32)
    np.testing.assert_allclose(difference(wide, MEAN), wide - MEAN, atol=2e-3)


@pytest.mark.parametrize("opening", [0.05, 0.15])
def test_lips_are_no_thicker_because_the_source_smiles(opening: float) -> None:
    """Its open mouth has the lips apart; those of the result are shut, and as thick as before."""
    smiling = MEAN.copy()
    for ring in (parts.LIPS_INNER, parts.LIPS_OUTER):
        for row, sign in ((ring[1:10], 0.5), (ring[11:], -0.5)):
            smiling[list(row), 1] += sign * opening
    points = mesh_points()
    drawn, own = (remove_pose(mesh)[0] for mesh in (result_mesh(points, smiling, MEAN, Shares()), points))
    for outer, inner in ((0, 13), (17, 14)):
        had = np.linalg.norm(own[outer] - own[inner])
        assert np.linalg.norm(drawn[outer] - drawn[inner]) == pytest.approx(had, rel=0.05)


def test_the_offset_is_the_same_in_every_frame_and_turns_with_the_head() -> None:
    def moved(degrees: float) -> F32:
        points = rotated(mesh_points(), degrees)
        return remove_pose(result_mesh(points, wide_nose(), MEAN, Shares()))[0]

    np.testing.assert_allclose(moved(30), moved(0), atol=2e-3)


@pytest.mark.parametrize("opening", [0.0, 0.5, 1.5])
def test_lids_open_as_the_targets_do(opening: float) -> None:
    points = mesh_points()
    middle = (points[LIDS[0]] + points[LIDS[1]]) / 2
    for upper, lower in ((246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155)):
        for k in (upper, lower):
            points[k, 1] = middle[1] + opening * (points[k, 1] - middle[1])
    drawn = result_mesh(points, wide_nose(), MEAN, Shares())
    gap, had = (np.linalg.norm(m[LIDS[0]] - m[LIDS[1]]) for m in (drawn, points))
    assert gap <= 1.2 * had + 1e-3


def test_neutral_shape_is_the_median_of_frontal_frames() -> None:
    frames = np.stack([mesh_points()] * 9 + [rotated(wide_nose() * 50, 60)] * 4)
    np.testing.assert_allclose(neutral_shape(frames), MEAN, atol=1e-3)
    only = np.zeros(13)
    only[:2] = 1
    np.testing.assert_allclose(neutral_shape(frames, only), MEAN, atol=1e-3)


@pytest.mark.parametrize(("degrees", "share"), [(0, 1.0), (45, 1.0), (59, 0.5), (75, 0.0)])
def test_a_head_that_turns_away_fades(degrees: float, share: float) -> None:
    assert facing(rotated(mesh_points(), degrees)) == pytest.approx(share, abs=0.02)


def test_the_forehead_outline_stays_and_the_jaw_moves() -> None:
    points, wide = mesh_points(), MEAN * np.array([1.2, 1, 1], np.float32)
    drawn = result_mesh(points, wide, MEAN, Shares(0.0, 1.0))
    apart = np.linalg.norm(drawn - points, axis=1)
    assert apart[10] < 0.05
    assert apart[[172, 397]].min() > 1.0
