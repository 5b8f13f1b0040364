"""What a clip is, and one helpful line for what is none."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import InputError
from faceswap_cli.records import ColorTags
from faceswap_cli.video.formats import work_format
from faceswap_cli.video.probe import probe
from faceswap_cli.video.transcode import transcode
from tests.clips import make_clip


def test_a_clip_is_described(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path, rotation=90, sar=Fraction(4, 3), audio=2, color=(1, 1, 1, 1), metadata={"title": "t"})
    clip = probe(path)
    assert (clip.width, clip.height, clip.frames, clip.average_rate) == (64, 48, 12, 25)
    assert (clip.codec, clip.pixel_format, clip.work_format, clip.bit_depth) == (
        "h264",
        "yuv420p",
        "yuv420p",
        8,
    )
    assert (clip.rotation, clip.sample_aspect) == (90, Fraction(4, 3))
    assert clip.display_size == (48, 85)
    assert clip.color == ColorTags(1, False, 1, 1, tagged=True)
    assert [s.kind for s in clip.streams] == ["video", "audio", "audio"]
    assert [s.language for s in clip.streams][1:] == ["eng", "deu"]
    assert clip.duration_s == pytest.approx(0.48, abs=0.03)
    assert clip.metadata["title"] == "t"
    assert clip.start_pts == 0


@pytest.mark.parametrize(("height", "matrix"), [(96, 6), (720, 1)])
def test_an_unnamed_matrix_follows_from_the_size(height: int, matrix: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path, size=(64, height), frames=2)
    color = probe(path).color
    assert (color.matrix, color.tagged, color.full_range) == (matrix, False, False)


def test_a_matrix_without_a_range_is_named(tmp_path: Path) -> None:
    """So are those of QuickTime's ``nclc``: left out of the output, players would guess by the size."""
    make_clip(tmp_path / "a.mov", codec="rawvideo", pix_fmt="uyvy422", color=(1, 1, 1, 0), frames=2)
    clip = probe(tmp_path / "a.mov")
    transcode(clip, tmp_path / "out.mov", EncodeOptions())
    assert clip.color == probe(tmp_path / "out.mov").color == ColorTags(1, False, 1, 1, tagged=True)


@pytest.mark.parametrize(
    ("stored", "work"),
    [
        ("yuvj420p", "yuv420p"),
        ("nv12", "yuv420p"),
        ("p010le", "yuv420p10le"),
        ("gray", "yuv420p"),
        ("gray10le", "yuv420p10le"),
        ("rgb24", "yuv444p"),
        ("pal8", "yuv444p"),
        ("gbrp10le", "yuv444p10le"),
        ("yuva420p", "yuv420p"),
        ("yuv422p10le", "yuv422p10le"),
        ("yuv420p9le", "yuv420p10le"),
        ("yuv422p16le", "yuv422p12le"),
        ("yuv411p", "yuv422p"),
        ("yuv440p", "yuv444p"),
        ("yuyv422", "yuv422p"),
    ],
)
def test_the_work_format_keeps_subsampling_and_depth(stored: str, work: str) -> None:
    assert work_format(stored) == work


@pytest.mark.parametrize(
    ("stored", "noted"), [("yuv420p16le", True), ("yuv440p", True), ("yuv422p10le", False)]
)
def test_what_the_work_format_cannot_hold_is_named(stored: str, noted: bool, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt=stored, frames=2)
    clip = probe(tmp_path / "a.mkv")
    assert clip.pixel_format == stored
    assert clip.notes == (
        (f"pixel format {stored} is read and written as {clip.work_format}",) if noted else ()
    )


def test_hdr_values_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"log-level=error:master-display={display}:max-cll=1000,400:hdr10=1"
    make_clip(
        path,
        codec="libx265",
        pix_fmt="yuv420p10le",
        color=(9, 16, 9, 1),
        options={"x265-params": params},
        frames=3,
    )
    clip = probe(path)
    assert (clip.mastering_display, clip.light_level) == (display, "1000,400")
    assert (clip.color.matrix, clip.color.transfer, clip.color.primaries) == (9, 16, 9)


def _sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _no_frames(path: Path) -> None:
    make_clip(path)
    with av.open(str(path)) as source, av.open(str(path.with_suffix(".x")), "w", format="mp4") as target:
        target.add_stream_from_template(source.streams.video[0], opaque=True)
        target.start_encoding()
    path.with_suffix(".x").replace(path)


def _cut_off(path: Path) -> None:
    make_clip(path)
    path.write_bytes(path.read_bytes()[:200])


BAD = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("no film " * 500), "cannot be read as a video"),
    "noise": (
        lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
        "cannot be read as a video",
    ),
    "cut off": (_cut_off, "cannot be read as a video"),
    "sound only": (_sound_only, "sound but no moving picture"),
    "no frames": (_no_frames, "no video stream|no frame that can be decoded"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "missing": (lambda path: None, "check the name"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, tmp_path: Path) -> None:
    make, expected = BAD[name]
    path = tmp_path / "näme with space.mp4"
    make(path)
    with pytest.raises(InputError, match=expected) as caught:
        probe(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_picture_is_sent_to_the_image_command(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.new("RGB", (20, 20)).save(path)
    with pytest.raises(InputError, match="is a picture"):
        probe(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user who may be refused")
def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path)
    path.chmod(0)
    with pytest.raises(InputError, match="permissions"):
        probe(path)


@pytest.mark.parametrize("name", ["-dash.mp4", "a:b.mp4", "http:x.mp4", "%d.mp4", "'quote\".mp4"])
def test_odd_names_are_only_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "plain.mp4", frames=2)
    (tmp_path / "plain.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).frames == 2
