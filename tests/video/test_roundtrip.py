"""The identity run: read, write without loss, assemble, and everything is as it was."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.records import Clip, Frame
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.writer import write_segment
from tests.clips import make_clip

LOSSLESS = EncodeOptions(lossless=True)


def frames_of(clip: Clip) -> list[Frame]:
    with closing(read_frames(clip)) as frames:
        return list(frames)


def rendered(clip: Clip, folder: Path, parts: int, encode: EncodeOptions = LOSSLESS) -> list[Path]:
    """The clip encoded in so many segments."""
    pts = [frame.pts for frame in frames_of(clip)]
    starts = [pts[i * len(pts) // parts] for i in range(parts)]
    paths = []
    for i, start in enumerate(starts):
        end = starts[i + 1] if i + 1 < parts else None
        paths.append(folder / f"segment-{parts}-{i}")
        with closing(read_frames(clip, first_pts=start, end_pts=end)) as frames:
            write_segment(paths[-1], clip, frames, encode)
    return paths


def packets_of(path: Path, kind: str) -> list[list[tuple[Fraction, bytes]]]:
    """(time, payload) of every packet, by stream."""
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if s.type == kind]
        found: dict[int, list[Any]] = {s.index: [] for s in streams}
        for packet in container.demux(streams) if streams else []:
            if packet.size:
                found[packet.stream.index].append((packet.pts * packet.time_base, bytes(packet)))
        return list(found.values())


def assert_same_frames(first: list[Frame], second: list[Frame]) -> None:
    assert [f.pts * f.time_base for f in first] == [f.pts * f.time_base for f in second]
    for a, b in zip(first, second, strict=True):
        for plane in ("y", "cb", "cr"):
            np.testing.assert_array_equal(getattr(a.planes, plane), getattr(b.planes, plane))


def assert_same_sound(source: Path, output: Path) -> None:
    """Same packets at the same times, to one sample: MP4 counts sound in samples, not in 1/90000 s."""
    first, second = packets_of(source, "audio"), packets_of(output, "audio")
    assert [[data for _, data in packets] for packets in first] == [[data for _, data in p] for p in second]
    for before, after in zip(first, second, strict=True):
        assert all(abs(a[0] - b[0]) < Fraction(1, 44100) for a, b in zip(before, after, strict=True))


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cfr": ("a.mp4", {}),
    "ntsc": ("a.mp4", {"fps": Fraction(30000, 1001), "time_base": Fraction(1, 30000)}),
    "vfr with a late start": ("a.mp4", {"vfr": True, "start_offset": 7777, "audio": 1}),
    "vfr in Matroska": ("a.mkv", {"vfr": True, "start_offset": 33, "audio": 2}),
    "rotated": ("a.mp4", {"rotation": 90}),
    "rotated in QuickTime": ("a.mov", {"rotation": -90}),
    "mirrored": ("a.mp4", {"mirrored": True}),
    "mirrored and turned": ("a.mov", {"rotation": 90, "mirrored": True}),
    "mirrored in Matroska": ("a.mkv", {"mirrored": True}),
    "anamorphic": ("a.mp4", {"sar": Fraction(16, 15), "color": (1, 1, 1, 1)}),
    "odd size": ("a.mkv", {"size": (63, 49), "codec": "ffv1"}),
    "odd size VP9": ("a.webm", {"size": (63, 49), "codec": "libvpx-vp9", "audio": 1}),
    "odd size of another codec": ("a.mp4", {"size": (63, 49), "codec": "mpeg4"}),
    "10 bit HEVC": ("a.mp4", {"codec": "libx265", "pix_fmt": "yuv420p10le", "color": (9, 16, 9, 1)}),
    "4:2:2 10 bit": ("a.mkv", {"pix_fmt": "yuv422p10le"}),
    "4:4:4": ("a.mp4", {"pix_fmt": "yuv444p"}),
    "full range": ("a.mp4", {"pix_fmt": "yuvj420p", "color": (1, 1, 1, 2)}),
    "MPEG-2": ("a.mpg", {"codec": "mpeg2video", "audio": 1, "frames": 30}),
    "MPEG-4 in AVI": ("a.avi", {"codec": "mpeg4", "frames": 30}),
    "MPEG-1 with B frames": (
        "a.mpg",
        {"codec": "mpeg1video", "audio": 1, "frames": 40, "options": {"bf": "2"}},
    ),
    "MPEG-4 with B frames in AVI": ("a.avi", {"codec": "mpeg4", "frames": 40, "options": {"bf": "2"}}),
    "transport stream": ("a.ts", {"audio": 1, "time_base": Fraction(1, 90000), "frames": 30}),
    "gray": ("a.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
    "ProRes": ("a.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
    "AV1": ("a.mp4", {"codec": "libsvtav1", "size": (64, 64)}),
    "motion JPEG": ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj422p"}),
    "open groups": ("a.mp4", {"options": {"x264-params": "open-gop=1:keyint=8:bframes=3"}, "frames": 40}),
}


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_identity(case: str, parts: int, tmp_path: Path) -> None:
    name, given = CASES[case]
    source = tmp_path / name
    make_clip(source, **given)
    clip = probe(source)
    output = tmp_path / ("out" + (".mp4" if source.suffix in (".mpg", ".ts", ".avi") else source.suffix))
    notes = assemble(output, clip, rendered(clip, tmp_path, parts), metadata={"mark": "x"})
    assert not [note for note in notes if "stream" in note]
    made = probe(output)
    assert_same_frames(frames_of(clip), frames_of(made))
    assert len(frames_of(clip)) == given.get("frames", 12)
    assert_same_sound(source, output)
    assert (clip.rotation, clip.mirrored) == (given.get("rotation", 0) % 360, given.get("mirrored", False))
    assert (made.rotation, made.mirrored, made.sample_aspect, made.work_format) == (
        clip.rotation,
        clip.mirrored,
        clip.sample_aspect,
        clip.work_format,
    )
    assert made.color == clip.color
    assert {k.lower(): v for k, v in made.metadata.items()}["mark"] == "x"


@pytest.mark.parametrize("case", CASES)
def test_a_seek_gives_the_frames_of_a_reading_in_one_go(case: str, tmp_path: Path) -> None:
    name, given = CASES[case]
    source = tmp_path / name
    make_clip(source, **given)
    clip = probe(source)
    everything = frames_of(clip)
    for first in range(1, len(everything), max(len(everything) // 6, 1)):
        end = min(first + 3, len(everything) - 1)
        span = {"first_pts": everything[first].pts, "end_pts": everything[end].pts}
        with closing(read_frames(clip, **span, first_index=first)) as frames:
            part = list(frames)
        assert_same_frames(part, everything[first:end])
        assert [frame.index for frame in part] == list(range(first, end))
