"""GIF, animated WebP and animated PNG are clips: read, written, and exact where the format allows it."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.provenance.mark import read_mark, xmp_packet
from faceswap_cli.records import U8
from faceswap_cli.video.animate import AnimationOptions
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.containers import check_output, output_extension, prepare_for
from faceswap_cli.video.losses import not_kept
from faceswap_cli.video.picture import animation_frames
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.transcode import transcode
from faceswap_cli.video.writer import write_segment
from tests.clips import make_clip

PLAIN, LOSSLESS = EncodeOptions(), EncodeOptions(lossless=True)
NAMES = ("a.gif", "a.webp", "a.png")
MS = [80, 120, 50, 700]


def scene(number: int, *, alpha: bool = False) -> U8:
    """(32, 48, 3 or 4) of fewer than 200 colors."""
    y, x = np.mgrid[:32, :48]
    rgb = np.stack([x // 4 * 20, y // 4 * 30, np.full_like(x, 60 * number)], axis=-1).astype(np.uint8)
    hole = ((x - 10 - 6 * number) ** 2 + (y - 16) ** 2 > 36) * np.uint8(255)
    return np.dstack([rgb, hole]) if alpha else rgb


def animation(path: Path, *, alpha: bool = False, loop: int = 0) -> Path:
    frames = [Image.fromarray(scene(k, alpha=alpha)) for k in range(4)]
    extra: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
    if path.suffix == ".gif":
        frames = [frame.quantize(255, dither=Image.Dither.NONE) if not alpha else frame for frame in frames]
        extra["disposal"] = 2
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=MS, loop=loop, **extra)
    return path


def shown(path: Path) -> tuple[list[int], list[U8], int]:
    """Durations in ms, (H, W, 4) frames and the loop entry as another library reads them."""
    with Image.open(path) as image:
        times, frames = [], []
        for row in range(getattr(image, "n_frames", 1)):
            image.seek(row)
            frames.append(np.array(image.convert("RGBA")))
            times.append(round(image.info["duration"]))
        return times, frames, image.info.get("loop", -1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_every_kind_becomes_every_other(tmp_path: Path, name: str, ending: str) -> None:
    clip = probe(animation(tmp_path / name))
    assert clip.frames == 4
    output = tmp_path / f"out{ending}"
    assert not_kept(clip, output, PLAIN) == ([] if ending != ".gif" or name == "a.gif" else [FEW_COLORS])
    transcode(clip, output, LOSSLESS)
    times, frames, loop = shown(output)
    assert times == MS
    assert loop == 0
    for got, wanted in zip(frames, shown(tmp_path / name)[1], strict=True):
        assert (got == wanted).all()


FEW_COLORS = "GIF holds 256 colors per frame; .webp and .png keep more"


@pytest.mark.parametrize("name", ["a.webp", "a.png"])
@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_holes_stay_holes(tmp_path: Path, name: str, ending: str) -> None:
    clip = probe(animation(tmp_path / name, alpha=True))
    transcode(clip, tmp_path / f"out{ending}", LOSSLESS)
    for k, frame in enumerate(shown(tmp_path / f"out{ending}")[1]):
        wanted = scene(k, alpha=True)
        assert (frame[..., 3] == wanted[..., 3]).all()
        assert (frame[wanted[..., 3] > 0] == wanted[wanted[..., 3] > 0]).all()


def test_a_gif_with_a_palette_for_each_frame_is_exact(tmp_path: Path) -> None:
    """Few colors that differ from frame to frame, most of the picture standing still."""
    rng = np.random.default_rng(0)
    frames = [np.repeat(rng.integers(0, 9, (32, 48, 1), np.uint8) * 20, 3, axis=2) for _ in range(4)]
    for frame in frames[1:]:
        frame[:24] = frames[0][:24]
        frame[24:, :, 0] += np.uint8(rng.integers(1, 60))
    pictures = [Image.fromarray(frame) for frame in frames]
    path = tmp_path / "a.png"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=80)
    transcode(probe(path), tmp_path / "out.gif", PLAIN)
    for got, wanted in zip(shown(tmp_path / "out.gif")[1], frames, strict=True):
        assert (got[..., :3] == wanted).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_plays_as_often(tmp_path: Path, name: str) -> None:
    clip = probe(animation(tmp_path / name, loop=3))
    transcode(clip, tmp_path / f"out{clip.path.suffix}", PLAIN)
    assert shown(tmp_path / f"out{clip.path.suffix}")[2] == 3


@pytest.mark.parametrize("name", NAMES)
def test_the_default_output_is_of_the_same_kind_and_mp4_is_plain(tmp_path: Path, name: str) -> None:
    clip = probe(animation(tmp_path / name))
    assert output_extension(clip) == Path(name).suffix
    transcode(clip, tmp_path / "out.mp4", PLAIN)
    result = probe(tmp_path / "out.mp4")
    assert (result.codec, result.pixel_format) == ("h264", "yuv420p")
    pts = [frame.pts * frame.time_base * 1000 for frame in read_frames(result)]
    assert pts == [sum(MS[:k]) for k in range(4)]


def test_a_video_becomes_a_gif_upright_and_says_what_goes(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", rotation=90, fps=Fraction(60), audio=1, frames=12)
    clip, output = probe(tmp_path / "a.mp4"), tmp_path / "out.gif"
    lines = not_kept(clip, output, PLAIN)
    assert any("50 frames per second" in line for line in lines)
    assert any("audio" in line for line in lines)
    transcode(clip, output, PLAIN)
    times, frames, _ = shown(output)
    assert frames[0].shape[:2] == (64, 48)
    assert min(times) >= 20
    assert sum(times) == 200


def test_the_mark_is_read_back(tmp_path: Path) -> None:
    for name in NAMES:
        clip = probe(animation(tmp_path / name))
        output = tmp_path / f"out{clip.path.suffix}"
        ready, encode = prepare_for(clip, output, PLAIN)
        write_segment(tmp_path / "s", ready, read_frames(ready), encode)
        assemble(output, ready, [tmp_path / "s"], animation=AnimationOptions(xmp_packet()))
        mark = read_mark(output)
        assert mark is not None
        assert mark.synthetic
        assert len(shown(output)[1]) == 4


def test_a_codec_cannot_be_chosen(tmp_path: Path) -> None:
    clip = probe(animation(tmp_path / "a.gif"))
    with pytest.raises(UsageError, match="--codec"):
        check_output(clip, tmp_path / "out.gif", EncodeOptions(codec="libx264"))


def test_a_still_is_no_clip(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "still.webp")
    assert animation_frames(tmp_path / "still.webp") == 1
    with pytest.raises(InputError, match="picture"):
        probe(tmp_path / "still.webp")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_breaks_off_is_one_line(tmp_path: Path, name: str) -> None:
    data = animation(tmp_path / name).read_bytes()
    for share in (0.1, 0.4, 0.7, 0.95):
        (tmp_path / f"cut{Path(name).suffix}").write_bytes(data[: int(share * len(data))])
        try:
            frames = list(read_frames(probe(tmp_path / f"cut{Path(name).suffix}")))
        except InputError:
            continue
        assert len(frames) <= 4


@pytest.mark.parametrize("name", ["a.webp", "a.png"])
def test_an_animation_that_breaks_off_is_called_damaged(name: str, tmp_path: Path) -> None:
    """It was taken for a still picture, with the advice to use a command that refuses it as well."""
    path = animation(tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged or cut off"):
        probe(path)


def test_an_animated_png_is_a_clip_though_a_signature_comes_first(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.png")
    data = path.read_bytes()
    body = b"caBX" + bytes(5000)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(data[:33] + chunk + data[33:])
    clip = probe(path)
    assert (clip.container, clip.frames) == ("apng", 4)
    assert len(list(read_frames(clip))) == 4


def test_one_frame_of_gif_has_no_rate_to_warn_of(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    Image.fromarray(scene(1)).quantize(255).save(path)
    assert not_kept(probe(path), tmp_path / "out.gif", PLAIN) == []
