"""Cuts, and what must not be taken for one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from faceswap_cli.records import U8
from faceswap_cli.tracking.shots import cuts, shot_numbers, shots, signature


def scene(seed: int, width: int = 480, height: int = 270) -> U8:
    """Soft colored blotches, a different palette for every seed."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, 3)
    coarse = np.clip(base + rng.normal(0, 60, (9, 16, 3)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def thumbnails(frames: list[U8]) -> list[U8]:
    return [np.asarray(cv2.resize(f, (48, 27), interpolation=cv2.INTER_AREA), np.uint8) for f in frames]


def found(frames: list[U8]) -> tuple[int, ...]:
    return cuts([signature(t) for t in thumbnails(frames)])


def noisy(picture: U8, seed: int) -> U8:
    noise = np.random.default_rng(seed).normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def still(seed: int, count: int) -> list[U8]:
    return [noisy(scene(seed), k) for k in range(count)]


def test_cuts_are_found_where_they_are() -> None:
    assert found(still(1, 12) + still(2, 9) + still(3, 10)) == (12, 21)


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("level", [255, 90])
def test_a_flash_is_no_cut(length: int, level: int) -> None:
    frames = still(1, 20)
    for k in range(8, 8 + length):
        frames[k] = np.clip(frames[k].astype(int) + level, 0, 255).astype(np.uint8)
    assert found(frames) == ()


def test_a_fast_pan_is_no_cut() -> None:
    wide = scene(5, 2400, 270)
    frames = [noisy(np.ascontiguousarray(wide[:, x : x + 480]), x) for x in range(0, 1900, 48)]
    assert found(frames) == ()


def test_a_slow_fade_and_a_zoom_are_no_cuts() -> None:
    picture = scene(6)
    fade = [noisy((picture * s).astype(np.uint8), k) for k, s in enumerate(np.linspace(1, 0.05, 20))]
    zoom = [picture[s : 270 - s, s : 480 - s] for s in range(0, 100, 5)]
    assert found(fade) == ()
    assert found([np.ascontiguousarray(z) for z in zoom]) == ()


def test_cuts_of_dark_footage_are_found() -> None:
    def dark(seed: int, count: int) -> list[U8]:
        gray = [np.repeat(f.mean(axis=2, keepdims=True), 3, axis=2) for f in still(seed, count)]
        return [(0.3 * f).astype(np.uint8) for f in gray]

    assert found(dark(11, 10) + dark(12, 10) + dark(13, 10)) == (10, 20)


def test_a_damaged_frame_is_no_cut() -> None:
    frames = still(1, 12)
    frames[6] = scene(9)
    assert found(frames) == ()


def test_shots_cover_the_clip() -> None:
    frames = still(1, 5) + still(2, 5)
    pts = np.arange(10, dtype=np.int64) * 512 + 77
    parts = shots([signature(t) for t in thumbnails(frames)], pts)
    assert [(s.first_pts, s.end_pts) for s in parts] == [(77, 77 + 5 * 512), (77 + 5 * 512, 77 + 9 * 512 + 1)]
    np.testing.assert_array_equal(shot_numbers(parts, pts), [0] * 5 + [1] * 5)


def test_no_frames_no_shots() -> None:
    assert shots([], np.zeros(0, np.int64)) == ()


@pytest.mark.parametrize(("name", "cut"), [("pyfeat_face_noface.mov", 73), ("pyfeat_noface_face.mov", 96)])
def test_real_cuts(shared: Path, name: str, cut: int) -> None:
    from faceswap_cli.color import downscaled_rgb
    from faceswap_cli.video.probe import probe
    from faceswap_cli.video.reader import read_frames

    clip = probe(shared / "data" / "clips" / name)
    pictures = [downscaled_rgb(frame.planes, clip.color, 480)[0] for frame in read_frames(clip)]
    places = found(pictures)
    assert cut in places
    # One frame beside the cut or at the very end of these clips belongs to neither half.
    assert all(abs(place - cut) <= 1 or place == len(pictures) - 1 for place in places)
