"""One clean source texture out of the photographs of a person.

Every photograph, and its mirror image as a last resort, is warped to one mesh (that of the best
photograph, turned to the front when it looks aside).  Per pixel the views are then chosen by
visibility x quality: the side that one photograph hides, another shows.  Hair, glasses and
shadow on the skin count as not visible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align, masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.identity.enrolled import Enrolled
from faceswap_cli.records import F32, MESH_POINTS, U8, SourcePhoto
from faceswap_cli.swap import appearance
from faceswap_cli.swap.glasses import rim_evidence, wears_glasses
from faceswap_cli.swap.occluder_head import Seen, look
from faceswap_cli.swap.occlusion import TOLERANCE
from faceswap_cli.swap.skin import whole_brows

TEXTURE_SIDE, _SMALL_SIDE = 640, 320
"""Largest and smallest side of the source texture in pixels: small photographs need no large one."""
_STEP = 32
_RIM_SKIN, _RIM_SOFT = 0.03, 0.018
"""What is left out inside the outline, and how softly, as shares of the side: hair and background shine in
there."""
_RIM_BROW = 0.02
"""The same, twice the softness, of brows, whose tails reach far out"""
_MIRROR_QUALITY = 0.04
"""A mirrored view serves only where nothing else does."""
_FLOOR = 1e-3
_CHOICE, _OTHERS = 8, 0.7
"""Power of visibility x quality, and what the photographs besides the best one count: meshes of two
photographs differ by a pixel or two, so an even mean would be blurred.  One is chosen wherever it sees."""
_HAIR, _THING, _AROUND = (0.35, 0.65), (0.5, 0.8), 0.008
"""Probabilities of hair, and of other things, from which something lies in front, and how far around it is
left out, in sides.  A hole where nothing was costs more than a strand."""
_AROUND_FRINGE = 0.03
"""The same above the brows: strands end finer than they are found"""
_COVER_SIDE, _DARK_LENS = 320, 0.55
"""Side at which that is looked for, and lightness of lenses over the skin's below which they hide the eyes"""
_RIM, _RIM_AT_BROWS, _AROUND_RIM = (0.2, 0.45), (0.55, 0.8), 0.013
"""The same of the rims of glasses, which cast shadows: probabilities, those over brows, and how far around"""
_SKIN_NEAR, _UNLIKE, _REACH, _THIN = 0.1, 0.85, 0.12, 0.012
"""Of hair beside a face: blur that shows the skin near it, tolerances by which its color differs, how far
into the face it is looked for, and what is too thin, as shares of the picture."""
_NEAR_HAIR, _SHALLOW = 0.04, 0.05
"""How far around hair that the occluder head finds that reach holds, and the reach elsewhere"""
_SURE, _HUE, _LOCK = 0.05, 7.0, 0.06
"""How far inside the outline skin is surely seen, a* and b* by which another hue differs from its own, and
how far around hair a brow may be under a lock"""
_BELOW_FRINGE, _CONTRAST = 0.08, (2.0, 1.1)
"""How far below hair over the forehead its strands end, as a share of the side; contrast of strands over that
of the cheeks, far from other hair and near it"""
_SEEN_FROM, _SEEN_OVER = 0.10, 0.35
"""Depth of the normals from which a photograph shows a point, and over which it comes to show it well."""
_ASLEEP = 0.3
"""What a photograph with an eye shut counts when the geometry is chosen."""
_CLEAR_SIDE = 192
"""Side at which hair and glasses over the source's skin are looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """The source face in its own geometry."""

    lab: F32
    """(S, S, 3)"""
    points: F32
    """(478, 3) unit coordinates of its mesh"""
    light: F32
    """(478, 3) low-frequency Lab at the mesh points"""
    surroundings: F32
    """(S, S, 3) the best photograph in the same geometry: hair and background around the face"""
    seen: F32 = field(repr=False, default_factory=lambda: np.ones(MESH_POINTS, np.float32))
    """(478,) how well a photograph showed each point, 0 to 1: what faced away or was covered was not seen"""

    def picture(self, side: int) -> U8:
        """The face in its surroundings, (side, side, 3) RGB."""
        n = self.lab.shape[0]
        hull = masks.union(self.points, (parts.OVAL,), n)
        inside = masks.blur(masks.grow(hull, -0.02 * n), 0.01 * n)[..., None]
        whole = self.surroundings + (self.lab - self.surroundings) * inside
        return appearance.rgb_from_lab(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA))


def from_enrolled(person: Enrolled) -> Texture:
    """The texture that an enrollment file holds."""
    lab = appearance.lab_from_rgb(person.texture)
    around = appearance.lab_from_rgb(person.surroundings)
    if around.shape != lab.shape:
        around = warp.enlarge(around, lab.shape[0])
    return Texture(lab, person.points, person.light, around, person.seen)


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    lab: F32
    points: F32
    weight: F32
    """(478,) visibility x quality at the mesh points"""
    clear: F32
    """(S, S) 1 where nothing lies over the skin"""
    seen: F32
    """(478,) how well this photograph shows each point"""


@dataclass(frozen=True, slots=True, eq=False)
class _Carried:
    """A view warped to the reference geometry, (S, S, 3) and twice (S, S)."""

    lab: F32
    weight: F32
    clear: F32


def build_texture(photos: Sequence[SourcePhoto]) -> Texture:
    """Fuse photographs of one person; the first one with the best quality sets the geometry.

    Open eyes count there: in the geometry of shut ones there is no room for those of the others.
    """
    ranked = sorted(photos, key=lambda photo: -photo.quality * _awake(photo))
    side = _side_for(photos)
    views = [_view(photo, side) for photo in ranked]
    seen = np.max([view.seen for view in views], axis=0)
    reference = _frontal(views[0].points)
    views += [_mirrored(view) for view in views]
    carried = [_carry(view, reference) for view in views]
    lab = _fuse(carried, reference)
    skin = appearance.skin_weight(lab, reference)
    return Texture(lab, reference, appearance.light_at(lab, skin, reference), carried[0].lab, seen)


def _awake(photo: SourcePhoto) -> float:
    return _ASLEEP + (1.0 - _ASLEEP) * float(parts.seen_irises(photo.landmarks).min())


def _side_for(photos: Sequence[SourcePhoto]) -> int:
    """Side of the texture: about that of the largest face."""
    halves = [align.square_from_unit(align.unit_from_points(photo.landmarks))[2] for photo in photos]
    fine = math.ceil(2 * float(max(halves)) / _STEP) * _STEP
    return min(max(fine, _SMALL_SIDE), TEXTURE_SIDE)


def _view(photo: SourcePhoto, side: int) -> _View:
    unit = align.unit_from_points(photo.landmarks)
    rgb = cut(photo.rgb, align.scaled(unit, side), side, sharp=True)
    lab = appearance.lab_from_rgb(rgb)
    points = align.apply(unit, photo.landmarks)
    facing = warp.vertex_normals(points, parts.topology().triangles)[:, 2]
    weight = masks.smoothstep((facing - 0.1) / 0.5) * np.float32(photo.quality)
    for ring, seen in zip((parts.LEFT_EYE, parts.RIGHT_EYE), parts.seen_irises(points), strict=True):
        weight[list(ring)] *= seen
    before = look(rgb, points, align.FFHQ_SCALE)
    bare = _bare_skin(lab, points, before) * _uncovered(before, lab, points)
    clear = bare * _inside(points, side)
    seen = masks.smoothstep((facing - _SEEN_FROM) / _SEEN_OVER)
    seen *= np.clip(masks.sample(masks.blur(bare, 0.02 * side), points), 0.0, 1.0)
    seen[[*parts.EYES, *parts.IRISES, *parts.LIPS]] = 1.0
    return _View(lab, points, np.maximum(weight, _FLOOR), clear, seen)


def _inside(points: F32, side: int) -> F32:
    """1 away from the outline, and on brows nearly up to it, else 0; (S, S)."""
    oval = [masks.union(points, (parts.OVAL,), side, -inset * side) for inset in (_RIM_SKIN, _RIM_BROW)]
    brows = whole_brows((points,), Window.full(side), 0.5 * _AROUND * side)
    whole = masks.blur(oval[0], _RIM_SOFT * side)
    return np.maximum(whole, masks.blur(oval[1] * brows, 0.5 * _RIM_BROW * side))


def _uncovered(seen: Seen, lab: F32, points: F32) -> F32:
    """0 where something is ``seen`` before the face, eyes and mouth too: hair, a hand, rims; else 1; (S, S).

    Clear lenses show what is behind them; dark ones do not.
    """
    n = _COVER_SIDE
    shares = seen.over(Window.full(n), (n, n))
    hair, thing = shares[..., 3], shares[..., 4:].sum(axis=-1)
    worn = np.float32(wears_glasses(rim_evidence(seen, points)))
    rim, lens = worn * shares[..., 1], worn * shares[..., 2]
    small = cv2.resize(lab[..., 0], (n, n), interpolation=cv2.INTER_AREA)
    skin = (appearance.skin_area(points, n) > 0.5) & (shares[..., 0] > 0.5)
    if skin.any() and (lens > 0.5).any():
        dark = np.median(small[lens > 0.5]) < _DARK_LENS * np.median(small[skin])
        thing = np.maximum(thing, lens) if dark else thing
    found = np.maximum(masks.eased(hair, _HAIR), masks.eased(thing, _THING))
    fringe = masks.grow(found, _AROUND_FRINGE * n)
    fringe[int(np.clip(points[list(parts.BROWS), 1].min() * n, 0, n)) :] = 0.0
    found = np.maximum(masks.grow(found, _AROUND * n), fringe)
    rim = np.maximum(rim, 4.0 * lens * shares[..., 0])
    sure, over = masks.eased(rim, _RIM), masks.eased(rim, _RIM_AT_BROWS)
    # What is left out there is filled with skin: a brow that a rim touches would be gone.
    brows = masks.blur(masks.union(points, parts.FEATURE_RINGS[2:4], n, 0.02 * n), 0.01 * n)
    rims = masks.grow(sure, _AROUND_RIM * n)
    rims = rims + (over - rims) * brows
    covered = masks.blur(np.maximum(found, rims), 0.5 * _AROUND * n)
    return np.asarray(np.clip(1.0 - warp.enlarge(covered, lab.shape[0]), 0.0, 1.0), np.float32)


def _bare_skin(lab: F32, points: F32, seen: Seen) -> F32:
    """0 where hair, glasses or hard shadow lie over the skin, else 1; (S, S)."""
    n = _CLEAR_SIDE
    small = cv2.resize(lab, (n, n), interpolation=cv2.INTER_AREA)
    skin = appearance.skin_weight(small, points)
    odd = odd_skin(skin, points)
    known = masks.grow(seen.over(Window.full(n), (n, n))[..., 3], _NEAR_HAIR * n) > _HAIR[0]
    hair = hair_beside(small, skin, points, odd > 0.5, known)
    odd = np.maximum(hair, _strands(small[..., 0], skin, points, masks.grow(hair, _BELOW_FRINGE * n)))
    bare = masks.blur(1.0 - np.clip(odd, 0.0, 1.0), 0.01 * n)
    return np.clip(warp.enlarge(bare, lab.shape[0]), 0.0, 1.0)


def odd_skin(skin: F32, points: F32) -> F32:
    """(n, n) in [0, 1] where the face is not ``skin`` (n, n), in one piece.

    Specks are moles, lights and folds: they belong to the face, as does what the surroundings do not reach.
    """
    n = skin.shape[0]
    odd = appearance.skin_area(points, n) - skin
    return masks.grow(masks.grow(odd, -0.016 * n), 0.028 * n)


def _strands(luma: F32, skin: F32, points: F32, near: F32) -> F32:
    """Thin hair over the forehead: fine contrast well above that of the cheeks; (n, n) in [0, 1].

    Less of it is enough ``near`` (n, n) other hair.
    """
    side = luma.shape[0]
    contrast = masks.blur(np.abs(luma - masks.blur(luma, 0.012 * side)), 0.015 * side)
    brow_line = int(np.clip(points[list(parts.BROWS), 1].min() * side, 1, side - 1))
    cheeks = skin.copy()
    cheeks[:brow_line] = 0.0
    chosen = contrast[cheeks > 0.5]
    usual = float(np.median(chosen)) if len(chosen) else 1.0
    odd = masks.smoothstep(
        (contrast / (usual + 0.25) - _CONTRAST[0] + (_CONTRAST[0] - _CONTRAST[1]) * near) / 0.6
    )
    odd[brow_line:] = 0.0
    # The brows themselves are thin hair too.
    odd *= 1.0 - masks.grow(masks.union(points, parts.FEATURE_RINGS[2:4], side), 0.035 * side)
    return masks.grow(odd, 0.012 * side)


def hair_beside(
    lab: F32, skin: F32, points: F32, odd: NDArray[np.bool_], known: NDArray[np.bool_] | None = None
) -> F32:
    """Hair that hangs over the forehead, temples and cheeks, over brows too; (n, n) in [0, 1].

    It is ``odd`` (n, n), of another color than the skin near it or of another hue than the skin inside, and
    joined to what surrounds the face.  A beard is joined to hair too: below the corners of the mouth nothing
    is looked for.  Sunlight has edges as hair has: where nothing is ``known`` (n, n) of hair, only the rim of
    the face is searched.
    """
    side = lab.shape[0]
    rim = cv2.distanceTransform(
        (masks.union(points, (parts.OVAL,), side) > 0.5).view(np.uint8), cv2.DIST_L2, 3
    )
    sure = skin * masks.smoothstep(rim / (_SURE * side) - 1.0)
    near, inner = (
        masks.masked_blur(lab, weight + np.float32(1e-4), _SKIN_NEAR * side)[0] for weight in (skin, sure)
    )
    off = (np.abs(lab - near) / np.array(TOLERANCE, np.float32)).max(axis=2)
    unlike = off > _UNLIKE
    unlike |= (_other_hue(lab, inner) > _HUE) | odd
    lower = int(points[[61, 291], 1].max() * side)
    features = np.maximum(
        masks.union(points, parts.FEATURE_RINGS, side), whole_brows((points,), Window.full(side))
    )
    reach = np.float32(_REACH) if known is None else np.where(known, np.float32(_REACH), np.float32(_SHALLOW))
    hair = (unlike & (features < 0.5) & (rim < reach * side)).view(np.uint8)
    # Thin bridges are lashes and wrinkles.
    hair = masks.dilated(masks.dilated(hair, -_THIN * side), _THIN * side)
    _, found = cv2.connectedComponents(hair)
    outside = np.unique(found[(hair > 0) & (rim == 0)])
    joined = (np.isin(found, outside) & (hair > 0)).astype(np.float32)
    joined[lower:] = 0.0
    # Brows are darker than skin: what is lighter there, beside hair, hangs over them.
    brows = masks.grow(masks.union(points, parts.FEATURE_RINGS[2:4], side), 2 * _THIN * side)
    beside = joined.copy()
    beside[: int(np.clip(points[list(parts.BROWS), 1].max() * side, 0, side))] = 0.0
    lighter = (lab[..., 0] > inner[..., 0]) & (off > 0.5 * _UNLIKE)
    lock = masks.grow(beside, _LOCK * side) * brows * lighter
    return np.maximum(masks.grow(joined, 2 * _THIN * side) * (1.0 - features), masks.grow(lock, _THIN * side))


def _other_hue(lab: F32, skin: F32) -> F32:
    """(n, n) how far colors are from the line from gray through the ``skin``'s, in units of a* and b*.

    Shade and shine move skin along that line.
    """
    a, b = skin[..., 1], skin[..., 2]
    across = lab[..., 1] * b - lab[..., 2] * a
    return np.asarray(np.abs(across) / np.maximum(np.hypot(a, b), _FLOOR), np.float32)


def _frontal(points: F32) -> F32:
    """The mesh turned to yaw 0 when it looks aside by more than about 8 degrees; unit coordinates."""
    across = points[parts.LEFT_EAR] - points[parts.RIGHT_EAR]
    yaw = float(np.arctan2(across[2], across[0]))
    if abs(yaw) < np.radians(8.0):
        return points
    c, s = np.cos(yaw), np.sin(yaw)
    center = points.mean(axis=0)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
    turned = (points - center) @ turn.T + center
    return align.apply(align.unit_from_points(turned), turned)


def _mirrored(view: _View) -> _View:
    points = view.points[parts.topology().mirror].copy()
    points[:, 0] = 1.0 - points[:, 0]
    return _View(
        np.ascontiguousarray(view.lab[:, ::-1]),
        points,
        view.weight[parts.topology().mirror] * _MIRROR_QUALITY,
        np.ascontiguousarray(view.clear[:, ::-1]),
        np.zeros_like(view.seen),
    )


def _carry(view: _View, reference: F32) -> _Carried:
    """A view in the reference geometry."""
    side = view.lab.shape[0]
    field = warp.scatter(reference[:, :2], view.points[:, :2] - reference[:, :2])
    weight = warp.scatter(reference[:, :2], view.weight[:, None], levels=(2, 4, 8, 16))
    weight = np.maximum(warp.enlarge(weight[..., 0], side), _FLOOR * _MIRROR_QUALITY)
    where = warp.sample_map(field, side, side)
    lab = cv2.remap(view.lab, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    clear = cv2.remap(view.clear, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _Carried(lab, weight, np.clip(clear, 0.0, 1.0))


def _fuse(carried: Sequence[_Carried], reference: F32) -> F32:
    """Per-pixel choice among views, each first brought to the light of the best one.

    Where no view shows skin, the skin around is continued smoothly.
    """
    base = carried[0]
    side = base.lab.shape[0]
    total = np.zeros((side, side), np.float32)
    out = np.zeros_like(base.lab)
    best = np.max([_worth(view, base) for view in carried], axis=0) + 1e-9
    for view in carried:
        share = masks.blur((_worth(view, base) / best) ** _CHOICE, 0.008 * side)
        sharp = (share + 1e-9) * (view.clear + 1e-6)
        lit = view.lab if view is base else _match_light(view, base, reference)
        out += lit * sharp[..., None]
        total += sharp
    out /= np.maximum(total, 1e-20)[..., None]
    seen = np.max([view.clear for view in carried], axis=0)
    return _continue_skin(out, masks.smoothstep((seen - 0.45) / 0.5), reference)


def _worth(view: _Carried, base: _Carried) -> F32:
    return view.weight * view.clear * np.float32(1.0 if view is base else _OTHERS)


def _continue_skin(lab: F32, known: F32, reference: F32) -> F32:
    """Fill what is not ``known`` from the skin around it, near first, far where nothing is near."""
    side = lab.shape[0]
    small = cv2.resize(lab, (160, 160), interpolation=cv2.INTER_AREA)
    features = masks.grow(masks.union(reference, parts.FEATURE_RINGS, 160), 2.0)
    weight = cv2.resize(known, (160, 160), interpolation=cv2.INTER_AREA) * (1.0 - features)
    filled = np.zeros_like(small) + masks.masked_blur(small, weight + 1e-6, 60.0)[0]
    for sigma in (24.0, 10.0, 4.0):
        near, reach = masks.masked_blur(small, weight, sigma)
        trust = masks.smoothstep(reach / 0.25)[..., None]
        filled = near * trust + filled * (1.0 - trust)
    return lab * known[..., None] + warp.enlarge(filled, side) * (1.0 - known[..., None])


def _match_light(view: _Carried, base: _Carried, reference: F32) -> F32:
    """``view`` relit to the low frequencies of ``base``, compared where both are seen."""
    side = 96
    small = [cv2.resize(x.lab, (side, side), interpolation=cv2.INTER_AREA) for x in (view, base)]
    both = view.weight * view.clear * base.weight * base.clear
    weight = cv2.resize(both, (side, side), interpolation=cv2.INTER_AREA)
    weight = weight / max(float(weight.max()), 1e-9) + 1e-4
    hull = masks.union(reference, (parts.OVAL,), side)
    light = [masks.masked_blur(x, weight * hull + 1e-6, 0.09 * side)[0] for x in small]
    big = [warp.enlarge(x, view.lab.shape[0]) for x in light]
    return appearance.relight(view.lab, big[0], big[1])
