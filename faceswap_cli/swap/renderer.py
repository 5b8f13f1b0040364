"""The renderer: how a face is drawn into a target, by every method.

``measure`` reads what a target's crop looks like: light at the mesh points, sharpness, color.  Those numbers
are smoothed over time by the pipeline.  ``render`` carries the source's texture to the result's mesh, lights
it, joins it with a network's picture where there is one, brings it to the footage's sharpness, puts the
target's own eyes and mouth between the drawn lids and lips, and makes the mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.geometry.canonical import remove_pose
from faceswap_cli.geometry.masks import Window
from faceswap_cli.keyframes import value_at
from faceswap_cli.nets import refiner
from faceswap_cli.records import F32, MESH_POINTS, FaceCrop, RenderedFace
from faceswap_cli.swap import appearance, beard, detail, features, sight
from faceswap_cli.swap.brows import NONE as NO_BROWS
from faceswap_cli.swap.brows import measure_contrast, tone_brows
from faceswap_cli.swap.carried import Carried, carry
from faceswap_cli.swap.edge import face_mask
from faceswap_cli.swap.eyes import keep_eyes
from faceswap_cli.swap.glasses import rim_evidence, wears_glasses
from faceswap_cli.swap.joining import ALL_SEEN, join, limit_levels, limit_tints
from faceswap_cli.swap.lenses import behind_lenses
from faceswap_cli.swap.method import covered, in_frame
from faceswap_cli.swap.occluder_head import look
from faceswap_cli.swap.occlusion import (
    Front,
    bare_skin,
    find_front,
    share_by_class,
)
from faceswap_cli.swap.outline import bend_field, frame_bend, in_crop
from faceswap_cli.swap.proportions import Shares, result_mesh
from faceswap_cli.swap.refining import Around, Refine, refine_drawn
from faceswap_cli.swap.regions import regions_mask
from faceswap_cli.swap.skin import brows, inner_face, inner_skin
from faceswap_cli.swap.small_glasses import with_fine_glasses
from faceswap_cli.swap.source_face import SourceFace

SMALL = 256
"""Side at which a network draws, and at which its picture and the photograph are joined."""
LIGHT = MESH_POINTS * 3
TONES = 2 * detail.BANDS + 3
BROWS = len(NO_BROWS)
SHADE = 2
CODE = LIGHT + TONES + SHADE + BROWS + beard.NUMBERS + sight.NUMBERS
"""Light at the mesh points; logarithms of the detail of skin and brows, of the spread of color and of relief;
contrast of the brows; what is known of a beard, and of what is in front."""
LIGHT_BETA, DETAIL_BETA = 12.0, 25.0
"""Smoothing over time (``swap.kernel``)."""
BETA = np.concatenate(
    [np.full(LIGHT, LIGHT_BETA), np.full(TONES + SHADE + BROWS + beard.NUMBERS, DETAIL_BETA), sight.BETA]
)
BETA = BETA.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a target's crop looks like."""

    light: F32 = field(repr=False)
    """(478, 3) low-frequency L*a*b* of its skin at the mesh points"""
    bands: F32
    """(BANDS,) deviations of L* of its skin"""
    hair: F32
    """(BANDS,) the same of its brows"""
    chroma: F32
    """(2,) spread of a* and b*"""
    relief: float
    """Deviation of L* of its skin's form"""
    shade: F32 = field(default_factory=lambda: np.full(SHADE, appearance.USUAL_SHADE, np.float32))
    """``appearance.measure_shade``"""
    brows: F32 = field(default_factory=lambda: NO_BROWS)
    """``brows.measure_contrast``"""
    beard: F32 = field(repr=False, default_factory=lambda: beard.NONE)
    """``beard.measure_beard``"""
    front: F32 = field(repr=False, default_factory=lambda: sight.NOTHING)
    """``sight.pack``: what lies in front of the face"""

    def packed(self) -> F32:
        """(CODE,)"""
        tones = np.log([*self.bands, *self.hair, *self.chroma, self.relief])
        packed = [self.light.ravel(), tones, self.shade, self.brows, self.beard, self.front]
        return np.concatenate(packed).astype(np.float32)

    @classmethod
    def unpacked(cls, code: F32) -> Look:
        sizes = np.cumsum([LIGHT, TONES, SHADE, BROWS, beard.NUMBERS])
        light, tones, shade, brow, hairy, front = np.split(code, sizes)
        bands, hair, chroma, relief = np.split(np.exp(tones), np.cumsum([detail.BANDS, detail.BANDS, 2]))
        light = light.reshape(MESH_POINTS, 3)
        return cls(light, bands, hair, chroma, float(relief[0]), shade, brow, hairy, front)


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What networks give to a face."""

    picture: F32 = field(repr=False)
    """(256, 256, 3) R'G'B' in [0, 1] of the whole crop"""
    refine: Refine | None = None


