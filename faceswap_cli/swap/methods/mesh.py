"""The ``mesh`` method: structure of the source, appearance of the target, no network.

The source texture is carried into the target's geometry by a smooth dense warp (irises
included, so the gaze follows the target); the target's light and skin tone, smoothed over time
at the mesh points, replace the source's low frequencies; detail bands are brought to the
target's sharpness.  Mouth interior and shut eyelids are the target's own.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks, warp
from faceswap_cli.records import F32, MESH_POINTS, FaceCrop, RenderedFace, SourceIdentity
from faceswap_cli.swap import appearance, texture
from faceswap_cli.swap.method import CodeSmoothing
from faceswap_cli.swap.occlusion import occluder_map

_LIGHT = MESH_POINTS * 3
_BANDS = len(appearance.BANDS)
_CODE = _LIGHT + _BANDS + 1
"""Light at the mesh points, log energy of the detail bands, log grain."""
_LIGHT_BETA, _DETAIL_BETA = 12.0, 25.0
_MIN_SIDE, _MAX_SIDE = 64, 768
_GAIN = (0.15, 1.6)
_COLOUR_LEVELS = (2, 4, 8, 16)
_FACING = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    texture: texture.Texture
    pyramid: tuple[F32, ...]
    """Lab textures, each half as large as the one before"""
    eyes: tuple[float, float]
    """Apertures of the source's eyes (subject's left, right)"""


class MeshMethod:
    """See the module docstring.  Stateless: safe to call from several threads."""

    name = "mesh"

    def __init__(self, job: JobOptions, paste: PasteOptions) -> None:
        self._paste = paste
        beta = np.full(_CODE, _LIGHT_BETA, np.float32)
        beta[_LIGHT:] = _DETAIL_BETA
        self.smoothing = CodeSmoothing(beta)

    def crop_side(self, face_px: float) -> int:
        """As large as the face in the frame, in steps of 32, at most 768."""
        return int(min(max(math.ceil(face_px / 32) * 32, _MIN_SIDE), _MAX_SIDE))

    def prepare(self, source: SourceIdentity) -> _Prepared:
        """Fuse the photographs into one texture."""
        fused = texture.build_texture(source.photos)
        pyramid = [fused.lab]
        while pyramid[-1].shape[0] > 96:
            half = pyramid[-1].shape[0] // 2
            pyramid.append(cv2.resize(pyramid[-1], (half, half), interpolation=cv2.INTER_AREA))
        return _Prepared(fused, tuple(pyramid), _apertures(fused.points))

    def encode(self, prepared: _Prepared, crop: FaceCrop) -> F32:
        """(D,) light at the mesh points, log band energies and log grain of the target crop."""
        side = crop.rgb.shape[0]
        points = crop.landmarks / np.float32(side)
        n = appearance.LIGHT_SIDE
        small = appearance.lab_from_rgb(cv2.resize(crop.rgb, (n, n), interpolation=cv2.INTER_AREA))
        light = appearance.light_at(small, appearance.skin_weight(small, points), points)
        luma = appearance.lab_from_rgb(crop.rgb)[..., 0]
        detail = appearance.measure_detail(appearance.split_bands(luma), _inner_face(points, side))
        tail = np.log(np.append(detail.bands, max(detail.grain, 1e-2)))
        return np.concatenate([light.ravel(), tail]).astype(np.float32)

    def render(self, prepared: _Prepared, crop: FaceCrop, code: F32, seed: int) -> RenderedFace:
        """Draw the source in the target's geometry, light and sharpness."""
        side = crop.rgb.shape[0]
        points = crop.landmarks / np.float32(side)
        target = appearance.lab_from_rgb(crop.rgb)
        light_to = code[:_LIGHT].reshape(MESH_POINTS, 3)
        drawn, fields = _draw(prepared, points, light_to, side)
        drawn = _match_detail(drawn, np.exp(code[_LIGHT:]), _inner_face(points, side), seed)
        drawn = _keep_target_parts(drawn, target, points, prepared.eyes)
        mask = self._mask(points, side)
        occluded = 0.0
        if self._paste.occlusion:
            front = occluder_map(target, fields, points)
            occluded = float((mask * front).sum() / max(float(mask.sum()), 1.0))
            mask = mask * (1.0 - front)
        return RenderedFace(crop, appearance.rgb_from_lab(drawn), mask * np.float32(crop.opacity), occluded)

    def _mask(self, points: F32, side: int) -> F32:
        width = float(np.ptp(points[list(parts.OVAL), 0])) * side
        hull = masks.union(points, (parts.OVAL,), side)
        return masks.soften(hull, self._paste.feather * width)


