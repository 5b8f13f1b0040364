"""PQ and HLG clips keep their color through the encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from faceswap_cli.config import EncodeOptions
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.transcode import transcode
from tests.clips import make_clip


def test_hdr_keeps_its_color_through_the_encoder(tmp_path: Path) -> None:
    """PQ leaves chroma small: the same quantizer as for SDR would put patches of color on skin."""
    errors = {}
    for transfer in (16, 1):
        path = tmp_path / f"{transfer}.mp4"
        options = {"x265-params": "log-level=none:lossless=1"}
        make_clip(path, codec="libx265", pix_fmt="yuv420p10le", colour=(9, transfer, 9, 1), options=options)
        clip = probe(path)
        transcode(clip, tmp_path / "out.mp4", EncodeOptions())
        pairs = zip(read_frames(clip), read_frames(probe(tmp_path / "out.mp4")), strict=True)
        lost = [np.abs(a.planes.cr.astype(int) - b.planes.cr).mean() for a, b in pairs]
        errors[transfer] = float(np.mean(lost))
    assert errors[16] < 0.8 * errors[1]
