"""Transparency: which outputs keep it, and the decoder that reads it.

Only some encoders take an alpha channel, and only some containers have a place for it: VP9 keeps it in
packets beside the pictures', which MP4 drops; the library's own VP9 decoder does not look at them.
"""

from __future__ import annotations

import av
from av.video.codeccontext import VideoCodecContext

from faceswap_cli.records import Clip

KEPT_IN = {
    "libvpx-vp9": ("webm", "matroska"),
    "prores_ks": ("mov", "matroska"),
    "ffv1": ("matroska", "nut", "gif", "webp", "apng"),
}
"""Encoder -> containers in which it keeps transparency.  Frames of animations are FFV1 until joined."""
PREFERRED = {"mov": "prores_ks", "webm": "libvpx-vp9", "matroska": "libvpx-vp9"}
"""Container -> encoder for a transparent clip whose usual encoder would drop the alpha channel."""
_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def keeps_alpha(muxer: str, encoder: str) -> bool:
    """Whether transparency survives in a container with the pictures of an encoder."""
    return muxer in KEPT_IN.get(encoder, ())


def lost_alpha(muxer: str, encoder: str) -> str:
    """Why an output is opaque and what would keep the alpha channel, for the end of a message."""
    if muxer in PREFERRED:
        return f"by {encoder}; --codec {PREFERRED[muxer]} keeps it"
    return f"in {muxer}; .webm and .mov keep it"


def alpha_decoder(stream: av.VideoStream, clip: Clip, threads: int = 0) -> VideoCodecContext | None:
    """The decoder that sees the alpha channel of VP8 and VP9; None when the usual one will do."""
    if not clip.alpha or clip.codec not in _DECODERS:
        return None
    decoder = av.CodecContext.create(_DECODERS[clip.codec], "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = threads
    if stream.codec_context.extradata:
        decoder.extradata = stream.codec_context.extradata
    return decoder
