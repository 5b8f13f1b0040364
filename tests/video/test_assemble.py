"""Everything beside the video is carried along; nothing half-written is left behind."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from faceswap_cli.config import EncodeOptions, RangeOptions
from faceswap_cli.errors import OutputError, UsageError
from faceswap_cli.records import Clip
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.containers import check_output, output_extension
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import pts_range
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.transcode import transcode
from faceswap_cli.video.writer import write_segment
from tests.clips import make_clip
from tests.video.test_roundtrip import (
    LOSSLESS,
    assert_same_frames,
    assert_same_sound,
    frames_of,
    packets_of,
    rendered,
)


def full_clip(tmp_path: Path, name: str = "a.mkv", **given: Any) -> Clip:
    path = tmp_path / name
    make_clip(path, frames=24, audio=2, subtitles=True, chapters=True, attachment=True, **given)
    return probe(path)


def chapters_of(path: Path) -> list[tuple[Fraction, Fraction, str]]:
    with av.open(str(path)) as container:
        return [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in container.chapters()
        ]


def test_every_stream_of_a_matroska_file_is_carried(tmp_path: Path) -> None:
    clip = full_clip(tmp_path, metadata={"title": "The Title", "my_key": "v"})
    output = tmp_path / "out.mkv"
    assert assemble(output, clip, rendered(clip, tmp_path, 2), metadata={"added": "1"}) == []
    made = probe(output)
    assert [(s.kind, s.codec, s.language) for s in made.streams] == [
        (s.kind, s.codec, s.language) for s in clip.streams
    ]
    assert [s.kind for s in made.streams] == ["video", "audio", "audio", "subtitle", "attachment"]
    assert packets_of(output, "audio") == packets_of(clip.path, "audio")
    assert packets_of(output, "subtitle") == packets_of(clip.path, "subtitle")
    assert chapters_of(output) == chapters_of(clip.path) != []
    with av.open(str(output)) as container:
        assert bytes(container.streams[4].data) == b"attached"
    kept = {k.lower(): v for k, v in made.metadata.items()}
    assert (kept["title"], kept["my_key"], kept["added"]) == ("The Title", "v", "1")


def test_what_another_container_cannot_hold_is_named(tmp_path: Path) -> None:
    clip = full_clip(tmp_path)
    output = tmp_path / "out.mp4"
    notes = assemble(output, clip, rendered(clip, tmp_path, 1))
    assert any("subtitle stream 3 (subrip)" in note and ".mkv" in note for note in notes)
    assert any("note.txt" in note for note in notes)
    assert [s.kind for s in probe(output).streams][:3] == ["video", "audio", "audio"]
    assert_same_sound(clip.path, output)


def test_chapters_and_keys_of_mp4_are_kept(tmp_path: Path) -> None:
    path, output = tmp_path / "a.mp4", tmp_path / "out.mp4"
    make_clip(path, chapters=True, audio=1, metadata={"com.maker.key": "x", "title": "t"})
    clip = probe(path)
    assert assemble(output, clip, rendered(clip, tmp_path, 1), metadata={"Iptc4xmpExt": "mark"}) == []
    made = probe(output)
    assert chapters_of(output) == chapters_of(path) != []
    assert made.metadata["com.maker.key"] == "x"
    assert made.metadata["title"] == "t"
    assert made.metadata["Iptc4xmpExt"] == "mark"


@pytest.mark.parametrize(("ending", "key"), [(".mp4", "name"), (".mov", "name"), (".mkv", "title")])
def test_names_of_tracks_in_mp4_are_kept(tmp_path: Path, ending: str, key: str) -> None:
    make_clip(tmp_path / "plain.mp4", audio=2)
    with av.open(str(tmp_path / "plain.mp4")) as plain, av.open(str(tmp_path / "a.mp4"), "w") as target:
        copies = [target.add_stream_from_template(stream, opaque=True) for stream in plain.streams]
        for copy, title in zip(copies, ("camera", "microphone", "music"), strict=True):
            copy.metadata["title"] = title
        for packet in plain.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    output = tmp_path / f"out{ending}"
    transcode(probe(tmp_path / "a.mp4"), output, EncodeOptions())
    with av.open(str(output)) as container:
        assert [s.metadata[key] for s in container.streams] == ["camera", "microphone", "music"]


def test_metadata_that_is_not_utf_8_is_no_obstacle(tmp_path: Path) -> None:
    path, output = tmp_path / "a.mkv", tmp_path / "out.mkv"
    make_clip(path, metadata={"title": "Xaaaab"})
    path.write_bytes(path.read_bytes().replace(b"Xaaaab", b"Xaa\xe4\xf6b"))
    clip = probe(path)
    assert clip.metadata["title"].startswith("Xaa")
    assemble(output, clip, rendered(clip, tmp_path, 1))
    assert probe(output).metadata["title"].startswith("Xaa")


def test_a_packet_that_the_container_refuses_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path, audio=1)
    with av.open(str(path)) as container:
        place = next(packet.pos for packet in container.demux(audio=0))
    data = bytearray(path.read_bytes())
    assert place is not None
    data[place : place + 7] = b"\xff\xf1" + 5 * b"\xff"  # a header of its own, which says what cannot be
    path.write_bytes(data)
    clip = probe(path)
    notes = assemble(tmp_path / "out.mp4", clip, rendered(clip, tmp_path, 2))
    assert [note for note in notes if "damaged packet of audio stream 1" in note] == notes
    (before,), (after,) = packets_of(path, "audio"), packets_of(tmp_path / "out.mp4", "audio")
    assert after == before[1:]
    assert_same_frames(frames_of(probe(tmp_path / "out.mp4")), frames_of(clip))


def test_a_cover_picture_is_carried(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(tmp_path / "plain.mp4", audio=1)
    make_clip(tmp_path / "cover.avi", codec="mjpeg", pix_fmt="yuvj420p", frames=1)
    with (
        av.open(str(tmp_path / "plain.mp4")) as film,
        av.open(str(tmp_path / "cover.avi")) as cover,
        av.open(str(path), "w") as target,
    ):
        streams = {s.index: target.add_stream_from_template(s, opaque=True) for s in film.streams}
        art = target.add_stream_from_template(cover.streams.video[0], opaque=True)
        art.disposition = 0x400
        for packet in cover.demux():
            if packet.size:
                packet.stream = art
                target.mux(packet)
        for packet in film.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    clip = probe(path)
    segments = rendered(clip, tmp_path, 1)
    assert assemble(tmp_path / "out.mkv", clip, segments) == []
    made = probe(tmp_path / "out.mkv")
    # Matroska knows no times below 0: up to library 18 the sound's priming packet moves all by 21 ms.
    late = frames_of(made)[0].pts * made.time_base
    assert late in (0, Fraction(21, 1000))
    moved = [f.pts * made.time_base - late for f in frames_of(made)]
    assert moved == [f.pts * clip.time_base for f in frames_of(clip)]
    assert len(made.streams) == 3
    (note,) = assemble(tmp_path / "out.mp4", clip, segments)
    assert "cover" in note
    assert_same_frames(frames_of(clip), frames_of(probe(tmp_path / "out.mp4")))


@pytest.mark.parametrize(
    ("start", "end", "first", "count"),
    [
        ("0.2", None, 5, 19),
        ("00:00:00.200", "15f", 5, 10),
        (None, "0.4", 0, 10),
        ("3f", "4f", 3, 1),
        ("0.21", "9", 6, 18),
    ],
)
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_range_is_cut_in_step(
    name: str, start: str | None, end: str | None, first: int, count: int, tmp_path: Path
) -> None:
    path, output = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
    make_clip(path, frames=24, audio=1, subtitles=name == "a.mkv", chapters=True)
    clip = probe(path)
    start_pts, end_pts = pts_range(clip, RangeOptions(start=start, end=end))
    segment = tmp_path / "segment"
    wanted = frames_of(clip)[first : first + count]
    assert (
        write_segment(segment, clip, read_frames(clip, first_pts=start_pts, end_pts=end_pts), LOSSLESS)
        == count
    )
    assemble(output, clip, [segment], span=(start_pts, end_pts))
    shift = 0 if start_pts is None else start_pts * clip.time_base
    made = frames_of(probe(output))
    assert [f.pts * f.time_base for f in made] == [f.pts * f.time_base - shift for f in wanted]
    limit = None if end_pts is None else end_pts * clip.time_base
    kept = [
        (time - shift, data)
        for time, data in packets_of(path, "audio")[0]
        if (start_pts is None or time >= shift) and (limit is None or time < limit)
    ]
    for (time, data), (expected, payload) in zip(packets_of(output, "audio")[0], kept, strict=True):
        assert data == payload
        assert abs(time - expected) <= Fraction(1, 1000)
    for begin, finish, _ in chapters_of(output):
        assert 0 <= begin < finish


def test_the_number_of_segments_does_not_show(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path, frames=25, audio=1, vfr=True, start_offset=777)
    clip = probe(path)
    for parts in (1, 5):
        assemble(tmp_path / f"{parts}.mp4", clip, rendered(clip, tmp_path, parts))
    one, five = (tmp_path / f"{parts}.mp4" for parts in (1, 5))
    assert_same_frames(frames_of(probe(one)), frames_of(probe(five)))
    assert packets_of(one, "audio") == packets_of(five, "audio") == packets_of(path, "audio")
    with av.open(str(five)) as container:
        dts = [p.dts for p in container.demux(container.streams.video[0]) if p.size]
    assert all(a < b for a, b in pairwise(dts))


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    clip = full_clip(tmp_path)
    first, second = rendered(clip, tmp_path, 2)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(OutputError, match="same frame"):
        assemble(folder / "x.mkv", clip, [first, first])
    second.write_bytes(b"")
    with pytest.raises(Exception, match="empty"):
        assemble(folder / "x.mkv", clip, [first, second])
    assert list(folder.iterdir()) == []


def test_other_settings_in_a_segment_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path)
    clip = probe(path)
    (first,) = rendered(clip, tmp_path, 1)
    other = tmp_path / "other"
    write_segment(other, clip, read_frames(clip), EncodeOptions(preset="ultrafast"))
    with pytest.raises(OutputError, match="other settings"):
        assemble(tmp_path / "x.mp4", clip, [first, other])


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path)
    clip = probe(path)
    with pytest.raises(OutputError, match="cannot be written"):
        transcode(clip, tmp_path / "nowhere" / "x.mp4", EncodeOptions())


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("a.mp4", {}, ".mp4"),
        ("a.mov", {}, ".mov"),
        ("a.mkv", {}, ".mkv"),
        ("a.webm", {"codec": "libvpx-vp9", "audio": 1}, ".webm"),
        ("a.avi", {"codec": "mpeg4", "audio": 1}, ".mp4"),
        ("a.mpg", {"codec": "mpeg1video", "audio": 1}, ".mp4"),
        ("a.webm", {"codec": "libvpx"}, ".mp4"),
    ],
)
def test_the_default_extension_holds_the_output(
    name: str, given: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    make_clip(path, **given)
    clip = probe(path)
    assert output_extension(clip) == expected
    output = tmp_path / f"out{expected}"
    check_output(clip, output, EncodeOptions())
    assert transcode(clip, output, EncodeOptions()) == 12
    assert len(frames_of(probe(output))) == 12


def test_a_container_that_cannot_hold_the_video_is_refused_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path)
    clip = probe(path)
    with pytest.raises(UsageError, match=r"try out\.mp4"):
        check_output(clip, Path("out.webm"), EncodeOptions(codec="libx264"))
    with pytest.raises(UsageError, match="unknown video extension"):
        check_output(clip, Path("out.xyz"), EncodeOptions())
