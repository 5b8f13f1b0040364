"""What the occluder head sees in a crop, as numbers that are smoothed over time with the rest of a code.

Glasses move with the head: their maps are averaged over a few frames, so that rims do not flicker, and
whether there are any is decided over more.  Hands and hair are taken as each frame shows them.
"""

from __future__ import annotations

import numpy as np

from faceswap_cli.nets.occluder import CLASSES, SIDE_OUT
from faceswap_cli.records import F32
from faceswap_cli.swap.occluder_head import Seen

_GLASSES = slice(1, 3)
_ROWS = slice(10, 66)
"""Rows of the head's answer where glasses can be, in an aligned crop"""
_WORN = (_ROWS.stop - _ROWS.start) * SIDE_OUT * 2
_OTHERS = SIDE_OUT * SIDE_OUT
NUMBERS = _WORN + _OTHERS + 1
GLASSES_BETA, EVIDENCE_BETA = 2.0, 25.0
BETA = np.concatenate([np.full(_WORN, GLASSES_BETA), np.zeros(_OTHERS), [EVIDENCE_BETA]]).astype(np.float32)
"""Smoothing over time (``swap.kernel``)."""
NOTHING = np.zeros(NUMBERS, np.float32)
"""Of a face with nothing in front"""


def pack(seen: Seen, evidence: float) -> F32:
    """(NUMBERS,) of what is seen in a whole crop; ``evidence``: ``glasses.rim_evidence``."""
    worn = seen.shares[_ROWS, :, _GLASSES]
    # Three bytes in one number: whole numbers up to 2^24 are exact, and nothing averages them.
    bytes_of = np.zeros((SIDE_OUT, SIDE_OUT, 4), np.uint8)
    bytes_of[..., :3] = seen.shares[..., _GLASSES.stop :] * np.float32(255) + np.float32(0.5)
    others = bytes_of.view("<u4")
    return np.concatenate([worn.ravel(), others.ravel(), [evidence]], dtype=np.float32, casting="unsafe")


def unpack(numbers: F32) -> tuple[Seen, float]:
    """Inverse of :func:`pack`, within a byte."""
    shares = np.zeros((SIDE_OUT, SIDE_OUT, len(CLASSES)), np.float32)
    shares[_ROWS, :, _GLASSES] = numbers[:_WORN].reshape(_ROWS.stop - _ROWS.start, SIDE_OUT, 2)
    bytes_of = numbers[_WORN:-1].astype("<u4").view(np.uint8).reshape(SIDE_OUT, SIDE_OUT, 4)
    shares[..., _GLASSES.stop :] = bytes_of[..., :3] * np.float32(1 / 255)
    face = shares[..., 0]
    face += 1.0
    for k in range(1, len(CLASSES)):
        face -= shares[..., k]
    np.maximum(face, 0.0, out=face)
    return Seen(shares, 1.0), float(numbers[-1])
