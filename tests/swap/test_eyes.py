"""What is seen between open lids."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, FaceCrop
from faceswap_cli.swap import eyes
from faceswap_cli.swap.eyes import EyeTones
from tests.swap.drawn import mesh_points

SIDE = 320
FULL = Window.full(SIDE)
SKIN, WHITE, BROWN, BLUE, PUPIL = (65, 14, 16), (82, 2, 4), (28, 10, 14), (58, -3, -16), (8, 0, 0)
Color = tuple[int, int, int]


def mesh(shift: float = 0.0) -> F32:
    """Wide open eyes, irises ``shift`` widths of the face aside; unit coordinates."""
    points = mesh_points(SIDE) / np.float32(SIDE)
    for ring, iris in eyes.EYES:
        middle = points[list(ring), 1].mean()
        points[list(ring), 1] += 1.2 * (points[list(ring), 1] - middle)
        points[list(iris), 0] += shift
    return points


def face(points: F32, iris: Color, white: Color = WHITE) -> F32:
    """Lab (SIDE, SIDE, 3) of plain skin with eyes."""
    lab = np.full((SIDE, SIDE, 3), SKIN, np.float32)
    for ring, rim in eyes.EYES:
        lids = masks.union(points, (ring,), SIDE)[..., None]
        lab += (np.array(white) - lab) * lids
        for color, scale in ((iris, 1.0), (PUPIL, eyes.PUPIL)):
            lab += (np.array(color) - lab) * lids * eyes.disc(points[list(rim)], FULL, scale)[..., None]
    return lab


def crop_of(points: F32, usual: float = 0.3) -> FaceCrop:
    nothing = np.zeros((SIDE, SIDE, 3), np.uint8)
    return FaceCrop(0, nothing, np.eye(3), points * np.float32(SIDE), open_eyes=(usual, usual))


def kept(drawn: F32, target: F32, points: F32, source: EyeTones, wanted: F32 | None = None) -> F32:
    lab = drawn.copy()
    eyes.keep_eyes(lab, target, crop_of(points), points if wanted is None else wanted, FULL, source)
    return lab


def of_irises(lab: F32, points: F32) -> F32:
    return eyes.tone_of(lab, eyes.seen_parts(points, FULL)[0])


def between_lids(points: F32) -> NDArray[np.bool_]:
    return masks.union(points, [ring for ring, _ in eyes.EYES], SIDE) > 0.5


@pytest.mark.parametrize(("source", "target"), [(BROWN, BLUE), (BLUE, BROWN)])
def test_irises_have_the_sources_color(source: Color, target: Color) -> None:
    points = mesh()
    tones = eyes.eye_tones(face(points, source), points, FULL)
    assert tones.known == 1.0
    np.testing.assert_allclose(tones.iris, source, atol=2.0)
    np.testing.assert_allclose(tones.white, WHITE, atol=2.0)
    shown = face(points, target)
    found = kept(shown, shown, points, tones)
    way, left = (np.subtract(source, one) for one in (target, of_irises(found, points)))
    assert (np.abs(left) < 0.7 * np.abs(way) + 1).all()  # most of the way; the rim stays dark
    assert found[between_lids(points), 0].min() < 14  # the pupils
    np.testing.assert_array_equal(found[:40], shown[:40])


def test_the_white_stays_white_where_the_source_has_its_iris() -> None:
    """The source looks into the camera, the target aside."""
    drawn_at, shown_at = mesh(), mesh(0.03)
    drawn, shown = face(drawn_at, BROWN), face(shown_at, BROWN)
    tones = eyes.eye_tones(drawn, drawn_at, FULL)
    found = kept(drawn, shown, shown_at, tones)
    bare = between_lids(shown_at) & (shown[..., 0] > WHITE[0] - 1)
    bare &= np.any([eyes.disc(drawn_at[list(iris)], FULL, 0.8) > 0.5 for _, iris in eyes.EYES], axis=0)
    assert bare.sum() > 40
    assert found[bare][:, 0].mean() > WHITE[0] - 6


def test_a_pupil_that_the_target_hides_is_the_sources() -> None:
    """Dark irises hide their pupils; a light one between the same lids shows it."""
    points = mesh()
    source, shown = eyes.eye_tones(face(points, BLUE), points, FULL), face(points, BROWN)
    for ring, iris in eyes.EYES:
        lids = masks.union(points, (ring,), SIDE)[..., None]
        shown += (np.array(BROWN) - shown) * lids * eyes.disc(points[list(iris)], FULL, 1.0)[..., None]
    found = kept(shown, shown, points, source)
    for _, iris in eyes.EYES:
        apart, _ = eyes.from_middle(points[list(iris)], FULL)
        inside = between_lids(points)
        pupil, ring_ = (found[inside & near, 0].mean() for near in (apart < 0.2, abs(apart - 0.7) < 0.15))
        assert pupil < ring_ - 8


def test_the_white_tells_the_light() -> None:
    """In half the light an iris is as much darker as the white beside it."""
    points = mesh()
    tones = eyes.eye_tones(face(points, BLUE), points, FULL)
    dim: Color = (46, 1, 3)
    shown = face(points, (14, 5, 7), white=dim)
    found = of_irises(kept(shown, shown, points, tones), points)
    level = (BLUE[0] + 16) * (dim[0] + 16) / (WHITE[0] + 16) - 16
    assert 14 + 4 < found[0] < level
    assert found[2] < 0


def test_gaze_and_reflections_are_the_targets() -> None:
    points, ahead = mesh(0.012), mesh()
    shown = face(points, BROWN)
    glints = [np.round(points[iris[0], :2] * SIDE - (2, 3)).astype(int) for _, iris in eyes.EYES]
    for x, y in glints:
        shown[y - 1 : y + 1, x - 1 : x + 1] = (99, 0, 0)
    tones = eyes.eye_tones(face(ahead, BLUE), ahead, FULL)
    found = kept(face(ahead, BROWN), shown, points, tones)
    np.testing.assert_allclose(of_irises(found, points)[1:], BLUE[1:], atol=15.0)
    for x, y in glints:
        assert found[y - 1 : y + 1, x - 1 : x + 1, 0].mean() > 85


def test_eyes_move_with_the_lids() -> None:
    points = mesh()
    wanted = points + np.array([0.02, -0.015, 0.0], np.float32)
    shown = face(points, BROWN)
    found = kept(face(wanted, BLUE), shown, points, eyes.UNKNOWN, wanted)
    np.testing.assert_allclose(of_irises(found, wanted)[1:], BROWN[1:], atol=3.0)
    pupil = np.round(wanted[eyes.EYES[0][1][0], :2] * SIDE - 0.5).astype(int)
    assert found[pupil[1], pupil[0], 0] < 20


def test_between_the_lids_the_shading_is_the_drawn_ones_about_the_targets_level() -> None:
    points = mesh()
    shown = face(points, BROWN)
    drawn = shown - np.array([25, 0, 0], np.float32)
    _, whites, _ = eyes.seen_parts(points, FULL)
    found = eyes.tone_of(kept(drawn, shown, points, eyes.UNKNOWN), whites)
    assert WHITE[0] - eyes.LEVEL - 2 < found[0] < WHITE[0] - eyes.LEVEL + 1  # 25 before
    # From one corner to the other it is as shaded as the drawn eye is.
    slope = np.linspace(-12, 12, SIDE, dtype=np.float32)
    drawn = shown + np.stack([slope, 0 * slope, 0 * slope], axis=-1)
    found = kept(drawn, shown, points, eyes.UNKNOWN) - shown
    left = masks.union(points, (eyes.EYES[0][0],), SIDE) > 0.5
    columns = np.flatnonzero(left.any(axis=0))
    inner, outer = (found[..., 0][left & (np.arange(SIDE) == x)].mean() for x in columns[[4, -5]])
    wanted = slope[columns[-5]] - slope[columns[4]]
    assert 0.4 * wanted < outer - inner < 1.1 * wanted


def test_a_lamp_beside_the_source_does_not_make_two_kinds_of_eyes() -> None:
    points = mesh()
    shown = face(points, BROWN)
    left, right = (masks.union(points, (ring,), SIDE) > 0.5 for ring, _ in eyes.EYES)
    drawn = shown.copy()
    drawn[left, 0] -= 30
    found = kept(drawn, shown, points, eyes.UNKNOWN)
    apart = found[right, 0].mean() - found[left, 0].mean()
    assert 1 < apart < 2 * eyes.UNEVEN + 3  # 30 before; some lies in the softness of the lids


def test_shut_or_grey_eyes_tell_nothing() -> None:
    """Nor do eyes outside the picture; then the target's keep their color."""
    points = mesh()
    assert eyes.eye_tones(face(points, WHITE), points, FULL).known == 0.0
    shut = points.copy()
    for ring, _ in eyes.EYES:
        shut[list(ring), 1] = shut[list(ring), 1].mean()
    assert eyes.eye_tones(face(shut, BROWN), shut, FULL).known == 0.0
    away = points + np.array([2.0, 0, 0], np.float32)
    assert eyes.eye_tones(face(points, BROWN), away, FULL) is eyes.UNKNOWN
    shown = face(points, BLUE)
    for source in (eyes.UNKNOWN, EyeTones(np.array(BROWN, np.float32), np.array(WHITE, np.float32), 0.0)):
        np.testing.assert_allclose(of_irises(kept(shown, shown, points, source), points), BLUE, atol=2.0)


