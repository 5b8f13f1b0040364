"""What a video file is, found by opening it and decoding its first frame."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
from av.sidedata.sidedata import Type as SideType

from faceswap_cli.errors import InputError
from faceswap_cli.limits import WIDEST_PIXEL, clip_pixels, size_problem
from faceswap_cli.records import Clip, ColorTags, StreamInfo
from faceswap_cli.video.animated import describe_webp, frame_durations, playable_format
from faceswap_cli.video.clock import find_restarts, may_restart
from faceswap_cli.video.deinterlace import field_order
from faceswap_cli.video.formats import format_depth, has_alpha, is_gray, is_rgb, work_format
from faceswap_cli.video.opening import CONVERT, exact, open_input
from faceswap_cli.video.picture import animation_frames, read_picture

_SMALL = 2_000_000
_PICTURE_FORMATS = ("image2", "png_pipe", "jpeg_pipe", "webp_pipe", "tiff_pipe", "bmp_pipe", "jpegxl_pipe")


def main_video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The stream that is swapped: the library's best one that is not a cover picture."""
    moving = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if moving:
        best = container.streams.best("video")
        return next((s for s in moving if best is not None and s.index == best.index), moving[0])
    if container.streams.audio:
        raise InputError(f"{path} holds sound but no moving picture; name a video file")
    raise InputError(f"{path} holds no video stream; {CONVERT}")


def probe(path: Path, max_pixels: int = 0) -> Clip:
    """Open ``path`` and decode its first frame; headers alone are not believed.

    Frames of more than ``max_pixels`` are refused (0: the usual limit of :mod:`faceswap_cli.limits`).
    """
    path, limit = Path(path), clip_pixels(max_pixels)
    with open_input(path, max_pixels) as container:
        if container.format.name == "webp_pipe" and animation_frames(path) > 1:
            return replace(describe_webp(path, max_pixels), max_pixels=limit)
        if container.format.name in _PICTURE_FORMATS:
            read_picture(path, max_pixels)  # a damaged animation is not taken for a still picture
            raise InputError(f"{path} is a picture, not a video; use the image command for it")
        stream = main_video_stream(container, path)
        if stream.codec_context is None:
            raise InputError(f"{path} has a codec that is not known here, or is damaged; {CONVERT}")
        _check_size(path, stream.codec_context.width, stream.codec_context.height, limit)
        picture = _first_picture(container, stream, path, limit)
        clip = replace(_describe(path, container, stream, picture), max_pixels=limit)
    _check_size(path, *clip.display_size, limit)
    return clip


def _check_size(path: Path, width: int, height: int, limit: int) -> None:
    if problem := size_problem(width, height, limit):
        raise InputError(f"{path} {problem}")


def _first_picture(
    container: av.container.InputContainer, stream: av.VideoStream, path: Path, limit: int
) -> av.VideoFrame:
    try:
        for packet in container.demux(stream):
            try:
                pictures = packet.decode()
            except (av.error.InvalidDataError, av.error.EOFError):
                continue
            for picture in pictures:
                if picture.width > 0 and picture.height > 0:
                    return picture
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, av.error.ArgumentError) and not stream.codec_context.width:
            raise InputError(
                f"{path} cannot be decoded: it is damaged, or its frames have more than the {limit:,} pixels "
                "allowed; raise the limit with --max-pixels if memory allows"
            ) from error
        raise InputError(f"{path} cannot be decoded ({error}); {CONVERT}") from error
    raise InputError(
        f"{path} holds no frame that can be decoded (cut off or damaged); copy it again, or {CONVERT}"
    )


def _describe(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream, picture: av.VideoFrame
) -> Clip:
    context = stream.codec_context
    time_base = exact(stream.time_base) or Fraction(1, 1000)
    # The guess takes fields for frames where there is but one picture.
    rates = (stream.average_rate, context.framerate, stream.guessed_rate)
    rate = next((rate for rate in map(exact, rates) if rate), Fraction(25))
    restarts, length = find_restarts(path, stream.index) if may_restart(container.format.name) else ((), 0)
    seconds, counted = _duration(container, stream, time_base), stream.frames
    if container.format.name == "apng":  # it says neither
        durations = frame_durations(path)
        counted, seconds = len(durations), sum(durations) / 1000
    seconds = float(length * time_base) if restarts else seconds
    start = stream.start_time if stream.start_time is not None else picture.pts or 0
    stored = picture.format.name
    is_animation = container.format.name in ("gif", "apng")
    work = playable_format(stored, picture.width, picture.height) if is_animation else work_format(stored)
    mastering, light = _hdr(picture)
    rotation, mirrored = _turn(picture)
    aspect = _aspect(exact(stream.sample_aspect_ratio) or exact(context.sample_aspect_ratio), path)
    return Clip(
        path=path,
        container=container.format.name,
        codec=context.codec.canonical_name,
        width=picture.width,
        height=picture.height,
        pixel_format=stored,
        work_format=work,
        bit_depth=format_depth(work),
        time_base=time_base,
        start_pts=start,
        average_rate=rate,
        frames=_frame_count(counted, seconds * rate, path),
        duration_s=seconds,
        rotation=rotation,
        mirrored=mirrored,
        sample_aspect=aspect,
        restarts=restarts,
        interlaced=(order := field_order(picture, stream)),
        deinterlace=bool(order),
        color=_color(picture, context),
        streams=tuple(_stream_info(s) for s in container.streams),
        video_stream=stream.index,
        bit_rate=stream.bit_rate or container.bit_rate or 0,
        metadata=dict(container.metadata),
        profile=stream.profile or "",
        mastering_display=mastering,
        light_level=light,
        codec_header=bytes(context.extradata or b""),
        notes=_notes(picture, work, is_animation=is_animation),
        transparent=_is_transparent(picture, stream),
    )


