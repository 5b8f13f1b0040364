"""Transparency comes out as it went in, or the job says before it starts that it will not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.records import U8, Clip
from faceswap_cli.video.containers import output_extension
from faceswap_cli.video.formats import rescaled
from faceswap_cli.video.losses import not_kept
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.transcode import transcode

PLAIN = EncodeOptions()
KINDS = {
    "a.webm": ("libvpx-vp9", "yuva420p", {}),
    "old.webm": ("libvpx", "yuva420p", {"auto-alt-ref": "0"}),
    "a.mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}),
}


def disc(number: int) -> U8:
    """(48, 64, 4): a soft disc that moves."""
    y, x = np.mgrid[:48, :64]
    rgba = np.empty((48, 64, 4), np.uint8)
    rgba[..., :3] = np.stack([x * 3, y * 4, x + y], axis=-1)
    rgba[..., 3] = np.clip(300 - 14 * np.hypot(x - 20 - 3 * number, y - 24), 0, 255)
    return rgba


def transparent_clip(path: Path, frames: int = 6) -> Clip:
    encoder, form, options = KINDS[path.name]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, form
        stream.metadata["alpha_mode"] = "1"
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(disc(k), format="rgba").reformat(format=form)
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return probe(path)


def alphas(clip: Clip, first_pts: int | None = None) -> list[U8]:
    frames = list(read_frames(replace(clip, alpha=True), first_pts=first_pts))
    found = [frame.alpha for frame in frames]
    assert all(alpha is not None for alpha in found)
    return [rescaled(alpha, clip.bit_depth, 8) for alpha in found if alpha is not None]


@pytest.mark.parametrize(
    ("name", "output", "codec"),
    [
        ("a.webm", "out.webm", "vp9"),
        ("old.webm", "out.webm", "vp9"),
        ("a.webm", "out.mkv", "vp9"),
        ("a.webm", "out.mov", "prores"),
        ("a.mov", "out.mov", "prores"),
        ("a.mov", "out.webm", "vp9"),
    ],
)
def test_transparency_is_kept(tmp_path: Path, name: str, output: str, codec: str) -> None:
    clip = transparent_clip(tmp_path / name)
    assert clip.transparent
    assert not any("transparency" in line for line in not_kept(clip, tmp_path / output, PLAIN))
    transcode(clip, tmp_path / output, PLAIN)
    result = probe(tmp_path / output)
    assert result.codec == codec
    assert result.transparent
    for k, alpha in enumerate(alphas(result)):
        assert np.abs(alpha.astype(int) - disc(k)[..., 3]).mean() < 2
    times = [[f.pts * f.time_base for f in read_frames(c)] for c in (clip, result)]
    assert np.abs(np.subtract(*times).astype(float)).max() < 0.001


@pytest.mark.parametrize("name", KINDS)
def test_the_default_output_keeps_transparency(tmp_path: Path, name: str) -> None:
    clip = transparent_clip(tmp_path / name)
    assert output_extension(clip) == clip.path.suffix
    # A named codec decides: H.264 fits no WebM file.
    h264 = output_extension(clip, EncodeOptions(codec="libx264"))
    assert h264 == (".mp4" if clip.path.suffix == ".webm" else ".mov")


def test_prores_with_alpha_is_4444_whatever_it_came_from(tmp_path: Path) -> None:
    transcode(transparent_clip(tmp_path / "a.webm"), tmp_path / "out.mov", PLAIN)
    assert probe(tmp_path / "out.mov").profile == "4444"


def test_a_seek_meets_the_same_alpha(tmp_path: Path) -> None:
    clip = transparent_clip(tmp_path / "a.webm")
    pts = [frame.pts for frame in read_frames(clip)]
    for whole, part in zip(alphas(clip)[3:], alphas(clip, pts[3]), strict=True):
        assert (whole == part).all()


def test_an_output_without_alpha_says_so_and_has_no_tag(tmp_path: Path) -> None:
    clip = transparent_clip(tmp_path / "a.webm")
    (line,) = [text for text in not_kept(clip, tmp_path / "out.mp4", PLAIN) if "transparency" in text]
    assert ".webm" in line
    transcode(clip, tmp_path / "out.mp4", PLAIN)
    assert not probe(tmp_path / "out.mp4").transparent


def test_a_named_encoder_is_not_replaced(tmp_path: Path) -> None:
    clip, encode = transparent_clip(tmp_path / "a.mov"), EncodeOptions(codec="libx264")
    assert any("prores_ks keeps it" in line for line in not_kept(clip, tmp_path / "out.mov", encode))


def test_eight_bits_survive_a_deeper_work_format() -> None:
    samples = np.arange(256, dtype=np.uint8)
    for bits in (10, 12):
        assert (rescaled(rescaled(samples, 8, bits), bits, 8) == samples).all()
