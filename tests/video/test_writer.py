"""Encoders: chosen from the input, refused clearly, and their results kept within reach of the input."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import DeviceError, InputError, OutputError, UsageError
from faceswap_cli.records import Clip, Frame
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.containers import holds
from faceswap_cli.video.encoders import encoder_formats, encoding_for
from faceswap_cli.video.formats import picture_from_planes, view
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.transcode import transcode
from faceswap_cli.video.writer import write_segment
from tests.clips import make_clip
from tests.video.test_roundtrip import frames_of


def clip_of(tmp_path: Path, name: str = "a.mp4", **given: Any) -> Clip:
    make_clip(tmp_path / name, **given)
    return probe(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "given", "encoder", "pixel_format"),
    [
        ("a.mp4", {}, "libx264", "yuv420p"),
        ("a.mp4", {"codec": "libx265"}, "libx265", "yuv420p"),
        ("a.webm", {"codec": "libvpx-vp9"}, "libvpx-vp9", "yuv420p"),
        ("a.mp4", {"codec": "libsvtav1", "size": (64, 64)}, "libsvtav1", "yuv420p"),
        ("a.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}, "prores_ks", "yuv422p10le"),
        ("a.mkv", {"codec": "ffv1", "pix_fmt": "yuv422p10le"}, "ffv1", "yuv422p10le"),
        ("a.avi", {"codec": "mpeg4"}, "libx264", "yuv420p"),
        ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj422p"}, "libx264", "yuv422p"),
        ("a.mkv", {"codec": "ffv1", "pix_fmt": "bgr0"}, "ffv1", "yuv444p"),
        ("a.mp4", {"codec": "mpeg4", "size": (63, 49)}, "libvpx-vp9", "yuv420p"),
    ],
)
def test_the_encoder_follows_the_input(
    name: str, given: dict[str, Any], encoder: str, pixel_format: str, tmp_path: Path
) -> None:
    encoding = encoding_for(clip_of(tmp_path, name, **given), EncodeOptions())
    assert (encoding.encoder, encoding.pixel_format) == (encoder, pixel_format)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "libsvtav1", "prores_ks", "ffv1"])
def test_short_segments(codec: str, frames: int, tmp_path: Path) -> None:
    """Segments end at shot cuts, so some hold a frame or two."""
    clip = clip_of(tmp_path, "a.mkv", codec="ffv1", size=(64, 64), frames=6, vfr=True)
    kept = frames_of(clip)
    encode = EncodeOptions(codec=codec)
    write_segment(tmp_path / "one", clip, kept[:frames], encode)
    write_segment(tmp_path / "two", clip, kept[frames:], encode)
    output = tmp_path / ("out.mov" if codec == "prores_ks" else "out.mkv")
    assemble(output, clip, [tmp_path / "one", tmp_path / "two"])
    made = frames_of(probe(output))
    assert [f.pts * f.time_base for f in made] == [f.pts * f.time_base for f in kept]


@pytest.mark.skipif(
    not hasattr(os, "sched_getscheduler") or os.geteuid() != 0, reason="SVT-AV1 does this to root on Linux"
)
def test_an_encoder_does_not_make_the_process_a_real_time_one(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, "a.mkv", frames=4, size=(96, 64))
    before = os.sched_getscheduler(0)
    assert transcode(clip, tmp_path / "out.mkv", EncodeOptions(codec="libsvtav1")) == 4
    holds.cache_clear()
    assert holds("mp4", "libsvtav1")
    assert {os.sched_getscheduler(int(name)) for name in os.listdir("/proc/self/task")} == {before}


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "libsvtav1", "prores_ks", "ffv1"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p"])
def test_every_encoder_stays_near_the_input(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    """Luma of a default encoding is within 36 dB of the input, whatever codec is asked for."""
    smooth = {
        "picture": lambda i, w, h: np.stack([np.indices((h, w)).sum(axis=0) + i] * 3, -1).astype(np.uint8)
    }
    clip = clip_of(tmp_path, "a.mkv", codec="ffv1", pix_fmt=pix_fmt, size=(96, 64), frames=4, **smooth)
    output = tmp_path / "out.mov" if codec == "prores_ks" else tmp_path / "out.mkv"
    assert transcode(clip, output, EncodeOptions(codec=codec)) == 4
    made = probe(output)
    for before, after in zip(frames_of(clip), frames_of(made), strict=True):
        scale = 255 / ((1 << before.planes.bit_depth) - 1), 255 / ((1 << after.planes.bit_depth) - 1)
        error = before.planes.y * scale[0] - after.planes.y * scale[1]
        assert 10 * np.log10(255**2 / max((error**2).mean(), 1e-9)) > 36
        assert abs(error.mean()) < 1.0


def test_hdr_tags_survive(tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    clip = clip_of(
        tmp_path,
        codec="libx265",
        pix_fmt="yuv420p10le",
        color=(9, 16, 9, 1),
        options={"x265-params": f"log-level=error:master-display={display}:max-cll=1000,400:hdr10=1"},
        frames=4,
    )
    transcode(clip, tmp_path / "out.mp4", EncodeOptions())
    made = probe(tmp_path / "out.mp4")
    assert (made.codec, made.pixel_format, made.color) == ("hevc", "yuv420p10le", clip.color)
    assert (made.mastering_display, made.light_level) == (display, "1000,400")


def test_hevc_in_mp4_is_tagged_for_quicktime(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, codec="libx265", options={"x265-params": "log-level=error"}, frames=4)
    transcode(clip, tmp_path / "out.mp4", EncodeOptions())
    assert b"hvc1" in (tmp_path / "out.mp4").read_bytes()


def test_the_prores_profile_is_kept(tmp_path: Path) -> None:
    clip = clip_of(
        tmp_path, "a.mov", codec="prores_ks", pix_fmt="yuv422p10le", options={"profile": "lt"}, frames=2
    )
    transcode(clip, tmp_path / "out.mov", EncodeOptions())
    assert probe(tmp_path / "out.mov").profile == clip.profile == "LT"


def test_quality_follows_crf(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, frames=8)
    sizes = []
    for crf in (10, 40):
        segment = tmp_path / f"{crf}"
        write_segment(segment, clip, read_frames(clip), EncodeOptions(crf=crf))
        sizes.append(segment.stat().st_size)
    assert sizes[0] > 2 * sizes[1]


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, size=(320, 240), frames=30)
    results = set()
    for _ in range(8):
        write_segment(tmp_path / "x", clip, read_frames(clip), EncodeOptions())
        results.add((tmp_path / "x").read_bytes())
    assert len(results) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "nonsense"}, "not in this video library"),
        ({"codec": "aac"}, "does not encode video"),
        ({"preset": "nonsense"}, "refuses these settings"),
    ],
)
def test_unknown_settings_are_usage_errors(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    with pytest.raises(UsageError, match=message):
        write_segment(tmp_path / "x", clip, read_frames(clip), EncodeOptions(**options))
    assert not [p for p in tmp_path.iterdir() if p.name != "a.mp4"]


def test_an_odd_size_is_refused_for_a_named_encoder_that_cannot_hold_it(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, codec="mpeg4", size=(63, 49))
    with pytest.raises(UsageError, match="odd size 63x49"):
        encoding_for(clip, EncodeOptions(codec="libx264"))


def test_a_hardware_encoder_without_its_hardware_is_a_device_error(tmp_path: Path) -> None:
    try:
        encoder_formats("h264_nvenc")
    except UsageError:
        pytest.skip("this video library has no h264_nvenc")
    clip = clip_of(tmp_path, size=(256, 256))
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has the hardware")
    with pytest.raises(DeviceError, match="libx264"):
        write_segment(tmp_path / "x", clip, read_frames(clip), EncodeOptions(codec="h264_nvenc"))


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    with pytest.raises(InputError, match="no frame"):
        write_segment(tmp_path / "x", clip, iter(()), EncodeOptions())


def test_an_error_in_the_frames_comes_through_and_leaves_nothing(tmp_path: Path) -> None:
    clip = clip_of(tmp_path)

    def broken() -> Any:
        yield from frames_of(clip)[:3]
        raise RuntimeError("upstream")

    with pytest.raises(RuntimeError, match="upstream"):
        write_segment(tmp_path / "x", clip, broken(), EncodeOptions())
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    (tmp_path / ".x.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="free space"):
        write_segment(tmp_path / "x", clip, read_frames(clip), EncodeOptions())


def test_frames_are_views_that_stay_valid(tmp_path: Path) -> None:
    """Keeping every frame must not let the decoder write over it."""
    clip = clip_of(tmp_path, frames=40, fps=Fraction(25))
    kept: list[Frame] = []
    copies = []
    for frame in read_frames(clip):
        kept.append(frame)
        copies.append(frame.planes.y.copy())
    for frame, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(frame.planes.y, copy)
        assert not frame.planes.y.flags.writeable


def test_full_range_keeps_its_contrast_in_prores(tmp_path: Path) -> None:
    """ProRes has no word for full range: the samples become limited ones."""
    make_clip(tmp_path / "a.mp4", color=(1, 1, 1, 2), frames=2, options={"crf": "1"}, size=(64, 64))
    clip, output = probe(tmp_path / "a.mp4"), tmp_path / "out.mov"
    assert clip.color.full_range
    transcode(clip, output, EncodeOptions(codec="prores"))
    made = probe(output)
    assert not made.color.full_range
    old, new = (next(iter(read_frames(one))).planes for one in (clip, made))
    wanted = 64 + old.y.astype(float) * 876 / 255
    assert np.abs(new.y - wanted).mean() < 4
    assert abs((new.cb.mean() - 512) / 896 - (old.cb.mean() - 128) / 255) < 0.005


def test_alpha_keeps_its_depth_where_full_range_is_narrowed(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", color=(1, 1, 1, 2), frames=1)
    clip = probe(tmp_path / "a.mp4")
    planes = next(iter(read_frames(clip))).planes
    picture = picture_from_planes(
        planes, clip, "yuva444p12le", np.full((48, 64), 255, np.uint8), narrowed=True
    )
    assert int(view(picture.planes[3], 48, 64, 12).min()) >= 4092


def test_prores_keeps_a_matrix_that_stands_alone(tmp_path: Path) -> None:
    """QuickTime has an entry for all three tags or none: the frames themselves name the matrix."""
    make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv422p10le", color=(2, 2, 9, 1), frames=2)
    clip, output = probe(tmp_path / "a.mkv"), tmp_path / "out.mov"
    transcode(clip, output, EncodeOptions(codec="prores"))
    assert clip.color.matrix == probe(output).color.matrix == 9
