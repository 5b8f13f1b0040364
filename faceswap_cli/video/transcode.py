"""Plain decode and encode: the identity run, and what the benchmark compares with."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

from faceswap_cli.config import EncodeOptions
from faceswap_cli.records import Clip
from faceswap_cli.video.animate import AnimationOptions
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.containers import prepare_for
from faceswap_cli.video.reader import Damage, read_frames
from faceswap_cli.video.writer import write_segment


def transcode(clip: Clip, output: Path, encode: EncodeOptions, *, damage: Damage | None = None) -> int:
    """Decode ``clip`` and encode it to ``output`` as a swap would; returns the number of frames."""
    clip, encode = prepare_for(clip, output, encode)
    segment = output.with_name(f".{output.name}.segment")
    try:
        with closing(read_frames(clip, damage=damage)) as frames:
            count = write_segment(segment, clip, frames, encode)
        assemble(output, clip, [segment], animation=AnimationOptions(lossless=encode.lossless))
    finally:
        with suppress(OSError):
            segment.unlink(missing_ok=True)
    return count
