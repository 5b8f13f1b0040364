"""Pairs with truth for the refiner: B is drawn on A, then A is restored from another picture.

A is a picture of the pool.  The renderer draws B on it, which gives B~ with the pose, light and surroundings
of A.  Then it draws A again on B~, from another photograph of A or from the same one turned, covered, relit
and worn out.  What the refiner sees of that (``swap.refining``) is stored beside the truth, the crop of A.

Pieces are made by chance that depends on the seed and the piece's number only, so several processes make
different ones, and a run that was stopped goes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.errors import InputError
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align, masks
from faceswap_cli.identity.pose import pose
from faceswap_cli.nets.refiner import INPUTS, SIDE, SIDE_OUT
from faceswap_cli.records import F32, U8, FaceCrop, RenderedFace, SourceIdentity, SourcePhoto
from faceswap_cli.swap import appearance, renderer
from faceswap_cli.swap.fslsd256_person import Prepared
from faceswap_cli.swap.fslsd256_weights import FILE
from faceswap_cli.swap.method import Task
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.swap.proportions import Shares
from faceswap_cli.swap.refining import coded
from faceswap_cli.swap.source_face import SourceFace, source_face
from faceswap_cli.training import augment
from faceswap_cli.training.occluders import covered
from faceswap_cli.training.pool import Pool
from faceswap_cli.training.relit import Rng, relit

PIECE = 144
"""Pairs a file: below 64 MiB."""
_OTHERS = 12
"""People B of a piece"""
_EACH = 2
"""Pairs of one picture of A, each with another B"""
_CROP = 256
_NO_OUTLINE = 0.0
_RELIT, _RELIT_TARGET = 0.75, 0.3
"""Share of pictures of A in other light, as the source and as the target"""
_COVERED = 0.25
"""Share of sources with glasses, hair or a hand in front: what the renderer leaves of those must go"""
_BROAD = 0.1
"""Blur that separates broad light, as a share of the crop"""
_TURNED, _DARK = 0.4, 45.0
"""Yaw, radians, and L* of the skin beyond which a picture is drawn more often"""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Rows of one piece."""

    x: U8 = field(repr=False)
    """(N, 22, 128, 128) ``refining.stacked``"""
    truth: U8 = field(repr=False)
    """(N, 3, 128, 128) L*a*b* as bytes"""
    row: NDArray[np.int32] = field(repr=False)
    """(N,) of A in the pool"""


class _Restoring(Fslsd256Method):
    """Draws at a mesh that is given, and keeps what a refiner would see."""

    wanted: F32
    seen: U8

    def mesh_for(self, task: Task) -> F32:
        return self.wanted

    def keep(self, stack: U8) -> F32:
        self.seen = stack
        return np.zeros((SIDE_OUT, SIDE_OUT, 3), np.float32)


@lru_cache(maxsize=1)
def _method() -> _Restoring:
    from faceswap_cli.weights.registry import bundled

    method = _Restoring(JobOptions(device="cpu"), PasteOptions(), bundled(FILE))
    method.refine = method.keep
    return method


def stills(pool: Pool, *, held_out: bool) -> NDArray[np.int64]:
    """Rows of the pool that pairs are made of: people of clips serve for tests."""
    rows = pool.rows(held_out=held_out)
    return rows[pool.clip[rows] < 0]


def piece_path(folder: Path, number: int, *, held_out: bool) -> Path:
    return folder / f"{'held-out' if held_out else 'pairs'}-{number:04d}.npz"


