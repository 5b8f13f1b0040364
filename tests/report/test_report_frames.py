"""The pictures of a report: the right frames, bounded, with the mark where AI was at work."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceswap_cli.config import RangeOptions
from faceswap_cli.provenance.mark import SOURCE_TYPE, mark_in_xmp
from faceswap_cli.report.frames import (
    FACE_BYTES,
    FACE_SIDE,
    WHOLE_BYTES,
    WHOLE_SIDE,
    Pair,
    Shown,
    clip_pairs,
    picture_pairs,
)
from faceswap_cli.report.moments import Moment
from tests.clips import make_clip
from tests.report.made import BOXES, SIZE, inverted, stepped


def pixels(shown: Shown) -> np.ndarray:
    with Image.open(io.BytesIO(shown.data)) as image:
        assert image.size == (shown.width, shown.height)
        return np.asarray(image.convert("RGB"))


def moment(number: int, box: tuple[float, float, float, float] = BOXES[0]) -> Moment:
    return Moment(number * 512, number / 25, 0, box, ("why",))


def levels(pair: Pair) -> list[float]:
    return [float(pixels(shown).mean()) for shown in pair.whole]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_the_same_frame_of_both_files(tmp_path: Path, ending: str) -> None:
    target, result = tmp_path / "clip.mp4", tmp_path / f"out{ending}"
    make_clip(target, size=SIZE, frames=30, picture=stepped)
    make_clip(result, size=SIZE, frames=30, picture=inverted)
    pairs = list(clip_pairs(target, result, RangeOptions(), [moment(3), moment(0), moment(29)]))
    for number, pair in zip((3, 0, 29), pairs, strict=True):
        assert levels(pair) == pytest.approx([40 + 4 * number, 215 - 4 * number], abs=1.5)


def test_a_part_of_a_clip_begins_at_zero(tmp_path: Path) -> None:
    target, result = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    make_clip(target, size=SIZE, frames=30, picture=stepped)
    make_clip(result, size=SIZE, frames=10, picture=lambda k, w, h: inverted(k + 12, w, h))
    (pair,) = clip_pairs(target, result, RangeOptions(start="12f"), [moment(15)])
    assert levels(pair) == pytest.approx([100, 155], abs=1.5)


def test_a_frame_that_is_missing_is_left_out(tmp_path: Path) -> None:
    target, result = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    make_clip(target, size=SIZE, frames=30, picture=stepped)
    make_clip(result, size=SIZE, frames=10, picture=inverted)
    assert [p.moment.pts for p in clip_pairs(target, result, RangeOptions(), [moment(3), moment(25)])] == [
        3 * 512
    ]


def test_pictures_are_bounded_and_marked(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2600, 3), dtype=np.uint8)
    for name in ("target.png", "out.png"):
        Image.fromarray(noise).save(tmp_path / name)
    box = (100.0, 100.0, 900.0, 1000.0)
    (pair,) = picture_pairs(tmp_path / "target.png", tmp_path / "out.png", [moment(0, box)])
    for shown in pair.whole:
        assert max(shown.width, shown.height) <= WHOLE_SIDE
        assert len(shown.data) <= WHOLE_BYTES
    for shown in pair.face:
        assert shown.width == shown.height <= FACE_SIDE
        assert len(shown.data) <= FACE_BYTES
    for before, after in (pair.whole, pair.face):
        pixels(after)  # still a picture with the segment in it
        mark = mark_in_xmp(after.data)
        assert mark is not None
        assert mark.source_type == SOURCE_TYPE
        assert mark_in_xmp(before.data) is None


def test_the_face_is_in_the_middle_of_its_picture(tmp_path: Path) -> None:
    rgb = np.zeros((200, 300, 3), np.uint8)
    rgb[60:100, 210:250] = 255
    Image.fromarray(rgb).save(tmp_path / "a.png")
    box = (210.0, 60.0, 250.0, 100.0)
    (pair,) = picture_pairs(tmp_path / "a.png", tmp_path / "a.png", [moment(0, box)])
    bright = np.argwhere(pixels(pair.face[0])[..., 0] > 128)
    side = pair.face[0].width
    assert bright.mean(axis=0) == pytest.approx([side / 2, side / 2], abs=side * 0.02)
    assert np.ptp(bright, axis=0) == pytest.approx([side / 1.7, side / 1.7], rel=0.05)


def test_a_face_at_the_edge_is_shown(tmp_path: Path) -> None:
    Image.fromarray(np.full((100, 100, 3), 200, np.uint8)).save(tmp_path / "a.png")
    (pair,) = picture_pairs(tmp_path / "a.png", tmp_path / "a.png", [moment(0, (-20.0, -20.0, 30.0, 30.0))])
    assert pixels(pair.face[0])[-1, -1].mean() > 150
