"""The detection stage on clips made of one portrait: display space, threads, faces carried on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceswap_cli.color import planes_region_from_rgb
from faceswap_cli.config import DetectOptions
from faceswap_cli.faces.finder import Cut, FaceFinder
from faceswap_cli.faces.landmarks import bounds
from faceswap_cli.faces.lids import with_true_lids
from faceswap_cli.faces.stage import PATIENT_EVERY, detect_faces, look, observe
from faceswap_cli.records import F32, U8, Clip, ColorTags, Face, Frame

TAGS = ColorTags(matrix=1)


def clip_of(rgb: U8, *, rotation: int = 0, aspect: Fraction = Fraction(1)) -> Clip:
    height, width = rgb.shape[:2]
    return Clip(
        path=Path("made.mp4"),
        container="mp4",
        codec="h264",
        width=width,
        height=height,
        pixel_format="yuv420p",
        work_format="yuv420p",
        bit_depth=8,
        time_base=Fraction(1, 25),
        start_pts=0,
        average_rate=Fraction(25),
        frames=1,
        duration_s=1.0,
        rotation=rotation,
        sample_aspect=aspect,
        color=TAGS,
        streams=(),
        video_stream=0,
    )


def frames_of(pictures: Sequence[U8], first: int = 0) -> Iterator[Frame]:
    for k, rgb in enumerate(pictures):
        yield Frame(first + k, first + k, Fraction(1, 25), planes_region_from_rgb(rgb, TAGS))


def eye_px(mesh: F32) -> float:
    return float(np.linalg.norm(mesh[263, :2] - mesh[33, :2]))


def off(one: F32, other: F32) -> float:
    return float(np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean()) / eye_px(other)


@pytest.fixture(scope="module")
def mesh(portrait: U8, finder: FaceFinder) -> F32:
    (frame,) = frames_of([portrait])
    (face,) = look(frame, clip_of(portrait), finder).faces
    return face.landmarks


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_points_are_those_of_the_picture_as_shown(
    portrait: U8, mesh: F32, finder: FaceFinder, rotation: int, mirrored: bool
) -> None:
    shown = portrait[:, ::-1] if mirrored else portrait
    stored = np.ascontiguousarray(np.rot90(shown, -rotation // 90))
    clip = replace(clip_of(stored, rotation=rotation), mirrored=mirrored)
    (frame,) = frames_of([stored])
    (face,) = look(frame, clip, finder).faces
    assert off(face.landmarks, mesh) < 0.02


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_matrix_of_a_clip_does_what_display_does(rotation: int, mirrored: bool) -> None:
    stored = np.zeros((30, 40, 3), np.uint8)
    stored[5, 7] = 255
    clip = replace(clip_of(stored, rotation=rotation), mirrored=mirrored)
    row, column = np.argwhere(clip.upright(stored)[..., 0])[0]
    x, y, _ = clip.display_from_frame @ [7.5, 5.5, 1.0]
    assert (x, y) == (column + 0.5, row + 0.5)


def test_wide_pixels_are_undone(portrait: U8, mesh: F32, finder: FaceFinder) -> None:
    narrow = np.asarray(cv2.resize(portrait, (384, 512), interpolation=cv2.INTER_AREA), np.uint8)
    clip = clip_of(narrow, aspect=Fraction(4, 3))
    assert clip.display_size == (512, 512)
    (frame,) = frames_of([narrow])
    (face,) = look(frame, clip, finder).faces
    assert off(face.landmarks, mesh) < 0.03


def test_large_frames_are_measured_at_full_resolution(portrait: U8, mesh: F32, finder: FaceFinder) -> None:
    scene = np.full((1080, 1920, 3), 100, np.uint8)
    scene[300:812, 700:1212] = portrait
    (frame,) = frames_of([scene], first=1)
    (face,) = look(frame, clip_of(scene), finder).faces
    assert off(face.landmarks, mesh + np.float32([700, 300, 0])) < 0.02
    assert face.landmarks[:, 2].std() == pytest.approx(mesh[:, 2].std(), rel=0.1)


def test_faces_measured_twice_shake_less(portrait: U8) -> None:
    random = np.random.default_rng(3)
    noise = random.normal(0, 8, (8, *portrait.shape))
    pictures = [np.clip(portrait + one, 0, 255).astype(np.uint8) for one in noise]
    shaking = []
    for twice in (False, True):
        frames, options = frames_of(pictures, first=1), DetectOptions(workers=1)
        seen = observe(frames, clip_of(portrait), options, twice=twice)
        meshes = np.stack([one.faces[0].landmarks[:, :2] for one in seen])
        shaking.append(float(meshes.std(axis=0).mean()))
    assert shaking[1] < 0.95 * shaking[0]


def test_a_second_look_that_disagrees_does_not_count(portrait: U8, monkeypatch: pytest.MonkeyPatch) -> None:
    again = FaceFinder.again

    def astray(self: FaceFinder, mesh: F32, cut: Cut) -> F32 | None:
        found = again(self, mesh, cut)
        return None if found is None else found + np.float32([0.1 * np.ptp(mesh[:, 0]), 0, 0])

    def measured(twice: bool) -> F32:
        frames, options = frames_of([portrait], first=1), DetectOptions(workers=1)
        (seen,) = observe(frames, clip_of(portrait), options, twice=twice)
        return seen.faces[0].landmarks

    once = measured(twice=False)
    monkeypatch.setattr(FaceFinder, "again", astray)
    np.testing.assert_array_equal(measured(twice=True), once)


def test_the_number_of_threads_changes_nothing(portrait: U8) -> None:
    pictures = [np.roll(portrait, 6 * k, axis=1) for k in range(6)]
    found = []
    for workers in (1, 3):
        seen = detect_faces(frames_of(pictures), clip_of(portrait), DetectOptions(workers=workers))
        found.append([one.faces[0].landmarks for one in seen])
    np.testing.assert_array_equal(found[0], found[1])


def test_a_small_face_found_with_patience_is_carried_on(portrait: U8) -> None:
    small = cv2.resize(portrait, (90, 90), interpolation=cv2.INTER_AREA)
    pictures = []
    for k in range(PATIENT_EVERY + 2):
        scene = np.full((720, 1280, 3), 100, np.uint8)
        scene[200:290, 600 + 2 * k : 690 + 2 * k] = small
        pictures.append(scene)
    seen = list(detect_faces(frames_of(pictures), clip_of(pictures[0]), DetectOptions(workers=1)))
    assert [len(one.faces) for one in seen] == [1] * len(pictures)
    moved = seen[-1].faces[0].landmarks[1, 0] - seen[0].faces[0].landmarks[1, 0]
    assert moved == pytest.approx(2 * (len(pictures) - 1), abs=2)


def test_a_small_face_is_followed_back_to_where_it_came_in(portrait: U8) -> None:
    small = cv2.resize(portrait, (90, 90), interpolation=cv2.INTER_AREA)
    pictures = []
    for k in range(PATIENT_EVERY + 1):  # only the last frame is searched with patience
        scene = np.full((720, 1280, 3), 100, np.uint8)
        if k >= 4:
            scene[200:290, 600 + 2 * k : 690 + 2 * k] = small
        pictures.append(scene)
    seen = list(detect_faces(frames_of(pictures), clip_of(pictures[0]), DetectOptions(workers=2)))
    assert [len(one.faces) for one in seen] == [0] * 4 + [1] * (PATIENT_EVERY - 3)
    assert [one.frame.index for one in seen] == list(range(PATIENT_EVERY + 1))


def test_a_face_that_is_gone_is_let_go(portrait: U8) -> None:
    blank = np.full_like(portrait, 100)
    seen = list(
        detect_faces(frames_of([portrait, blank, blank]), clip_of(portrait), DetectOptions(workers=1))
    )
    assert [len(one.faces) for one in seen] == [1, 0, 0]


def test_closing_early_closes_the_source(portrait: U8) -> None:
    closed = []

    def source() -> Iterator[Frame]:
        try:
            yield from frames_of([portrait] * 50)
        finally:
            closed.append(True)

    stage = observe(source(), clip_of(portrait), DetectOptions(workers=2))
    next(stage)
    stage.close()
    assert closed == [True]


def test_thumbnails_show_the_frame(portrait: U8, finder: FaceFinder) -> None:
    (frame,) = frames_of([portrait], first=1)
    thumbnail = look(frame, clip_of(portrait), finder).thumbnail
    assert thumbnail.shape == (27, 48, 3)
    assert abs(float(thumbnail.mean()) - float(portrait.mean())) < 3


@pytest.mark.parametrize("degrees", [90, 140, 180, 230])
def test_turned_faces_are_seen_the_right_way_up(
    portrait: U8, mesh: F32, finder: FaceFinder, degrees: int
) -> None:
    turn = cv2.getRotationMatrix2D((255.5, 255.5), -degrees, 0.7)
    turned = cv2.warpAffine(portrait, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    expected = mesh.copy()
    expected[:, :2] = (mesh[:, :2] - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5
    (frame,) = frames_of([np.asarray(turned, np.uint8)])
    (face,) = look(frame, clip_of(portrait), finder).faces
    assert off(face.landmarks, expected) < 0.05


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_turned_faces_are_measured_as_upright_ones(portrait: U8, mesh: F32, quarter: int) -> None:
    """To the hundredth of the distance of the eyes, or the swapped face would differ too."""
    mesh = with_true_lids(Face(bounds(mesh), mesh, 1.0)).landmarks
    turned = np.ascontiguousarray(np.rot90(portrait, quarter))
    seen = list(detect_faces(frames_of([turned] * 3), clip_of(turned), DetectOptions(workers=1)))
    x, y, side = mesh[:, 0], mesh[:, 1], portrait.shape[0]
    expected = {1: (y, side - x), 2: (side - x, side - y), 3: (side - y, x)}[quarter]
    for one in seen:
        (face,) = one.faces
        assert off(face.landmarks, np.stack(expected, axis=1)) < 0.003


def test_a_face_without_forehead_and_chin_is_found(portrait: U8, mesh: F32, finder: FaceFinder) -> None:
    x, y = mesh[:, 0], mesh[:, 1]
    brow, lip = int(y[[105, 334]].min()), int(y[17])
    part = portrait[brow:lip, int(x.min()) : int(x.max())]
    close = np.asarray(cv2.resize(part, (480, 400), interpolation=cv2.INTER_CUBIC), np.uint8)
    seen = list(detect_faces(frames_of([close] * 5), clip_of(close), DetectOptions(workers=1)))
    assert [len(one.faces) for one in seen] == [1] * 5