def prepare(pool: Pool, folder: Path, number: int, seed: int, *, held_out: bool = False) -> None:
    """Make piece ``number`` in ``folder``; it appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    made = make_piece(pool, (seed, number, int(held_out)), held_out=held_out)
    path = piece_path(folder, number, held_out=held_out)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as handle:
        np.savez(handle, x=made.x, truth=made.truth, row=made.row)
    os.replace(part, path)


def read_piece(path: Path) -> Pairs:
    """A piece that :func:`prepare` wrote; :class:`InputError` when it is damaged."""
    try:
        with path.open("rb") as opened, np.load(opened) as table:
            pairs = Pairs(table["x"], table["truth"], table["row"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); delete it and run the command again") from error
    if pairs.x.shape[1:] != (len(INPUTS), SIDE, SIDE):
        raise InputError(f"{path} was made by another version of the program; choose another folder")
    return pairs


def make_piece(pool: Pool, seed: tuple[int, ...], count: int = PIECE, *, held_out: bool = False) -> Pairs:
    """``count`` pairs."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(int(rng.integers(1 << 31)))
    rows = stills(pool, held_out=held_out)
    if len(rows) < 2:
        raise InputError(f"the pool of {len(pool)} faces holds {len(rows)} stills; add pictures to it")
    others = [_plain_face(pool, int(row)) for row in rng.choice(rows, min(_OTHERS, len(rows)), replace=False)]
    chances = _chances(pool, rows)
    x = np.empty((count, len(INPUTS), SIDE, SIDE), np.uint8)
    truth = np.empty((count, 3, SIDE, SIDE), np.uint8)
    chosen = np.repeat(rng.choice(rows, -(-count // _EACH), p=chances), _EACH)[:count]
    for first in range(0, count, _EACH):
        row = int(chosen[first])
        wanted = _target(pool, row, rng)
        prepared = _method().prepare(_worn(pool, row, rng))
        for k in range(first, min(first + _EACH, count)):
            other = others[int(rng.integers(len(others)))]
            x[k] = _restored(prepared, other, wanted, int(rng.integers(1 << 31)))
            small = cv2.resize(wanted.rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            truth[k] = coded(appearance.lab_from_rgb(small)).transpose(2, 0, 1)
    return Pairs(x, truth, chosen.astype(np.int32))


def _chances(pool: Pool, rows: NDArray[np.int64]) -> F32:
    """Turned heads and dark skin are rare in pools, and hard: they come more often."""
    cheeks = np.clip(pool.landmarks[rows][:, [205, 425], :2].astype(int), 0, pool.pixels.shape[1] - 1)
    skin = np.stack(
        [pool.pixels[row][xy[:, 1], xy[:, 0]].mean(axis=0) for row, xy in zip(rows, cheeks, strict=True)]
    )
    dark = appearance.lab_from_rgb(skin[None].astype(np.uint8))[0, :, 0] < _DARK
    yaw = np.array([abs(float(pose(pool.landmarks[row]).yaw)) for row in rows])
    weight = 1.0 + 2.0 * (np.deg2rad(yaw) > _TURNED) + 1.5 * dark
    return np.asarray(weight / weight.sum())


def _identity(rgb: U8, landmarks: F32, embedding: F32) -> SourceIdentity:
    photo = SourcePhoto(Path("pool"), rgb, landmarks, embedding)
    return SourceIdentity("pool", (photo,), embedding)


def _plain_face(pool: Pool, row: int) -> SourceFace:
    return source_face(_identity(np.asarray(pool.pixels[row]), pool.landmarks[row], pool.embedding[row]), 0.0)


def _target(pool: Pool, row: int, rng: Rng) -> FaceCrop:
    """The crop of A, a little displaced, now and then in other light or through a worse camera."""
    rgb, points = np.asarray(pool.pixels[row]), pool.landmarks[row]
    if rng.random() < _RELIT_TARGET:
        rgb = relit(rgb, points / np.float32(rgb.shape[0]), rng, 0.6, hard=False)
    rgb = _degraded(rgb, rng, 0.12)
    unit = align.unit_from_points(points)
    c, s = np.cos(angle := rng.normal(0, 0.04)), np.sin(angle)
    zoom = np.exp(rng.normal(0, 0.03)) * np.array([[c, -s], [s, c]])
    shift = 0.5 - zoom @ (0.5, 0.5) + rng.normal(0, 0.012, 2)
    moved = np.vstack([np.column_stack([zoom, shift]), [0, 0, 1]])
    crop_from_picture = align.scaled(moved @ unit, _CROP)
    return FaceCrop(
        0, cut(rgb, crop_from_picture, _CROP), crop_from_picture, align.apply(crop_from_picture, points)
    )


def _worn(pool: Pool, row: int, rng: Rng) -> SourceIdentity:
    """A as a source: another photograph where there is one, else the same in another pose; in other light."""
    same = np.flatnonzero((pool.person == pool.person[row]) & (pool.clip < 0))
    same = same[same != row]
    if len(same):
        row = int(rng.choice(same))
    rgb, points = np.asarray(pool.pixels[row]), pool.landmarks[row]
    if not len(same):
        side = np.float32(rgb.shape[0])
        pixels = _tensor(rgb)
        third = torch.from_numpy(pool.landmarks[int(rng.integers(len(pool)))] / side)[None]
        turned, mesh = augment.reposed(pixels, torch.from_numpy(points / side)[None], third, rng)
        rgb, points = _bytes(turned), np.asarray(mesh[0].numpy() * side, np.float32)
    if rng.random() < _COVERED:
        rgb = covered(pool, rgb, points, rng)
    if rng.random() < _RELIT:
        rgb = relit(rgb, points / np.float32(rgb.shape[0]), rng)
    return _identity(_degraded(rgb, rng, 0.2), points, pool.embedding[row])


def _degraded(rgb: U8, rng: Rng, p: float) -> U8:
    return _bytes(augment.degraded(_tensor(rgb), rng, p))


def _tensor(rgb: U8) -> torch.Tensor:
    """(S, S, 3) -> (1, 3, S, S) in [-1, 1]."""
    return torch.tensor(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1


def _bytes(rgb: torch.Tensor) -> U8:
    return np.asarray(((rgb[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy())


def _restored(prepared: Prepared, other: SourceFace, wanted: FaceCrop, seed: int) -> U8:
    """What a refiner sees of A, drawn on what B looks like in the place of A."""
    method = _method()
    flat = replace(wanted, outline=_NO_OUTLINE)
    drawn = renderer.mesh_for(other, flat, Shares(1.0, _NO_OUTLINE))
    look = renderer.measure(flat, method.paste)
    given = _pasted(flat, renderer.render(other, flat, look, drawn, method.paste, seed), drawn)
    given = replace(given, rgb=_lit_as(given, wanted))
    method.wanted = np.asarray(wanted.landmarks / np.float32(_CROP), np.float32)
    method.render(prepared, given, _lit_only(method.encode(prepared, given), look), seed)
    return method.seen


def _lit_only(code: F32, look: renderer.Look) -> F32:
    """The code of B~ with the look of A but for the light.

    Light is read off another's skin, as it always is; B~ has been drawn before, so its skin is smoother and
    flatter than that of any real target.
    """
    found = _method().unpacked(code)
    light = renderer.Look.unpacked(found.look).light
    return replace(found, look=replace(look, light=light).packed()).packed()


def _lit_as(given: FaceCrop, wanted: FaceCrop) -> U8:
    """B~ in exactly the broad light and tone of A, (S, S, 3): real targets have not been drawn before.

    Without this the refiner would learn to mend the renderer's faults twice.
    """
    points = given.landmarks / np.float32(_CROP)
    lab = appearance.lab_from_rgb(given.rgb)
    skin = appearance.skin_area(points, _CROP) + np.float32(1e-4)
    broad, _ = masks.masked_blur(appearance.lab_from_rgb(wanted.rgb) - lab, skin, _BROAD * _CROP)
    inside = masks.blur(masks.union(points, (parts.OVAL,), _CROP), 0.02 * _CROP)
    return appearance.rgb_from_lab(lab + broad * inside[..., None])


def _pasted(crop: FaceCrop, face: RenderedFace, drawn: F32) -> FaceCrop:
    """The crop with the face in it, as a crop with the mesh ``drawn``."""
    shift = (face.crop.crop_from_frame @ np.linalg.inv(crop.crop_from_frame))[:2, 2]
    x, y = np.round(-shift).astype(int)
    height, width = face.mask.shape
    rgb = crop.rgb.astype(np.float32)
    part = rgb[y : y + height, x : x + width]
    part += (face.rgb - part) * face.mask[..., None]
    points = np.asarray(drawn * np.float32(_CROP), np.float32)
    return replace(crop, rgb=np.asarray(rgb + 0.5, np.uint8), landmarks=points, neutral=None)
