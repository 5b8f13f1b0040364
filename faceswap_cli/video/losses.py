"""What an output cannot keep of its input, found before any work: the same choices as in ``assemble``."""

from __future__ import annotations

import io
from pathlib import Path

import av

from faceswap_cli.config import EncodeOptions
from faceswap_cli.records import Clip
from faceswap_cli.video.carry import lost_streams
from faceswap_cli.video.containers import container_format
from faceswap_cli.video.opening import open_input


def not_kept(clip: Clip, output: Path, encode: EncodeOptions) -> list[str]:
    """One line for each stream, tag or property of ``clip`` that ``output`` will lack or hold changed."""
    muxer = container_format(output)
    lines = list(clip.notes)
    if clip.interlaced and encode.interlaced == "deinterlace":
        lines.append("interlaced footage is deinterlaced; --interlaced keep leaves both fields")
    if muxer in ("avi", "mpegts") and clip.rotation:
        lines.append(f"{muxer} cannot store the rotation of {clip.rotation} degrees; use .mp4 or .mkv")
    with open_input(clip.path) as source, av.open(io.BytesIO(), "w", format=muxer) as target:
        lines += lost_streams(source, target, clip)
    return lines
