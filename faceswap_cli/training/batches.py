"""Batches: which source goes on which target, what the network may know, and the truth where there is one."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceswap_cli.nets.fslsd256 import Scene, resized
from faceswap_cli.nets.fslsd256_encoders import EXPRESSION, SIDE, SKETCH
from faceswap_cli.swap.scene import Drawn, Pairing, build_scene, draw, gated, pair
from faceswap_cli.swap.shape import fit_expression_basis, mix_weights, remove_pose
from faceswap_cli.training import augment
from faceswap_cli.training.augment import Rng
from faceswap_cli.training.pool import Pool

FRAMES_PER_PERSON = 24
"""At most this many pictures of one person enter the expression basis."""
FILL_NOISE = 0.02
"""Of the erased face, so that its evenness says nothing."""
NOBODY = 2**31
_APART = (1, 5)
"""Frames between the two of a video sample, in pool rows."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One training batch on one device.  Pictures (N, 3, 256, 256) in [-1, 1]."""

    kind: str
    source: Tensor = field(repr=False)
    target: Tensor = field(repr=False)
    z: Tensor = field(repr=False)
    """(N, 128) centered, unit: given to the network"""
    z_target: Tensor = field(repr=False)
    """The same of the target person, for swapping back"""
    embedding: Tensor = field(repr=False)
    """(N, 128) of the source person, as the identity network gives it"""
    scene: Scene = field(repr=False)
    wanted: Tensor = field(repr=False)
    """(N, 478, 3) landmarks the result shall have"""
    source_points: Tensor = field(repr=False)
    target_points: Tensor = field(repr=False)
    valid: Tensor = field(repr=False)
    """(N, 1, 256, 256) 0 on padding"""
    person: Tensor = field(repr=False)
    """(N,) class of the source person for the third player; ``NOBODY`` for people seen once"""

    @property
    def same(self) -> bool:
        """Whether source and target are one person, so that the target is the truth."""
        return self.kind in ("self", "pair")

    def to(self, device: torch.device) -> Batch:
        def move(x: Tensor) -> Tensor:
            layout = torch.channels_last if x.ndim == 4 else torch.preserve_format
            return x.to(device, memory_format=layout, non_blocking=True)

        moved: dict[str, Any] = {
            name: move(value)
            for name in self.__dataclass_fields__
            if isinstance(value := getattr(self, name), Tensor)
        }
        return replace(self, scene=self.scene.apply(move), **moved)


def centered(embedding: Tensor, mean: Tensor) -> Tensor:
    """Embeddings as the network reads them: the mean taken off, unit length."""
    return F.normalize(embedding - mean, dim=-1)


def expression_basis(pool: Pool) -> Tensor:
    """(24, 478, 3) from pictures that show one person more than once; zeros when there are none."""
    rows, seen = [], []
    people, counts = np.unique(pool.person, return_counts=True)
    for person in people[counts > 1]:
        own = np.flatnonzero(pool.person == person)
        own = own[np.linspace(0, len(own) - 1, min(len(own), FRAMES_PER_PERSON)).round().astype(int)]
        shapes = remove_pose(torch.from_numpy(pool.landmarks[own]) / SIDE).canonical
        rows.append(shapes - shapes.mean(0))
        seen.append(len(own))
    if not rows:
        return torch.zeros(EXPRESSION, 478, 3)
    return fit_expression_basis(torch.cat(rows), EXPRESSION)


@dataclass(frozen=True, eq=False)
class _Rows:
    source: NDArray[np.int64]
    target: NDArray[np.int64]


