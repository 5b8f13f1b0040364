"""Sound that a container cannot hold as it is, encoded again as AAC or Opus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import av.container

from faceswap_cli.video.relay import muxer_of

_CODECS = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus", "nut": "aac"}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_BITS_A_CHANNEL = {"aac": 96_000, "libopus": 80_000}
_GAP_S = 0.05
"""A hole in the input's sound stays a hole; shorter ones are rounding."""


def converter(stream: Any, target: av.container.OutputContainer) -> Converter | None:
    """A new stream of ``target`` for the sound of ``stream``; None when it cannot be decoded or encoded."""
    codec = _CODECS.get(muxer_of(target))
    context = stream.codec_context
    if codec is None or context is None or not context.rate:
        return None
    offered = av.Codec(codec, "w").audio_rates
    rate = context.rate if offered is None or context.rate in offered else 48000
    layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
    try:
        new: Any = target.add_stream(codec, rate=rate, layout=layout)
    except (av.error.FFmpegError, ValueError):
        return None
    new.bit_rate = _BITS_A_CHANNEL[codec] * new.layout.nb_channels
    return Converter(stream, new)


class Converter:
    """Decodes packets of one stream, resamples and encodes; times stay those of the input."""

    def __init__(self, old: Any, new: Any) -> None:
        self.old, self.new = old, new
        self.damaged = 0
        self._resampler: Any = None
        self._end: float | None = None

    def convert(self, packet: av.Packet[Any] | None) -> Iterator[av.Packet[Any]]:
        """Packets of the new stream; None takes out what is left."""
        try:
            frames = self.old.decode(packet)
        except (av.error.FFmpegError, ValueError):
            self.damaged += packet is not None
            frames = []
        for frame in frames:
            start = None if frame.pts is None else float(frame.pts * frame.time_base)
            if start is not None and self._end is not None and abs(start - self._end) > _GAP_S:
                yield from self._flush()
            if start is not None:
                self._end = start + frame.samples / frame.sample_rate
            yield from self._encode(frame)
        if packet is None:
            yield from self._flush()
            yield from self.new.encode(None)

    def _encode(self, frame: Any) -> Iterator[av.Packet[Any]]:
        if self._resampler is None:
            context = self.new.codec_context
            context.open(strict=False)
            size = context.frame_size or None
            self._resampler = av.AudioResampler(context.format, context.layout, context.rate, size)
        for part in self._resampler.resample(frame):
            yield from self.new.encode(part)

    def _flush(self) -> Iterator[av.Packet[Any]]:
        if self._resampler is not None:
            yield from self._encode(None)
            self._resampler = None
