"""Clips of the two bundled people together: side by side, crossing, leaving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli.records import U8
from tests.clips import make_clip

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COLLINS = EXAMPLES / "source.jpg"
SIZE = (640, 360)
HEAD = 230
"""Height of a cut-out in pixels; the faces in it are about 100 px wide."""

Places = Callable[[float], tuple[float, float]]
"""Share of the clip 0..1 -> x of Collins, x of Hopper, as shares of the picture's width"""


def side_by_side(share: float) -> tuple[float, float]:
    return 0.28 + 0.03 * share, 0.72 - 0.03 * share


def crossing(share: float) -> tuple[float, float]:
    """Both walk to where the other began; Hopper passes in front."""
    return 0.2 + 0.6 * share, 0.8 - 0.6 * share


def one_leaves(share: float) -> tuple[float, float]:
    """Hopper walks out of the picture and comes back; Collins takes the empty place meanwhile."""
    away = np.clip(abs(share - 0.5) * 2, 0, 1)
    return 0.3 + 0.35 * (1 - away), 0.75 + 0.5 * (1 - away)


def hopper_photo(folder: Path) -> Path:
    """The first frame of the example clip as a picture."""
    path = folder / "hopper.png"
    if not path.is_file():
        cv2.imwrite(str(path), cv2.cvtColor(_hopper(), cv2.COLOR_RGB2BGR))
    return path


def make_stage(path: Path, places: Places, frames: int = 40) -> Path:
    """Write a clip of ``frames`` frames, 25 a second."""
    heads = _cut_out(_collins()), _cut_out(_hopper())

    def paint(index: int, width: int, height: int) -> U8:
        xs = places(index / max(frames - 1, 1))
        picture = _room(width, height)
        for (rgb, alpha), x in zip(heads, xs, strict=True):
            bob = 4 * np.sin(index / 5 + 9 * x)
            move = np.array([[1, 0, x * width - rgb.shape[1] / 2], [0, 1, height * 0.2 + bob]])
            layer = cv2.warpAffine(rgb, move, (width, height), flags=cv2.INTER_LINEAR)
            soft = cv2.warpAffine(alpha, move, (width, height), flags=cv2.INTER_LINEAR)[..., None]
            picture = picture * (1 - soft) + layer * soft
        return np.clip(picture, 0, 255).astype(np.uint8)

    make_clip(path, size=SIZE, frames=frames, picture=paint, options={"crf": "14"})
    return path


def _collins() -> U8:
    picture = cv2.imread(str(COLLINS))
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)[0:290, 90:360], np.uint8)


def _hopper() -> U8:
    capture = cv2.VideoCapture(str(EXAMPLES / "target.mp4"))
    there, picture = capture.read()
    capture.release()
    assert there
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _cut_out(picture: U8) -> tuple[U8, np.ndarray]:
    """(HEAD, W, 3) and its soft outline (HEAD, W) in 0..1."""
    scale = HEAD / picture.shape[0]
    rgb = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = rgb.shape[:2]
    alpha = np.zeros((height, width), np.float32)
    cv2.ellipse(alpha, (width // 2, height // 2), (int(width * 0.46), int(height * 0.48)), 0, 0, 360, 1, -1)
    return np.asarray(rgb, np.uint8), cv2.GaussianBlur(alpha, (0, 0), 3)


def _room(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([90 + x * 0.08, 100 + y * 0.1, 120 - x * 0.05], axis=-1)
