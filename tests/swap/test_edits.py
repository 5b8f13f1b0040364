"""Edits on drawn faces: what they move, what they leave alone, and that their absence changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn import SIDE, crop, identity, mesh_points, photo, picture

from faceswap_cli.config import EDIT_RANGES, EditOptions, JobOptions, PasteOptions, parse_edits
from faceswap_cli.errors import UsageError
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import masks
from faceswap_cli.records import FaceCrop, RenderedFace
from faceswap_cli.swap.edits import (
    MEASURES,
    UNITS,
    attributes,
    changes,
    directions,
    edited,
    looking,
    measures,
    moved,
)
from faceswap_cli.swap.engine import with_edits, with_looks
from faceswap_cli.swap.method import covered, in_frame
from faceswap_cli.swap.methods.mesh import MeshMethod

NONE = EditOptions()


def face(points: np.ndarray | None = None) -> FaceCrop:
    points = mesh_points() if points is None else points
    return crop(picture(points), points)


def opened_mouth() -> np.ndarray:
    points = mesh_points()
    points[[14, 87, 178, 88, 95, 317, 402, 318, 324], 1] += 0.05 * SIDE
    return points


def rendered(target: FaceCrop) -> RenderedFace:
    return RenderedFace(target, target.rgb, np.ones(target.rgb.shape[:2], np.float32))


def test_directions_change_their_own_measure_only() -> None:
    np.testing.assert_allclose(measures(directions()), np.eye(len(UNITS), len(MEASURES)), atol=2e-3)


def test_directions_are_symmetric() -> None:
    mirror = parts.topology().mirror
    flipped = directions()[:, mirror] * np.array([-1, 1, 1], np.float32)
    np.testing.assert_allclose(flipped, directions(), atol=1e-5)


@pytest.mark.parametrize(("name", "value"), [("smile", 0.7), ("smile", -0.5), ("mouth", 0.6), ("brow", 1.0)])
@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_expressions_move_by_what_was_asked(name: str, value: float, turn: float) -> None:
    """Also on a head that looks aside: the edit is made on the mesh without its pose."""
    points = mesh_points() - [SIDE / 2, SIDE / 2, 0]
    c, s = np.cos(turn), np.sin(turn)
    points = (points @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]).T + [SIDE / 2, SIDE / 2, 0]).astype("f4")
    told = changes(points, moved(points, replace(NONE, **{name: value})))
    assert told[name] == pytest.approx(value, abs=0.02)
    assert all(abs(told[other]) < 0.06 for other in ("smile", "mouth", "brow", "blink") if other != name)
    assert all(abs(told[angle]) < 1.0 for angle in ("yaw", "pitch", "roll"))


def test_a_shut_mouth_cannot_be_shut_further() -> None:
    points = mesh_points()
    lips = moved(points, EditOptions(mouth=-1.0))
    assert lips[14, 1] - lips[13, 1] == pytest.approx(0.0, abs=0.3)


@pytest.mark.parametrize(("name", "value"), [("yaw", 8.0), ("yaw", -15.0), ("pitch", 6.0), ("roll", -6.0)])
def test_pose_turns_the_inner_face_that_way_and_leaves_the_outline(name: str, value: float) -> None:
    points = mesh_points()
    after = moved(points, replace(NONE, **{name: value}))
    np.testing.assert_allclose(after[list(parts.OVAL)], points[list(parts.OVAL)], atol=1e-3)
    nose, mouth = after[1] - points[1], after[13] - points[13]
    sign = np.sign(value)
    if name == "yaw":
        assert nose[0] * sign > 0
    elif name == "pitch":
        assert nose[1] * sign < 0
    else:
        assert mouth[0] * sign < 0


def test_no_edit_is_the_very_same_crop_and_face() -> None:
    target = face()
    assert with_edits(target, NONE) is target
    assert edited(target, EditOptions(blink=1.0)) is target
    drawn = rendered(target)
    assert with_looks(drawn, NONE) is drawn
    assert looking(drawn, EditOptions(smile=1.0)) is drawn


def test_picture_follows_the_landmarks() -> None:
    """Red lips are found where the moved landmarks say, in the moved picture only."""
    target = face()
    after = edited(target, EditOptions(mouth=1.0))
    assert after.before is target
    unit = after.landmarks / np.float32(SIDE)
    lower = masks.union(unit, (parts.LIPS_OUTER,), SIDE) - masks.union(unit, (parts.LIPS_INNER,), SIDE) > 0.9
    lower[: int(after.landmarks[14, 1])] = False
    red, was = (one.rgb[..., 0].astype(int) - one.rgb[..., 1] for one in (after, target))
    assert np.median(red[lower]) > 75
    assert np.median(was[lower]) < 75


def test_an_opened_shut_mouth_is_dark_inside_and_an_open_one_keeps_its_own() -> None:
    def inside(target: FaceCrop, edits: EditOptions) -> np.ndarray:
        after = edited(target, edits)
        hole = masks.union(after.landmarks / np.float32(SIDE), (parts.LIPS_INNER,), SIDE)
        return np.asarray(after.rgb[masks.grow(hole, -1.5) > 0.95])

    dark = inside(face(), EditOptions(mouth=1.0))
    assert len(dark) > 20
    assert dark.mean() < 70
    points = opened_mouth()
    rgb = picture(points)
    rgb[masks.union((points / SIDE).astype(np.float32), (parts.LIPS_INNER,), SIDE) > 0.5] = (20, 220, 20)
    green = inside(crop(rgb, points), EditOptions(mouth=0.1)).astype(int)
    assert np.median(green[:, 1] - green[:, 0]) > 120


def eye_center(target: FaceCrop) -> tuple[int, int]:
    x, y = target.landmarks[list(parts.LEFT_EYE), :2].mean(axis=0)
    return int(y), int(x)


def test_blink_shuts_over_the_eye_and_leaves_the_rest() -> None:
    target = face()
    drawn = looking(rendered(target), EditOptions(blink=1.0))
    row, column = eye_center(target)
    assert target.rgb[row, column].mean() < 80
    # The lids meet near the lower one: where the eye was, there is skin.
    assert drawn.rgb[row - 1, column].mean() > 120
    below = target.landmarks[2, 1]
    np.testing.assert_array_equal(drawn.rgb[int(below) :], target.rgb[int(below) :])


def test_half_a_blink_covers_less_and_a_negative_one_opens() -> None:
    points = mesh_points(320)
    target = crop(picture(points, side=320), points, 320)

    def dark(blink: float) -> int:
        drawn = looking(rendered(target), EditOptions(blink=blink))
        eye = masks.grow(masks.union(target.landmarks / np.float32(320), (parts.LEFT_EYE,), 320), 6) > 0.5
        return int((drawn.rgb[eye].mean(axis=1) < 90).sum())

    areas = [dark(value) for value in (-0.4, 0.0, 0.3, 0.6, 1.0)]
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] < 0.35 * areas[1]
    assert areas[0] > 1.1 * areas[1]


@pytest.mark.parametrize("asked", [-0.6, 0.6])
def test_gaze_moves_the_iris_under_still_lids(asked: float) -> None:
    side = 640
    points = mesh_points(side)
    rgb = picture(points, side=side)
    unit = points / np.float32(side)
    rgb[masks.union(unit, (parts.LEFT_EYE, parts.RIGHT_EYE), side) > 0.5] = (235, 235, 235)
    for iris in (parts.LEFT_IRIS, parts.RIGHT_IRIS):
        x, y = np.mgrid[:side, :side][::-1] + 0.5
        disc = np.hypot(x - points[iris[0], 0], y - points[iris[0], 1]) < 0.01 * side
        rgb[disc & (rgb.min(axis=2) > 200)] = (20, 60, 220)
    target = crop(rgb, points, side)
    drawn = looking(rendered(target), EditOptions(gaze_x=asked))

    def center(one: np.ndarray) -> float:
        blue = one[..., 2].astype(int) - one[..., 0] > 90
        return float(np.nonzero(blue[:, side // 2 :])[1].mean())

    width = float(target.landmarks[263, 0] - target.landmarks[362, 0])
    assert center(drawn.rgb) - center(target.rgb) == pytest.approx(asked * 0.25 * width, abs=0.04 * width)
    lids = masks.grow(
        masks.union(target.landmarks / np.float32(side), (parts.LEFT_EYE, parts.RIGHT_EYE), side), 5
    )
    np.testing.assert_array_equal(drawn.rgb[lids < 0.01], target.rgb[lids < 0.01])


def test_eyes_outside_the_picture_do_no_harm() -> None:
    target = face()
    away = replace(target, landmarks=target.landmarks + np.float32(2 * SIDE))
    drawn = looking(rendered(away), EditOptions(blink=1.0, gaze_x=1.0, gaze_y=-1.0))
    np.testing.assert_array_equal(drawn.rgb, target.rgb)


def test_both_outlines_are_masked_and_occluders_are_sought_in_the_frame() -> None:
    target = edited(face(opened_mouth()), EditOptions(mouth=-1.0))
    assert in_frame(target).rgb is target.before.rgb  # type: ignore[union-attr]
    now, before = covered(target)
    method = MeshMethod(JobOptions(), PasteOptions(occlusion=False))
    points = mesh_points()
    ready = method.prepare(identity(photo(picture(points), points)))
    drawn = method.render(ready, target, method.encode(ready, target), 0)
    side, shift = np.float32(SIDE), target.landmarks[0, :2] - drawn.crop.landmarks[0, :2]
    chin = before[152, :2] * side - shift
    assert before[152, 1] > now[152, 1] + 0.005
    # Between the chin that is wanted and the one that was there: covered, or two chins would show.
    assert drawn.mask[int(chin[1] - 4), int(chin[0])] > 0.3


def test_swapped_face_shows_the_wanted_expression() -> None:
    """The source's red lips are drawn where the edit wants them, not where the target has them."""
    points = mesh_points()
    method = MeshMethod(JobOptions(), PasteOptions(occlusion=False))
    ready = method.prepare(identity(photo(picture(points), points)))
    target = edited(face(), EditOptions(smile=1.0))
    drawn = method.render(ready, target, method.encode(ready, target), 0)
    red = drawn.rgb[..., 0].astype(int) - drawn.rgb[..., 1]
    shift = target.landmarks[0, :2] - drawn.crop.landmarks[0, :2]
    side = np.float32(SIDE)
    offset = np.r_[shift / side, 0].astype(np.float32)
    window = masks.Window(0, 0, drawn.rgb.shape[1], drawn.rgb.shape[0], SIDE)
    wanted = masks.union(target.landmarks / side - offset, (parts.LIPS_OUTER,), window) > 0.9
    was = masks.union(target.before.landmarks / side - offset, (parts.LIPS_OUTER,), window) > 0.9  # type: ignore[union-attr]
    assert red[wanted & ~was].mean() > red[was & ~wanted].mean() + 15


