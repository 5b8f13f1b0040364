"""Faces as codes: a source made of an identity embedding alone, and changes of a source's texture.

Codes and networks are those of ``nets.facespace``; here they meet pictures.  Everything happens once per
source person, before a method sees it: a frame costs what it always did.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from faceswap_cli.errors import WeightsError
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import align, masks, warp
from faceswap_cli.nets.facespace import FaceSpace
from faceswap_cli.records import F32
from faceswap_cli.swap.shape import remove_pose
from faceswap_cli.swap.texture import Texture
from faceswap_cli.weights.load import load_strict
from faceswap_cli.weights.registry import bundled

FILE = "facespace.safetensors"
SIDE = 160
"""Of a texture in the geometry of the mean face."""
MADE_SIDE = 320
"""Of a source picture made from a code."""
_LIGHT = 0.09
"""What is wider than this (standard deviation, in sides) is light and skin tone, not texture."""
_FULL = 1.2
"""Codes guessed from embeddings are shorter than those of faces, as guesses are; this much longer they show
more of the person (distance of swaps .536 to .527 at 1.3) and not yet more of the basis's flaws."""
_COLOR = 1.5
"""Weight of a* and b* beside L* in a texture."""


@lru_cache(maxsize=1)
def geometry() -> F32:
    """(478, 3) mesh of the mean face in its crop, unit coordinates."""
    mean = parts.topology().mean_shape
    return np.asarray(align.apply(align.unit_from_points(mean), mean), np.float32)


@lru_cache(maxsize=1)
def outline() -> F32:
    """(SIDE, SIDE) soft: where a face has texture."""
    hull = masks.union(geometry(), (parts.OVAL,), SIDE)
    return masks.blur(masks.grow(hull, -0.01 * SIDE), 0.012 * SIDE)


@lru_cache(maxsize=1)
def _inside() -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the left half that are kept: of L*, and of a* and b* at half the side."""
    half = outline()[:, : SIDE // 2] > 0.05
    small = cv2.resize(outline(), (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA) > 0.05
    return half, small[:, : SIDE // 4]


def pixels() -> int:
    """P, the length of a flat texture."""
    fine, coarse = _inside()
    return int(fine.sum()) + 2 * int(coarse.sum())


def flat(detail: F32) -> F32:
    """(SIDE, SIDE, 3) -> (P,): the mean of the face's halves."""
    even = (detail + detail[:, ::-1]) / 2
    fine, coarse = _inside()
    small = cv2.resize(even[..., 1:], (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    color = small[:, : SIDE // 4][coarse].ravel() * np.float32(_COLOR)
    return np.concatenate([even[:, : SIDE // 2, 0][fine], color]).astype(np.float32)


def unflat(numbers: F32) -> F32:
    """(P,) -> (SIDE, SIDE, 3), 0 outside the face."""
    fine, coarse = _inside()
    count = int(fine.sum())
    luma = np.zeros(fine.shape, np.float32)
    luma[fine] = numbers[:count]
    color = np.zeros((*coarse.shape, 2), np.float32)
    color[coarse] = numbers[count:].reshape(-1, 2) / np.float32(_COLOR)
    color = np.concatenate([color, color[:, ::-1]], axis=1)
    big = cv2.resize(color, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    whole = np.concatenate([luma, luma[:, ::-1]], axis=1)[..., None]
    share = (outline() + outline()[:, ::-1]) / 2
    return np.asarray(np.concatenate([whole, big], axis=2) * share[..., None], np.float32)


def detail_of(lab: F32, points: F32) -> F32:
    """A face (S, S, 3) and its mesh (478, >= 2) in unit coordinates -> its texture (SIDE, SIDE, 3)."""
    mean = geometry()
    field = warp.scatter(mean[:, :2], points[:, :2] - mean[:, :2])
    reduced = lab
    while reduced.shape[0] >= 4 * SIDE:
        reduced = cv2.resize(reduced, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    where = warp.sample_map(field, SIDE, reduced.shape[0])
    there = np.asarray(cv2.remap(reduced, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return np.asarray(there - masks.masked_blur(there, outline() + 1e-6, _LIGHT * SIDE)[0], np.float32)


def code_of(texture: Texture) -> F32:
    """(CODE,) of a source."""
    shape = remove_pose(torch.from_numpy(np.asarray(texture.points, np.float32))[None]).canonical
    found = torch.from_numpy(flat(detail_of(texture.lab, texture.points)))[None]
    with torch.inference_mode():
        return np.asarray(space().code(found, shape)[0].numpy(), np.float32)


def mapped(embedding: F32) -> F32:
    """(128,) as the recognition network gives it -> (CODE,): the code that this person probably has."""
    with torch.inference_mode():
        found = space().mapper(torch.from_numpy(np.asarray(embedding, np.float32))[None])[0]
    return np.asarray(np.float32(_FULL) * found.numpy(), np.float32)


def made(code: F32) -> Texture:
    """A frontal source out of a code, in even light, with surroundings that are nobody's."""
    net = space()
    with torch.inference_mode():
        rows = torch.from_numpy(code)[None]
        detail, shape = net.texture(rows)[0].numpy(), net.shape(rows)[0].numpy()
    points = np.asarray(align.apply(align.unit_from_points(shape), shape), np.float32)
    around = warp.enlarge(net.around.numpy(), MADE_SIDE)
    skin = np.broadcast_to(net.skin.numpy(), (MADE_SIDE, MADE_SIDE, 3))
    lab = np.ascontiguousarray(skin + _carried(unflat(detail), points, MADE_SIDE))
    light = np.broadcast_to(net.skin.numpy(), points.shape)
    return Texture(lab, points, np.ascontiguousarray(light), around)


def added(texture: Texture, change: F32) -> Texture:
    """``texture`` with its code moved by ``change`` (CODE,); what the code does not know of stays."""
    with torch.inference_mode():
        net = space()
        detail = (net.texture(torch.from_numpy(change)[None])[0] - net.mean).numpy()
    side = texture.lab.shape[0]
    lab = texture.lab + _carried(unflat(detail), texture.points, side)
    return Texture(np.asarray(lab, np.float32), texture.points, texture.light, texture.surroundings)


def _carried(detail: F32, points: F32, side: int) -> F32:
    """A texture in the geometry of the mean face -> that of ``points``, (side, side, 3)."""
    field = warp.scatter(points[:, :2], geometry()[:, :2] - points[:, :2])
    where = warp.sample_map(field, side, SIDE)
    return np.asarray(
        cv2.remap(detail, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


@lru_cache(maxsize=1)
def space() -> FaceSpace:
    """The bundled space, read once."""
    return load_space(bundled(FILE))


def load_space(path: Path) -> FaceSpace:
    """The space in ``path``: the basis is stored in 8 bits."""
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); reinstall faceswap-cli") from error
    whole = {name: value.float() for name, value in stored.items()}
    if "basis_scale" not in whole or "basis" not in whole:
        raise WeightsError(f"{path} holds no space of faces; reinstall faceswap-cli")
    whole["basis"] = whole["basis"] * whole.pop("basis_scale")[:, None]
    return load_strict(lambda: FaceSpace(pixels()), whole, path.name).eval().requires_grad_(False)


@lru_cache(maxsize=1)
def digest() -> str:
    """SHA-256 of the bundled space."""
    return hashlib.sha256(bundled(FILE).read_bytes()).hexdigest()
