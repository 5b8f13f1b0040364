"""What each container keeps of a clip, by codec: the one table behind messages, ``doctor`` and the docs.

Every entry is checked by a test that writes and reads one.
"""

from __future__ import annotations

from dataclasses import dataclass

from faceswap_cli.records import Clip
from faceswap_cli.video.alpha import keeps_alpha

CODECS = {
    "libx264": ("H.264", "8, 10"),
    "libx265": ("HEVC", "8, 10, 12"),
    "libsvtav1": ("AV1", "8, 10"),
    "libvpx-vp9": ("VP9", "8"),
    "prores_ks": ("ProRes", "10"),
    "ffv1": ("FFV1", "8, 10, 12"),
}
"""Encoder -> name of the codec, and bits per sample that are written."""
HDR_DATA = ("libx265",)
"""Encoders that write mastering display and light level."""
_COPIED = "copied, else AAC"


@dataclass(frozen=True, slots=True)
class Container:
    """One container and what it holds besides the pictures."""

    name: str
    endings: tuple[str, ...]
    muxer: str
    encoders: tuple[str, ...]
    """Those whose video it takes; empty for animations, which have one codec of their own"""
    sound: str = ""
    subtitles: str = ""
    chapters: bool = True
    attachments: bool = False
    rotation: bool = True
    """As an entry; without one the pictures themselves are turned, or it is lost (NUT)"""
    time_code: str = ""
    tags: bool = True
    """Title, comment and other metadata"""
    alpha: bool | None = None
    """Of animations; for the others :func:`faceswap_cli.video.alpha.keeps_alpha` knows"""


_MP4 = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1")
CONTAINERS = (
    Container("MP4", (".mp4", ".m4v"), "mp4", _MP4, _COPIED, "mov_text", time_code="track"),
    Container(
        "QuickTime",
        (".mov",),
        "mov",
        ("libx264", "libx265", "prores_ks"),
        _COPIED,
        "mov_text",
        time_code="track",
    ),
    Container(
        "Matroska", (".mkv",), "matroska", tuple(CODECS), _COPIED, "copied", attachments=True, time_code="tag"
    ),
    Container(
        "WebM",
        (".webm",),
        "webm",
        ("libsvtav1", "libvpx-vp9"),
        "Opus, Vorbis copied, else Opus",
        "WebVTT",
        time_code="tag",
    ),
    Container("NUT", (".nut",), "nut", _MP4, _COPIED, rotation=False, time_code="tag"),
    Container("GIF", (".gif",), "gif", (), chapters=False, rotation=False, tags=False, alpha=True),
    Container("WebP", (".webp",), "webp", (), chapters=False, rotation=False, tags=False, alpha=True),
    Container("PNG", (".png", ".apng"), "apng", (), chapters=False, rotation=False, tags=False, alpha=True),
)
HEAD = (
    *("container", "endings", "codec", "bits", "transparency", "HDR data", "sound", "subtitles"),
    *("chapters", "attachments", "rotation", "time code", "tags"),
)


def container(muxer: str) -> Container | None:
    """The row of a container; None for one that is only read."""
    return next((row for row in CONTAINERS if row.muxer == muxer), None)


def keeps_aspect(muxer: str, encoder: str) -> bool:
    """Whether the shape of pixels is kept: MP4 and QuickTime store it, H.264 and HEVC name it themselves."""
    return muxer in ("mp4", "mov") or encoder.startswith(("libx264", "libx265", "h264_", "hevc_"))


def unshaped(muxer: str, encoder: str, clip: Clip) -> str:
    """The line for pixels that are not square, where neither container nor codec can say so."""
    shape, codec = clip.sample_aspect, CODECS.get(encoder, (encoder,))[0]
    ending = ".mov" if encoder == "prores_ks" else ".mp4"
    ratio = f"{shape.numerator}:{shape.denominator}"
    return f"the pixel shape {ratio} is not written for {codec} in {muxer}; {ending} keeps it"


def unturned(muxer: str, clip: Clip) -> str:
    """The line for a container that cannot say how the frame is turned."""
    turn = "mirroring" if clip.mirrored else f"rotation of {clip.rotation} degrees"
    return f"{muxer} cannot store the {turn}; use .mp4 or .mkv"


def rows() -> list[tuple[str, ...]]:
    """The table, a row for each container and codec, in the columns of ``HEAD``."""
    table = []
    for each in CONTAINERS:
        what = [each.sound or "no", each.subtitles or "no", _yes(each.chapters), _yes(each.attachments)]
        what += [_rotation(each), each.time_code or "no", _yes(each.tags)]
        endings = " ".join(each.endings)
        for encoder in each.encoders:
            codec, bits = CODECS[encoder]
            alpha, hdr = _yes(keeps_alpha(each.muxer, encoder)), _yes(encoder in HDR_DATA)
            table.append((each.name, endings, codec, bits, alpha, hdr, *what))
        if not each.encoders:
            table.append((each.name, endings, each.name, "8", _yes(bool(each.alpha)), "no", *what))
    return table


def _rotation(each: Container) -> str:
    return "yes" if each.rotation else "no" if each.encoders else "pictures are turned"


def _yes(held: bool) -> str:
    return "yes" if held else "no"
