"""Eyes and mouth of a drawn face, taken from the picture that knows them best.

All functions work in place on the Lab picture (h, w, 3) of ``window``; meshes (478, 2+) are in unit
coordinates of the crop: ``wanted`` as the face is drawn, the target's own as the frame shows it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, F64, FaceCrop
from faceswap_cli.swap.appearance import LAB_OFFSET

MOUTH_EDGE = 0.004
"""Softness of the mouth's inner edge, and how far onto the lips it lies, as a share of the crop."""
EYE_REACH, LID_BLUR = 0.28, 0.35
"""How far beyond its outline an eye's lids reach, and what blurs the skin around a shut one, in widths of the
eye"""
EYE_SOFT = 0.35
"""Blur of an eye's area, as a share of that reach"""
OF_LIPS, MOST_RED, MOST_LIPS = 0.8, 22.0, 0.6
"""Least a* and b*/a* of lips, as a share of the target's, and the most asked for: the rest is lipstick."""
DARKER, REDDER = 8.0, 5.0
"""L* by which lips may be darker than the target's, and a* and b* by which they may be larger"""
LIPS_REACH = 0.006
"""How far around the lips that holds, as a share of the crop"""
NOSTRILS_REACH = 0.012
"""How far around the outline of the nostrils they lie, as a share of the crop"""
DARKEST, DARKEST_BY, OF_DARKER, MOST_LIFTED = 3.0, 6.0, 0.3, 24.0
"""Percentile of L* that shows how dark the target's nostrils are; L* by which drawn ones may be darker; share
that is left of what is darker yet; and the most that lifts it"""
FEW = 8
"""Fewer pixels of lips or nostrils are ignored"""
LIT_SKIN = 10.0
"""L* over which what is darker than its surroundings counts less and less as skin."""
TINTED = np.float32(4.0)
"""a* and b* by which a shut lid may differ from the skin around it."""
GLINT = 4.0
"""Most of L* by which anything on a shut lid is lighter than the skin around it."""
_LINE = 0.06
"""Deviation of the points of a part across it, in its widths, that is as good as none."""
_SHUT = (0.55, 0.68)
"""Eye opening, as a share of the usual one, below which the target's eye is kept wholly or not at all."""


def eye_area(points: F32, ring: Sequence[int], window: Window) -> F32:
    """Where an eye with its lids is seen: (h, w) in [0, 1], soft."""
    eye = points[list(ring), :2]
    radius = EYE_REACH * float(np.ptp(eye[:, 0])) * window.side
    area = masks.grow(masks.fill_polygon(eye, window).astype(np.float32) / np.float32(255), radius)
    return masks.blur(area, EYE_SOFT * radius)


def shut_eyes(now: F32, usual: F32) -> F32:
    """(2,) how far the target's eyes are shut, measured against how far they are usually open.

    An eye is judged half by the other one, since both mostly blink together.
    """
    closed = now / np.maximum(usual, 0.05)
    wanted = (_SHUT[1] - (closed + closed.mean()) / 2) / (_SHUT[1] - _SHUT[0])
    return np.asarray(np.clip(wanted, 0.0, 1.0), np.float32)


def limit_lips(lab: F32, target: F32, points: F32, wanted: F32, window: Window) -> None:
    """Lips differ in color from the target's own, which the light has colored, within limits; in place.

    A source's lips keep their distance from the skin in L*a*b*: beside a paler skin than the source's they
    would turn violet, and lipstick would be the first thing seen in any other face.
    """
    there = part_around(points, (parts.LIPS_OUTER,), window, 0.0)
    reach = LIPS_REACH * window.side
    part = part_around(wanted, (parts.LIPS_OUTER,), window, 4 * reach)
    if there is None or part is None:
        return
    seen = cut_part(target, there, window)[_lips(points, there) > 0.5]
    share = masks.blur(masks.grow(_lips(wanted, part), reach), reach)
    if len(seen) < FEW or not share.any():
        return
    own = seen.mean(axis=0)
    least = [own[0] - DARKER, min(OF_LIPS * own[1], MOST_RED), -np.inf]
    most = [np.inf, own[1] + REDDER, own[2] + REDDER]
    drawn = cut_part(lab, part, window)
    have = (drawn * share[..., None]).sum(axis=(0, 1)) / share.sum()
    drawn += share[..., None] * (np.clip(have, least, most) - have).astype(np.float32)
    hue = np.float32(min(max(OF_LIPS * own[2] / max(own[1], 1.0), 0.0), MOST_LIPS))
    drawn[..., 2] += np.maximum(hue * drawn[..., 1] - drawn[..., 2], np.float32(0)) * share


