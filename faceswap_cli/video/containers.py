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
from faceswap_cli.video.alpha import PREFERRED, keeps_alpha
from faceswap_cli.video.animate import ANIMATIONS, EXACT, JOINED
from faceswap_cli.video.deinterlace import as_read
from faceswap_cli.video.encoders import encoder_formats, encoding_for, usual_priority
from faceswap_cli.video.formats import format_depth, is_rgb

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
    ".gif": "gif",
    ".webp": "webp",
    ".png": "apng",
    ".apng": "apng",
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

    That of the input for animations, and for MP4, QuickTime, Matroska and WebM that can hold the new video
    or, by another codec, its transparency; otherwise ``.mp4``, or ``.mkv`` when the sound or the subtitles do
    not fit MP4.
    """
    suffix = clip.path.suffix.lower()
    if clip.container in ANIMATIONS and FORMATS.get(suffix) == clip.container:
        return suffix
    chosen = encode or EncodeOptions()
    encoder = encoding_for(clip, chosen).encoder
    if suffix in _KEPT:
        transparent = clip.transparent and keeps_alpha(
            FORMATS[suffix], encoding_for(clip, suited(clip, clip.path, chosen)).encoder
        )
        if transparent or holds(FORMATS[suffix], encoder):
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
    if muxer in ANIMATIONS:
        if encode.codec not in (None, JOINED) or encode.hw:
            raise UsageError(f"{output.name}: {output.suffix} has one codec; leave out --codec and --hw")
        return replace(encode, codec=JOINED)
    if encode.codec is not None or encode.hw:
        return encode
    usual = encoding_for(clip, encode).encoder
    if clip.transparent and muxer in PREFERRED and not keeps_alpha(muxer, usual) and not encode.lossless:
        return replace(encode, codec=PREFERRED[muxer])
    if holds(muxer, usual):
        return encode
    for encoder in ("libx264", "libx265", "libvpx-vp9", "libsvtav1"):
        other = replace(encode, codec=encoder)
        if holds(muxer, encoder) and clip.work_format in encoder_formats(encoder):
            return other
    return encode


def prepare_for(clip: Clip, output: Path, encode: EncodeOptions) -> tuple[Clip, EncodeOptions]:
    """How ``clip`` is read and encoded for ``output``: with a codec that fits, fields and alpha as wanted."""
    encode = suited(clip, output, encode)
    muxer = container_format(output)
    kept = clip.transparent and keeps_alpha(muxer, encoding_for(clip, encode).encoder)
    clip = replace(as_read(clip, encode), alpha=kept)
    if muxer in ANIMATIONS and is_rgb(clip.pixel_format):
        clip = replace(clip, work_format=EXACT, bit_depth=format_depth(EXACT))
    return clip, encode


def check_output(clip: Clip, output: Path, encode: EncodeOptions) -> list[str]:
    """Before any work: the container must hold the video.  Returns notes on how it is written."""
    clip, encode = prepare_for(clip, output, encode)
    encoding = encoding_for(clip, encode)
    muxer = container_format(output)
    if muxer not in ANIMATIONS and not holds(muxer, encoding.encoder):
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
            with usual_priority():
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
