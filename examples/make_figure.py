"""Makes ``demo.png`` for the README: source, frames of the target, and the same frames of a result.

python examples/make_figure.py RESULT [--out FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HERE = Path(__file__).resolve().parent
SHOWN = (12, 31, 62, 76, 86)
"""Frames: speaking, turned to each side, shut eyes, a nod."""
WINDOW = (50, 10, 300, 290)
"""Left, top, right, bottom of the part of a frame that is shown."""


def frames(clip: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(clip)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    left, top, right, bottom = WINDOW
    return [pictures[index][top:bottom, left:right] for index in SHOWN]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--out", type=Path, default=HERE / "demo.png")
    chosen = parser.parse_args()
    rows = [np.hstack(frames(clip)) for clip in (HERE / "target.mp4", chosen.result)]
    table = np.vstack(rows)
    source = Image.open(HERE / "source.jpg").crop((100, 0, 350, 280))
    sheet = Image.new("RGB", (250 + 10 + table.shape[1], table.shape[0]), "white")
    sheet.paste(source, (0, (table.shape[0] - 280) // 2))
    sheet.paste(Image.fromarray(table), (260, 0))
    sheet = sheet.resize((sheet.width * 3 // 4, sheet.height * 3 // 4), Image.Resampling.LANCZOS)
    sheet.quantize(192, dither=Image.Dither.NONE).save(chosen.out, optimize=True)


if __name__ == "__main__":
    main()
