"""Small clips with the face of the bundled example, and how results are compared."""

from __future__ import annotations

import hashlib
from contextlib import closing
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from faceswap_cli.records import U8
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from tests.clips import make_clip, moving_ramp

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
WIDTH, HEIGHT = 192, 256


@lru_cache(maxsize=1)
def pictures() -> tuple[U8, ...]:
    """All frames of the example clip at half its size, (256, 192, 3)."""
    with av.open(str(EXAMPLES / "target.mp4")) as container:
        return tuple(
            picture.to_ndarray(format="rgb24", width=WIDTH, height=HEIGHT)
            for picture in container.decode(video=0)
        )


def small_example(
    path: Path, frames: int, *, face: range | None = None, rotation: int = 0, **given: Any
) -> list[int]:
    """The example with whatever streams are asked for; with ``face`` only those frames show one."""

    def paint(index: int, width: int, height: int) -> U8:
        shown = face is None or index in face
        upright = pictures()[index] if shown else moving_ramp(index // 3, WIDTH, HEIGHT) // 2
        return np.rot90(upright, -(rotation // 90))

    size = (HEIGHT, WIDTH) if rotation % 180 else (WIDTH, HEIGHT)
    return make_clip(path, size=size, frames=frames, picture=paint, rotation=rotation, **given)


def frames_digest(path: Path) -> str:
    """Of all decoded frames and their times."""
    digest = hashlib.sha256()
    with closing(read_frames(probe(path))) as frames:
        for frame in frames:
            digest.update(f"{frame.pts * Fraction(frame.time_base)}".encode())
            for plane in (frame.planes.y, frame.planes.cb, frame.planes.cr):
                digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()