def measure(crop: FaceCrop, paste: PasteOptions) -> Look:
    """Read a target crop."""
    side = crop.rgb.shape[0]
    points = crop.landmarks / np.float32(side)
    n = appearance.LIGHT_SIDE
    small = appearance.lab_from_rgb(cv2.resize(crop.rgb, (n, n), interpolation=cv2.INTER_AREA))
    weight = appearance.skin_weight(small, points)
    front, hairy, seen = sight.NOTHING, beard.NONE, None
    real = in_frame(crop)
    mesh = np.asarray(real.landmarks / np.float32(side), np.float32)
    if paste.occlusion or paste.beard == "keep":
        seen = look(real.rgb, mesh)
        hairy = beard.measure_beard(seen, mesh)
        if paste.occlusion:
            evidence = rim_evidence(seen, mesh)
            worn = wears_glasses(evidence)
            front = sight.pack(with_fine_glasses(seen, real.rgb, mesh) if worn > 0.0 else seen, evidence)
            weight *= bare_skin(seen, mesh, n, worn)
    field = appearance.light_field(small, weight)
    light, inside = masks.sample(field, points), inner_face(points, Window.full(n))
    shade = appearance.measure_shade(small, field, weight * inside)
    window = Window.around(points[list(parts.OVAL)], side)
    luma = appearance.lightness(window.of(crop.rgb))
    octaves = detail.split(luma)
    skin = inner_skin(points, window, weight)
    bands = detail.measure(octaves, skin)
    hair = detail.measure(octaves, brows(points, window))
    chroma = appearance.measure_chroma(small, inside)
    relief = detail.measure_relief(luma, skin, window)
    contrast = measure_contrast(real.rgb, mesh, seen)
    return Look(light, bands, hair, chroma, relief, shade, contrast, hairy, front)


def default_shares(job: JobOptions) -> Shares:
    """How much of the source's proportions a job gives where a crop does not say."""
    return Shares(value_at(job.shape_mix), value_at(job.outline))


def mesh_for(face: SourceFace, crop: FaceCrop, shares: Shares) -> F32:
    """(478, 3) mesh of the swapped face in ``crop``, unit coordinates; ``shares`` where the crop has none."""
    points = np.asarray(crop.landmarks / np.float32(crop.rgb.shape[0]), np.float32)
    neutral = remove_pose(in_frame(crop).landmarks)[0] if crop.neutral is None else crop.neutral
    inner = shares.inner if crop.shape_mix is None else crop.shape_mix
    outline = shares.outline if crop.outline is None else crop.outline
    # A face that fades becomes the target's in shape as well, or two mouths would show.
    shares = Shares(inner * crop.opacity, outline * crop.opacity * crop.room)
    return result_mesh(points, face.neutral, neutral, shares)


