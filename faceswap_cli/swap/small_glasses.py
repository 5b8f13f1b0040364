"""Glasses in small crops: what the network of rims sees, at the head's size, to be averaged over time.

A rim a pixel wide in blurred footage looks different in every frame: its map must be steadied as the head's
is, so it takes the place of the head's before that is smoothed (``swap.sight``).  There little is lost, for
the head's answer has about as many cells as the crop has pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.occluder import CLASSES
from faceswap_cli.nets.rims import CROP_SIDE
from faceswap_cli.records import F32, U8
from faceswap_cli.swap.glasses import SMALL
from faceswap_cli.swap.occluder_head import Seen
from faceswap_cli.swap.rims import rims_and_lenses

_FAINT = 0.04
"""Probability of glasses from which the network looks at a place"""
_MARGIN = 0.04
"""Around these places, as a share of the crop"""
_LINE = 2
"""Half the width, in cells, beyond which an area is wider than a rim"""
_WIDE = (0.2, 0.45)
"""Probabilities everywhere in an area from which it counts as one that wide, in part and wholly"""
_REACH = 4
"""How far, in cells, the head's highest probability of a rim is looked for"""
_LEAST = 0.25
"""What that is at least, or noise would be a rim where there is none"""
_RIDGE = (0.3, 0.7)
"""Share of it from which a place is the middle of what the head takes for a rim, in part and wholly"""
_RIM, _LENS = CLASSES.index("rim"), CLASSES.index("lens")


def with_fine_glasses(seen: Seen, rgb: U8, points: F32) -> Seen:
    """``seen`` with rims and lenses of the network at full size, if the crop (S, S, 3) is small.

    ``points`` (478, 2+) unit coordinates.
    """
    cells = seen.shares[..., _RIM] + seen.shares[..., _LENS] > _FAINT
    side = rgb.shape[0]
    if side >= SMALL or not cells.any():
        return seen
    n = cells.shape[0]
    inner = np.argwhere(cells)[:, ::-1].astype(np.float32) / n - np.float32(0.5)
    window = Window.around(inner * np.float32(seen.share) + np.float32(0.5), side, _MARGIN)
    answer = rims_and_lenses(window.of(rgb), points, window, seen)
    # The crop at the network's scale, then the middle square that the head looked at.
    whole = round(CROP_SIDE / seen.share)
    y, x = (round(start * whole / side) for start in (window.y, window.x))
    edge = round(whole * (1 - seen.share) / 2)
    canvas = np.zeros((whole, whole, 2), np.float32)
    part = canvas[y : y + answer.shape[0], x : x + answer.shape[1]]
    part[:] = answer[: part.shape[0], : part.shape[1]]
    middle = canvas[edge : whole - edge, edge : whole - edge]
    rim, lens = cv2.split(cv2.resize(middle, (n, n), interpolation=cv2.INTER_AREA))
    shares = seen.shares.copy()
    shares[..., _RIM] = _narrow(rim, np.ascontiguousarray(seen.shares[..., _RIM]))
    shares[..., _LENS] = lens
    return Seen(shares, seen.share)


def _narrow(rim: F32, head_rim: F32) -> F32:
    """``rim`` (n, n); of areas wider than a rim, only the middle of what the head takes for one (n, n).

    Sunlit skin beside a rim, and a brow with a rim in it, are that wide.
    """
    wide = masks.eased(masks.grow(masks.grow(rim, -_LINE), _LINE + 1), _WIDE)
    highest = np.maximum(masks.grow(head_rim, _REACH), np.float32(_LEAST))
    ridge = masks.eased(masks.blur(np.asarray(head_rim / highest, np.float32), 0.6), _RIDGE)
    return np.asarray(rim * (1.0 - wide * (1.0 - ridge)), np.float32)
