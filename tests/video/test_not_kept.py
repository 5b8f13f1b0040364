"""What cannot be kept is known before the work, endings choose codecs, and no tag lies."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import InputError
from faceswap_cli.records import Clip
from faceswap_cli.video.containers import check_output, suited
from faceswap_cli.video.losses import not_kept
from faceswap_cli.video.picture import Picture, is_picture, read_picture, write_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.transcode import transcode
from tests.clips import make_clip

PLAIN = EncodeOptions()


def made(path: Path, **given: Any) -> Clip:
    make_clip(path, **given)
    return probe(path)


def written(clip: Clip, output: Path) -> Clip:
    transcode(clip, output, suited(clip, output, PLAIN))
    return probe(output)


def test_nothing_is_lost_in_the_same_container(tmp_path: Path) -> None:
    clip = made(tmp_path / "a.mkv", audio=2, subtitles=True, chapters=True, attachment=True)
    assert not_kept(clip, tmp_path / "out.mkv", PLAIN) == []


def test_streams_that_do_not_fit_are_named(tmp_path: Path) -> None:
    clip = made(tmp_path / "a.mkv", audio=1, subtitles=True, attachment=True)
    lines = not_kept(clip, tmp_path / "out.mp4", PLAIN)
    assert len(lines) == 2
    assert "subrip" in lines[0]
    assert "note.txt" in lines[1]


@pytest.mark.parametrize(
    ("ending", "video", "audio"),
    [(".webm", "vp9", "opus"), (".mp4", "h264", "aac"), (".mov", "h264", "aac"), (".mkv", "h264", "aac")],
)
def test_the_ending_chooses_the_codecs(tmp_path: Path, ending: str, video: str, audio: str) -> None:
    clip = made(tmp_path / "a.mp4", audio=1)
    output = tmp_path / f"out{ending}"
    check_output(clip, output, PLAIN)
    result = written(clip, output)
    assert [(s.kind, s.codec) for s in result.streams] == [("video", video), ("audio", audio)]


def test_webm_becomes_mp4(tmp_path: Path) -> None:
    clip = made(tmp_path / "a.webm", codec="libvpx-vp9", audio=1)
    assert written(clip, tmp_path / "out.mp4").frames == 12


def test_an_opaque_gif_becomes_a_plain_mp4(tmp_path: Path) -> None:
    options = {"gifflags": "-transdiff-offsetting"}
    clock = Fraction(1, 100)
    clip = made(tmp_path / "a.gif", codec="gif", pix_fmt="rgb8", frames=4, options=options, time_base=clock)
    assert not_kept(clip, tmp_path / "out.mp4", PLAIN) == []
    assert written(clip, tmp_path / "out.mp4").pixel_format == "yuv420p"


def test_avif_is_written_and_read(tmp_path: Path) -> None:
    rgb = np.zeros((32, 48, 3), np.uint8) + np.array([200, 120, 60], np.uint8)
    write_picture(tmp_path / "a.avif", Picture(rgb), xmp=b"<x:xmpmeta/>")
    back = read_picture(tmp_path / "a.avif")
    assert np.abs(back.rgb.astype(int) - rgb).max() <= 4
    assert b"xmpmeta" in (back.xmp or b"")


def test_heic_is_named_where_it_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceswap_cli.video.picture._know_heic", lambda: False)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x1cftypheic" + bytes(60))
    with pytest.raises(InputError, match=r"HEIC.*faceswap-cli\[heic\]"):
        read_picture(tmp_path / "a.heic")
    assert is_picture(tmp_path / "a.heic"), "it must not be read as a video"


def test_heic_is_read_upright_and_a_damaged_one_is_not_for_want_of_a_package(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
    rgb = np.zeros((32, 48, 3), np.uint8) + np.array([200, 120, 60], np.uint8)
    rgb[:, :16] = 20
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be turned to the right
    heif.from_pillow(Image.fromarray(np.rot90(rgb))).save(
        tmp_path / "a.heic", exif=exif.tobytes(), quality=95
    )
    assert np.abs(read_picture(tmp_path / "a.heic").rgb.astype(int) - rgb).mean() <= 6
    (tmp_path / "cut.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:200])
    with pytest.raises(InputError, match=r"again"):
        read_picture(tmp_path / "cut.heic")


def test_ten_bits_of_heic_are_read(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
    ramp = np.repeat(np.linspace(0.2, 0.4, 256)[None, :, None], 64, axis=0).repeat(3, axis=2)
    samples = (ramp * 65535).astype(np.uint16)
    samples[:, -8:] = 65535
    made = heif.from_bytes(mode="RGB;16", size=(256, 64), data=samples.tobytes())
    made.save(tmp_path / "a.heic", quality=100, chroma=444)
    picture = read_picture(tmp_path / "a.heic")
    assert picture.deep is not None
    off = np.abs(picture.deep[:, :240].astype(int) - samples[:, :240])
    assert off.mean() < 50, "8 bits are 64 off at best"
    assert len(np.unique(picture.deep[:, :240, 1])) > 100, "8 bits have 52 levels here"
    assert picture.deep[:, -4:].min() > 65000
    assert np.abs(picture.rgb.astype(int) - samples // 257).max() <= 3
