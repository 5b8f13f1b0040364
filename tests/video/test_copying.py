"""Untouched packets beside new ones: bit for bit, at their times, in one stream that decodes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, MarkOptions, SwapOptions
from faceswap_cli.errors import InputError, OutputError
from faceswap_cli.records import Clip
from faceswap_cli.video import avc
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.copying import copy_segment, cuts_for, find_cuts
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.writer import write_segment
from tests.clips import damage_packet, make_clip
from tests.video.test_roundtrip import assert_same_frames, assert_same_sound, frames_of, packets_of

GROUPS = {"g": "10", "keyint_min": "10", "bf": "3", "sc_threshold": "0"}
PLAIN = EncodeOptions(crf=30)


def joined(clip: Clip, folder: Path, output: Path) -> tuple[int, int]:
    """Encode, copy from the second clean cut to the last one before the end, encode; the copied range."""
    cuts = find_cuts(clip, PLAIN)
    assert not cuts.reason
    first, end = int(cuts.clean[1]), int(cuts.clean[-1])
    parts = [folder / f"{output.stem}-{k}" for k in range(3)]
    with closing(read_frames(clip, end_pts=first)) as frames:
        write_segment(parts[0], clip, frames, PLAIN)
    copy_segment(parts[1], clip, cuts.pts[(cuts.pts >= first) & (cuts.pts < end)])
    with closing(read_frames(clip, first_pts=end)) as frames:
        write_segment(parts[2], clip, frames, PLAIN)
    assert assemble(output, clip, parts) == []
    return first, end


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mp4": ("a.mp4", {"audio": 1}),
    "QuickTime": ("a.mov", {}),
    "Matroska": ("a.mkv", {"audio": 2, "subtitles": True, "chapters": True}),
    "variable rate, late start": ("a.mp4", {"vfr": True, "start_offset": 7777}),
    "rotated": ("a.mp4", {"rotation": 90}),
    "rotated in QuickTime": ("a.mov", {"rotation": 270}),
    "anamorphic, tagged": ("a.mp4", {"sar": Fraction(16, 15), "color": (1, 1, 1, 1)}),
    "full range": ("a.mp4", {"pix_fmt": "yuvj420p", "color": (1, 1, 1, 2)}),
    "no B frames": ("a.mp4", {"options": {**GROUPS, "bf": "0", "profile": "baseline"}}),
    "VP9": ("a.webm", {"codec": "libvpx-vp9", "options": {"g": "10", "deadline": "realtime"}}),
}


@pytest.mark.parametrize("name", CASES)
def test_copied_packets_are_those_of_the_input(name: str, tmp_path: Path) -> None:
    file, given = CASES[name]
    make_clip(tmp_path / file, frames=50, **{"options": GROUPS, **given})
    clip, output = probe(tmp_path / file), tmp_path / f"out{Path(file).suffix}"
    first, end = joined(clip, tmp_path, output)
    made = probe(output)
    before, after = frames_of(clip), frames_of(made)
    assert [f.pts * f.time_base for f in after] == [f.pts * f.time_base for f in before]
    inside = [k for k, frame in enumerate(before) if first <= frame.pts < end]
    assert len(inside) >= 20
    assert_same_frames([before[k] for k in inside], [after[k] for k in inside])
    (source,), (result,) = packets_of(clip.path, "video"), packets_of(output, "video")
    kept = [data for time, data in source if first <= time / clip.time_base < end]
    placed = [data for time, data in result if first <= time / clip.time_base < end]
    assert kept == placed
    assert_same_sound(clip.path, output)
    assert (made.rotation, made.sample_aspect, made.color) == (
        clip.rotation,
        clip.sample_aspect,
        clip.color,
    )
    with av.open(str(output)) as container:
        dts = [packet.dts for packet in container.demux(container.streams.video[0]) if packet.size]
    if None not in dts:  # Matroska stores none
        assert dts == sorted(set(dts))


def test_seeking_into_either_kind_shows_the_same_frame(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=50, options=GROUPS)
    joined(probe(tmp_path / "a.mp4"), tmp_path, tmp_path / "out.mp4")
    made = probe(tmp_path / "out.mp4")
    whole = frames_of(made)
    for k in (3, 9, 10, 11, 25, 39, 40, 41, 49):
        with closing(read_frames(made, first_pts=whole[k].pts)) as frames:
            assert_same_frames([next(frames)], [whole[k]])


@pytest.mark.parametrize(
    ("file", "given", "encode", "word"),
    [
        ("a.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none"}}, {}, "two encoders"),
        ("a.mp4", {}, {"codec": "libx265"}, "becomes libx265"),
        ("a.avi", {"codec": "mpeg4"}, {}, "avi"),
        ("a.mp4", {"codec": "mpeg4"}, {}, "becomes libx264"),
        ("a.mp4", {"options": {"g": "10", "x264-params": "interlaced=1"}}, {}, "interlaced"),
    ],
)
def test_what_cannot_stand_side_by_side_is_encoded_again(
    file: str, given: dict[str, Any], encode: dict[str, Any], word: str, tmp_path: Path
) -> None:
    make_clip(tmp_path / file, **given)
    cuts = find_cuts(probe(tmp_path / file), EncodeOptions(**encode))
    assert word in cuts.reason
    assert len(cuts.pts) == len(cuts.clean) == 0


def test_marks_on_every_frame_leave_nothing_to_copy(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4")
    clip = probe(tmp_path / "a.mp4")
    assert len(cuts_for(clip, SwapOptions()).clean) == 1
    assert "--label" in cuts_for(clip, SwapOptions(mark=MarkOptions(label=True))).reason
    off = SwapOptions(encode=EncodeOptions(copy_untouched=False))
    assert "copy_untouched" in cuts_for(clip, off).reason


def test_open_groups_are_no_place_to_cut(tmp_path: Path) -> None:
    options = {"x264-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0:bframes=3"}
    make_clip(tmp_path / "a.mp4", frames=40, options=options)
    clip = probe(tmp_path / "a.mp4")
    with av.open(str(clip.path)) as container:
        keys = sum(packet.is_keyframe for packet in container.demux(container.streams.video[0]))
    cuts = find_cuts(clip, PLAIN)
    assert keys >= 4
    assert cuts.clean.tolist() == [clip.start_pts]


def test_a_copy_that_is_not_complete_is_an_error(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=20, options=GROUPS)
    clip = probe(tmp_path / "a.mp4")
    wrong = find_cuts(clip, PLAIN).pts + 1
    with pytest.raises(InputError, match="changed while"):
        copy_segment(tmp_path / "segment", clip, wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_damaged_parameter_sets_in_the_stream_are_not_trusted(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=20, options=GROUPS)
    damage_packet(tmp_path / "a.mp4", 0)
    clip = probe(tmp_path / "a.mp4")
    assert int(find_cuts(clip, PLAIN).clean[0]) > 0


def test_headers_with_equal_numbers_are_refused(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=20, options=GROUPS)
    make_clip(tmp_path / "b.mp4", frames=20, options={**GROUPS, "profile": "main"})
    first, second = probe(tmp_path / "a.mp4"), probe(tmp_path / "b.mp4")
    assert avc.free_number(first.codec_header) == 1
    assert avc.merged_headers(first.codec_header, second.codec_header) is None
    with pytest.raises(OutputError, match="other settings"):
        assemble(tmp_path / "o.mp4", first, [tmp_path / "a.mp4", tmp_path / "b.mp4"])


def test_a_header_survives_taking_apart() -> None:
    sps, pps = (
        bytes.fromhex("6764001eacd981e0bfe58400000300040000030 0f03c58b668".replace(" ", "")),
        b"\x68\xeb",
    )
    data = (
        bytes([1, 100, 0, 30, 0xFF, 0xE1, 0, len(sps)]) + sps + bytes([1, 0, 2]) + pps + b"\xfd\xf8\xf8\x00"
    )
    header = avc.read_header(data)
    assert header is not None
    assert (header.sps, header.pps, header.rest) == ((sps,), (pps,), b"\xfd\xf8\xf8\x00")
    assert header.numbers == {0}
    assert avc.is_progressive(header)
    for cut in range(len(data) - 6):
        shorter = avc.read_header(data[:cut])
        assert shorter is None or shorter != header
    assert avc.read_header(b"\x00\x00\x00\x01" + sps) is None
    assert avc.read_header(replace_byte(data, 4, 0xFD)) is None


def replace_byte(data: bytes, place: int, value: int) -> bytes:
    return data[:place] + bytes([value]) + data[place + 1 :]


def test_units_need_lengths_that_add_up() -> None:
    packet = b"\x00\x00\x00\x02\x65\x01" + b"\x00\x00\x00\x01\x06"
    assert [avc.kind(unit) for unit in avc.units(packet)] == [avc.IDR, 6]
    assert avc.units(packet[:-1]) == []
    assert avc.units(b"\x00\x00\x00\x00") == []


def test_work_formats_of_copies_follow_the_clip(tmp_path: Path) -> None:
    """10 bit H.264 has parameter sets of its own; a work format that differs is not copied."""
    make_clip(tmp_path / "a.mp4", frames=20, options=GROUPS, pix_fmt="yuv420p10le")
    clip = probe(tmp_path / "a.mp4")
    assert find_cuts(clip, PLAIN).reason == ""
    assert "becomes" in find_cuts(replace(clip, pixel_format="gray10le"), PLAIN).reason
    np.testing.assert_array_equal(find_cuts(clip, PLAIN).pts, [f.pts for f in frames_of(clip)])
