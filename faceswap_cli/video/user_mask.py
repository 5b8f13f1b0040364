"""``--occlusion-mask``: a picture, or a video whose frames are matched to the target's by time."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli import color
from faceswap_cli.errors import InputError
from faceswap_cli.records import F64, I64, U8, Clip, ColorTags, Frame, Planes
from faceswap_cli.video.picture import is_picture, read_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import frame_times
from faceswap_cli.video.reader import read_frames

_GRAY = ColorTags(full_range=True)
_EARLY = 0.25
"""A mask frame counts from this share of a frame before its time: containers round times"""
_HELD = 2
"""Frames for which the last frame of a mask is held: exports often lack one"""


@dataclass(frozen=True, slots=True, eq=False)
class UserMask:
    """A readable mask that is as large as its target."""

    path: Path
    clip: Clip | None = None
    """None for a picture, which holds for every frame"""
    pts: I64 = field(repr=False, default_factory=lambda: np.zeros(0, np.int64))
    """(T,) times of the mask video's frames, sorted"""

    @property
    def step(self) -> Fraction:
        """Seconds from one mask frame to the next."""
        assert self.clip is not None
        if len(self.pts) < 2:
            return 1 / (self.clip.average_rate or Fraction(25))
        return Fraction(float(np.median(np.diff(self.pts)))) * self.clip.time_base

    def pts_at(self, seconds: Fraction) -> int:
        """Time of the mask frame on screen ``seconds`` after the start, in the mask's clock."""
        assert self.clip is not None
        ticks = self.clip.start_pts + (seconds + self.step * Fraction(_EARLY)) / self.clip.time_base
        row = int(np.searchsorted(self.pts, float(ticks), side="right")) - 1
        return int(self.pts[max(row, 0)])

    def cut(self, planes: Planes, crop_from_display: F64, side: int) -> U8:
        """(side, side) of ``Frame.mask``, 255 where the target stays."""
        if self.clip is None:
            luma = color.warp_luma(planes, _GRAY, crop_from_display, side)
        else:
            matrix = crop_from_display @ self.clip.display_from_frame
            luma = color.warp_luma(planes, self.clip.color, matrix, side)
        return np.asarray(np.clip(luma + 0.5, 0, 255), np.uint8)


def open_mask(path: Path | None, target: Path, size: tuple[int, int], max_pixels: int = 0) -> UserMask | None:
    """The mask at ``path`` for the target of display size ``size`` (width, height); None without a path.

    :class:`InputError` when it cannot be read or has another size.
    """
    if path is None:
        return None
    if is_picture(path):
        mask, own = UserMask(path), _gray(path, max_pixels).shape[1::-1]
    else:
        # Fields of a mask are not interpolated: each frame is as drawn.
        clip = replace(probe(path, max_pixels), deinterlace=False)
        mask, own = UserMask(path, clip, frame_times(clip)), clip.display_size
        if not len(mask.pts):
            raise InputError(f"the occlusion mask {path} holds no frame; export it again")
    if own != size:
        raise InputError(
            f"the occlusion mask {path.name} is {own[0]}x{own[1]} and {target.name} {size[0]}x{size[1]}; "
            "give a mask of the target's size"
        )
    return mask


def open_clip_mask(path: Path | None, clip: Clip, end_pts: int | None) -> UserMask | None:
    """:func:`open_mask` for the frames of ``clip`` before ``end_pts`` (None: all of them)."""
    mask = open_mask(path, clip.path, clip.display_size, clip.max_pixels)
    if mask is None or mask.clip is None:
        return mask
    end = clip.duration_s if end_pts is None else float((end_pts - clip.start_pts) * clip.time_base)
    last = end - 1 / float(clip.average_rate or 25)
    covered = float((int(mask.pts[-1]) - mask.clip.start_pts) * mask.clip.time_base + mask.step)
    if last > covered + float((_HELD - 1) * mask.step):
        raise InputError(
            f"the occlusion mask {mask.path.name} ends at {covered:.2f} s, and frames of {clip.path.name} "
            f"up to {end:.2f} s are swapped; give a mask that covers them, or --end {covered:.2f}"
        )
    return mask


def open_picture_mask(path: Path | None, target: Path, size: tuple[int, int]) -> UserMask | None:
    """:func:`open_mask` for a still picture."""
    if path is not None and not is_picture(path):
        raise InputError(f"the occlusion mask {path} is not a picture; a picture needs a picture as mask")
    return open_mask(path, target, size)


def picture_planes(mask: UserMask) -> Planes:
    """``Frame.mask`` of a mask that is a picture."""
    gray = _gray(mask.path)
    return Planes(gray, gray, gray)


def with_mask(frames: Iterable[Frame], target: Clip, mask: UserMask | None) -> Generator[Frame, None, None]:
    """``frames`` of ``target`` in order, each with the mask that is on screen at its time."""
    if mask is None:
        yield from frames
    elif mask.clip is None:
        for frame in frames:
            yield replace(frame, mask=picture_planes(mask))
    else:
        yield from _with_video(frames, target, mask, mask.clip)


def _with_video(
    frames: Iterable[Frame], target: Clip, mask: UserMask, clip: Clip
) -> Generator[Frame, None, None]:
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        return

    def mask_pts(frame: Frame) -> int:
        return mask.pts_at((frame.pts - target.start_pts) * frame.time_base)

    with closing(read_frames(clip, first_pts=mask_pts(first), known=mask.pts)) as read:
        shown = next(read, None)
        if shown is None:
            raise InputError(f"the occlusion mask {mask.path} cannot be decoded; export it again")
        yield replace(first, mask=shown.planes)
        for frame in remaining:
            wanted = mask_pts(frame)
            while shown.pts < wanted and (following := next(read, None)) is not None:
                shown = following
            yield replace(frame, mask=shown.planes)


@lru_cache(maxsize=2)
def _gray(path: Path, max_pixels: int = 0) -> U8:
    """(H, W); transparent parts count as black."""
    picture = read_picture(path, max_pixels)
    gray = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2GRAY)
    if picture.alpha is not None:
        gray = cv2.multiply(gray, picture.alpha, scale=1 / 255)
    return np.asarray(gray, np.uint8)