def test_eyes_that_shut_are_not_between_the_lids() -> None:
    """They are kept with their lids (``features.keep_shut_eyes``)."""
    points, drawn = mesh(), face(mesh(), BLUE)
    lab = drawn.copy()
    eyes.keep_eyes(lab, face(points, BROWN), crop_of(points, usual=1.5), points, FULL, eyes.UNKNOWN)
    np.testing.assert_array_equal(lab, drawn)


def test_a_reflection_on_one_glass_does_not_make_two_kinds_of_eyes() -> None:
    points = mesh()
    shown = face(points, BROWN)
    left, right = (masks.union(points, (ring,), SIDE) > 0.5 for ring, _ in eyes.EYES)
    shown[left, 2] -= 30
    found = kept(shown, shown, points, eyes.UNKNOWN)
    assert abs(found[left, 2].mean() - found[right, 2].mean()) < eyes.STRAY + 6  # 30 before
    np.testing.assert_allclose(found[right, 2].mean(), shown[right, 2].mean(), atol=1.0)


def test_a_part_of_the_picture_is_enough() -> None:
    """The same numbers from a window of it."""
    points = mesh()
    whole = face(points, BROWN)
    part = Window(40, 60, 240, 160, SIDE)
    one, other = eyes.eye_tones(whole, points, FULL), eyes.eye_tones(part.of(whole), points, part)
    np.testing.assert_allclose(one.iris, other.iris, atol=1e-4)
    tones = eyes.eye_tones(face(points, BLUE), points, FULL)
    lab = np.ascontiguousarray(part.of(whole))
    eyes.keep_eyes(lab, lab.copy(), crop_of(points), points, part, tones)
    np.testing.assert_allclose(lab, part.of(kept(whole, whole, points, tones)), atol=0.05)


def test_a_graded_photograph_does_not_make_irises_turquoise() -> None:
    own = EyeTones(np.array([54, 3, 4], np.float32), np.array([76, 11, 10], np.float32), 1.0)
    graded = EyeTones(np.array([19, -10, 2], np.float32), np.array([33, 1, 5], np.float32), 1.0)
    green = EyeTones(np.array([40, -3, 8], np.float32), np.array([70, 4, 6], np.float32), 1.0)
    assert -8 < eyes.iris_change(own, graded)[1] < 0
    assert eyes.iris_change(green, green)[1:] == pytest.approx((0, 0), abs=1e-4)
