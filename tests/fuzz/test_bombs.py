"""Small files that claim to be huge: refused in one line, quickly, before memory is taken."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from faceswap_cli.batch.manifest import read_manifest
from faceswap_cli.config_files import file_layer
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.limits import CLIP_PIXELS, PICTURE_PIXELS
from faceswap_cli.video.picture import read_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from tests.clips import make_clip

ROOT = Path(__file__).resolve().parent.parent.parent
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory from /proc")


def black_png(width: int, height: int) -> bytes:
    """A whole PNG of one color; a thousand times smaller than its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(1), bytes(1 + width // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def png_clip(path: Path, pictures: list[bytes]) -> None:
    """A clip of ready-made PNG files, whatever the container says of their size."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        for number, data in enumerate(pictures):
            packet: Any = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            container.mux(packet)


def peak_mb(code: str, *arguments: object) -> int:
    """Peak memory of a Python program of its own.

    Not ``ru_maxrss``: that begins with the peak of the process that started the program, these tests.
    """
    peak = "next(int(line.split()[1]) >> 10 for line in open('/proc/self/status') if 'VmHWM' in line)"
    told = f"import sys\n{code}\nprint({peak})"
    run = subprocess.run(
        [sys.executable, "-c", told, *map(str, arguments)],
        capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return int(run.stdout.split()[-1])


PROBE = """
from pathlib import Path
from faceswap_cli.errors import InputError
from faceswap_cli.video.{module} import {name}
try:
    {name}(Path(sys.argv[1]))
except InputError as error:
    assert "--max-pixels" in str(error), error
else:
    raise SystemExit("not refused")
"""


@needs_proc
@pytest.mark.parametrize(
    ("name", "module", "call"), [("a.png", "picture", "read_picture"), ("a.nut", "probe", "probe")]
)
def test_a_bomb_takes_no_memory(name: str, module: str, call: str, tmp_path: Path) -> None:
    bomb = black_png(16000, 16000)
    assert len(bomb) < 200_000
    if name == "a.nut":
        png_clip(tmp_path / name, [bomb, bomb])
    else:
        (tmp_path / name).write_bytes(bomb)
    nothing = peak_mb(f"from faceswap_cli.video.{module} import {call}")
    assert peak_mb(PROBE.format(module=module, name=call), tmp_path / name) < nothing + 25


def test_the_flag_raises_the_limits(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(black_png(14000, 14000))
    assert PICTURE_PIXELS > 14000 * 14000  # more than the picture library's own switch allows
    assert read_picture(tmp_path / "a.png").rgb.shape == (14000, 14000, 3)
    with pytest.raises(InputError, match="14000x14000"):
        read_picture(tmp_path / "a.png", CLIP_PIXELS)
    png_clip(tmp_path / "b.nut", [black_png(8000, 400)])
    with pytest.raises(InputError, match="--max-pixels"):
        probe(tmp_path / "b.nut", 1_000_000)
    assert probe(tmp_path / "b.nut", 3_200_000).width == 8000


def test_a_frame_that_grows_on_the_way_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.nut"
    png_clip(path, [black_png(64, 48), black_png(16000, 16000), black_png(64, 48)])
    clip = probe(path)
    with closing(read_frames(clip)) as frames:
        assert [frame.planes.shape for frame in frames] == [(48, 64)] * 2


@pytest.mark.parametrize("ratio", [(1, 10000), (10000, 1), (2**31 - 1, 1)])
def test_absurd_pixel_shapes(ratio: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path, sar=Fraction(4, 3), options={"x264-params": "keyint=5"})
    data = bytearray(path.read_bytes())
    place = data.index(b"pasp")
    data[place + 4 : place + 12] = struct.pack(">II", *ratio)
    path.write_bytes(data)
    with pytest.raises(InputError, match="shape") as caught:
        probe(path)
    assert "a.mp4" in str(caught.value)


BOXES = {
    "mvhd": (8, 12, 16, 20),
    "mdhd": (8, 12, 16, 20),
    "tkhd": (20, 40, 44, 48, 56, 60, 72),
    "stts": (4, 8, 12),
    "stsz": (4, 8, 12),
    "stco": (4, 8),
    "stsc": (4, 8, 12),
    "elst": (4, 8, 12, 16),
    "ctts": (4, 8, 12),
}
"""Box -> places of its numbers: clocks, durations, rotations, counts, sizes, offsets"""
NUMBERS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 10**9)


@pytest.mark.parametrize("box", BOXES)
def test_absurd_numbers_in_headers(box: str, tmp_path: Path) -> None:
    """Clocks of a nanosecond, a milliard frames, a thousand years, garbage for a rotation."""
    make_clip(tmp_path / "whole.mp4", rotation=90, options={"x264-params": "keyint=5:bframes=2"})
    whole = (tmp_path / "whole.mp4").read_bytes()
    place = whole.index(box.encode())
    for offset in BOXES[box]:
        for number in NUMBERS:
            data = bytearray(whole)
            data[place + offset + 4 : place + offset + 8] = struct.pack(">I", number)
            path = tmp_path / "a.mp4"
            path.write_bytes(data)
            try:
                clip = probe(path)
                assert 0 < clip.frames <= len(data)
                assert np.isfinite(clip.display_from_frame).all()
                with closing(read_frames(clip)) as frames:
                    times = np.array([frame.pts for frame in frames], np.int64)
                assert (np.diff(times) > 0).all()
            except InputError:
                continue


STRIP = """
import numpy as np
from faceswap_cli.faces.detect import find_faces
assert find_faces(np.full((int(sys.argv[1]), int(sys.argv[2]), 3), 90, np.uint8)) == ()
"""


@needs_proc
@pytest.mark.parametrize("size", [(1, 9000), (40000, 3), (1, 1)])
def test_strips_are_searched_in_little_memory(size: tuple[int, int]) -> None:
    assert peak_mb(STRIP, *size) < 900


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    for path in (tmp_path / "a.mp4", Path("/dev/zero")):
        for read in (probe, read_picture):
            with pytest.raises(InputError, match="not a regular file"):
                read(path)


def test_endless_texts_are_not_read_to_their_end() -> None:
    for read in (read_manifest, file_layer):
        with pytest.raises(UsageError, match="larger than 64 MiB"):
            read(Path("/dev/zero"))
