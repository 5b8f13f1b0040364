"""What a better photograph would change: one line for each fault that all photographs of a person share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from faceswap_cli.faces.crops import cut, upright_crop, width_px
from faceswap_cli.faces.landmarks import mouth_opening, seen_irises
from faceswap_cli.identity.pose import pose
from faceswap_cli.records import F32, U8, SourcePhoto

SMALL_PX = 90.0
"""Width of a face below which close-ups look soft."""
TURNED_DEG = 35.0
SIDE_LIT = 2.1
"""Ratio of the linear light on the two cheeks."""
DARK = 30.0
"""L* of the cheeks below which a face is in the dark."""
OPEN = 0.12
"""Opening of the lips, in widths of the mouth, of a photograph that laughs"""
GRAY = 4.0
"""Chroma (a*, b*) of the cheeks below which a photograph is monochrome."""
AWAKE = 0.5
"""Share of an iris from which a photograph shows it."""
_SIDE = 128
_CHEEKS = ((50, 205, 117), (280, 425, 346))
"""Of the subject's right and left side"""


def advice(photos: Sequence[SourcePhoto]) -> list[str]:
    """Lines for the user, the most serious fault first."""
    which = photos[0].path.name if len(photos) == 1 else "every photo"
    return [text.format(which=which) for holds, text in FAULTS if all(holds(photo) for photo in photos)]


def _small(photo: SourcePhoto) -> bool:
    return float(width_px(photo.landmarks)) < SMALL_PX


def _turned(photo: SourcePhoto) -> bool:
    return abs(float(pose(photo.landmarks).yaw)) > TURNED_DEG


def _asleep(photo: SourcePhoto) -> bool:
    return float(seen_irises(photo.landmarks).max()) <= AWAKE


def _laughing(photo: SourcePhoto) -> bool:
    return mouth_opening(photo.landmarks) > OPEN


def _side_lit(photo: SourcePhoto) -> bool:
    return _one_sided(*_cheeks(photo.rgb, photo.landmarks))


def _one_sided(*cheeks: F32) -> bool:
    right, left = (((lab[:, 0] + 16) / 116) ** 3 for lab in cheeks)
    return bool(max(right.mean() / left.mean(), left.mean() / right.mean()) > SIDE_LIT)


def _monochrome(photo: SourcePhoto) -> bool:
    return bool(np.hypot(*np.concatenate(_cheeks(photo.rgb, photo.landmarks))[:, 1:].T).mean() < GRAY)


def skin_tone(rgb: U8, landmarks: F32) -> tuple[float, float] | None:
    """L* of the cheeks of a face (478, 2 or 3), and their typology angle in degrees: high is fair.

    None where they show the light rather than the skin.
    """
    cheeks = _cheeks(rgb, landmarks)
    lightness, _, yellow = np.median(np.concatenate(cheeks), axis=0).tolist()
    if lightness < DARK or _one_sided(*cheeks):
        return None
    return lightness, float(np.degrees(np.arctan2(lightness - 50, max(yellow, 1.0))))


def _cheeks(rgb: U8, landmarks: F32) -> tuple[F32, F32]:
    """(3, 3) L*a*b* on each cheek."""
    matrix = upright_crop(landmarks, _SIDE, 1.6)
    smooth = cv2.GaussianBlur(cut(rgb, matrix, _SIDE), (0, 0), 3.0)
    lab = cv2.cvtColor(smooth.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    points = landmarks[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
    x, y = np.clip(points, 0, _SIDE - 1).astype(int).T
    right, left = (np.asarray(lab[y[list(rows)], x[list(rows)]], np.float32) for rows in _CHEEKS)
    return right, left


FAULTS: tuple[tuple[Callable[[SourcePhoto], bool], str], ...] = (
    (_small, "the face in {which} is small: close-ups will look soft; add a larger photo"),
    (_turned, "the face in {which} is turned away: its far side is guessed; add a frontal photo"),
    (_asleep, "the eyes are shut in {which}: the target's own are kept; add a photo with open eyes"),
    (
        _laughing,
        "the mouth is open in {which}: cheeks and eyes stay as in a laugh; add a photo with a calm face",
    ),
    (_side_lit, "the light in {which} comes from one side and will show; add a photo in even light"),
    (_monochrome, "{which} has no color: skin takes the target's; add a color photo"),
)
