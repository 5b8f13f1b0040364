"""Opening media files: every way in which that fails is one line."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container

from faceswap_cli.errors import InputError
from faceswap_cli.limits import clip_pixels
from faceswap_cli.video.files import check_file

_LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Metadata in another encoding than UTF-8 must not make a file unreadable; fixed from library 19 on."""
_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 2**31 - 1
CONVERT = "try to play it, or convert it to MP4 first"


def open_input(path: Path, max_pixels: int = 0) -> av.container.InputContainer:
    """Open a media file; every way in which that fails is an :class:`InputError` of one line.

    No decoder of it takes frames of more than ``max_pixels`` (0: the usual limit).
    """
    check_file(path, "file")
    limit = {"max_pixels": str(min(clip_pixels(max_pixels), _MOST_PIXELS))}
    try:
        # An absolute name: "a:b.mp4" would be taken for a protocol.  Opening looks into frames already.
        name = os.path.abspath(path)
        container: av.container.InputContainer = av.open(
            name, "r", format=_hidden_format(path), options=limit, **_LENIENT
        )
        for stream in container.streams.video:
            if stream.codec_context is not None:  # it is for codecs that the library does not know
                stream.codec_context.options = limit
        return container
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, av.error.InvalidDataError):
            reason = "damaged, or of a kind that is not known"
        raise InputError(f"{path} cannot be read as a video ({reason}); {CONVERT}") from error


def _hidden_format(path: Path) -> str | None:
    """``apng`` for an animated PNG; None where the library identifies the format.

    It looks for the animation in the first two kilobytes only, and takes a file with a color profile or a
    signature before it for a still picture.
    """
    with suppress(OSError), path.open("rb") as handle:
        if handle.read(len(_PNG)) != _PNG:
            return None
        while len(head := handle.read(8)) == 8 and (kind := head[4:]) != b"IDAT":
            if kind == b"acTL":
                return "apng"
            handle.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    return None


def exact(ratio: Any) -> Fraction | None:
    """A ratio of the library as a Fraction; from library 19 on it has a type of its own."""
    return None if ratio is None else Fraction(ratio.numerator, ratio.denominator or 1)


def clock_of(timed: Any) -> Fraction:
    """The time base of a stream or a packet."""
    return exact(timed.time_base) or Fraction(1, 1000)
