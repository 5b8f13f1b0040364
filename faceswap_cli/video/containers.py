"""Which container an output name means, what it can hold, and how it is written."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from math import lcm
from pathlib import Path

import av

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import UsageError
from faceswap_cli.records import Clip
from faceswap_cli.video.encoders import encoder_formats, encoding_for

FORMATS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
    ".mts": "mpegts",
    ".m2ts": "mpegts",
    ".nut": "nut",
}
_KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
_MP4_SAFE_AUDIO = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac", "dts", "mp3float"})
_MP4_SAFE_SUBTITLES = frozenset({"mov_text", "dvd_subtitle", "webvtt"})


def container_format(output: Path) -> str:
    """The library's name of the container that the extension means."""
    suffix = output.suffix.lower()
    if suffix not in FORMATS:
        named = f"unknown video extension {suffix!r}" if suffix else "no extension"
        raise UsageError(f"{output.name}: {named}; use one of {' '.join(sorted(FORMATS))}")
    return FORMATS[suffix]


def output_extension(clip: Clip, encode: EncodeOptions | None = None) -> str:
    """The extension of a default output name.

    That of the input for MP4, QuickTime, Matroska and WebM when it can hold the new video;
    otherwise ``.mp4``, or ``.mkv`` when the sound or the subtitles do not fit MP4.
    """
    encoder = encoding_for(clip, encode or EncodeOptions()).encoder
    suffix = clip.path.suffix.lower()
    if suffix in _KEPT and holds(FORMATS[suffix], encoder):
        return suffix
    fits = all(
        (s.kind != "audio" or s.codec in _MP4_SAFE_AUDIO)
        and (s.kind != "subtitle" or s.codec in _MP4_SAFE_SUBTITLES)
        and s.kind != "attachment"
        for s in clip.streams
    )
    return ".mp4" if fits and holds("mp4", encoder) else ".mkv"


def suited(clip: Clip, output: Path, encode: EncodeOptions) -> EncodeOptions:
    """``encode`` with a codec that the container of ``output`` holds, unless the user has named one."""
    muxer = container_format(output)
    if encode.codec is not None or encode.hw or holds(muxer, encoding_for(clip, encode).encoder):
        return encode
    for encoder in ("libx264", "libx265", "libvpx-vp9"):
        other = replace(encode, codec=encoder)
        if holds(muxer, encoder) and clip.work_format in encoder_formats(encoder):
            return other
    return encode


def check_output(clip: Clip, output: Path, encode: EncodeOptions) -> list[str]:
    """Before any work: the container must hold the video.  Returns notes on how it is written."""
    encode = suited(clip, output, encode)
    encoding = encoding_for(clip, encode)
    if not holds(container_format(output), encoding.encoder):
        better = output_extension(clip, encode)
        raise UsageError(
            f"{output.suffix} cannot hold video of {encoding.encoder}; try {output.stem}{better}"
        )
    return [*clip.notes, *encoding.notes]


@lru_cache(maxsize=64)
def holds(muxer: str, encoder: str) -> bool:
    """Whether a container takes the video of an encoder: found by writing a header to memory."""
    try:
        codec = av.Codec(encoder, "w")
        with av.open(io.BytesIO(), "w", format=muxer) as container:
            quiet = {"x265-params": "log-level=none"} if encoder == "libx265" else {}
            stream = container.add_stream(encoder, rate=25, options=quiet)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = 64, 64
            formats = [form.name for form in codec.video_formats or ()]
            stream.pix_fmt = formats[0] if formats else "yuv420p"
            container.start_encoding()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True


def muxer_options(muxer: str, clip: Clip, clocks: Iterable[Fraction]) -> dict[str, str]:
    """Options that keep exact times and arbitrary metadata keys."""
    if muxer not in ("mp4", "mov"):
        return {}
    # The movie clock stores late starts: a common multiple of all stream clocks keeps them exact.
    common = lcm(clip.time_base.denominator, *(clock.denominator for clock in clocks))
    return {
        "movflags": "+use_metadata_tags+faststart",
        "movie_timescale": str(common if common < 1 << 30 else clip.time_base.denominator),
        "video_track_timescale": str(clip.time_base.denominator),
    }


def part_path(output: Path) -> Path:
    """The hidden file beside ``output`` that becomes it when complete."""
    return output.with_name(f".{output.stem}.part{output.suffix}")
