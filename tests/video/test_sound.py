"""Sound that a container cannot hold is encoded again; nothing else is."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import OutputError
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.losses import not_kept
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.transcode import transcode
from faceswap_cli.video.writer import write_segment
from tests.jobs.test_full_disk import room_for


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of WMV with a tone."""
    path = tmp_path_factory.mktemp("wmv") / "a.wmv"
    with av.open(str(path), "w", format="asf") as container:
        video = container.add_stream("wmv2", rate=25)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("wmav2", rate=48000, layout="stereo")
        assert isinstance(sound, av.AudioStream)
        sound.bit_rate = 64000
        for k in range(25):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * k, np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for start in range(0, 48000, 1024):
            tone = (8000 * np.sin(np.arange(start, start + 1024) * 2 * np.pi * 440 / 48000)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 48000, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_sound_is_converted_where_it_cannot_be_copied(recording: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    transcode(probe(recording), output, EncodeOptions())
    with av.open(str(output)) as container:
        sound = container.streams.audio[0]
        frames = list(container.decode(sound))
        assert sound.codec_context.codec.canonical_name == "aac"
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert len(samples) / 48000 == pytest.approx(1.0, abs=0.08)
    loudest = np.abs(np.fft.rfft(samples)).argmax() * 48000 / len(samples)
    assert loudest == pytest.approx(440, abs=3)


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def codec(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.streams.audio[0].codec_context.name


def in_matroska(recording: Path, path: Path, *, chapters: bool = False) -> Path:
    """The recording in another container, with an attachment, or with a chapter."""
    with av.open(str(recording)) as source:
        container = "asf" if chapters else "fifo"
        options = {} if chapters else {"fifo_format": "matroska"}
        with av.open(str(path), "w", format=container, options=options) as target:
            copies = {s.index: target.add_stream_from_template(s, opaque=True) for s in source.streams}
            if chapters:
                chapter = {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000)}
                target.set_chapters([{**chapter, "metadata": {"title": "one"}}])  # type: ignore[list-item]
            else:
                target.add_attachment("a.txt", "text/plain", b"hello")
                target.metadata["title"] = "holiday"
            for packet in source.demux():
                if packet.size:
                    packet.stream = copies[packet.stream.index]
                    target.mux(packet)
    return path


def test_windows_media_sound_is_copied_into_matroska(recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    clip = probe(recording)
    assert not_kept(clip, output, EncodeOptions()) == []
    assert transcode(clip, output, EncodeOptions()) == 25
    assert packets(output) == packets(recording)
    assert codec(output) == "wmav2"
    with av.open(str(output)) as container:
        assert container.streams.video[0].average_rate == 25
        first = [round(float(s.start_time * s.time_base), 2) for s in container.streams]
    with av.open(str(recording)) as container:
        assert first == [round(float(s.start_time * s.time_base), 2) for s in container.streams]


def test_tags_and_attachments_stay_beside_copied_sound(recording: Path, tmp_path: Path) -> None:
    source = in_matroska(recording, tmp_path / "a.mkv")
    output = tmp_path / "out.mkv"
    transcode(probe(source), output, EncodeOptions())
    assert packets(output) == packets(recording)
    with av.open(str(output)) as container:
        assert bytes(container.streams.attachments[0].data) == b"hello"
        assert {key.lower(): value for key, value in container.metadata.items()}["title"] == "holiday"


def test_chapters_are_kept_rather_than_packets_of_sound(recording: Path, tmp_path: Path) -> None:
    source = in_matroska(recording, tmp_path / "a.wmv", chapters=True)
    output = tmp_path / "out.mkv"
    (note,) = not_kept(probe(source), output, EncodeOptions())
    assert "encoded again as aac" in note
    transcode(probe(source), output, EncodeOptions())
    assert codec(output) == "aac"
    with av.open(str(output)) as container:
        assert len(container.chapters()) == 1


def test_a_full_disk_is_reported_beside_copied_sound(recording: Path, tmp_path: Path) -> None:
    clip = probe(recording)
    segment = tmp_path / "segment"
    with closing(read_frames(clip)) as frames:
        write_segment(segment, clip, frames, EncodeOptions())
    with room_for(2000), pytest.raises(OutputError, match="File too large"):
        assemble(tmp_path / "out.mkv", clip, [segment])
    assert list(tmp_path.iterdir()) == [segment]


def test_packets_of_less_than_a_tick_keep_their_times(tmp_path: Path) -> None:
    """TrueHD has packets of 0.83 ms; Matroska counts milliseconds, so that some times are equal."""
    path, length = tmp_path / "a.mkv", 40
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=48000, layout="mono")
        assert isinstance(sound, av.AudioStream)
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(video.encode(None))
        for start in range(0, 19200, length):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, length), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            container.mux(sound.encode(frame))
    transcode(probe(path), tmp_path / "out.mkv", EncodeOptions())
    assert _sound_times(tmp_path / "out.mkv") == _sound_times(path)


def _sound_times(path: Path) -> list[int | None]:
    with av.open(str(path)) as container:
        return [packet.pts for packet in container.demux(audio=0) if packet.size]