class Sampler:
    """Draws batches from a pool; all randomness comes from ``rng``."""

    def __init__(self, pool: Pool, basis: Tensor, seed: int, *, held_out: bool = False) -> None:
        self.pool = pool
        self.basis = basis
        self.mean = torch.from_numpy(pool.embedding.mean(0))
        self.rng: Rng = np.random.default_rng(seed)
        self.rows = pool.rows(held_out=held_out)
        self.drop_part, self.drop_warp, self.shape_mix, self.clean = 0.3, 0.1, 0.5, False
        self._mix = mix_weights(1.0)
        members: dict[int, list[int]] = {}
        for row in self.rows:
            members.setdefault(int(pool.person[row]), []).append(int(row))
        self.people = {p: np.array(m) for p, m in members.items()}
        self.several = [p for p, m in self.people.items() if len(m) > 1]
        self.classes = {person: number for number, person in enumerate(self.several)}
        self.filmed = [
            p for p in self.several if np.any(np.bincount(pool.clip[self.people[p]] + 1)[1:] > _APART[1])
        ]

    def at(self, *numbers: int) -> Sampler:
        """The same sampler with its randomness set by ``numbers``: what it draws depends on them alone."""
        other = copy.copy(self)
        other.rng = np.random.default_rng(numbers)
        return other

    def kinds(self, mix: dict[str, float]) -> dict[str, float]:
        """``mix`` without the kinds this pool cannot give, made to sum to 1."""
        able = {
            "self": True,
            "cross": len(self.people) > 1,
            "pair": bool(self.several),
            "video": bool(self.filmed),
        }
        left = {kind: share for kind, share in mix.items() if able[kind] and share > 0}
        total = sum(left.values())
        return {kind: share / total for kind, share in left.items()} if left else {"self": 1.0}

    def draw(self, mix: dict[str, float], size: int) -> Batch:
        kinds = self.kinds(mix)
        kind = str(self.rng.choice(list(kinds), p=list(kinds.values())))
        return self.batch(kind, size)

    def batch(self, kind: str, size: int) -> Batch:
        """``size`` samples of one kind (of ``video``: size / 2 samples of two frames)."""
        return self._assembled(kind, self._choose(kind, size))

    def _any_row(self) -> int:
        """A row, people drawn evenly among stills and clips (each clip's frames count little)."""
        person = int(self.rng.choice(list(self.people)))
        return int(self.rng.choice(self.people[person]))

    def _choose(self, kind: str, size: int) -> _Rows:
        if kind == "video":
            return self._choose_video(size)
        source, target = np.empty(size, np.int64), np.empty(size, np.int64)
        for i in range(size):
            if kind == "pair":
                person = int(self.rng.choice(self.several))
                source[i], target[i] = self.rng.choice(self.people[person], 2, replace=False)
                continue
            # In cross batches clips are drawn more often as targets: that is how it will be used.
            filmed = kind == "cross" and bool(self.filmed) and self.rng.random() < 0.25
            target[i] = (
                self.rng.choice(self.people[int(self.rng.choice(self.filmed))]) if filmed else self._any_row()
            )
            source[i] = target[i]
            while kind == "cross" and self.pool.person[source[i]] == self.pool.person[target[i]]:
                source[i] = self._any_row()
        return _Rows(source, target)

    def _choose_video(self, size: int) -> _Rows:
        half = max(size // 2, 1)
        early, late, source = (np.empty(half, np.int64) for _ in range(3))
        for i in range(half):
            own = self.people[int(self.rng.choice(self.filmed))]
            clips, lengths = np.unique(self.pool.clip[own], return_counts=True)
            clips = clips[(clips >= 0) & (lengths > _APART[1])]
            frames = own[self.pool.clip[own] == self.rng.choice(clips)]
            frames = frames[np.argsort(self.pool.order[frames])]
            step = int(self.rng.integers(_APART[0], _APART[1] + 1))
            first = int(self.rng.integers(0, len(frames) - step))
            early[i], late[i] = frames[first], frames[first + step]
            source[i] = self._any_row()
        return _Rows(np.concatenate([source, source]), np.concatenate([early, late]))

    def _load(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(np.stack([self.pool.pixels[r] for r in rows]))
        points = torch.from_numpy(self.pool.landmarks[rows] / np.float32(SIDE))
        return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1, points

    def plain(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Swap crops and meshes of pool rows, unchanged."""
        rgb, points = self._load(rows)
        return augment.crop(rgb, points, augment.crop_matrix(self.rng, len(rows), 0, 0, 0))

    def _assembled(self, kind: str, rows: _Rows) -> Batch:
        rng, n = self.rng, len(rows.target)
        target, target_points, valid = self._target(kind, rows)
        source, source_points = self._source(kind, rows)
        same = kind in ("self", "pair")
        share = torch.zeros(n, 1, 1) if same else augment.uniform(rng, 0, self.shape_mix, n, 1, 1)
        if kind == "video":
            share = share[: n // 2].repeat(2, 1, 1)
        if self.clean:
            share = torch.full((n, 1, 1), 0.0 if same else self.shape_mix)
        pairing = pair(source_points, target_points, self.basis, self._mix * share)
        drawn = draw(pairing.wanted)
        scene = self._scene(kind, target, target_points, source_points, pairing, drawn)
        embedding = torch.from_numpy(self.pool.embedding[rows.source])
        return Batch(
            kind=kind,
            source=source,
            target=target,
            z=centered(embedding, self.mean),
            embedding=embedding,
            z_target=centered(torch.from_numpy(self.pool.embedding[rows.target]), self.mean),
            scene=scene,
            wanted=pairing.wanted,
            source_points=source_points,
            target_points=target_points,
            valid=valid,
            person=torch.tensor([self.classes.get(int(p), NOBODY) for p in self.pool.person[rows.source]]),
        )

    def _target(self, kind: str, rows: _Rows) -> tuple[Tensor, Tensor, Tensor]:
        rng, n = self.rng, len(rows.target)
        rgb, points = self._load(rows.target)
        independent = n // 2 if kind == "video" else n
        matrix = (
            augment.crop_matrix(rng, independent, 0, 0, 0)
            if self.clean
            else (augment.crop_matrix(rng, independent, 4.0, 0.04, 0.02))
        )
        matrix = matrix if independent == n else matrix.repeat(2, 1, 1)
        corners = torch.from_numpy(self.pool.valid[rows.target] / np.float32(SIDE))
        valid = augment.valid_mask(augment.into_crop(corners, matrix), SIDE)
        rgb, points = augment.crop(rgb, points, matrix)
        if not self.clean and kind != "video":
            turn = torch.from_numpy(rng.random(n) < 0.5)
            rgb, points = augment.flip(rgb, points, turn)
            valid = torch.where(turn[:, None, None, None], valid.flip(3), valid)
            rgb = augment.recolor(rgb, rng, 0.5)
            rgb = augment.degraded(rgb, rng, 0.12)
        return rgb, points, valid

    def _source(self, kind: str, rows: _Rows) -> tuple[Tensor, Tensor]:
        rng, n = self.rng, len(rows.source)
        rgb, points = self._load(rows.source)
        if kind == "self":
            _, others = self._load(np.array([self._any_row() for _ in range(n)]))
            rgb, points = augment.reposed(rgb, points, others, rng)
        if self.clean:
            return augment.crop(rgb, points, augment.crop_matrix(rng, n, 0, 0, 0))
        if kind == "video":
            half = n // 2
            one, where = self._dressed(rgb[:half], points[:half])
            return one.repeat(2, 1, 1, 1), where.repeat(2, 1, 1)
        return self._dressed(rgb, points)

    def _dressed(self, rgb: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        rng = self.rng
        rgb, points = augment.crop(rgb, points, augment.crop_matrix(rng, len(rgb), 6.0, 0.06, 0.03))
        rgb, points = augment.flip(rgb, points, torch.from_numpy(rng.random(len(rgb)) < 0.5))
        rgb = augment.recolor(rgb, rng)
        return augment.degraded(rgb, rng, 0.10), points

    def _scene(
        self,
        kind: str,
        target: Tensor,
        target_points: Tensor,
        source_points: Tensor,
        pairing: Pairing,
        drawn: Drawn,
    ) -> Scene:
        visible = gated(pairing.visible, drawn, source_points, pairing.wanted)
        if not self.clean:
            side = visible.shape[-1]
            eyes, mouth = (resized(drawn.sketch[:, SKETCH.index(k), None], side) for k in ("eyes", "mouth"))
            drops = self.drop_part if kind != "video" else 0.0
            visible = augment.holes(visible, eyes, mouth, self.rng, drops, self.drop_warp)
        pairing = replace(pairing, visible=visible)
        scene = build_scene(target, target_points, pairing, drawn)
        if self.clean:
            return scene
        grain = torch.from_numpy(self.rng.standard_normal(target.shape, dtype=np.float32))
        return replace(scene, erased=scene.erased + FILL_NOISE * drawn.hidden * grain)
