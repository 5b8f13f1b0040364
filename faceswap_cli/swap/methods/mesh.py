"""The ``mesh`` method: structure of the source, appearance of the target, no network.

The source texture is carried into the target's geometry by a smooth dense warp (irises
included, so the gaze follows the target); the target's light and skin tone, smoothed over time
at the mesh points, replace the source's low frequencies; detail bands are brought to the
target's sharpness.  Mouth interior and shut eyelids are the target's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.config import JobOptions, PasteOptions, mapper_share
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, MESH_POINTS, FaceCrop, RenderedFace, SourceIdentity
from faceswap_cli.swap import appearance, features, texture
from faceswap_cli.swap.method import CodeSmoothing, covered, in_frame
from faceswap_cli.swap.occluder_head import look
from faceswap_cli.swap.occlusion import occluder_map, reduced
from faceswap_cli.swap.sourcing import source_texture

LIGHT = MESH_POINTS * 3
BANDS = len(appearance.BANDS)
CODE = LIGHT + BANDS + 3
"""Light at the mesh points, log energy of the detail bands, log grain, log spread of a* and b*."""
_LIGHT_BETA, _DETAIL_BETA = 12.0, 25.0
_MIN_SIDE, _MAX_SIDE = 64, 768
GAIN_LOW = np.array([0.05, 0.3, 0.8], np.float32)
GAIN_HIGH = np.array([2.2, 1.6, 1.2], np.float32)
"""Limits of the gains of the detail bands, fine to coarse.  The coarse ones hold features, not sharpness:
of a small face they are the eyes and brows, and those are the source's."""
CODED = np.float32(1.1)
"""The finest band is asked for so much stronger: coding takes of it, as it has of the target's."""
OVERSHOOT = 1.5
"""Power of what is still missed after the first gains: two rounds then come as near as eight plain ones."""
COLOURFUL = (0.15, 1.1)
"""Limits of what a source's colour contrast is scaled by to match the target's."""
EYE_EDGE = 0.004
"""Softness of the eyes' outlines, as a share of the crop."""
COLOUR_LEVELS = (2, 4, 8, 16)
_FACING = 0.05
COLOUR_SIDE = 64
"""Samples per side of the fields of light"""
GRAIN_SEEN, GRAIN_MOST = 0.2, 4.0
"""Missing grain, in deviations of L*, that is not worth adding, and the most that is added."""
LEAST_GRAIN = 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    texture: texture.Texture
    pyramid: tuple[F32, ...]
    """Lab textures, each half as large as the one before"""
    lumas: tuple[F32, ...]
    """The same, L* alone"""
    eyes: F32
    """(2,) apertures of the source's left and right eye"""
    chroma: F32
    """(2,) spread of a* and b* over the face"""