def render(
    face: SourceFace,
    crop: FaceCrop,
    look_of: Look,
    drawn: F32,
    paste: PasteOptions,
    seed: int,
    network: Drawing | None = None,
) -> RenderedFace:
    """Draw ``face`` into ``crop``; only the bounds of the face come back, as a smaller crop.

    ``drawn`` (478, 3): :func:`mesh_for`; ``seed``: of noise.
    """
    side = crop.rgb.shape[0]
    # With an edit both outlines are covered, the one that was there and the new one.
    outlines = (drawn, *covered(crop)[1:])
    window = Window.around(np.concatenate([mesh[list(parts.OVAL)] for mesh in outlines]), side)
    part = cut_down(crop, window)
    carried = carry(face, drawn, look_of.light, look_of.chroma, look_of.shade)
    lab = _draw(carried, None if network is None else network.picture, window)
    target, points = appearance.lab_from_rgb(part.rgb), crop.landmarks / np.float32(side)
    features.limit_lips(lab, target, points, drawn, window)
    features.limit_nostrils(lab, target, points, drawn, window)
    tone_brows(lab, look_of.brows, drawn, window)
    skin = detail.Part(look_of.bands, inner_skin(drawn, window))
    hair = detail.Part(look_of.hair, brows(drawn, window))
    detail.match_detail(lab, target, window, skin, hair, seed, crop.color_px)
    detail.limit_relief(lab, look_of.relief, skin.where, drawn, window)
    if paste.beard == "keep":
        beard.keep_beard(lab, target, look_of.beard, points, drawn, window)
    front = _in_front(crop, look_of, carried, drawn, window, paste) if paste.occlusion else None
    matte = np.zeros(window.shape, np.float32) if front is None else front.matte
    if front is not None and front.lens is not None:
        matte = np.maximum(front.matte, behind_lenses(lab, target, front.lens, points, window))
    features.keep_mouth(lab, target, points, drawn, window, carried.other_mouth())
    keep_eyes(lab, target, crop, drawn, window, face.tones)
    features.keep_shut_eyes(lab, target, crop, drawn, window)
    mask = np.maximum.reduce([face_mask(mesh, points, window, paste.feather) for mesh in outlines])
    bend = bend_field(points, drawn) if crop.before is None else None
    bend_here = None if bend is None else in_crop(bend)
    in_front = {} if front is None else share_by_class(front, mask)
    if front is not None and front.removed is not None:
        mask = np.maximum(mask, front.removed)
    if paste.mask_regions:
        mask = mask * regions_mask(drawn, window, paste.mask_regions)
    if (own := in_frame(crop).user_mask) is not None:
        matte = np.maximum(matte, window.of(own).astype(np.float32) / np.float32(255))
    if bend_here is not None and matte.any():
        matte = warp.moved(matte, bend_here, window)
    occluded = float((mask * matte).sum() / max(float(mask.sum()), 1.0))
    mask = mask * (1.0 - matte)
    if network is not None and network.refine is not None:
        seen = carried.seen(Window.full(refiner.SIDE))
        lights = carried.target_light, carried.light_from
        around = Around(_small_target(crop, bend_here), seen, *lights, network.picture, drawn)
        refine_drawn(lab, mask, matte, around, window, network.refine)
    mask = mask * np.float32(crop.opacity)
    moved = np.asarray(drawn * side - np.array([window.x, window.y, 0]), np.float32)
    bent = None if bend is None else frame_bend(bend, crop)
    return RenderedFace(part, appearance.rgb_from_lab(lab), mask, occluded, moved, bent, in_front)


def _draw(carried: Carried, network: F32 | None, window: Window) -> F32:
    """(h, w, 3) L*a*b* of ``window``."""
    whole = Window.full(SMALL)
    seen = carried.seen(whole)
    if network is None or float(seen.min()) >= ALL_SEEN:
        return carried.lab(window)
    photo, filling = carried.lab(whole), appearance.lab_from_float(network)
    limit_tints(filling, photo, carried.points)
    limit_levels(filling, carried.light_to, carried.points)
    joined = join(photo, filling, seen)
    lab = np.ascontiguousarray(window.of(_resized(joined, window.side)))
    if window.side > SMALL:
        # Full-resolution detail of the photograph, as far as it is shown, over what was joined.
        coarse = cv2.resize(carried.luma(whole), (window.side, window.side), interpolation=cv2.INTER_CUBIC)
        lab[..., 0] += (carried.luma(window) - window.of(coarse)) * window.of(_resized(seen, window.side))
    return lab


def _resized(image: F32, side: int) -> F32:
    how = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), np.float32)


def _in_front(
    crop: FaceCrop, look_of: Look, carried: Carried, drawn: F32, window: Window, paste: PasteOptions
) -> Front:
    """What lies in front of the face."""
    seen, evidence = sight.unpack(look_of.front)
    worn, keep = wears_glasses(evidence), paste.glasses == "keep"
    rgb = window.of(in_frame(crop).rgb)
    return find_front(rgb, carried.target_light, drawn, window, seen, worn=worn, glasses=keep)


def _small_target(crop: FaceCrop, bend: F32 | None) -> F32:
    """(SIDE, SIDE, 3) L*a*b* of the crop as the refiner sees it, bent as the frame will be."""
    n = refiner.SIDE
    how = cv2.INTER_AREA if crop.rgb.shape[0] > n else cv2.INTER_CUBIC
    small = appearance.lab_from_rgb(cv2.resize(crop.rgb, (n, n), interpolation=how))
    return small if bend is None else warp.moved(small, bend, Window.full(n))


def cut_down(crop: FaceCrop, window: Window) -> FaceCrop:
    """The part of a crop inside ``window``, as a crop of its own."""
    shift = np.array([[1, 0, -window.x], [0, 1, -window.y], [0, 0, 1.0]])
    return replace(
        crop,
        rgb=np.ascontiguousarray(window.of(crop.rgb)),
        crop_from_frame=shift @ crop.crop_from_frame,
        landmarks=crop.landmarks - np.array([window.x, window.y, 0], np.float32),
    )
