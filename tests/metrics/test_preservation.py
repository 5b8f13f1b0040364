"""What was kept outside the face, what was changed inside, how sharp it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceswap_cli.metrics import preservation
from tests.metrics.synthetic import face, texture

POINTS = face(60)


def test_psnr_of_a_known_offset() -> None:
    target = texture() // 2 + 40
    result = (target + 5).astype(np.uint8)
    mse = preservation.outside_mse(result, target, [POINTS])
    assert mse == pytest.approx(25)
    assert preservation.psnr(mse) == pytest.approx(10 * np.log10(255**2 / 25))


def test_equal_pictures_have_the_largest_psnr() -> None:
    assert preservation.psnr(preservation.outside_mse(texture(), texture(), [])) == preservation.PSNR_LIMIT
    assert np.isnan(preservation.psnr(float("nan")))


def test_only_the_outside_counts() -> None:
    target, result = texture(), texture()
    inside = preservation.hull(POINTS, (200, 200)) > 0
    result[inside] = 0
    assert preservation.outside_mse(result, target, [POINTS]) == 0
    assert preservation.outside_mse(result, target, []) > 100
    result[5, 5] = 255 - result[5, 5]
    assert preservation.outside_mse(result, target, [POINTS]) > 0


def test_no_outside_no_figure() -> None:
    assert np.isnan(preservation.outside_mse(texture(40), texture(40), [face(200, (20, 20))]))


def test_the_hull_holds_its_points_and_grows() -> None:
    mask = preservation.hull(POINTS, (200, 200))
    inner = POINTS[:, :2].mean(axis=0) + 0.9 * (POINTS[:, :2] - POINTS[:, :2].mean(axis=0))
    at = np.floor(inner).astype(int)
    assert mask[at[:, 1], at[:, 0]].all()
    wider = preservation.hull(POINTS, (200, 200), grow_px=4)
    assert wider[mask > 0].all()
    assert wider.sum() > mask.sum()


def test_a_new_face_counts_as_changed() -> None:
    target, result = texture(seed=1), texture(seed=1)
    inside = preservation.hull(POINTS, (200, 200)) > 0
    result[inside] = texture(seed=2, blur=12)[inside]
    amount, changed = preservation.change(result, target, POINTS)
    assert changed
    assert amount > 5


def test_a_new_face_in_the_dark_counts_as_changed() -> None:
    inside = preservation.hull(POINTS, (200, 200)) > 0
    for light, expected in ((18, True), (80, False)):
        target = np.full((200, 200, 3), light, np.uint8)
        result = target.copy()
        result[inside] += 3
        assert preservation.change(result, target, POINTS)[1] == expected
        result[inside] = light + 1
        assert not preservation.change(result, target, POINTS)[1]


def test_coding_noise_is_no_change() -> None:
    target = texture(blur=6)
    noise = np.random.default_rng(0).normal(0, 4, target.shape)
    result = np.clip(target + noise, 0, 255).astype(np.uint8)
    assert not preservation.change(result, target, POINTS)[1]


def test_grading_the_whole_picture_is_no_change() -> None:
    target = texture() // 2 + 40
    assert not preservation.change((target + 8).astype(np.uint8), target, POINTS)[1]


def test_detail_falls_with_blur_and_grows_with_contrast() -> None:
    target = texture() // 2 + 60
    plain, brightness = preservation.detail_and_luma(target, POINTS)
    soft, _ = preservation.detail_and_luma(cv2.GaussianBlur(target, (0, 0), 2), POINTS)
    doubled = (2.0 * (target.astype(np.float32) - 124) + 124).clip(0, 255).astype(np.uint8)
    strong, _ = preservation.detail_and_luma(doubled, POINTS)
    assert soft < 0.3 * plain
    assert strong == pytest.approx(4 * plain, rel=0.05)
    assert brightness == pytest.approx(124, abs=8)


def test_a_face_outside_the_picture_has_no_detail() -> None:
    assert np.isnan(preservation.detail_and_luma(texture(), face(60, (-400, -400)))[0])


def test_matrices_for_opencv_keep_pixel_centers() -> None:
    # Doubling about the corner of the picture: the center of pixel 0 (0.5) goes to 1.0, index 0.5.
    matrix = preservation.cv2_matrix(np.diag([2.0, 2.0, 1.0]))
    assert matrix @ np.array([0.0, 0.0, 1.0]) == pytest.approx([0.5, 0.5])