def _draw(prepared: _Prepared, points: F32, light_to: F32, side: int) -> tuple[F32, F32]:
    """Warped and relit source (S, S, 3) Lab, and the target's light field (S, S, 3)."""
    source = prepared.texture
    facing = warp.vertex_normals(points, parts.topology().triangles)[:, 2]
    trust = np.maximum(masks.smoothstep((facing + _FACING) / 0.3), 0.02)
    field = warp.scatter(points[:, :2], source.points[:, :2] - points[:, :2], trust)
    light = warp.scatter(
        points[:, :2], np.concatenate([source.light, light_to], axis=1), trust, levels=_COLOUR_LEVELS, side=32
    )
    light = warp.enlarge(light, side)
    level = _pyramid_level(prepared, points, side)
    lab = prepared.pyramid[level]
    where = warp.sample_map(field, side, lab.shape[0])
    drawn = cv2.remap(lab, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return appearance.relight(drawn, light[..., :3], light[..., 3:]), np.ascontiguousarray(light[..., 3:])


def _pyramid_level(prepared: _Prepared, points: F32, side: int) -> int:
    """Coarsest texture that is still at least as fine as the crop."""
    ratio = prepared.pyramid[0].shape[0] / side
    return int(min(max(math.floor(math.log2(max(ratio, 1.0)) + 0.2), 0), len(prepared.pyramid) - 1))


def _inner_face(points: F32, side: int) -> F32:
    """Face without its rim and without the mouth's interior, where detail is compared."""
    oval = points[list(parts.OVAL), :2]
    centre = oval.mean(axis=0)
    inner = masks.fill_polygon((oval - centre) * 0.85 + centre, side)
    mouth = masks.fill_polygon(points[list(parts.LIPS_INNER), :2], side)
    return (inner > 127).astype(np.float32) * (mouth < 127)


def _match_detail(lab: F32, wanted: F32, inside: F32, seed: int) -> F32:
    """Scale the detail bands of L* to the wanted energies, then add missing grain."""
    layers = appearance.split_bands(lab[..., 0])
    have = appearance.measure_detail(layers, inside)
    gains = np.clip(wanted[:_BANDS] / have.bands, *_GAIN)
    luma = layers[-1].copy()
    for layer, gain in zip(layers, gains, strict=False):
        luma += layer * np.float32(gain)
    grain = have.grain * float(gains[0])
    missing = math.sqrt(max(float(wanted[_BANDS]) ** 2 - grain**2, 0.0))
    if missing > 0.2:
        noise = np.random.default_rng(seed).standard_normal(luma.shape, dtype=np.float32)
        luma += noise * np.float32(min(missing, 4.0))
    out = lab.copy()
    out[..., 0] = luma
    return out


def _apertures(points: F32) -> tuple[float, float]:
    """Opening of the subject's left and right eye over its width."""
    return tuple(  # type: ignore[return-value]
        float(
            np.linalg.norm(points[upper, :2] - points[lower, :2])
            / max(float(np.linalg.norm(points[inner, :2] - points[outer, :2])), 1e-6)
        )
        for upper, lower, inner, outer in (parts.LEFT_LIDS, parts.RIGHT_LIDS)
    )


def _keep_target_parts(drawn: F32, target: F32, points: F32, source_eyes: tuple[float, float]) -> F32:
    """Mouth interior always, an eye where the source's cannot serve, from the target."""
    side = drawn.shape[0]
    keep = np.zeros((side, side), np.float32)
    mouth = masks.union(points, (parts.LIPS_INNER,), side)
    keep = np.maximum(keep, masks.blur(mouth, 0.004 * side))
    rings = (parts.LEFT_EYE, parts.RIGHT_EYE)
    for ring, now, of_source in zip(rings, _apertures(points), source_eyes, strict=True):
        share = _eye_from_target(now, of_source)
        if share > 0.0:
            eye = points[list(ring), :2]
            radius = 0.28 * float(np.ptp(eye[:, 0])) * side
            area = masks.grow(masks.fill_polygon(eye, side).astype(np.float32) / 255.0, radius)
            keep = np.maximum(keep, share * masks.blur(area, 0.35 * radius))
    return drawn + (target - drawn) * keep[..., None]


@functools.lru_cache(maxsize=4096)
def _eye_from_target(now: float, of_source: float) -> float:
    """Share of the target's own eye: when it shuts, or when the source's eye is much more shut."""
    shut = 1.0 - np.clip((now - 0.08) / 0.10, 0.0, 1.0)
    opened = np.clip((now / max(of_source, 0.02) - 1.5) / 0.7, 0.0, 1.0)
    return float(max(shut, opened))


def build_mesh(job: JobOptions, paste: PasteOptions) -> MeshMethod:
    """Builder for ``faceswap_cli.swap.METHODS``."""
    return MeshMethod(job, paste)
