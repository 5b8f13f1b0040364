"""What an output cannot keep of its input, found before any work: the same choices as in ``assemble``."""

from __future__ import annotations

import io
from pathlib import Path

import av

from faceswap_cli.config import EncodeOptions
from faceswap_cli.hdr import is_hdr
from faceswap_cli.records import Clip
from faceswap_cli.video.alpha import lost_alpha
from faceswap_cli.video.animate import ANIMATIONS, GIF_RATE
from faceswap_cli.video.animated import unkept_data
from faceswap_cli.video.carry import MUXER_OWN, lost_streams
from faceswap_cli.video.containers import container_format, prepare_for
from faceswap_cli.video.encoders import encoding_for
from faceswap_cli.video.kept import HDR_DATA, container, keeps_aspect, unshaped, unturned
from faceswap_cli.video.opening import open_input
from faceswap_cli.video.relay import relayed


def not_kept(clip: Clip, output: Path, encode: EncodeOptions) -> list[str]:
    """One line for each stream, tag or property of ``clip`` that ``output`` will lack or hold changed."""
    muxer = container_format(output)
    prepared, encode = prepare_for(clip, output, encode)
    encoder = encoding_for(prepared, encode).encoder
    lines = list(clip.notes)
    if clip.transparent and not prepared.alpha:
        lines.append(f"transparency is not kept {lost_alpha(muxer, encoder)}")
    if clip.interlaced and encode.interlaced == "deinterlace":
        lines.append("interlaced footage is deinterlaced; --interlaced keep leaves both fields")
    row = container(muxer)
    if muxer in ANIMATIONS:
        lines += _flattened(clip, output)
    elif (clip.rotation or clip.mirrored) and not (row and row.rotation):
        lines.append(unturned(muxer, clip))
    if clip.sample_aspect != 1 and muxer not in ANIMATIONS and not keeps_aspect(muxer, encoder):
        lines.append(unshaped(muxer, encoder, clip))
    if (clip.mastering_display or clip.light_level) and encoder not in HDR_DATA and muxer not in ANIMATIONS:
        lines.append(f"HDR mastering data is not written by {encoder}; --codec libx265 keeps it")
    if clip.container in ANIMATIONS:
        return [*lines, *(f"{kind} of the animation is not kept" for kind in unkept_data(clip.path))]
    with (
        open_input(clip.path) as source,
        av.open(io.BytesIO(), "w", format=relayed(source, muxer)[0]) as target,
    ):
        lines += lost_streams(source, target, clip)
    return lines


def _flattened(clip: Clip, output: Path) -> list[str]:
    """The outcome of a video in an animated picture."""
    lines = []
    if is_hdr(clip.color):
        lines.append(f"{output.suffix} cannot hold HDR: written as SDR")
    if output.suffix.lower() == ".gif":
        if clip.average_rate > GIF_RATE and clip.frames != 1:
            lines.append(
                f"GIF shows at most {GIF_RATE} frames per second: frames are left out; .webp keeps all"
            )
        if clip.container != "gif":
            lines.append("GIF holds 256 colors per frame; .webp and .png keep more")
    with open_input(clip.path) as source:
        if source.chapters():
            lines.append(f"{output.suffix} cannot hold chapters; use .mkv to keep them")
    if tags := sorted(key for key in clip.metadata if key.lower() not in MUXER_OWN):
        lines.append(f"{output.suffix} cannot hold the metadata entries {', '.join(tags)}")
    return lines
