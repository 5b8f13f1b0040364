"""A stream may change its frame size: its frames are scaled to the first size, and a warning says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from faceswap_cli.config import SwapOptions, TrackOptions
from faceswap_cli.events import Event
from faceswap_cli.faces.stage import Seen
from faceswap_cli.records import Clip, Frame, SizeChange
from faceswap_cli.tracking.analyse import build_analysis, gather
from faceswap_cli.video.copying import cuts_for
from faceswap_cli.video.formats import planes_from_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.resized import SizeGauge, size_note

SIZES = ((64, 48), (96, 80))
EACH = 6
STEP = 3600
"""Ticks a frame"""


def write_sizes(
    path: Path, codec: str, pixel_format: str, options: dict[str, str], sizes: Sequence[tuple[int, int]]
) -> None:
    """``EACH`` frames of each size in one stream, as encoders write them that are opened again."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        (stream.width, stream.height), stream.pix_fmt = sizes[0], pixel_format
        for part, size in enumerate(sizes):
            for packet in _encoded(codec, pixel_format, options, size):
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts = packet.dts = (packet.pts or 0) + part * EACH
                container.mux(packet)


def _encoded(
    codec: str, pixel_format: str, options: dict[str, str], size: tuple[int, int]
) -> list[av.Packet[av.VideoStream]]:
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    (context.width, context.height), context.pix_fmt = size, pixel_format
    context.time_base, context.framerate, context.options = Fraction(1, 25), Fraction(25), options
    packets = []
    for k in range(EACH):
        ramp = np.broadcast_to(np.linspace(40, 200, size[0]).astype(np.uint8), size[::-1])
        picture = av.VideoFrame.from_ndarray(np.repeat(ramp[..., None], 3, 2), format="rgb24")
        picture = picture.reformat(format=pixel_format)
        picture.pts, picture.time_base = k, Fraction(1, 25)
        packets += context.encode(picture)
    return [*packets, *context.encode(None)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("sizes") / "two.ts"
    write_sizes(path, "libx264", "yuv420p", {"bf": "0", "crf": "10"}, SIZES)
    return probe(path)


def test_frames_are_scaled_to_the_first_size(clip: Clip) -> None:
    frames = list(read_frames(clip))
    assert (clip.width, clip.height) == SIZES[0]
    assert [frame.scaled_from for frame in frames] == [None] * EACH + [SIZES[1]] * EACH
    assert {frame.planes.shape for frame in frames} == {(48, 64)}
    assert np.abs(frames[0].planes.y.astype(int) - frames[-1].planes.y).mean() < 3
    assert np.diff([frame.pts for frame in frames]).tolist() == [STEP] * (2 * EACH - 1)


def test_the_warning_comes_with_the_first_frame_of_another_size(clip: Clip) -> None:
    heard: list[Event] = []
    passed: list[int] = []

    def seen() -> list[Seen]:
        thumbnail = np.zeros((27, 48, 3), np.uint8)
        return [Seen(frame, (), thumbnail) for frame in read_frames(clip)]

    def listen(event: Event) -> None:
        if event.kind == "warning":
            heard.append(event)
            passed.append(len(watched))

    watched: list[Seen] = []
    gathered = gather((watched.append(one) or one for one in seen()), clip, TrackOptions(), listen)
    (warning,) = heard
    assert warning.data["message"] == (
        "two.ts: the frame size changes from 64x48 to 96x80 at 0.24 s; later frames are scaled to 64x48"
    )
    assert passed == [EACH + 1]
    options = SwapOptions()
    analysis = build_analysis(gathered, clip, options.track, options.smooth)
    assert analysis.size_changes == (SizeChange(clip.start_pts + EACH * STEP, *SIZES[1]),)


def test_every_change_is_counted_and_the_first_named(clip: Clip) -> None:
    gauge = SizeGauge(clip)
    sizes = (None, (96, 80), (96, 80), None, (32, 32))
    planes = next(iter(read_frames(clip))).planes
    for k, size in enumerate(sizes):
        gauge.add(Frame(k, clip.start_pts + k * STEP, clip.time_base, planes, scaled_from=size))
    assert [(one.width, one.height) for one in gauge.changes] == [(96, 80), (64, 48), (32, 32)]
    assert "64x48 to 96x80 at 0.04 s" in size_note(clip, gauge.changes)
    assert size_note(clip, []) == ""


def test_gray_frames_keep_their_contrast(clip: Clip) -> None:
    """The library reads gray of no named range as full, and would write it as limited."""
    ramp = np.repeat(np.linspace(0, 255, 96).astype(np.uint8)[None], 80, 0)
    gray = replace(clip, pixel_format="gray", color=replace(clip.color, full_range=True))
    planes = planes_from_picture(av.VideoFrame.from_ndarray(ramp, format="gray"), gray)
    assert planes.shape == SIZES[0][::-1]
    assert (int(planes.y.min()), int(planes.y.max())) == pytest.approx((0, 255), abs=3)
    assert (planes.cb == 128).all()


def test_interlaced_frames_of_two_sizes_are_deinterlaced(tmp_path: Path) -> None:
    options = {"bf": "0", "flags": "+ilme+ildct", "x264-params": "tff=1"}
    write_sizes(tmp_path / "fields.ts", "libx264", "yuv420p", options, ((64, 64), (96, 96)))
    clip = probe(tmp_path / "fields.ts")
    assert clip.deinterlace
    frames = list(read_frames(clip))
    assert [frame.scaled_from for frame in frames] == [None] * EACH + [(96, 96)] * EACH
    assert np.diff([frame.pts for frame in frames]).tolist() == [STEP] * (2 * EACH - 1)


def test_packets_of_another_size_are_not_copied(clip: Clip) -> None:
    assert "size changes" in cuts_for(clip, SwapOptions(), resized=True).reason
