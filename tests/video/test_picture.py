from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from faceswap_cli.errors import InputError, OutputError, UsageError
from faceswap_cli.video.picture import Picture, is_picture, read_picture, write_picture

RGB = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def smooth() -> np.ndarray[Any, Any]:
    y, x = np.mgrid[:40, :60]
    return np.stack([x * 4, y * 6, x + y], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_removed(orientation: int, tmp_path: Path) -> None:
    from PIL import ImageOps

    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    Image.fromarray(RGB).save(path, exif=exif)
    read = read_picture(path)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read.rgb, np.asarray(ImageOps.exif_transpose(image)))
    assert read.exif is not None
    again = Image.Exif()
    again.load(read.exif)
    assert 0x0112 not in again
    assert again[0x010F] == "Maker"


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tiff"])
def test_alpha_and_profile_are_kept(name: str, tmp_path: Path) -> None:
    alpha = np.arange(600, dtype=np.uint8).reshape(20, 30)
    write_picture(tmp_path / name, Picture(RGB, alpha=alpha, icc=b"profile"), quality=100)
    read = read_picture(tmp_path / name)
    np.testing.assert_array_equal(read.alpha, alpha)
    assert read.icc == b"profile"
    if name != "a.webp":
        np.testing.assert_array_equal(read.rgb, RGB)


def test_alpha_over_white_where_there_is_none(tmp_path: Path) -> None:
    alpha = np.zeros((40, 60), np.uint8)
    write_picture(tmp_path / "a.jpg", Picture(smooth(), alpha=alpha))
    assert read_picture(tmp_path / "a.jpg").rgb.min() >= 253


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_gray_is_kept(name: str, tmp_path: Path) -> None:
    gray = (np.arange(800, dtype=np.uint16) * 81).reshape(20, 40)
    Image.fromarray(gray).save(tmp_path / name)
    read = read_picture(tmp_path / name)
    assert read.deep is not None
    np.testing.assert_array_equal(read.deep[:, :, 1], gray)
    assert np.abs(read.rgb[:, :, 0] - gray / 257.0).max() <= 0.51
    write_picture(tmp_path / f"out{name}", read)
    np.testing.assert_array_equal(read_picture(tmp_path / f"out{name}").deep, read.deep)


@pytest.mark.parametrize("opaque", [True, False])
@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_16_bit_color_is_kept(name: str, opaque: bool, tmp_path: Path) -> None:
    alpha = None if opaque else np.arange(600, dtype=np.uint8).reshape(20, 30)
    deep = (np.arange(20 * 30 * 3, dtype=np.uint16) * 36).reshape(20, 30, 3)
    picture = Picture((deep >> 8).astype(np.uint8), deep=deep, alpha=alpha, icc=b"profile")
    write_picture(tmp_path / name, picture, xmp=b"<x/>")
    read = read_picture(tmp_path / name)
    np.testing.assert_array_equal(read.deep, deep)
    assert (read.xmp, read.icc) == (b"<x/>", b"profile")
    assert opaque is (read.alpha is None)
    assert opaque or np.array_equal(read.alpha, alpha)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("CMYK", ".jpg"), ("L", ".png"), ("P", ".gif"), ("LA", ".png"), ("1", ".png")]
)
def test_other_modes_become_rgb(mode: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(smooth()).convert(mode).save(path)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read_picture(path).rgb, expected)
    assert is_picture(path)


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert read_picture(path).rgb[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff"])
def test_xmp_and_exif_are_written(name: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    write_picture(tmp_path / name, Picture(smooth(), exif=exif.tobytes()), xmp=b"<x:xmpmeta/>")
    read = read_picture(tmp_path / name)
    assert read.xmp is not None
    assert read.xmp.rstrip(b"\x00") == b"<x:xmpmeta/>"
    assert read.exif is not None
    assert np.abs(read.rgb.astype(int) - smooth()).mean() < 3


def _bomb(path: Path) -> None:
    """A PNG that claims 40,000 x 40,000 pixels."""
    Image.new("L", (1, 1)).save(path)
    data = path.read_bytes()
    header = (40000).to_bytes(4, "big") * 2 + data[24:29]
    import zlib

    crc = zlib.crc32(b"IHDR" + header).to_bytes(4, "big")
    path.write_bytes(data[:16] + header + crc + data[33:])


def _cut_off(path: Path) -> None:
    Image.fromarray(RGB).save(path)
    path.write_bytes(path.read_bytes()[:-900])


def _promising(path: Path) -> None:
    """A whole PNG but for the number of rows, which a thousandth of the file's own could not fill."""
    Image.fromarray(RGB).save(path)
    data = bytearray(path.read_bytes())
    import zlib

    data[20:24] = (9_000_000 // RGB.shape[1]).to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)


def _tag(path: Path, tag: int, *, kind: int | None = None, count: int | None = None, value: int) -> None:
    """A gray TIFF of floats, one entry of whose table says something else."""
    Image.fromarray(RGB[:, :, 0].astype(np.float32)).save(path, "TIFF")
    data = bytearray(path.read_bytes())
    place = struct.unpack_from("<I", data, 4)[0] + 2
    while struct.unpack_from("<H", data, place)[0] != tag:
        place += 12
    old = struct.unpack_from("<HHI", data, place)
    new = (tag, old[1] if kind is None else kind, old[2] if count is None else count, value)
    struct.pack_into("<HHII", data, place, *new)
    path.write_bytes(data)


def rational_offset(path: Path) -> None:
    _tag(path, 273, kind=5, value=142)


def _more_rows(path: Path) -> None:
    _tag(path, 257, value=4_000_000)


BAD = {
    "a PNG of fewer rows than it claims": (_promising, "cannot hold them"),
    "a TIFF of fewer rows than it claims": (_more_rows, "cannot hold them"),
    "a fraction of a byte": (rational_offset, "is damaged"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("hello" * 99), "is not a picture"),
    "cut off": (_cut_off, "damaged or cut off"),
    "bomb": (_bomb, "too large|pixels, more than"),
    "missing": (lambda path: None, "check the name"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, tmp_path: Path) -> None:
    make, expected = BAD[name]
    path = tmp_path / "a.png"
    make(path)
    with pytest.raises(InputError, match=expected) as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)
    assert "a.png" in str(caught.value)


def test_damaged_tags_are_left_behind(tmp_path: Path) -> None:
    """They cannot be written again, and need not be to show the picture."""
    path = tmp_path / "a.tif"
    _tag(path, 262, count=128, value=1)
    assert read_picture(path).exif is None


def test_our_own_size_limit(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="30x20"):
        read_picture(tmp_path / "a.png", 500)


def test_a_picture_is_known_by_its_content(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "film.mp4")
    (tmp_path / "b.png").write_text("no")
    assert is_picture(tmp_path / "film.mp4")
    assert not is_picture(tmp_path / "b.png")
    assert not is_picture(tmp_path / "missing.png")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_picture(tmp_path / "nowhere" / "a.png", Picture(RGB))
    with pytest.raises(UsageError, match="extension"):
        write_picture(tmp_path / "a.xyz", Picture(RGB))
    assert list(tmp_path.iterdir()) == []


def test_text_chunks_do_not_disturb(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x")
    Image.fromarray(RGB).save(tmp_path / "a.png", pnginfo=info)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").rgb, RGB)
