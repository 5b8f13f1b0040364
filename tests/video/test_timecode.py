"""Output streams state their frame rate, and time codes travel along."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, RangeOptions
from faceswap_cli.records import Clip
from faceswap_cli.video.assemble import STATES_RATES, assemble
from faceswap_cli.video.avc import read_header
from faceswap_cli.video.losses import not_kept
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import pts_range
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.timecode import move_timecode
from faceswap_cli.video.transcode import transcode
from faceswap_cli.video.writer import write_segment
from tests.clips import make_clip

NTSC = Fraction(30000, 1001)
needs_rates = pytest.mark.skipif(not STATES_RATES, reason="this PyAV cannot state rates")


def with_timecode(path: Path, codec: str, pix_fmt: str, code: str, fps: Fraction, reel: str = "") -> Clip:
    """A small clip with a time code, as cameras write it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.metadata["timecode"] = code
        if reel:
            stream.metadata["reel_name"] = reel
        for k in range(12):
            rgb = np.full((48, 64, 3), 20 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return probe(path)


def timecodes_of(path: Path) -> list[str]:
    """Of the video stream and of the time code track."""
    with av.open(str(path)) as container:
        return [s.metadata["timecode"] for s in container.streams if "timecode" in s.metadata]


@needs_rates
@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx265", "yuv420p"),
        ("b.mov", "prores_ks", "yuv422p10le"),
    ],
)
def test_time_codes_are_kept(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    clip = with_timecode(tmp_path / name, codec, pix_fmt, "10:00:00:00", Fraction(25))
    output = tmp_path / f"out{clip.path.suffix}"
    transcode(clip, output, EncodeOptions())
    assert timecodes_of(output) == ["10:00:00:00", "10:00:00:00"]


@needs_rates
def test_the_name_of_the_reel_is_kept_or_named(tmp_path: Path) -> None:
    clip = with_timecode(tmp_path / "a.mov", "libx264", "yuv420p", "10:00:00:00", Fraction(25), reel="A001")
    output = tmp_path / "out.mov"
    assert not_kept(clip, output, EncodeOptions()) == []
    transcode(clip, output, EncodeOptions())
    with av.open(str(output)) as container:
        assert [s.metadata["reel_name"] for s in container.streams if s.type == "data"] == ["A001"]
    (note,) = not_kept(clip, tmp_path / "out.mp4", EncodeOptions())
    assert "reel name A001" in note


@needs_rates
def test_a_time_code_moves_with_the_start(tmp_path: Path) -> None:
    clip = with_timecode(tmp_path / "a.mp4", "libx264", "yuv420p", "10:00:59;28", NTSC)
    start, end = pts_range(clip, RangeOptions(start="4f"))
    segment, output = tmp_path / "segment", tmp_path / "out.mp4"
    write_segment(segment, clip, read_frames(clip, first_pts=start), EncodeOptions())
    assemble(output, clip, [segment], span=(start, end))
    assert timecodes_of(output) == ["10:01:00;04", "10:01:00;04"]


@pytest.mark.parametrize(
    ("code", "frames", "rate", "moved"),
    [
        ("00:00:59;29", 1, NTSC, "00:01:00;02"),
        ("00:09:59;29", 1, NTSC, "00:10:00;00"),
        ("00:00:59:24", 1, Fraction(25), "00:01:00:00"),
        ("23:59:59:23", 1, Fraction(24000, 1001), "00:00:00:00"),
        ("00:00:59;59", 1, 2 * NTSC, "00:01:00;04"),
        ("nonsense", 1, NTSC, "nonsense"),
    ],
)
def test_moving_a_time_code(code: str, frames: int, rate: Fraction, moved: str) -> None:
    assert move_timecode(code, frames / rate, rate) == moved


@needs_rates
@pytest.mark.parametrize("fps", [Fraction(30), NTSC, Fraction(25, 2)])
@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.mov"])
def test_the_rate_is_stated(tmp_path: Path, fps: Fraction, name: str) -> None:
    make_clip(tmp_path / "in.mkv", fps=fps)
    clip = probe(tmp_path / "in.mkv")
    transcode(clip, tmp_path / name, EncodeOptions())
    with av.open(str(tmp_path / name)) as container:
        video = container.streams.video[0]
        assert abs(float(video.average_rate / fps) - 1) < 0.01
        assert abs(float(video.base_rate / fps) - 1) < 0.01
    capture = cv2.VideoCapture(str(tmp_path / name))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(float(fps), rel=0.01)
    capture.release()


@needs_rates
@pytest.mark.parametrize(("name", "codec"), [("in.wmv", "wmv2"), ("in.avi", "mpeg4")])
def test_the_rate_of_old_containers_is_stated(tmp_path: Path, name: str, codec: str) -> None:
    make_clip(tmp_path / name, codec=codec, time_base=Fraction(1, 25))
    transcode(probe(tmp_path / name), tmp_path / "out.mkv", EncodeOptions())
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].average_rate == container.streams.video[0].base_rate == 25


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_one_frame_lasts_as_long_as_its_rate_says(tmp_path: Path, name: str) -> None:
    make_clip(tmp_path / "in.mp4", frames=1, fps=Fraction(30), time_base=Fraction(1, 15360))
    transcode(probe(tmp_path / "in.mp4"), tmp_path / name, EncodeOptions())
    assert probe(tmp_path / name).duration_s == pytest.approx(1 / 30, abs=0.001)


@pytest.mark.parametrize("frames", [1, 12])
@pytest.mark.parametrize(
    ("name", "codec"), [("in.mkv", "libx264"), ("in.mpg", "mpeg2video"), ("in.avi", "mpeg4")]
)
def test_the_last_frame_does_not_last_as_long_as_the_sound(
    tmp_path: Path, frames: int, name: str, codec: str
) -> None:
    """The sound of these clips is a little longer; their containers have one duration for both."""
    make_clip(tmp_path / name, codec=codec, frames=frames, audio=1)
    transcode(probe(tmp_path / name), tmp_path / "out.mp4", EncodeOptions())
    made = probe(tmp_path / "out.mp4")
    assert made.duration_s == pytest.approx(frames / 25, abs=0.002)
    assert float(made.average_rate) == pytest.approx(25, abs=0.1)


def test_the_stream_itself_names_the_rate_and_not_the_clock(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mkv", fps=Fraction(30))
    segment = tmp_path / "segment"
    clip = probe(tmp_path / "in.mkv")
    write_segment(segment, clip, read_frames(clip), EncodeOptions())
    made = probe(segment)
    assert read_header(made.codec_header) is not None
    raw = tmp_path / "raw.h264"  # no container: all that is known of time is in the stream
    with av.open(str(segment)) as source, av.open(str(raw), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0], opaque=True)
        filters = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", source.streams.video[0])
        for packet in source.demux(video=0):
            for plain in filters.filter(packet if packet.size else None):
                plain.stream = copy
                target.mux(plain)
    with av.open(str(raw)) as container:
        assert container.streams.video[0].codec_context.framerate in (30, 60)
