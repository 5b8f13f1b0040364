"""What a file may claim before it is refused: a few bytes can promise any size.

The limits are far beyond what cameras make; the one on pixels can be raised (``--max-pixels``).
"""

from __future__ import annotations

from fractions import Fraction

CLIP_PIXELS = 1 << 26
"""Of a frame of a clip (8192 x 8192): some fifty of them are in memory at a time"""
PICTURE_PIXELS = 250_000_000
"""Of a still picture"""
WIDEST_PIXEL = Fraction(16)
"""Pixels wider, or higher, than this many times the other side are a mistake: the widest in use are 3 : 1."""
TEXT_BYTES = 64 << 20
"""Of a manifest or the like"""


def clip_pixels(asked: int) -> int:
    """The limit for clips: what was ``asked`` for, or the usual one for 0."""
    return asked or CLIP_PIXELS


def picture_pixels(asked: int) -> int:
    """The limit for still pictures: what was ``asked`` for, or the usual one for 0."""
    return asked or PICTURE_PIXELS


def size_problem(width: int, height: int, limit: int) -> str:
    """Why a picture of this size is refused, to follow the name of the file; empty when it is not."""
    if width * height <= limit:
        return ""
    return (
        f"claims {width}x{height} pixels, more than the {limit:,} allowed; make it smaller, or raise the "
        "limit with --max-pixels if memory allows"
    )
