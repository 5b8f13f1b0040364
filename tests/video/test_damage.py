"""A damaged packet costs its own frame; every other frame keeps its time."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from faceswap_cli.records import Clip, Frame
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import Damage, read_frames
from tests.clips import damage_packet, make_clip
from tests.video.test_roundtrip import assert_same_frames, assert_same_sound, frames_of, rendered

INTRA = {"codec": "mjpeg", "pix_fmt": "yuvj422p"}


def counted(clip: Clip, **span: Any) -> tuple[list[Frame], int]:
    damage = Damage()
    with closing(read_frames(clip, damage=damage, **span)) as frames:
        return list(frames), damage.packets


@pytest.mark.parametrize("number", [1, 7, 18, 19])
@pytest.mark.parametrize(
    ("name", "given"), [("a.mkv", INTRA), ("a.mkv", {"codec": "ffv1", "options": {"g": "1"}})]
)
def test_a_damaged_packet_costs_one_frame(
    name: str, given: dict[str, Any], number: int, tmp_path: Path
) -> None:
    path = tmp_path / name
    times = make_clip(path, frames=20, **given)
    damage_packet(path, number)
    frames, damaged = counted(probe(path))
    assert damaged == 1
    assert [f.pts for f in frames] == times[:number] + times[number + 1 :]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"), [("a.mp4", "libx264", "yuv420p"), ("a.mov", "prores_ks", "yuv422p10le")]
)
def test_a_concealed_frame_is_kept_and_counted(name: str, codec: str, pix_fmt: str, tmp_path: Path) -> None:
    path = tmp_path / name
    times = make_clip(path, codec=codec, pix_fmt=pix_fmt, size=(128, 96))
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    begin, size = places[5]
    assert begin is not None
    data = bytearray(path.read_bytes())
    for place in range(begin + size // 2, begin + size // 2 + 60):
        data[place] ^= 0x5A
    path.write_bytes(bytes(data))
    frames, damaged = counted(probe(path))
    assert damaged == 1
    assert [f.pts for f in frames] == times
    assert_same_frames(counted(probe(path))[0], frames)


@pytest.mark.parametrize("number", [2, 9, 17, 22])
def test_segments_agree_with_one_reading_around_damage(number: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path, frames=24, audio=1, options={"x264-params": "keyint=8:bframes=2"})
    damage_packet(path, number)
    clip = probe(path)
    whole, damaged = counted(clip)
    assert damaged >= 1
    assert len(whole) >= 16
    again: list[Frame] = []
    edges = [whole[0].pts, whole[5].pts, whole[11].pts, whole[-2].pts, None]
    for first, end in pairwise(edges):
        again += counted(clip, first_pts=first, end_pts=end)[0]
    assert_same_frames(again, whole)


def test_a_start_after_damage_keeps_the_times_where_the_index_leads_elsewhere(tmp_path: Path) -> None:
    """A packet that the index does not know moves all times found by seeking by one tick."""
    path = tmp_path / "a.avi"
    times = make_clip(path, codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    second_entry = data.index(b"idx1") + 24
    data[second_entry : second_entry + 2] = b"99"
    path.write_bytes(data)
    clip = probe(path)
    sound = [frame.pts for frame in counted(clip)[0]]
    damage_packet(path, 8)
    whole, damaged = counted(clip)
    assert (len(whole), damaged) == (len(times) - 1, 1)
    assert [frame.pts for frame in whole] == sound[:8] + sound[9:]


def test_an_identity_run_of_a_damaged_clip(tmp_path: Path) -> None:
    path, output = tmp_path / "a.mp4", tmp_path / "out.mp4"
    make_clip(path, frames=24, audio=1, options={"x264-params": "keyint=8:bframes=2"})
    damage_packet(path, 9)
    clip = probe(path)
    assemble(output, clip, rendered(clip, tmp_path, 2))
    assert_same_frames(frames_of(probe(output)), frames_of(clip))
    assert_same_sound(path, output)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_breaks_off_gives_what_it_holds(share: float, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    times = make_clip(path, frames=40, options={"x264-params": "keyint=8"})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    frames, _ = counted(probe(path))
    pts = [f.pts for f in frames]
    assert 5 < len(pts) < 40
    assert set(pts) <= set(times)
    assert pts == sorted(pts)


def test_a_reading_that_is_given_up_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path, frames=30)
    open_before = _open_files()
    frames = read_frames(probe(path))
    next(frames)
    frames.close()
    assert _open_files() == open_before


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("counts open files through /proc")
    return len(list(folder.iterdir()))