class MeshMethod:
    """See the module docstring.  Stateless: safe to call from several threads."""

    name = "mesh"
    crop_scale = align.SWAP_SCALE
    light = True
    memory_mb = 0
    inputs_digest = ""

    def __init__(self, job: JobOptions, paste: PasteOptions) -> None:
        self._paste, self._mapper = paste, mapper_share(job.mapper)
        beta = np.full(CODE, _LIGHT_BETA, np.float32)
        beta[LIGHT:] = _DETAIL_BETA
        self.smoothing = CodeSmoothing(beta)

    def crop_side(self, face_px: float) -> int:
        """As large as the face in the frame, in steps of 32, at most 768."""
        return int(min(max(math.ceil(face_px / 32) * 32, _MIN_SIDE), _MAX_SIDE))

    def prepare(self, source: SourceIdentity) -> Prepared:
        """Fuse the photographs into one texture, or make one up from the embedding (``--mapper``)."""
        fused = source_texture(source, self._mapper)
        pyramid = [fused.lab]
        while pyramid[-1].shape[0] > 96:
            half = pyramid[-1].shape[0] // 2
            pyramid.append(cv2.resize(pyramid[-1], (half, half), interpolation=cv2.INTER_AREA))
        lumas = tuple(np.ascontiguousarray(lab[..., 0]) for lab in pyramid)
        return Prepared(fused, tuple(pyramid), lumas, parts.eye_apertures(fused.points), _chroma(fused))

    def encode(self, prepared: Prepared, crop: FaceCrop) -> F32:
        """(D,) light at the mesh points, then logarithms of detail, grain and colour of the target crop."""
        side = crop.rgb.shape[0]
        points = crop.landmarks / np.float32(side)
        n = appearance.LIGHT_SIDE
        small = appearance.lab_from_rgb(cv2.resize(crop.rgb, (n, n), interpolation=cv2.INTER_AREA))
        light = appearance.light_at(small, appearance.skin_weight(small, points), points)
        window = Window.around(points[list(parts.OVAL)], side)
        luma = appearance.lightness(window.of(crop.rgb))
        detail = appearance.measure_detail(appearance.split_bands(luma), inner_face(points, window))
        chroma = appearance.measure_chroma(small, inner_face(points, Window.full(n)))
        tail = np.log([*detail.bands, max(detail.grain, LEAST_GRAIN), *chroma])
        return np.concatenate([light.ravel(), tail]).astype(np.float32)

    def render(self, prepared: Prepared, crop: FaceCrop, code: F32, seed: int) -> RenderedFace:
        """Draw the source in the target's geometry, light and sharpness.

        Only the bounds of the face are drawn: the result is a smaller crop.
        """
        side = crop.rgb.shape[0]
        points = crop.landmarks / np.float32(side)
        outlines = covered(crop)
        window = Window.around(np.concatenate([mesh[list(parts.OVAL)] for mesh in outlines]), side)
        part = cut_down(crop, window)
        target = appearance.lab_from_rgb(part.rgb)
        drawn, light = draw(prepared, points, code, window)
        features.limit_lips(drawn, target, points, points, window)
        match_detail(drawn, code, inner_face(points, window), seed)
        usual = np.array(crop.open_eyes, np.float32)
        eyes = _eyes_from_target(parts.eye_apertures(points), usual, prepared.eyes)
        _keep_target_parts(drawn, target, points, eyes, window)
        mask = self._mask(outlines, window)
        occluded = 0.0
        if self._paste.occlusion:
            real = in_frame(crop)
            there = target if real is crop else appearance.lab_from_rgb(window.of(real.rgb))
            seen = look(real.rgb, real.landmarks / np.float32(side))
            front = occluder_map(there, light, points, window, seen)
            occluded = float((mask * front).sum() / max(float(mask.sum()), 1.0))
            mask *= 1.0 - front
        return RenderedFace(part, appearance.rgb_from_lab(drawn), mask * np.float32(crop.opacity), occluded)

    def _mask(self, outlines: tuple[F32, ...], window: Window) -> F32:
        width = float(np.ptp(outlines[0][list(parts.OVAL), 0])) * window.side
        hull = np.maximum.reduce([masks.union(points, (parts.OVAL,), window) for points in outlines])
        return masks.soften(hull, self._paste.feather * width)


def _chroma(fused: texture.Texture) -> F32:
    n = appearance.LIGHT_SIDE
    small = cv2.resize(fused.lab, (n, n), interpolation=cv2.INTER_AREA)
    return appearance.measure_chroma(small, inner_face(fused.points, Window.full(n)))


