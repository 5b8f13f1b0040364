"""Seams, sharpness, invented edges and skin flicker answer to what is drawn into a real frame."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from faceswap_cli.faces import landmarks as index
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry import masks
from faceswap_cli.metrics import seam, temporal, texture
from faceswap_cli.metrics.views import FaceView, bare_skin, face_view, plain_skin, unit_square
from faceswap_cli.records import F32, F64, SourcePhoto
from faceswap_cli.video.picture import read_picture
from tests.metrics.synthetic import face

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ALL = np.ones(seam.ARCS, bool)


def view_of(name: str) -> FaceView:
    if name.endswith(".mp4"):
        with av.open(str(EXAMPLES / name)) as container:
            rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
    else:
        rgb = read_picture(EXAMPLES / name).rgb
    points = find_faces(rgb)[0].landmarks
    return face_view(rgb, points, *unit_square(points))


@pytest.fixture(scope="module")
def frame() -> FaceView:
    return view_of("target.mp4")


@pytest.fixture(scope="module")
def smooth() -> FaceView:
    """A made head of bare skin: round shading, pores, nothing else."""
    side = 256
    points = face(0.26, (0.5, 0.48))
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    shading = 68 - 60 * ((x - 0.5) ** 2 + (y - 0.48) ** 2)
    pores = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 4, (side, side)), (0, 0), 1.5)
    lab = np.stack([shading + pores, np.full_like(x, 12), np.full_like(x, 16)], axis=-1).astype(np.float32)
    return FaceView(lab, points, bare_skin(lab, points))


@pytest.fixture(scope="module")
def photo() -> SourcePhoto:
    path = EXAMPLES / "source.jpg"
    rgb = read_picture(path).rgb
    return SourcePhoto(path, rgb, find_faces(rgb)[0].landmarks, np.zeros(128, np.float32))


def brighten(view: FaceView, by: F32) -> FaceView:
    """``view`` with ``by`` (S, S) added to L*."""
    lab = view.lab.copy()
    lab[..., 0] += by
    return FaceView(lab, view.points, view.skin)


def paste(view: FaceView, share: float, step: float, feather_px: float = 0.0) -> FaceView:
    """A face laid over itself, ``step`` L* brighter, up to ``share`` of the outline."""
    ring = view.points[list(index.OVAL), :2]
    middle = ring.mean(axis=0)
    mask = masks.fill_polygon(middle + share * (ring - middle), view.side).astype(np.float32) / 255
    return brighten(view, step * masks.blur(mask, feather_px))


def seam_of(view: FaceView, target: FaceView, arcs: np.ndarray = ALL) -> float:
    return seam.seam_ratio(np.stack([seam.arc_steps(view), seam.arc_steps(target)])[None], arcs)


def test_an_untouched_face_has_no_seam(frame: FaceView, smooth: FaceView) -> None:
    for view in (frame, smooth):
        assert seam_of(view, view) == pytest.approx(1)
    noise = np.random.default_rng(0).normal(0, 0.1, smooth.skin.shape).astype(np.float32)
    assert seam_of(brighten(smooth, noise), smooth) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("step", [6, -6])
@pytest.mark.parametrize("share", [0.75, 0.85, 0.95])
def test_a_step_along_the_edge_is_a_seam(smooth: FaceView, share: float, step: float) -> None:
    hard, soft = (seam_of(paste(smooth, share, step, feather), smooth) for feather in (0.0, 1.5))
    assert hard > 3
    assert hard > soft > 1.5
    assert hard > seam_of(paste(smooth, share, step / 2), smooth) > 1.5


@pytest.mark.parametrize(("name", "least"), [("source.jpg", 1.3), ("target.mp4", 1.05)])
def test_in_a_photograph_a_step_is_a_seam_too(name: str, least: float) -> None:
    """Less of one where wrinkles and rims of glasses make steps of their own."""
    view = view_of(name)
    for step in (6, -6):
        assert seam_of(paste(view, 0.85, step), view) > least


def test_a_seam_on_the_forehead_differs_from_one_on_the_jaw(smooth: FaceView) -> None:
    forehead, elsewhere = seam.forehead_arcs(), ~seam.forehead_arcs()
    assert 3 <= forehead.sum() <= 8
    rows = (np.arange(smooth.side) + 0.5) / smooth.side
    above = (rows < smooth.points[list(index.BROWS), 1].min())[:, None]
    step = paste(smooth, 0.85, 6).lab[..., 0] - smooth.lab[..., 0]
    marked = brighten(smooth, (step * above).astype(np.float32))
    assert seam_of(marked, smooth, forehead) > 1.3
    assert seam_of(marked, smooth, forehead) > seam_of(marked, smooth, elsewhere) + 0.2


def test_a_change_of_light_without_an_edge_is_no_seam(smooth: FaceView) -> None:
    across = np.linspace(-4, 4, smooth.side, dtype=np.float32)[None] * np.ones((smooth.side, 1), np.float32)
    assert seam_of(brighten(smooth, across), smooth) == pytest.approx(1, abs=0.05)
    wide = paste(smooth, 0.85, 6, 12.0)
    assert seam_of(wide, smooth) == pytest.approx(1, abs=0.15)


def sharpness_of(view: FaceView, target: FaceView) -> F64:
    return texture.sharpness_ratios(np.stack([texture.skin_bands(view), texture.skin_bands(target)])[None])


def test_sharpness_follows_blur_and_contrast_band_by_band(frame: FaceView) -> None:
    luma = np.ascontiguousarray(frame.lab[..., 0])
    soft = cv2.GaussianBlur(luma, (0, 0), 1.5)
    blurred = sharpness_of(brighten(frame, soft - luma), frame)
    assert blurred[0] < 0.6
    assert blurred[0] < blurred[2] < 1.05
    doubled = sharpness_of(brighten(frame, luma - cv2.GaussianBlur(luma, (0, 0), 6)), frame)
    assert doubled[0] == pytest.approx(2, rel=0.15)
    np.testing.assert_allclose(sharpness_of(frame, frame), 1)


def test_features_and_rims_do_not_count_as_sharp_skin(frame: FaceView) -> None:
    change = np.zeros_like(frame.skin)
    at = [
        tuple(np.round(frame.points[k, :2] * frame.side).astype(int).tolist())
        for k in (*index.EYES, *index.LIPS_OUTER)
    ]
    for x, y in at:
        cv2.circle(change, (x, y), 2, -30.0, -1)
    np.testing.assert_allclose(sharpness_of(brighten(frame, change), frame), 1, atol=0.1)
    skin = plain_skin(frame)
    eyes = masks.union(frame.points, (index.LEFT_EYE, index.RIGHT_EYE, index.LIPS_OUTER), frame.side)
    assert skin[eyes > 0.5].max() == 0
    assert 0.05 < (skin > 0.5).mean() < 0.3


def test_too_little_skin_has_no_sharpness(frame: FaceView) -> None:
    covered = FaceView(frame.lab, frame.points, np.zeros_like(frame.skin))
    assert np.isnan(texture.skin_bands(covered)).all()
    assert np.isnan(seam.arc_steps(covered)).all()
    unknown = np.stack([texture.skin_bands(covered), texture.skin_bands(frame)])[None]
    assert np.isnan(texture.sharpness_ratios(unknown)).all()


def folds(view: FaceView, depth: float) -> F32:
    """Dark lines from the nose past the mouth."""
    canvas = np.zeros((view.side, view.side), np.float32)
    for fold in ((129, 203, 206, 216), (358, 423, 426, 436), (9, 8), (151, 9)):
        line = np.round(view.points[list(fold), :2] * view.side - 0.5).astype(np.int32)
        cv2.polylines(canvas, [line], False, 1.0, max(view.side // 64, 1))
    return -depth * masks.blur(canvas, 1.2)


def test_invented_edges_are_those_that_neither_picture_has(frame: FaceView, photo: SourcePhoto) -> None:
    warp = texture.relit_warp(photo, frame, frame)
    own = frame.lab.copy()
    own[..., 0] = warp
    swap = FaceView(own, frame.points, frame.skin)
    plain = texture.invented(photo, swap, frame)
    assert plain <= 1.05
    assert texture.invented(photo, frame, frame) <= 1.05
    few, many = (texture.invented(photo, brighten(swap, folds(swap, depth)), frame) for depth in (8, 20))
    assert plain < few < many


def test_the_relit_warp_has_the_light_of_the_target(frame: FaceView, photo: SourcePhoto) -> None:
    skin = plain_skin(frame) > 0.5
    for by in (0.0, -20.0):
        darker = brighten(frame, np.full_like(frame.skin, by))
        warp = texture.relit_warp(photo, frame, darker)
        assert np.median(warp[skin]) == pytest.approx(np.median(darker.lab[..., 0][skin]), abs=4)


def test_skin_points_lie_on_skin(frame: FaceView) -> None:
    points = set(temporal.skin_points())
    assert 80 < len(points) < 200
    assert not points & {*index.OVAL, *index.LIPS, *index.EYES, *index.BROWS, *index.IRISES}


def test_skin_levels_follow_the_face() -> None:
    rgb = read_picture(EXAMPLES / "source.jpg").rgb
    points = find_faces(rgb)[0].landmarks
    moved = np.roll(rgb, (0, 12), axis=(0, 1))
    levels = temporal.skin_levels(rgb, points)
    np.testing.assert_allclose(
        temporal.skin_levels(moved, points + np.array([12, 0, 0], np.float32)), levels, atol=0.3
    )
    brighter = np.clip(rgb.astype(np.float32) * 1.1, 0, 255).astype(np.uint8)
    assert (temporal.skin_levels(brighter, points) > levels).all()


def test_skin_flicker_is_of_fast_changes() -> None:
    steady = np.linspace(50, 60, 30)[:, None] + np.zeros((30, 4))
    assert temporal.skin_flicker(steady)[0] == pytest.approx(0, abs=1e-9)
    assert temporal.skin_flicker(steady[:2]) == (0.0, 0)
    noise = np.random.default_rng(0).normal(0, 1, (30, 4))
    one, two = (temporal.skin_flicker(steady + scale * noise) for scale in (1, 2))
    assert temporal.rms_ratio([(two, one)]) == pytest.approx(2)
