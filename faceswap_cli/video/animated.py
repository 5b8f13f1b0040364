"""Animated pictures as clips: how often they play, and WebP, which the video library cannot decode."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from faceswap_cli.records import Clip, ColorTags, StreamInfo
from faceswap_cli.video.formats import format_depth, work_format
from faceswap_cli.video.picture import odd_damage, opened

WEBP = "webp"
"""``Clip.container`` and ``Clip.codec`` of an animated WebP file."""
_MS = Fraction(1, 1000)
_CAMERA_DATA = {"exif": "EXIF data", "icc_profile": "a color profile"}


def describe_webp(path: Path, max_pixels: int) -> Clip:
    """The clip that an animated WebP file is.  Every frame is decoded once: only then are its times known."""
    with opened(path, max_pixels) as image, odd_damage(path):
        first = _pixels(image)
    durations = frame_durations(path, max_pixels)
    height, width, channels = first.shape
    stored = "rgba" if channels == 4 else "rgb24"
    seconds = sum(durations) / 1000
    work = playable_format(stored, width, height)
    return Clip(
        path=path,
        container=WEBP,
        codec=WEBP,
        width=width,
        height=height,
        pixel_format=stored,
        work_format=work,
        bit_depth=format_depth(work),
        time_base=_MS,
        start_pts=0,
        average_rate=Fraction(len(durations) * 1000, sum(durations)),
        frames=len(durations),
        duration_s=seconds,
        rotation=0,
        sample_aspect=Fraction(1),
        color=ColorTags(matrix=1 if height >= 720 else 6),
        streams=(StreamInfo(0, "video", WEBP, detail=f"{width}x{height}"),),
        video_stream=0,
        transparent=channels == 4 and bool((first[..., 3] < 255).any()),
    )


def playable_format(stored: str, width: int, height: int) -> str:
    """The work format of an animation in a video file: plain 4:2:0, for every player, if it fits."""
    return "yuv420p" if width % 2 == 0 and height % 2 == 0 else work_format(stored)


def webp_pictures(clip: Clip) -> Generator[tuple[int, av.VideoFrame], None, None]:
    """(pts, picture) of an animated WebP file."""
    with opened(clip.path, clip.max_pixels) as image, odd_damage(clip.path):
        pts = 0
        for row in range(image.n_frames):
            duration = _duration(image, row)
            pixels = _pixels(image)
            picture = av.VideoFrame.from_ndarray(pixels, format="rgba" if pixels.shape[2] == 4 else "rgb24")
            picture.pts, picture.time_base = pts, _MS
            yield pts, picture
            pts += duration


def frame_durations(path: Path, max_pixels: int = 0) -> list[int]:
    """How long each frame of an animated picture is shown, in milliseconds."""
    with opened(path, max_pixels) as image, odd_damage(path):
        return [_duration(image, row) for row in range(image.n_frames)]


def plays(path: Path) -> int:
    """How often an animated picture is shown, 0 for ever; for ever too where ``path`` is anything else."""
    from faceswap_cli.errors import InputError

    try:
        with opened(path, 0) as image:
            repeats = int(image.info.get("loop", -1))
            if image.format == "GIF":
                # GIF files count repetitions, and say nothing when they are shown once.
                return {-1: 1, 0: 0}.get(repeats, repeats + 1)
            return max(repeats, 0)
    except InputError:
        return 0


def unkept_data(path: Path) -> list[str]:
    """What an animated picture holds besides its frames, in plain words: no output keeps it."""
    with opened(path, 0) as image:
        return [name for key, name in _CAMERA_DATA.items() if image.info.get(key)]


def _duration(image: Any, row: int) -> int:
    """Of frame ``row``, in milliseconds; the image is left at that frame."""
    image.seek(row)
    image.load()
    return max(round(float(image.info.get("duration", 0))), 1)


def _pixels(image: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(H, W, 3 or 4) of the current frame."""
    return np.array(image if image.mode in ("RGB", "RGBA") else image.convert("RGBA"))