def cut_down(crop: FaceCrop, window: Window) -> FaceCrop:
    """The part of a crop inside ``window``, as a crop of its own."""
    shift = np.array([[1, 0, -window.x], [0, 1, -window.y], [0, 0, 1.0]])
    return replace(
        crop,
        rgb=np.ascontiguousarray(window.of(crop.rgb)),
        crop_from_frame=shift @ crop.crop_from_frame,
        landmarks=crop.landmarks - np.array([window.x, window.y, 0], np.float32),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """The source in the target's geometry and light, as fields: pixels are drawn where they are needed."""

    prepared: Prepared
    points: F32
    """(478, 3) the mesh in the target's crop, unit coordinates"""
    move: F32
    """(n, n, 2) displacement from the target's crop to the texture, unit coordinates"""
    light_from: F32
    light_to: F32
    """(m, m, 3) low-frequency Lab of the source as it was, and as the target has it"""
    colourful: F32

    def lab(self, window: Window) -> F32:
        """(h, w, 3) Lab of ``window``."""
        where, level = self._where(window)
        drawn = _sampled(self.prepared.pyramid[level], where)
        before, after = warp.enlarge(self.light_from, window), warp.enlarge(self.light_to, window)
        eyes = masks.union(self.points, (parts.LEFT_EYE, parts.RIGHT_EYE), window)
        eyes = masks.blur(eyes, EYE_EDGE * window.side)
        return appearance.relight(drawn, before, after, self.colourful, eyes)

    def luma(self, window: Window) -> F32:
        """(h, w) its L* alone."""
        where, level = self._where(window)
        drawn = _sampled(self.prepared.lumas[level], where)
        before, after = (
            warp.enlarge(np.ascontiguousarray(x[..., 0]), window) for x in (self.light_from, self.light_to)
        )
        return appearance.relit(drawn, before, after)[0]

    def light(self, window: Window) -> F32:
        """(h, w, 3) the target's light over ``window``, at the size that occluders are looked for at."""
        return warp.enlarge(self.light_to, window, reduced(window))

    def _where(self, window: Window) -> tuple[F32, int]:
        pyramid = self.prepared.pyramid
        level = coarsest(pyramid[0].shape[0], len(pyramid), window.side)
        return warp.sample_map(self.move, window, self.prepared.pyramid[level].shape[0]), level


def _sampled(picture: F32, where: F32) -> F32:
    return np.asarray(cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))


def carry(prepared: Prepared, points: F32, code: F32) -> Carried:
    """Fit the fields that carry the source to the mesh ``points`` (478, 3) in unit coordinates."""
    source, light_to = prepared.texture, code[:LIGHT].reshape(MESH_POINTS, 3)
    colourful = np.clip(np.exp(code[-2:]) / prepared.chroma, *COLOURFUL).astype(np.float32)
    spread = warp.Spread(points[:, :2], trust_of(points))
    move = spread.field(source.points[:, :2] - points[:, :2])
    both = np.concatenate([source.light, light_to], axis=1)
    light = spread.field(both, levels=COLOUR_LEVELS, side=COLOUR_SIDE)
    before, after = (np.ascontiguousarray(light[..., half]) for half in (slice(3), slice(3, 6)))
    return Carried(prepared, points, move, before, after, colourful)


def trust_of(points: F32) -> F32:
    """(478,) how much each point of a mesh (478, 3) counts where several compete: those in sight most."""
    facing = warp.vertex_normals(points, parts.topology().triangles)[:, 2]
    trust = np.maximum(masks.smoothstep((facing + _FACING) / 0.3), np.float32(0.02))
    # No triangle holds the irises: they are seen as the corner of their eye is.
    for iris, corner in ((parts.LEFT_IRIS, parts.LEFT_LIDS[2]), (parts.RIGHT_IRIS, parts.RIGHT_LIDS[2])):
        trust[list(iris)] = max(float(trust[corner]), 0.3)
    return trust


def draw(prepared: Prepared, points: F32, code: F32, window: Window) -> tuple[F32, F32]:
    """Warped and relit source (h, w, 3) Lab, and the target's light field over the window, smaller."""
    carried = carry(prepared, points, code)
    return carried.lab(window), carried.light(window)


