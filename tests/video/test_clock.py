"""Recordings joined byte by byte have a clock that starts again; and files that break off say so."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, RangeOptions
from faceswap_cli.records import Clip
from faceswap_cli.video.clock import restart_offsets
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import cut_short, frame_times, missing_inside, pts_range
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.transcode import transcode
from tests.clips import make_clip

STEP = 3600


@pytest.fixture(scope="module", params=[(0, 0), (3_600_000, 0)], ids=["again", "from much earlier"])
def joined(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Two recordings of 12 frames with sound, one behind the other."""
    folder = tmp_path_factory.mktemp("joined")
    whole = b""
    for k, start in enumerate(request.param):
        part = folder / f"{k}.ts"
        make_clip(
            part,
            audio=1,
            time_base=Fraction(1, 90000),
            start_offset=start,
            options={"bf": "2", "g": "6"},
        )
        whole += part.read_bytes()
    (folder / "joined.ts").write_bytes(whole)
    return probe(folder / "joined.ts")


def test_joined_recordings_have_one_clock(joined: Clip) -> None:
    times = [frame.pts for frame in read_frames(joined)]
    assert len(times) == 24
    assert {b - a for a, b in pairwise(times)} == {STEP}
    assert frame_times(joined).tolist() == times
    assert joined.duration_s == pytest.approx(0.96, abs=0.05)
    assert joined.frames == 24
    assert cut_short(joined, frame_times(joined), None) == ""


def test_reading_may_begin_in_the_second_recording(joined: Clip) -> None:
    start, _ = pts_range(joined, RangeOptions(start="15f"))
    every = list(read_frames(joined))
    late = list(read_frames(joined, first_pts=start))
    assert [frame.pts for frame in late] == [frame.pts for frame in every[15:]]
    for a, b in zip(late, every[15:], strict=True):
        np.testing.assert_array_equal(a.planes.y, b.planes.y)


def test_the_output_of_joined_recordings_is_one_recording(joined: Clip, tmp_path: Path) -> None:
    transcode(joined, tmp_path / "out.mkv", EncodeOptions())
    made = probe(tmp_path / "out.mkv")
    times = [frame.pts for frame in read_frames(made)]
    assert {b - a for a, b in pairwise(times)} == {40}
    assert made.average_rate == 25


def test_a_packet_out_of_order_is_not_a_restart() -> None:
    times = [(k, 10 * k, 10 * k) for k in range(20)]
    times[7] = (7, 3, 3)
    assert restart_offsets(times) == ()
    times = [(k, 10 * (k % 8), 10 * (k % 8)) for k in range(20)]
    assert restart_offsets(times) == ((8, 80), (16, 160))


def test_a_file_that_breaks_off_says_how_much_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    make_clip(path, frames=50, options={"g": "10"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = probe(path)
    pts = np.array([frame.pts for frame in read_frames(clip)])
    message = cut_short(clip, pts, None)
    assert f"of 2.0 s ({len(pts)} frames) could be read" in message
    assert cut_short(clip, pts, int(pts[-1])) == ""


def test_a_file_with_longer_sound_is_whole(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", frames=50, audio=1)
    clip = probe(tmp_path / "a.mkv")
    pts = np.array([frame.pts for frame in read_frames(clip)])
    assert cut_short(clip, pts, None) == ""
    assert cut_short(replace(clip, duration_s=2.0), pts[:25], None) == ""


def test_a_hole_in_a_constant_rate_is_named(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", frames=40)
    clip = probe(tmp_path / "a.mkv")
    pts = np.array([frame.pts for frame in read_frames(clip)])
    assert missing_inside(clip, pts) == ""
    assert "no frame between 0.36 and 0.80 s;" in missing_inside(clip, np.delete(pts, slice(10, 20)))
    assert missing_inside(clip, np.delete(pts, slice(10, 12))) == ""
    two = np.delete(pts, [*range(5, 15), *range(20, 30)])
    assert "and in 1 more places" in missing_inside(clip, two)
    varying = np.delete(pts, [3, *range(10, 20)])
    assert missing_inside(clip, varying) == ""