def test_attributes_of_a_mesh_do_not_depend_on_its_place_and_size() -> None:
    points = mesh_points()
    one, two = attributes(points), attributes(points * np.float32(2.5) + np.float32(7))
    assert one == pytest.approx(two, abs=1e-3)


def test_text_of_edits() -> None:
    assert parse_edits("smile=+0.4, yaw=-10") == {"smile": 0.4, "yaw": -10.0}
    for bad, word in (
        ("beard=1", "'beard'"),
        ("smile", "a number"),
        ("smile=x", "a number"),
        ("", "empty"),
        ("brow=1,brow=0", "twice"),
    ):
        with pytest.raises(UsageError, match=word):
            parse_edits(bad)
    with pytest.raises(UsageError, match=r"gaze_x \(-1 to 1\)"):
        parse_edits("hair=1")


@pytest.mark.parametrize("name", EDIT_RANGES)
def test_ranges_are_checked(name: str) -> None:
    low, high = EDIT_RANGES[name]
    for value in (low, high, 0.0):
        EditOptions(**{name: value})
    for value in (low - 0.1, high + 0.1, float("nan")):
        with pytest.raises(UsageError, match=f"edit {name} must be"):
            EditOptions(**{name: value})


@pytest.fixture(scope="module")
def self_swapped(finder: object, portrait: np.ndarray) -> dict[str, np.ndarray]:
    """Meshes found anew in a real face that was swapped onto itself, by the edits asked for."""
    from faceswap_cli.faces.detect import find_faces
    from faceswap_cli.geometry import align
    from faceswap_cli.geometry.paste import paste_into_rgb

    points = find_faces(portrait, finder=finder)[0].landmarks  # type: ignore[arg-type]
    method = MeshMethod(JobOptions(), PasteOptions(occlusion=False))
    ready = method.prepare(identity(photo(portrait, points)))
    side = 448
    matrix = align.scaled(align.unit_from_points(points), side)
    target = FaceCrop(0, cut(portrait, matrix, side), matrix, align.apply(matrix, points))
    meshes = {}
    for text in ("", "smile=0.5", "smile=1", "mouth=0.6", "brow=0.8", "yaw=-10", "gaze_x=0.8", "blink=1"):
        edits = EditOptions(**parse_edits(text)) if text else NONE
        wanted = with_edits(target, edits)
        drawn = with_looks(method.render(ready, wanted, method.encode(ready, wanted), 0), edits)
        result = paste_into_rgb(portrait.astype(np.float32) / np.float32(255), [drawn])
        found = find_faces(np.uint8(np.clip(result, 0, 1) * 255), finder=finder)  # type: ignore[arg-type]
        meshes[text] = found[0].landmarks
    return meshes


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("smile=0.5", 0.25, 0.75),
        ("smile=1", 0.6, 1.3),
        ("mouth=0.6", 0.35, 0.85),
        ("brow=0.8", 0.35, 1.1),
        ("yaw=-10", -15, -5),
        ("gaze_x=0.8", 0.2, 1.2),
        ("blink=1", 0.25, 1.1),
    ],
)
def test_the_landmarker_finds_the_edit_in_the_result(
    self_swapped: dict[str, np.ndarray], text: str, least: float, most: float
) -> None:
    told = changes(self_swapped[""], self_swapped[text])
    name = text.partition("=")[0]
    assert least <= told[name] <= most, told
    assert all(abs(told[other]) < 0.4 for other in ("smile", "mouth", "brow") if other != name), told