def limit_nostrils(lab: F32, target: F32, points: F32, wanted: F32, window: Window) -> None:
    """Nostrils are hardly darker than the target's own; in place.

    What light reaches them depends on the lamp and on the camera's blacks: a hard photograph has black holes
    where soft footage shows shade.
    """
    reach = NOSTRILS_REACH * window.side
    there = part_around(points, (parts.NOSTRILS_RING,), window, reach)
    part = part_around(wanted, (parts.NOSTRILS_RING,), window, 4 * reach)
    if there is None or part is None:
        return
    inside = masks.union(points, (parts.NOSTRILS_RING,), there, reach) > 0.5
    seen = cut_part(target, there, window)[..., 0][inside]
    if len(seen) < FEW:
        return
    share = masks.blur(masks.union(wanted, (parts.NOSTRILS_RING,), part, reach), reach)
    drawn = cut_part(lab, part, window)
    under = np.maximum(np.float32(np.percentile(seen, DARKEST) - DARKEST_BY) - drawn[..., 0], 0)
    drawn[..., 0] += share * np.minimum(np.float32(1 - OF_DARKER) * under, np.float32(MOST_LIFTED))


def _lips(points: F32, window: Window) -> F32:
    outer, inner = (masks.union(points, (ring,), window) for ring in (parts.LIPS_OUTER, parts.LIPS_INNER))
    return np.asarray(outer * (1.0 - inner), np.float32)


def part_around(points: F32, rings: Sequence[Sequence[int]], window: Window, margin: float) -> Window | None:
    """The part of ``window`` around some rings of a mesh; None when it lies outside."""
    pixels = window.pixels(points[[k for ring in rings for k in ring]])
    low = np.clip(np.floor(pixels.min(axis=0) - margin), 0, (window.width, window.height)).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0) + margin) + 1, 0, (window.width, window.height)).astype(int)
    if (high <= low).any():
        return None
    width, height = (int(v) for v in high - low)
    return Window(window.x + int(low[0]), window.y + int(low[1]), width, height, window.side)


def cut_part(picture: F32, part: Window, window: Window) -> F32:
    """A view of ``picture`` (of ``window``) inside ``part``."""
    x, y = part.x - window.x, part.y - window.y
    return picture[y : y + part.height, x : x + part.width]


def keep_mouth(lab: F32, target: F32, points: F32, wanted: F32, window: Window, onto: float = 0.0) -> None:
    """The inside of a mouth is the target's own, moved to the new lips; in place.

    ``onto``, 0 to 1: how far the edges of the lips become as dark as the target's, so that lips that shut
    have a line between them.
    """
    edge = MOUTH_EDGE * window.side
    inside, reach = (
        masks.blur(masks.union(wanted, (parts.LIPS_INNER,), window, out), edge) for out in (0.0, onto * edge)
    )
    found = own_part(target, points, wanted, parts.LIPS_INNER, reach, window)
    if found is None:
        return
    area, own, share = found
    drawn = lab[area]
    drawn[..., 0] += np.minimum(own[..., 0] - drawn[..., 0], np.float32(0)) * share[..., 0]
    drawn += (own - drawn) * inside[area][..., None]


