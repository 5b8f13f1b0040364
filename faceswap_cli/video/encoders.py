"""Which encoder, which pixel format and which settings follow from a clip and the options."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import DeviceError, UsageError
from faceswap_cli.hdr import PQ, is_hdr
from faceswap_cli.records import Clip
from faceswap_cli.video.avc import free_number
from faceswap_cli.video.formats import format_depth, format_step
from faceswap_cli.video.hardware import CHIPS, hardware_encoder, same_samples, settings

ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "prores": "prores_ks",
    "ffv1": "ffv1",
}
"""Codec of the input -> encoder of the output; every other codec becomes H.264."""

THREADS = 4
"""Encoder threads.  A fixed number: x264's result depends on it, and the result of a job must not
depend on the machine or on the number of workers."""

_HDR_CHROMA_QP = (-6, -9)
"""Quantizer offsets of Cb and Cr for PQ and HLG, whose wide primaries and steep curve leave chroma small:
without them skin gets patches of color (ITU-T H-series Supplement 15).  They cost 4 % of the size."""
_PQ_FINER = 3
"""How much lower the default crf is for PQ, which spends 58 % of its codes on what SDR can show.  With it,
faces lose as much as those of SDR and HLG do at the usual crf."""

_HARDWARE = (*(f"_{chip}" for chip in CHIPS), "_vaapi", "_mf", "_d3d12va", "vulkan")
LIMITED_ONLY = ("prores_ks",)
"""Encoders of codecs that cannot say that samples are of full range."""
_EVEN_ONLY = ("libx264", "libx265")
_PRORES = {"Proxy": "proxy", "LT": "lt", "Standard": "standard", "HQ": "hq", "4444": "4444", "XQ": "4444xq"}


@dataclass(frozen=True)
class Encoding:
    """The settings of one output stream; equal for all segments of a job."""

    encoder: str
    pixel_format: str
    container: str
    """Format of a segment file: one with an exact clock."""
    options: dict[str, str]
    notes: tuple[str, ...] = ()
    narrowed: bool = False
    """Full-range samples are written in limited range, the only one that the codec has"""


def encoding_for(clip: Clip, encode: EncodeOptions) -> Encoding:
    """Choose encoder, pixel format and settings."""
    if encode.hw:
        return _on_a_chip(clip, encode)
    encoder, notes = _encoder(clip, encode)
    offered = encoder_formats(encoder)
    if clip.alpha:
        offered = ("yuv420p",) if encoder == "libvpx-vp9" else _opaque_names(offered)
    chosen = clip.work_format if clip.work_format in offered else _nearest(clip.work_format, offered)
    if chosen != clip.work_format:
        notes = (*notes, f"{encoder} cannot hold {clip.work_format}: written as {chosen}")
    container = "mov" if encoder.startswith("prores") else "mp4"
    if clip.alpha:
        chosen = chosen.replace("yuv", "yuva")
        container = "matroska" if encoder == "libvpx-vp9" else container  # MP4 drops the alpha packets
    narrowed = clip.color.full_range and encoder in LIMITED_ONLY
    return Encoding(encoder, chosen, container, _settings(encoder, clip, encode), notes, narrowed)


def _on_a_chip(clip: Clip, encode: EncodeOptions) -> Encoding:
    encoder = hardware_encoder(clip, encode)
    chosen = same_samples(encoder, clip.work_format)
    assert chosen is not None  # else it would not have been chosen
    return Encoding(encoder, chosen, "mp4", settings(encoder, encode))


@lru_cache(maxsize=32)
def encoder_formats(encoder: str) -> tuple[str, ...]:
    """Pixel formats an encoder takes; a name the library does not know is a usage error."""
    try:
        codec = av.Codec(encoder, "w")
    except (av.error.FFmpegError, ValueError) as error:
        known = ", ".join(sorted(set(ENCODERS.values())))
        raise UsageError(f"encoder {encoder!r} is not in this video library; try one of {known}") from error
    if codec.type != "video":
        raise UsageError(f"{encoder!r} does not encode video; try libx264")
    return tuple(form.name for form in codec.video_formats or ())


def _encoder(clip: Clip, encode: EncodeOptions) -> tuple[str, tuple[str, ...]]:
    work = clip.work_format
    if encode.codec is not None:
        named = ENCODERS.get(encode.codec, encode.codec)
        if _refuses_size(named, clip):
            raise UsageError(
                f"{named} cannot hold the odd size {clip.width}x{clip.height} in {work}; "
                "try --codec libvpx-vp9"
            )
        return named, ()
    wanted = ENCODERS.get(clip.codec, "libx264")
    if encode.lossless and wanted in ("prores_ks", "libsvtav1"):
        wanted = "libx264"
    if _refuses_size(wanted, clip):
        return "libvpx-vp9", (f"odd size {clip.width}x{clip.height}: written as VP9, which keeps it exactly",)
    if work not in encoder_formats(wanted) and wanted != "prores_ks":  # editors want ProRes, even at 10 bits
        for other in ("libx264", "libx265"):
            if work in encoder_formats(other) and not _refuses_size(other, clip):
                return other, (f"{wanted} cannot hold {work}: written with {other}",)
    return wanted, ()


def _refuses_size(encoder: str, clip: Clip) -> bool:
    down, across = format_step(clip.work_format)
    return encoder in _EVEN_ONLY and bool(clip.width % across or clip.height % down)


def _opaque_names(offered: tuple[str, ...]) -> tuple[str, ...]:
    """The formats that are offered with an alpha channel, named without it."""
    return tuple(name.replace("yuva", "yuv") for name in offered if name.startswith("yuva"))


def _nearest(work: str, offered: tuple[str, ...]) -> str:
    """The offered planar format that loses least: as deep and as finely sampled as possible."""

    def loss(name: str) -> tuple[int, ...]:
        down, across = format_step(name)
        wanted_down, wanted_across = format_step(work)
        missing = max(down - wanted_down, 0) + max(across - wanted_across, 0)
        return missing, max(format_depth(work) - format_depth(name), 0), 4 - down - across, format_depth(name)

    planar = [f for f in offered if f in _PLANAR]
    return min(planar, key=loss) if planar else (offered[0] if offered else work)


_PLANAR = frozenset(f"yuv{c}p{d}" for c in ("420", "422", "444") for d in ("", "10le", "12le"))


def _settings(encoder: str, clip: Clip, encode: EncodeOptions) -> dict[str, str]:
    makers = {
        "libx264": _x264,
        "libx265": _x265,
        "libvpx-vp9": _vp9,
        "libsvtav1": _svtav1,
        "prores_ks": _prores,
        "ffv1": _ffv1,
    }
    if encoder in makers:
        return makers[encoder](clip, encode)
    if encoder.rpartition("_")[2] in CHIPS:
        return settings(encoder, encode)
    options = {} if encode.preset is None else {"preset": encode.preset}
    return options if encode.crf is None else {**options, "crf": f"{encode.crf:g}"}


def _crf(clip: Clip, encode: EncodeOptions, default: float) -> str:
    default -= _PQ_FINER if clip.color.transfer == PQ else 0
    return f"{default if encode.crf is None else encode.crf:g}"


def _x264(clip: Clip, encode: EncodeOptions) -> dict[str, str]:
    # Without mbtree: with it the same frames gave different bytes from one encoding to the next (its
    # vector code, at widths that are no multiple of 256).  It costs about a tenth of the size.
    params = "mbtree=0"
    if number := free_number(clip.codec_header):
        params += f":sps-id={number}"  # so that packets of the input can stand beside ours
    options = {"preset": encode.preset or "medium", "x264-params": params}
    if clip.interlaced and not clip.deinterlace:
        options["flags"] = "+ildct+ilme"
        options["x264-params"] += f":{clip.interlaced}=1"
        if encode.lossless:
            options["x264-params"] += ":keyint=1"  # predicted fields come back a code off
    return {**options, **({"qp": "0"} if encode.lossless else {"crf": _crf(clip, encode, 19)})}


def _x265(clip: Clip, encode: EncodeOptions) -> dict[str, str]:
    # info=0: no message with build and thread numbers in the headers, which must be equal in all segments.
    params = ["log-level=error", "info=0", f"pools={THREADS}", "frame-threads=2"]
    if encode.lossless:
        params.append("lossless=1")
    if clip.mastering_display:
        params += [f"master-display={clip.mastering_display}", "hdr10=1"]
    if is_hdr(clip.color):
        params += [f"cbqpoffs={_HDR_CHROMA_QP[0]}", f"crqpoffs={_HDR_CHROMA_QP[1]}"]
    if clip.light_level:
        params.append(f"max-cll={clip.light_level}")
    options = {"preset": encode.preset or "fast", "x265-params": ":".join(params)}
    return options if encode.lossless else {**options, "crf": _crf(clip, encode, 19)}


def _vp9(clip: Clip, encode: EncodeOptions) -> dict[str, str]:
    options = {"deadline": "good", "cpu-used": encode.preset or "4", "row-mt": "1", "b": "0"}
    return {**options, **({"lossless": "1"} if encode.lossless else {"crf": _crf(clip, encode, 22)})}


def _svtav1(clip: Clip, encode: EncodeOptions) -> dict[str, str]:
    return {"preset": encode.preset or "8", "crf": _crf(clip, encode, 24), "svtav1-params": f"lp={THREADS}"}


def _prores(clip: Clip, encode: EncodeOptions) -> dict[str, str]:
    default = "4444" if "444" in clip.work_format or clip.alpha else "hq"
    named = clip.profile if clip.codec == "prores" else ""
    profile = next((name for key, name in _PRORES.items() if key in named), default)
    return {"profile": encode.preset or profile, "vendor": "apl0"}


def _ffv1(clip: Clip, encode: EncodeOptions) -> dict[str, str]:
    return {"level": "3", "slicecrc": "1", "g": "1"}


@contextmanager
def usual_priority() -> Iterator[None]:
    """Undo what SVT-AV1 does to a process of root where it opens: its threads become real-time ones.

    Those starve the machine, and thread pools that wait in a loop (libvpx, onnxruntime) would wait forever.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            for thread in Path("/proc/self/task").iterdir():
                with suppress(OSError):
                    os.sched_setscheduler(int(thread.name), policy, priority)


def cannot_open(encoder: str, error: Exception) -> Exception:
    """The error for an encoder that is listed but does not open on this machine."""
    reason = getattr(error, "strerror", None) or str(error)
    if any(mark in encoder for mark in _HARDWARE):
        return DeviceError(
            f"encoder {encoder} cannot be opened on this machine ({reason}); "
            "try --codec libx264, or see doctor"
        )
    return UsageError(
        f"encoder {encoder} refuses these settings ({reason}); try another --preset, --crf or --codec"
    )
