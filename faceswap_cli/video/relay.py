"""Matroska files with sound that has no Matroska name: stored under its RIFF number (``A_MS/ACM``).

That is Windows Media Audio above all.  PyAV asks FFmpeg whether the Matroska muxer lists a codec and refuses
to create a stream that it does not list, though the muxer writes it.  FFmpeg's ``fifo`` muxer, which passes
packets on to another muxer, lists nothing and is never refused.
"""

from __future__ import annotations

import io
import os
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import av
import av.container

from faceswap_cli.video.opening import open_input

MATROSKA = "matroska"
RELAY = "fifo"
_OPTIONS = {"fifo_format": MATROSKA}
_SAMPLE = 8
"""Packets by which a stream is tried."""


def muxer_of(target: av.container.OutputContainer) -> str:
    """The muxer that writes ``target``, whatever hands the packets on."""
    name = target.format.name
    return MATROSKA if name == RELAY else name


def relayed(source: av.container.InputContainer, muxer: str) -> tuple[str, dict[str, str]]:
    """The format to open an output of ``muxer`` with, and its options.

    The relay does not hand on chapters: where there are some, they are kept, and the sound is encoded again.
    """
    direct: tuple[str, dict[str, str]] = muxer, {}
    if muxer != MATROSKA or source.chapters():
        return direct
    unlisted = [stream for stream in source.streams.audio if not _is_listed(stream)]
    return (RELAY, dict(_OPTIONS)) if any(map(survives, unlisted)) else direct


def _is_listed(stream: Any) -> bool:
    with av.open(io.BytesIO(), "w", format=MATROSKA) as matroska:
        return stream.codec_context is None or stream.codec_context.name in matroska.supported_codecs


def survives(stream: Any) -> bool:
    """Whether the first packets of ``stream`` come back from a Matroska file unchanged."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.mkv"
        try:
            written = _write_sample(stream, path)
            with av.open(os.fspath(path)) as again:
                (copy,) = again.streams.audio
                same = copy.codec_context.name == stream.codec_context.name
                return same and written == [bytes(p) for p in again.demux(copy) if p.size]
        except (av.error.FFmpegError, ValueError, OSError):
            return False


def _write_sample(stream: Any, path: Path) -> list[bytes]:
    written = []
    with (
        open_input(Path(stream.container.name)) as source,
        av.open(os.fspath(path), "w", format=RELAY, options=_OPTIONS) as target,
    ):
        original = source.streams[stream.index]
        copy: Any = target.add_stream_from_template(original, opaque=True)
        for packet in islice((p for p in source.demux(original) if p.size), _SAMPLE):
            written.append(bytes(packet))
            packet.stream = copy
            target.mux_one(packet)
    return written
