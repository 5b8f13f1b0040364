"""Masks of the user's own: matched by time, refused before the work starts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceswap_cli.errors import InputError
from faceswap_cli.records import U8
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.user_mask import (
    open_clip_mask,
    open_mask,
    open_picture_mask,
    picture_planes,
    with_mask,
)
from tests.clips import make_clip

SIZE = (64, 48)


def level(index: int, width: int, height: int) -> U8:
    """Frames that are told apart by their gray: 4 for each frame."""
    return np.full((height, width, 3), 4 * index, np.uint8)


def gray_clip(path: Path, frames: int, fps: Fraction, **given: object) -> Path:
    make_clip(path, frames=frames, fps=fps, codec="ffv1", picture=level, **given)  # type: ignore[arg-type]
    return path


def matched(target: Path, mask: Path, first_pts: int | None = None) -> list[int]:
    """Number of the mask's frame for each frame of the target."""
    clip = probe(target)
    opened = open_clip_mask(mask, clip, None)
    assert opened is not None
    frames = with_mask(read_frames(clip, first_pts=first_pts), clip, opened)
    shown = [opened.cut(frame.mask, np.eye(3), 16) for frame in frames if frame.mask is not None]
    return [round(float(one.mean()) / 4) for one in shown]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (Fraction(25), list(range(12))),
        (Fraction(50), list(range(0, 24, 2))),
        (Fraction(25, 2), [k // 2 for k in range(12)]),
        (Fraction(30000, 1001), [int(k * 0.04 * 30000 / 1001 + 0.25) for k in range(12)]),
    ],
)
def test_frames_are_matched_by_time(fps: Fraction, expected: list[int], tmp_path: Path) -> None:
    make_clip(tmp_path / "target.mp4", frames=12, size=SIZE)
    mask = gray_clip(tmp_path / "mask.mkv", round(12 * fps / 25) + 1, fps, start_offset=40)
    assert matched(tmp_path / "target.mp4", mask) == expected


def test_a_variable_rate_and_a_start_in_the_middle(tmp_path: Path) -> None:
    times = make_clip(tmp_path / "target.mp4", frames=12, size=SIZE, vfr=True)
    mask = gray_clip(tmp_path / "mask.mkv", 40, Fraction(25))
    ticks = 12800 // 25
    expected = [int((pts - times[0]) / ticks + 0.25) for pts in times]
    assert matched(tmp_path / "target.mp4", mask) == expected
    assert matched(tmp_path / "target.mp4", mask, times[5]) == expected[5:]


@pytest.mark.parametrize("full", [False, True])
def test_white_is_white_in_both_ranges(full: bool, tmp_path: Path) -> None:
    def halves(index: int, width: int, height: int) -> U8:
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:, : width // 2] = 255
        return picture

    path = tmp_path / "mask.mkv"
    pixels = {"codec": "mjpeg", "pix_fmt": "yuvj420p"} if full else {"codec": "ffv1"}
    make_clip(path, frames=2, size=SIZE, picture=halves, **pixels)
    mask = open_mask(path, tmp_path / "t.mp4", SIZE)
    assert mask is not None
    assert mask.clip is not None
    cut = mask.cut(next(read_frames(mask.clip)).planes, np.eye(3), 48)
    assert cut[:, :28].min() >= 250
    assert cut[:, 36:].max() <= 5


def test_a_rotated_target_takes_an_upright_mask(tmp_path: Path) -> None:
    make_clip(tmp_path / "target.mp4", frames=4, size=SIZE, rotation=90)
    clip = probe(tmp_path / "target.mp4")
    upright = np.zeros((64, 48), np.uint8)
    upright[:16] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), upright)
    mask = open_clip_mask(tmp_path / "mask.png", clip, None)
    assert mask is not None
    cut = mask.cut(picture_planes(mask), np.eye(3), 48)
    assert cut[:14].min() == 255
    assert cut[18:].max() == 0


def test_transparent_parts_of_a_mask_are_black(tmp_path: Path) -> None:
    pixels = np.full((48, 64, 4), 255, np.uint8)
    pixels[:, 32:, 3] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), pixels)
    mask = open_picture_mask(tmp_path / "mask.png", tmp_path / "t.png", SIZE)
    assert mask is not None
    found = picture_planes(mask).y
    assert (found[:, :32].min(), found[:, 32:].max()) == (255, 0)


def test_errors_before_the_work_starts(tmp_path: Path) -> None:
    make_clip(tmp_path / "target.mp4", frames=50, size=SIZE)
    clip = probe(tmp_path / "target.mp4")
    small = gray_clip(tmp_path / "small.mkv", 50, Fraction(25), size=(32, 24))
    with pytest.raises(InputError, match=r"small\.mkv is 32x24 and target\.mp4 64x48"):
        open_clip_mask(small, clip, None)
    short = gray_clip(tmp_path / "short.mkv", 25, Fraction(25))
    with pytest.raises(InputError, match=r"short\.mkv ends at 1\.00 s.*up to 2\.00 s.*--end 1\.00"):
        open_clip_mask(short, clip, None)
    assert open_clip_mask(short, clip, clip.start_pts + 25 * 512) is not None
    (tmp_path / "text.mp4").write_text("no mask")
    with pytest.raises(InputError, match=r"text\.mp4"):
        open_clip_mask(tmp_path / "text.mp4", clip, None)
    with pytest.raises(InputError, match=r"a picture needs a picture as mask"):
        open_picture_mask(short, tmp_path / "photo.png", SIZE)


def test_a_mask_that_lacks_its_last_frame_is_held(tmp_path: Path) -> None:
    make_clip(tmp_path / "target.mp4", frames=12, size=SIZE)
    mask = gray_clip(tmp_path / "mask.mkv", 11, Fraction(25))
    assert matched(tmp_path / "target.mp4", mask) == [*range(11), 10]
