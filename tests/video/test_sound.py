"""Sound that a container cannot hold is encoded again; nothing else is."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.video.probe import probe
from faceswap_cli.video.transcode import transcode


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


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
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