def _aspect(found: Fraction | None, path: Path) -> Fraction:
    """Shape of a pixel, width by height; what no camera makes is refused."""
    if found is None or found <= 0:
        return Fraction(1)
    if not 1 / WIDEST_PIXEL <= found <= WIDEST_PIXEL:
        raise InputError(
            f"{path} claims pixels of the shape {found.numerator}:{found.denominator}, which is damage; "
            "copy it again, or set the sample aspect ratio again (remux)"
        )
    return found


def _frame_count(told: int, reckoned: Fraction | float, path: Path) -> int:
    """As the container says, else estimated; never more than the file has bytes, whatever is claimed."""
    claimed = told if told > 0 else min(round(reckoned), 1 << 62)
    return max(min(claimed, path.stat().st_size), 1)


def _duration(container: av.container.InputContainer, stream: av.VideoStream, time_base: Fraction) -> float:
    if stream.duration:
        return max(float(stream.duration * time_base), 0.0)
    return max(container.duration / av.time_base, 0.0) if container.duration else 0.0


def _notes(picture: av.VideoFrame, work: str, *, is_animation: bool) -> tuple[str, ...]:
    notes = []
    stored = picture.format.name
    if has_alpha(stored) or is_animation:
        return ()
    deepest = max(component.bits for component in picture.format.components)
    other_chroma = stored.startswith(("yuv411", "yuv410", "yuv440"))
    if other_chroma or is_rgb(stored) or deepest > format_depth(work):
        notes.append(f"pixel format {stored} is read and written as {work}")
    return tuple(notes)


def _is_transparent(picture: av.VideoFrame, stream: av.VideoStream) -> bool:
    """VP8 and VP9 keep transparency beside the pictures, where the usual decoder does not look."""
    if has_alpha(picture.format.name):
        return not _is_opaque(picture)
    return any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())


def _is_opaque(picture: av.VideoFrame) -> bool:
    """Whether a picture with transparency has none; looked at where that is cheap."""
    if not is_rgb(picture.format.name) or picture.width * picture.height > _SMALL:
        return False
    return bool((picture.to_ndarray(format="rgba")[..., 3] == 255).all())


def _color(picture: av.VideoFrame, context: av.VideoCodecContext) -> ColorTags:
    """Tags of the picture; an unnamed matrix is BT.709 from 720 lines on and BT.601 below."""
    matrix = int(picture.colorspace or 0)
    if matrix in (0, 2, 3, 8):
        matrix = int(context.colorspace or 0)
    named = matrix not in (0, 2, 3, 8)
    stored = picture.format.name
    span = int(picture.color_range or context.color_range or 0)
    full = span == 2 or stored.startswith("yuvj") or (span == 0 and is_gray(stored))
    if is_rgb(stored):
        named, full = False, False
    if not named:
        matrix = 1 if picture.height >= 720 else 6
    primaries, transfer = int(context.color_primaries or 2), int(context.color_trc or 2)
    return ColorTags(matrix, full, primaries, transfer, tagged=named)


def _turn(picture: av.VideoFrame) -> tuple[int, bool]:
    """Degrees counter-clockwise, and whether the turned picture is mirrored: from the display matrix."""
    raw = side_data(picture).get(SideType.DISPLAYMATRIX, b"")
    if len(raw) < 36:
        return 0, False
    a, b, _, c, d = struct.unpack("=5i", raw[:20])
    mirrored = a * d - b * c < 0
    # As av_display_rotation_get does, which does not see the mirror.
    angle = -math.degrees(math.atan2(b, -a if mirrored else a))
    return round(angle / 90) * 90 % 360, mirrored


def _stream_info(stream: Any) -> StreamInfo:
    context: Any = getattr(stream, "codec_context", None)
    codec = detail = ""
    if context is not None:
        codec = context.codec.canonical_name
        if stream.type == "video":
            detail = f"{context.width}x{context.height}"
        elif stream.type == "audio":
            detail = f"{context.sample_rate} Hz, {context.layout.name}"
    elif stream.type == "attachment":
        detail = stream.metadata.get("filename", "")
    return StreamInfo(stream.index, stream.type or "data", codec, stream.metadata.get("language", ""), detail)


def side_data(picture: av.VideoFrame) -> dict[Any, bytes]:
    """Side data of a picture by type; iterating gives objects up to library 18 and keys from 19."""
    held: Any = picture.side_data
    found = {}
    for kind in (SideType.MASTERING_DISPLAY_METADATA, SideType.CONTENT_LIGHT_LEVEL, SideType.DISPLAYMATRIX):
        try:
            found[kind] = bytes(held[kind])
        except KeyError:
            continue
    return found


def _hdr(picture: av.VideoFrame) -> tuple[str, str]:
    """Mastering display and light level as x265 writes them; empty when there are none."""
    found = side_data(picture)
    mastering = light = ""
    raw = found.get(SideType.MASTERING_DISPLAY_METADATA, b"")
    if len(raw) >= 88:
        numbers = struct.unpack("=20i", raw[:80])
        values = [n / d if d else 0.0 for n, d in zip(numbers[0::2], numbers[1::2], strict=True)]
        red, green, blue, white = ([round(v * 50000) for v in values[i : i + 2]] for i in (0, 2, 4, 6))
        low, high = round(values[8] * 10000), round(values[9] * 10000)
        points = "".join(
            f"{name}({x},{y})"
            for name, (x, y) in zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)
        )
        mastering = f"{points}L({high},{low})"
    raw = found.get(SideType.CONTENT_LIGHT_LEVEL, b"")
    if len(raw) >= 8:
        light = "{},{}".format(*struct.unpack("=2I", raw[:8]))
    return mastering, light
