"""The target's beard stays in front of the new face."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import SIDE, crop, identity, mesh_points, photo, picture
from safetensors import safe_open

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry import align, masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.nets.beard import SIDE_OUT
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import beard, occluder_head
from faceswap_cli.swap.methods.mesh import MeshMethod
from faceswap_cli.swap.occluder_head import Seen, look
from faceswap_cli.weights.registry import bundled
from faceswap_cli.weights.store import file_sha256

POINTS = np.asarray(mesh_points() / np.float32(SIDE), np.float32)
N = 320
WINDOW = Window.around(POINTS[list(parts.OVAL)], N)
CHIN, UPPER_LIP = 199, 164
"""Mesh points"""
HAIR, SKIN = 6.0, -6.0
"""Log odds"""


def face(hair: float) -> F32:
    """(h, w) L* of skin with pores; ``hair``: strength of what grows below the mouth and along the jaw."""
    rng = np.random.default_rng(3)
    blur = masks.blur(rng.standard_normal((N, N)).astype(np.float32), 1.5)
    luma = 65.0 + 2.0 * blur
    low = masks.smoothstep((np.arange(N) / N - POINTS[17, 1]) / 0.02)[:, None]
    return np.ascontiguousarray(WINDOW.of(luma + low * (hair * blur - 2.0 * hair)).astype(np.float32))


def grown(chin: float = SKIN, lip: float = SKIN) -> F32:
    """What is measured where hair is everywhere on a face, but for the means over chin and upper lip."""
    return np.array([*[HAIR] * 478, chin, lip], np.float32)


def pasted(target: F32, found: F32, drawn: F32 = POINTS) -> F32:
    """(h, w) L* of plain skin drawn over ``target``, with the beard kept."""
    lab, own = (
        np.dstack([x, np.zeros_like(x), np.zeros_like(x)]) for x in (np.full_like(target, 80.0), target)
    )
    beard.keep_beard(lab, own, found, POINTS, drawn, WINDOW)
    return lab[..., 0]


def at(luma: F32, point: int, mesh: F32 = POINTS) -> float:
    x, y = WINDOW.pixels(mesh[[point]])[0]
    return float(luma[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].mean())


def read(monkeypatch: pytest.MonkeyPatch, odds: F32, share: float = 1.0) -> F32:
    """What is measured where the reader gives ``odds``."""
    monkeypatch.setattr(beard, "beard_reader", lambda: lambda levels, bare: torch.from_numpy(odds)[None])
    nothing = np.zeros((96, 96, 6), np.float32)
    return beard.measure_beard(Seen(nothing, share, (torch.zeros(1),)), POINTS)


def test_the_chin_and_the_upper_lip_are_judged_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    row = (np.arange(SIDE_OUT) + 0.5) / SIDE_OUT
    low = np.repeat((row > POINTS[17, 1])[:, None], SIDE_OUT, axis=1)
    found = read(monkeypatch, np.where(low, HAIR, SKIN).astype(np.float32))
    assert found[-2] > HAIR / 2
    assert found[-1] < SKIN / 2
    assert found[CHIN] > HAIR / 3
    assert found[[10, 151, 50, 280]].max() < SKIN + 1


def test_a_head_that_sees_a_wider_crop_finds_the_same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at the middle of such a crop only."""
    odds = np.full((SIDE_OUT, SIDE_OUT), SKIN, np.float32)
    x, y = ((POINTS[CHIN, :2] - 0.5) / 0.8 + 0.5) * SIDE_OUT
    odds[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = HAIR
    assert read(monkeypatch, odds, share=0.8)[CHIN] > read(monkeypatch, odds)[CHIN] + 1.0


def test_without_a_look_nothing_grows() -> None:
    nothing = beard.measure_beard(Seen(np.zeros((96, 96, 6), np.float32), 1.0), POINTS)
    assert at(pasted(face(6.0), nothing), CHIN) == pytest.approx(80.0, abs=0.1)


def hair_of(rgb: U8, mesh: F32) -> F32:
    """A patch of hair from above the forehead, tiled over a picture of the same size."""
    x, y = (mesh[10, :2] * 256).astype(int)
    patch = rgb[max(y - 30, 0) : y - 6, x - 20 : x + 20].astype(np.float32)
    both = np.concatenate([patch, patch[::-1]])
    both = np.concatenate([both, both[:, ::-1]], axis=1)
    return np.tile(both, (256 // both.shape[0] + 1, 256 // both.shape[1] + 1, 1))[:256, :256]


def test_the_bundled_reader_knows_a_beard_from_a_shaven_chin(portrait: U8, finder: object) -> None:
    points = find_faces(portrait, finder=finder)[0].landmarks  # type: ignore[arg-type]
    unit = align.unit_from_points(points)
    crop_of, mesh = cut(portrait, align.scaled(unit, 256), 256), align.apply(unit, points).astype(np.float32)
    shaven = beard.measure_beard(look(crop_of, mesh), mesh)
    low = masks.smoothstep((np.arange(256) / 256 - mesh[17, 1]) / 0.02)[:, None, None]
    low = low * masks.union(mesh, (parts.OVAL,), 256)[..., None]
    hairy = (crop_of + low * (hair_of(crop_of, mesh) - crop_of.astype(np.float32))).astype(np.uint8)
    found = beard.measure_beard(look(hairy, mesh), mesh)
    assert shaven[-2] < beard.GROWN[0]
    # Scalp hair on a chin is not quite a beard.
    assert found[-2] > max(beard.GROWN[0] + 0.2, shaven[-2] + 2.0)
    assert found[CHIN] > 0.0


def test_the_reader_was_fitted_to_the_bundled_head() -> None:
    with safe_open(bundled(beard.FILE), "np") as stored:
        assert stored.metadata() == {"occluder": file_sha256(bundled(occluder_head.FILE))}


def test_it_does_not_grow_on_forehead_and_cheeks() -> None:
    kept = pasted(face(6.0), grown(HAIR, HAIR))
    assert [at(kept, point) for point in (10, 151, 50, 280)] == pytest.approx([80.0] * 4, abs=0.5)


def test_a_beard_stays_and_a_shaven_chin_is_covered() -> None:
    hairy = face(6.0)
    kept = pasted(hairy, grown(chin=HAIR))
    assert at(kept, CHIN) == pytest.approx(at(hairy, CHIN), abs=1.0)
    assert at(pasted(hairy, grown()), CHIN) == pytest.approx(80.0, abs=0.1)


def test_a_moustache_stays_without_a_beard() -> None:
    hairy = np.full(WINDOW.shape, 20.0, np.float32)
    kept = pasted(hairy, grown(lip=HAIR))
    assert at(kept, UPPER_LIP) < 60.0
    assert at(kept, CHIN) == pytest.approx(80.0, abs=0.5)


def test_lips_are_the_new_faces() -> None:
    kept = pasted(face(6.0), grown(HAIR, HAIR))
    lips = masks.union(POINTS, (parts.LIPS_OUTER,), WINDOW, -2.0) > 0.9
    np.testing.assert_allclose(kept[lips], 80.0, atol=0.5)


def test_a_beard_moves_with_the_face() -> None:
    hairy = face(6.0)
    x, y = (int(v) for v in WINDOW.pixels(POINTS[[CHIN]])[0])
    hairy[y - 3 : y + 4, x - 3 : x + 4] = 5.0  # a mark in the beard
    drawn = POINTS + np.float32((0.03, 0.0, 0.0))
    kept = pasted(hairy, grown(chin=HAIR), drawn)
    assert at(kept, CHIN, drawn) < 20.0


def test_removed_beards_are_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    odds = torch.full((1, SIDE_OUT, SIDE_OUT), HAIR)
    monkeypatch.setattr(beard, "beard_reader", lambda: lambda levels, bare: odds)
    side = 256
    points = mesh_points(side)
    source = picture(points, side=side)
    target = source.astype(np.float32)
    low = np.s_[int(points[17, 1]) + 2 :]
    target[low] += np.random.default_rng(1).normal(-40, 30, target[low].shape[:2])[..., None]
    hairy = crop(np.clip(target, 0, 255).astype(np.uint8), points, side)
    x, y = (int(v) for v in hairy.landmarks[CHIN, :2])
    light = {}
    for choice in ("keep", "remove"):
        method = MeshMethod(JobOptions(), PasteOptions(occlusion=False, beard=choice))
        prepared = method.prepare(identity(photo(source, points)))
        drawn = method.render(prepared, hairy, method.encode(prepared, hairy), 0)
        shift = (hairy.crop_from_frame - drawn.crop.crop_from_frame)[:2, 2].round().astype(int)
        rows, columns = (slice(v - s - 5, v - s + 6) for v, s in ((y, shift[1]), (x, shift[0])))
        light[choice] = float(drawn.rgb[rows, columns].mean())
    assert light["keep"] < light["remove"] - 10