def keep_shut_eyes(lab: F32, target: F32, crop: FaceCrop, wanted: F32, window: Window) -> None:
    """Eyes that shut are the target's own, moved to the new ones: shut eyes are rare in training; in place.

    Their color is that of the drawn skin around them.
    """
    points = crop.landmarks / np.float32(crop.rgb.shape[0])
    shut = shut_eyes(parts.eye_apertures(points), np.array(crop.open_eyes, np.float32))
    for ring, amount in zip((parts.LEFT_EYE, parts.RIGHT_EYE), shut, strict=True):
        if amount <= 0.0:
            continue
        found = own_part(target, points, wanted, ring, eye_area(wanted, ring, window), window)
        if found is None:
            continue
        area, own, share = found
        width = float(np.ptp(wanted[list(ring), 0])) * window.side
        own = _lid(own, lab[area], share[..., 0], width)
        lab[area] += (own - lab[area]) * (share * np.float32(amount))


def _lid(own: F32, drawn: F32, share: F32, width: float) -> F32:
    """A shut lid (h, w, 3) of the target, fitted to the drawn skin around it.

    Lashes, folds and shading stay, and the color within ``TINTED`` of the skin's: what is much lighter, or of
    another color, may be a reflection on glasses.
    """
    around = 1.0 - share + np.float32(1e-4)
    middle, _ = masks.masked_blur(drawn[..., :1], around, LID_BLUR * width)
    # Lashes and paint are not skin.
    lit = np.clip((drawn[..., 0] - middle[..., 0]) / np.float32(LIT_SKIN) + np.float32(0.5), 0.0, 1.0)
    skin, _ = masks.masked_blur(drawn, around * lit, LID_BLUR * width)
    rim = share * (1.0 - share)
    fitted = own + ((drawn - own) * rim[..., None]).sum((0, 1)) / max(float(rim.sum()), 1e-3)
    lid = np.minimum(fitted[..., 0], skin[..., 0] + np.float32(GLINT))
    level = np.maximum(lid + np.float32(LAB_OFFSET), 0) / (skin[..., 0] + np.float32(LAB_OFFSET))
    color = skin[..., 1:] * level[..., None]
    inside = share > 0.5
    if inside.any():
        color += np.clip(np.median((fitted[..., 1:] - color)[inside], axis=0), -TINTED, TINTED)
    return np.asarray(np.dstack([lid, color]), np.float32)


def own_part(
    target: F32, points: F32, wanted: F32, ring: Sequence[int], share: F32, window: Window
) -> tuple[tuple[slice, slice], F32, F32] | None:
    """The target's Lab where ``share`` (h, w) is above 0, moved as the ``ring`` moves.

    The area, the Lab and the share there; None where it is 0 everywhere.
    """
    rows, columns = np.nonzero(share.any(axis=1))[0], np.nonzero(share.any(axis=0))[0]
    if not len(rows):
        return None
    area = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    plane = plane_of(points, wanted, ring)
    y, x = np.mgrid[area].astype(np.float32)
    here = np.stack([x + window.x + 0.5, y + window.y + 0.5, np.full_like(x, window.side)], axis=-1)
    shift = here @ plane.astype(np.float32)
    where = np.stack([x + shift[..., 0], y + shift[..., 1]], axis=-1)
    own = cv2.remap(target, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return area, np.asarray(own, np.float32), share[area][..., None]


def plane_of(points: F32, wanted: F32, ring: Sequence[int]) -> F64:
    """(3, 2): (x, y, 1) of a place in ``wanted`` -> the way from there to the target's ``points``.

    Some twenty points around a small area: the move is almost constant inside, a plane fits it.  How it
    changes across a shut eye nobody knows: its points lie on a line, and little is made of them.
    """
    start, end = (mesh[list(ring), :2].astype(np.float64) for mesh in (wanted, points))
    middle, move = start.mean(axis=0), end - start
    away = start - middle
    damp = len(away) * (_LINE * float(np.ptp(away[:, 0]))) ** 2 + 1e-12
    slope = np.linalg.solve(away.T @ away + damp * np.eye(2), away.T @ (move - move.mean(axis=0)))
    return np.concatenate([slope, (move.mean(axis=0) - middle @ slope)[None]])
