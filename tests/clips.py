"""Synthetic clips for tests: small, with exact times, and any stream a container can hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.video.encoders import usual_priority

Painter = Callable[[int, int, int], NDArray[np.uint8]]
"""(frame number, width, height) -> (height, width, 3) R'G'B'"""

SUBTITLES = "1\n00:00:00,040 --> 00:00:00,200\nfirst\n\n2\n00:00:00,240 --> 00:00:00,400\nsecond\n\n"


def moving_ramp(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """A picture that differs from frame to frame everywhere, with some texture."""
    rng = np.random.default_rng(index)
    y, x = np.mgrid[:height, :width]
    base = np.stack(
        [(x * 3 + index * 9) % 256, (y * 4 + index * 5) % 256, (x + y + index * 13) % 256], axis=-1
    )
    return np.clip(base * 0.8 + rng.integers(0, 40, base.shape), 0, 255).astype(np.uint8)


def frame_pts(
    frames: int, fps: Fraction, time_base: Fraction, *, vfr: bool = False, start: int = 0
) -> list[int]:
    """Times of the frames; with ``vfr`` steps of 1, 1, 3 and 2 frames in turn, off the grid by a tick."""
    step = 1 / (fps * time_base)
    if not vfr:
        return [start + round(i * step) for i in range(frames)]
    pattern, times, now = (1, 1, 3, 2), [], Fraction(start)
    for i in range(frames):
        times.append(round(now) + (i % 3 == 1))
        now += step * pattern[i % 4]
    return times


def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    frames: int = 12,
    fps: Fraction = Fraction(25),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    vfr: bool = False,
    rotation: int = 0,
    mirrored: bool = False,
    sar: Fraction | None = None,
    audio: int = 0,
    subtitles: bool = False,
    chapters: bool = False,
    attachment: bool = False,
    start_offset: int = 0,
    time_base: Fraction | None = None,
    color: tuple[int, int, int, int] | None = None,
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    picture: Painter | None = None,
) -> list[int]:
    """Write a clip and return the times of its frames, in ``time_base``.

    ``start_offset`` is in ticks of ``time_base`` (default 1/1000 for Matroska, else 1/12800);
    ``color`` is primaries, transfer, matrix and range; ``audio`` the number of sound streams.
    """
    matroska = path.suffix in (".mkv", ".webm")
    clock = time_base or (Fraction(1, 1000) if matroska else Fraction(1, 12800))
    clock = 1 / fps if codec.startswith("mpeg") else clock  # their headers hold nothing finer
    times = frame_pts(frames, fps, clock, vfr=vfr, start=start_offset)
    tick = str(clock.denominator)
    muxer = (
        {}
        if path.suffix not in (".mp4", ".mov")
        else {"movie_timescale": tick, "video_track_timescale": tick}
    )
    if metadata and muxer:
        muxer["movflags"] = "+use_metadata_tags"
    with av.open(str(path), "w", options=muxer) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = clock
        stream.codec_context.thread_count = 1
        if sar is not None:
            stream.codec_context.sample_aspect_ratio = sar
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        if color is not None:
            _tag(stream.codec_context, color)
        sounds = [_add_sound(container, i, codec) for i in range(audio)]
        texts = _add_subtitles(container) if subtitles else []
        if chapters:
            container.set_chapters(_chapters())
        if attachment:
            container.add_attachment("note.txt", "text/plain", b"attached")
        end = float((times[-1] - times[0]) * clock) + 1 / float(fps)
        with usual_priority():
            _write_video(container, stream, times, clock, picture or moving_ramp)
        for i, sound in enumerate(sounds):
            _write_sound(container, sound, float(times[0] * clock), end, 220.0 * (i + 1))
        for packet in texts:
            container.mux(packet)
    return times


def _tag(context: Any, color: tuple[int, int, int, int]) -> None:
    context.color_primaries, context.color_trc, context.colorspace, context.color_range = color


def _chapters() -> list[dict[str, Any]]:
    clock = Fraction(1, 1000)
    return [
        {"id": 1, "start": 0, "end": 200, "time_base": clock, "metadata": {"title": "one"}},
        {"id": 2, "start": 200, "end": 480, "time_base": clock, "metadata": {"title": "two"}},
    ]


def _write_video(container: Any, stream: Any, times: list[int], clock: Fraction, painter: Painter) -> None:
    for index, pts in enumerate(times):
        rgb = painter(index, stream.width, stream.height)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        if stream.pix_fmt != "rgb24":
            frame = frame.reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = pts, clock
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _add_sound(container: Any, index: int, codec: str) -> Any:
    name = "libopus" if codec in ("libvpx-vp9", "libvpx") and container.format.name == "webm" else "aac"
    name = "mp2" if container.format.name in ("mpeg", "mpegts", "avi") else name
    stream = container.add_stream(name, rate=48000)
    stream.codec_context.layout = "mono"
    stream.metadata["language"] = ("eng", "deu", "fra")[index % 3]
    return stream


def _write_sound(container: Any, stream: Any, start_s: float, length_s: float, hertz: float) -> None:
    context = stream.codec_context
    size = context.frame_size or 960
    count = int(length_s * 48000) // size + 1
    offset = round(start_s * 48000)
    for i in range(count):
        time = np.arange(i * size, (i + 1) * size) / 48000
        wave = (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)[None]
        form = context.format.name
        samples = wave if form.startswith("flt") else (wave * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, offset + i * size, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _add_subtitles(container: Any) -> list[Any]:
    """SubRip for Matroska; the packets to be written."""
    with av.open(io.BytesIO(SUBTITLES.encode()), "r", format="srt") as source:
        stream = container.add_stream_from_template(source.streams.subtitles[0])
        stream.metadata["language"] = "eng"
        packets = [packet for packet in source.demux() if packet.size]
    for packet in packets:
        packet.stream = stream
    return packets


def damage_packet(path: Path, number: int, *, stream: int = 0) -> None:
    """Overwrite the payload of one packet (in file order) so that it cannot be decoded."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams[stream]) if p.size]
        place, size = packets[number].pos, packets[number].size
    data = bytearray(path.read_bytes())
    assert place is not None
    data[place + 4 : place + size] = b"\xff" * (size - 4)
    path.write_bytes(bytes(data))
