"""What a better photograph would change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.identity.advice import advice, skin_tone
from faceswap_cli.records import SourceIdentity, SourcePhoto
from faceswap_cli.swap.tones import tone_note
from tests.swap.drawn import mesh_points, photo, picture

SIDE = 480


def plain() -> SourcePhoto:
    points = mesh_points(SIDE)
    return photo(picture(points, side=SIDE), points)


def spoiled(fault: str) -> SourcePhoto:
    good = plain()
    points, rgb = good.landmarks.copy(), good.rgb.copy()
    if fault == "small":
        return photo(picture(mesh_points(100), side=100), mesh_points(100))
    if fault == "turned away":
        turn = np.radians(50)
        points = (
            points
            @ np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
            .astype(np.float32)
            .T
        )
        points[:, :2] += SIDE / 2 - points[:, :2].mean(axis=0)
    if fault == "shut":
        for upper, lower, *_ in (parts.LEFT_LIDS, parts.RIGHT_LIDS):
            points[upper, 1] = points[lower, 1]
    if fault == "open":
        points[list(parts.LIPS_INNER[1:10]), 1] += 0.03 * SIDE
    if fault == "one side":
        rgb[:, : SIDE // 2] = (rgb[:, : SIDE // 2] * 0.5).astype(np.uint8)
    if fault == "no color":
        rgb = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    return replace(good, rgb=rgb, landmarks=points)


def test_a_good_photo_needs_no_advice() -> None:
    assert advice([plain()]) == []


@pytest.mark.parametrize("fault", ["small", "turned away", "shut", "open", "one side", "no color"])
def test_each_fault_is_named_once_and_another_photo_helps(fault: str) -> None:
    bad = spoiled(fault)
    (line,) = advice([bad])
    assert fault in line
    assert bad.path.name in line
    assert "\n" not in line
    assert "every photo" in advice([bad, bad])[0]
    assert advice([bad, plain()]) == []


def shaded(amount: float) -> SourcePhoto:
    good = plain()
    return photo((good.rgb * amount).astype(np.uint8), good.landmarks)


def test_skin_that_is_far_apart_is_named() -> None:
    light, dark = plain(), shaded(0.5)
    anna = SourceIdentity("anna", (light,), np.zeros(128, np.float32))
    note = tone_note(anna, "clip.mp4", dark.rgb, dark.landmarks)
    assert note.startswith(f"the skin in {light.path.name} is much lighter than that in clip.mp4")
    ben = SourceIdentity("ben", (dark,), np.zeros(128, np.float32))
    assert "is much darker" in tone_note(ben, "clip.mp4", light.rgb, light.landmarks)
    assert tone_note(anna, "clip.mp4", light.rgb, light.landmarks) == ""
    near = shaded(0.8)
    assert tone_note(anna, "clip.mp4", near.rgb, near.landmarks) == ""


def test_nothing_is_said_of_a_face_whose_light_hides_its_skin() -> None:
    anna = SourceIdentity("anna", (plain(),), np.zeros(128, np.float32))
    night, side = shaded(0.12), spoiled("one side")
    assert skin_tone(night.rgb, night.landmarks) is None
    assert tone_note(anna, "clip.mp4", night.rgb, night.landmarks) == ""
    assert skin_tone(side.rgb, side.landmarks) is None
    nobody = SourceIdentity("ben", (), np.zeros(128, np.float32))
    assert tone_note(nobody, "clip.mp4", plain().rgb, plain().landmarks) == ""
