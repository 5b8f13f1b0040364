"""The target's beard stays in front of the new face."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import SIDE, crop, identity, mesh_points, photo, picture

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap import beard, detail
from faceswap_cli.swap.methods.mesh import MeshMethod

POINTS = np.asarray(mesh_points() / np.float32(SIDE), np.float32)
N = 320
WINDOW = Window.around(POINTS[list(parts.OVAL)], N)
SKIN = 65.0
CHIN = 199
"""A mesh point of the chin"""


def face(hair: float) -> F32:
    """(h, w) L* of skin with pores; ``hair``: strength of what grows below the mouth and along the jaw."""
    rng = np.random.default_rng(3)
    blur = masks.blur(rng.standard_normal((N, N)).astype(np.float32), 1.5)
    luma = SKIN + 2.0 * blur
    low = masks.smoothstep((np.arange(N) / N - POINTS[17, 1]) / 0.02)[:, None]
    return np.ascontiguousarray(WINDOW.of(luma + low * (hair * blur - 2.0 * hair)).astype(np.float32))


def measured(luma: F32) -> F32:
    return beard.measure_beard(detail.split(luma), luma, POINTS, WINDOW)


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


def test_a_beard_is_found_and_a_shaven_chin_is_not() -> None:
    hairy, shaven = measured(face(6.0))[-2:], measured(face(0.0))[-2:]
    assert hairy[0] > beard.HAIRY[1]
    assert hairy[1] > beard.ROUGH[1]
    assert shaven[0] < beard.HAIRY[0]
    assert shaven[1] < beard.ROUGH[0]


def test_a_dark_chin_without_hair_is_a_shadow() -> None:
    shade = face(0.0) - 15.0 * np.linspace(0, 1, WINDOW.height, dtype=np.float32)[:, None] ** 2
    assert measured(np.ascontiguousarray(shade))[-1] < beard.ROUGH[0]


def test_it_does_not_grow_on_forehead_and_cheeks() -> None:
    found = measured(face(6.0))
    assert found[CHIN] > 0.9
    assert found[[10, 151, 50, 280, *parts.EYES]].max() == 0.0


def test_a_beard_stays_and_a_shaven_chin_is_covered() -> None:
    hairy, shaven = face(6.0), face(0.0)
    kept = pasted(hairy, measured(hairy))
    assert at(kept, CHIN) == pytest.approx(at(hairy, CHIN), abs=1.0)
    assert at(kept, 50) == pytest.approx(80.0, abs=0.1)
    assert at(pasted(shaven, measured(shaven)), CHIN) == pytest.approx(80.0, abs=0.1)


def test_lips_are_the_new_faces() -> None:
    hairy = face(6.0)
    kept = pasted(hairy, measured(hairy))
    lips = masks.union(POINTS, (parts.LIPS_OUTER,), WINDOW, -2.0) > 0.9
    np.testing.assert_allclose(kept[lips], 80.0, atol=0.5)


def test_a_beard_moves_with_the_face() -> None:
    hairy = face(6.0)
    x, y = (int(v) for v in WINDOW.pixels(POINTS[[CHIN]])[0])
    hairy[y - 3 : y + 4, x - 3 : x + 4] = 5.0  # a mark in the beard
    drawn = POINTS + np.float32((0.03, 0.0, 0.0))
    kept = pasted(hairy, measured(face(6.0)), drawn)
    assert at(kept, CHIN, drawn) < 20.0


def test_removed_beards_are_drawn_over() -> None:
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
