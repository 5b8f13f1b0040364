"""Encoders of graphics chips, for ``--hw``: which there are, which work here, and their settings.

A chip encodes several times as fast as x264, into larger files of the same quality; its bytes depend on the
chip and the driver.  That a library lists an encoder says nothing: whether it works is found out by encoding.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

import av

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import DeviceError, UsageError
from faceswap_cli.records import Clip
from faceswap_cli.video.formats import format_depth

CHIPS = ("videotoolbox", "nvenc", "qsv", "amf")
"""Apple, NVIDIA, Intel, AMD: in this order they are tried."""
_ENCODERS: dict[str, tuple[str, ...]] = {
    "h264": tuple(f"h264_{chip}" for chip in CHIPS),
    "hevc": tuple(f"hevc_{chip}" for chip in CHIPS),
    "av1": tuple(f"av1_{chip}" for chip in CHIPS[1:]),
}
_FAMILIES = {
    **dict.fromkeys(("h264", "libx264"), "h264"),
    **dict.fromkeys(("hevc", "libx265"), "hevc"),
    **dict.fromkeys(("av1", "libsvtav1"), "av1"),
}
"""``--codec``, or the codec of the input -> family"""
_SAME_SAMPLES = {
    "yuv420p": ("yuv420p", "nv12"),
    "yuv422p": ("yuv422p", "nv16"),
    "yuv444p": ("yuv444p",),
    "yuv420p10le": ("yuv420p10le", "p010le"),
    "yuv422p10le": ("yuv422p10le", "p210le"),
}
"""Work format -> formats that hold the same samples, planar or with chroma interleaved"""
_TRIAL = (320, 192)
"""Size of the trial picture: chips refuse very small ones."""


def hardware_encoder(clip: Clip, encode: EncodeOptions) -> str:
    """The first encoder of a chip that works on this machine for this clip.

    :class:`UsageError` for settings that no chip has, :class:`DeviceError` when none works.
    """
    family = _family(clip, encode)
    reasons = []
    for name in _ENCODERS[family]:
        reason = trouble(name, same_samples(name, clip.work_format) or "")
        if not reason:
            return name
        reasons.append(f"{name}: {reason}")
    raise DeviceError(f"no chip of this machine encodes {family} ({'; '.join(reasons)}); leave out --hw")


def working(family: str) -> str | None:
    """The first encoder of ``family`` (h264, hevc, av1) that works on this machine for 8-bit 4:2:0."""
    names = (name for name in _ENCODERS[family] if not trouble(name, same_samples(name, "yuv420p") or ""))
    return next(names, None)


def _family(clip: Clip, encode: EncodeOptions) -> str:
    if encode.codec is not None:
        if encode.codec not in _FAMILIES:
            raise UsageError(f"--hw encodes h264, hevc or av1, not {encode.codec}; leave out one of them")
        return _FAMILIES[encode.codec]
    family = _FAMILIES.get(clip.codec, "h264")
    # Few chips write H.264 of ten bits, and fewer players show it.
    return "hevc" if family == "h264" and format_depth(clip.work_format) > 8 else family


@lru_cache(maxsize=32)
def same_samples(encoder: str, work_format: str) -> str | None:
    """The pixel format in which ``encoder`` holds ``work_format`` without loss; None when there is none."""
    try:
        offered = {form.name for form in av.Codec(encoder, "w").video_formats or ()}
    except (av.error.FFmpegError, ValueError):
        return None
    return next((name for name in _SAME_SAMPLES.get(work_format, ()) if name in offered), None)


@lru_cache(maxsize=32)
def trouble(encoder: str, pixel_format: str) -> str:
    """Why ``encoder`` does not work on this machine; empty when it does: it has encoded a few pictures."""
    try:
        codec = av.Codec(encoder, "w")
    except (av.error.FFmpegError, ValueError):
        return "not in this video library"
    if not pixel_format:
        return "no pixel format for this clip"
    try:
        _encode_a_little(codec, pixel_format)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        return _one_reason(error)
    return ""


def _encode_a_little(codec: av.Codec, pixel_format: str) -> None:
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = _TRIAL
    context.pix_fmt, context.time_base = pixel_format, Fraction(1, 25)
    context.options = settings(codec.name, EncodeOptions())
    picture = av.VideoFrame(*_TRIAL, pixel_format)
    packets = []
    for k in range(3):
        picture.pts = k
        packets += context.encode(picture)
    if not packets + context.encode(None):
        raise ValueError("it gives no packets")


def _one_reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return "no such chip, or no driver" if "nknown error" in text or "permitted" in text else text.lower()


def settings(encoder: str, encode: EncodeOptions) -> dict[str, str]:
    """Constant quality at about that of x264 with the same crf."""
    quality = 19.0 if encode.crf is None else encode.crf
    own = _SETTINGS[encoder.rpartition("_")[2]](quality, encoder)
    return own if encode.preset is None else {**own, "preset": encode.preset}


def _videotoolbox(quality: float, _: str) -> dict[str, str]:
    share = min(max(100 - 1.9 * quality, 1.0), 100.0)  # 1 to 100, more is better; times FF_QP2LAMBDA
    return {"flags": "+qscale", "global_quality": f"{118 * share:.0f}"}


def _nvenc(quality: float, _: str) -> dict[str, str]:
    return {"preset": "p5", "tune": "hq", "rc": "vbr", "cq": f"{min(quality, 51):g}", "b": "0"}


def _qsv(quality: float, _: str) -> dict[str, str]:
    return {"preset": "medium", "global_quality": f"{min(max(quality, 1), 51):.0f}"}


def _amf(quality: float, encoder: str) -> dict[str, str]:
    steps = 4 if encoder.startswith("av1") else 1  # AV1 counts to 255
    level = f"{steps * min(quality, 51):.0f}"
    return {"preset": "quality", "rc": "cqp", "qp_i": level, "qp_p": level}


_SETTINGS: dict[str, Callable[[float, str], dict[str, str]]] = {
    "videotoolbox": _videotoolbox,
    "nvenc": _nvenc,
    "qsv": _qsv,
    "amf": _amf,
}