def coarsest(largest: int, levels: int, side: int) -> int:
    """The coarsest texture that is still about as fine as a crop of ``side``.

    There are so many ``levels``, each half as large as the one before; the first has side ``largest``.
    """
    ratio = largest / side
    return int(min(max(math.floor(math.log2(max(ratio, 1.0)) + 0.2), 0), levels - 1))


def inner_face(points: F32, window: Window) -> F32:
    """Face without its rim and without the mouth's interior, where detail is compared; 0 or 1."""
    return np.asarray(inner_area(points, window), np.float32)


def inner_area(points: F32, window: Window) -> NDArray[np.bool_]:
    """The same as yes or no."""
    oval = points[list(parts.OVAL), :2]
    centre = oval.mean(axis=0)
    inner = masks.fill_polygon((oval - centre) * 0.85 + centre, window)
    mouth = masks.fill_polygon(points[list(parts.LIPS_INNER), :2], window)
    return np.asarray((inner > 127) & (mouth < 127))


def match_detail(lab: F32, code: F32, inside: F32, seed: int) -> None:
    """Bring detail bands and grain of L* to the target's, as its ``code`` tells them; in place.

    Neighbouring bands overlap: after the first gains a soft target's finest band still holds what leaks from
    the next one, so what came of them is measured, and the rest made good a little beyond what is missing.
    """
    wanted = np.exp(code[LIGHT : LIGHT + BANDS + 1])
    wanted[0] *= CODED
    gains = np.ones(BANDS, np.float32)
    for power in (1.0, OVERSHOOT):
        *layers, luma = appearance.split_bands(lab[..., 0])
        have = appearance.measure_detail(layers, inside)
        before, missed = gains, wanted[:BANDS] / have.bands
        gains = np.clip(before * missed ** np.float32(power), GAIN_LOW, GAIN_HIGH)
        step = gains / before
        for layer, gain in zip(layers, step, strict=True):
            luma += layer * gain
        if power == 1.0:
            luma += _grain(float(wanted[BANDS]), have.grain * float(step[0]), luma.shape, seed)
        lab[..., 0] = luma


def _grain(wanted: float, have: float, shape: tuple[int, ...], seed: int) -> F32 | float:
    """Noise for what the grain lacks; 0 where that would not be seen."""
    missing = math.sqrt(max(wanted**2 - have**2, 0.0))
    if missing <= GRAIN_SEEN:
        return 0.0
    return noise(shape, seed) * np.float32(min(missing, GRAIN_MOST))


def noise(shape: tuple[int, ...], seed: int) -> F32:
    """Grain of deviation 1, the same for the same ``seed``."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _keep_target_parts(drawn: F32, target: F32, points: F32, eyes: F32, window: Window) -> None:
    """Mouth interior always, an eye where the source's cannot serve, from the target; in place.

    ``eyes`` (2,): share of the target's own left and right eye.
    """
    keep = masks.blur(masks.union(points, (parts.LIPS_INNER,), window), 0.004 * window.side)
    for ring, share in zip((parts.LEFT_EYE, parts.RIGHT_EYE), eyes, strict=True):
        if share > 0.0:
            keep = np.maximum(keep, share * features.eye_area(points, ring, window))
    rows, columns = np.nonzero(keep.any(axis=1))[0], np.nonzero(keep.any(axis=0))[0]
    if len(rows):
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        drawn[part] += (target[part] - drawn[part]) * keep[part][..., None]


def _eyes_from_target(now: F32, usual: F32, of_source: F32) -> F32:
    """(2,) share of the target's own eyes: when they shut, or when the source's are much more shut."""
    shut = features.shut_eyes(now, usual)
    opened = np.clip((now / np.maximum(of_source, 0.02) - 1.5) / 0.7, 0.0, 1.0)
    return np.asarray(np.maximum(shut, opened), np.float32)


def build_mesh(job: JobOptions, paste: PasteOptions) -> MeshMethod:
    """Builder for ``faceswap_cli.swap.METHODS``."""
    return MeshMethod(job, paste)
