"""PQ and HLG clips keep color and detail through the encoder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from faceswap_cli import color, hdr
from faceswap_cli.config import EncodeOptions
from faceswap_cli.records import ColorTags
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
        make_clip(path, codec="libx265", pix_fmt="yuv420p10le", color=(9, transfer, 9, 1), options=options)
        clip = probe(path)
        transcode(clip, tmp_path / "out.mp4", EncodeOptions())
        pairs = zip(read_frames(clip), read_frames(probe(tmp_path / "out.mp4")), strict=True)
        lost = [np.abs(a.planes.cr.astype(int) - b.planes.cr).mean() for a, b in pairs]
        errors[transfer] = float(np.mean(lost))
    assert errors[16] < 0.8 * errors[1]


def skin(index: int) -> np.ndarray:
    """A bright, mottled surface that drifts."""
    blobs = np.random.default_rng(5).normal(size=(160, 192, 3)).astype(np.float32)
    blobs = cv2.GaussianBlur(blobs, (0, 0), 2.0) * 90 + np.array([205, 165, 145], np.float32)
    return np.clip(np.roll(blobs, index, axis=1), 0, 255).astype(np.uint8)


def write_shown(path: Path, tags: ColorTags, frames: list[np.ndarray]) -> None:
    """A lossless clip of 10 bit that shows ``frames`` (SDR) on a screen of its kind."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx265", rate=25, options={"x265-params": "log-level=none:lossless=1"}
        )
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.color_range = tags.primaries, tags.transfer, 1
        context.colorspace = tags.matrix
        for index, rgb in enumerate(frames):
            code = rgb.astype(np.float32) / 255
            if hdr.is_hdr(tags):
                code = hdr.code_from_light(hdr.light_from_sdr(code, tags), tags)
            planes = color.planes_region_from_rgb(code, tags, 10, (1, 1))
            frame = av.VideoFrame(stream.width, stream.height, stream.pix_fmt)
            for plane, samples in zip(frame.planes, (planes.y, planes.cb, planes.cr), strict=True):
                rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                rows[:, : samples.shape[1]] = samples
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_hdr_keeps_as_much_detail_as_sdr(tmp_path: Path) -> None:
    """PQ has fewer codes for what SDR shows: at the same crf a face would lose more of its texture."""
    frames = [skin(index) for index in range(6)]
    lost = {}
    for tags in (
        ColorTags(1, False, 1, 1),
        ColorTags(9, False, 9, hdr.PQ),
        ColorTags(9, False, 9, hdr.HLG),
    ):
        path = tmp_path / f"{tags.transfer}.mp4"
        write_shown(path, tags, frames)
        transcode(probe(path), tmp_path / "out.mp4", EncodeOptions())
        made = [color.rgb_from_planes(f.planes, tags) for f in read_frames(probe(tmp_path / "out.mp4"))]
        lost[tags.transfer] = np.abs(np.stack(made).astype(int) - np.stack(frames)).mean()
    assert lost[hdr.PQ] < lost[1]
    assert lost[hdr.HLG] < lost[1]
