"""Strength and preserved parts on drawn faces: what they change, and that their absence changes nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import SIDE, crop, identity, mesh_points, photo, picture

from faceswap_cli.config import EditOptions, JobOptions, PasteOptions, PreserveOptions, SwapOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.keyframes import Keyframes
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.records import F32, FaceCrop, RenderedFace
from faceswap_cli.swap.engine import finished_face, made_ready
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.swap.methods.mesh import MeshMethod
from faceswap_cli.swap.selective import FADE, Amounts, Selection, selected, selection_of
from faceswap_cli.training.export import export_weights

RAMP = Keyframes([(Fraction(0), 0.0), (Fraction(2), 1.0)])
RINGS = {
    "mouth": (parts.LIPS_OUTER,),
    "eyes": (parts.LEFT_EYE, parts.RIGHT_EYE),
    "brows": (parts.LEFT_BROW_RING, parts.RIGHT_BROW_RING),
}


def pair(move: tuple[float, float] = (0.0, 0.0)) -> RenderedFace:
    """A drawn face of another skin over a target's; with ``move`` its features lie elsewhere (in pixels)."""
    points = mesh_points()
    target = crop(picture(points), points)
    wanted = target.landmarks.copy()
    inner = np.setdiff1d(np.arange(478), parts.OVAL)
    wanted[inner, :2] += np.array(move, np.float32)
    rgb = picture(wanted, skin=(150, 160, 150), seed=4)
    drawn = wanted if any(move) else None
    return RenderedFace(target, rgb, np.ones((SIDE, SIDE), np.float32), drawn=drawn)


def inside(points: F32, rings: tuple[tuple[int, ...], ...]) -> np.ndarray:
    return masks.union((points / SIDE).astype(np.float32), rings, SIDE) > 0.9


def away(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other)[where].mean())


def test_nothing_asked_is_the_same_face() -> None:
    face = pair()
    amounts = selection_of(SwapOptions()).at(Fraction(7, 3))
    assert amounts == Amounts()
    assert finished_face(face, amounts) is face
    assert made_ready(face.crop, amounts) is face.crop
    assert selection_of(SwapOptions(strength=RAMP)).at(Fraction(2)).shape_mix == JobOptions().shape_mix


@pytest.mark.parametrize("part", RINGS)
def test_a_part_is_the_targets_and_the_rest_is_not_touched(part: str) -> None:
    face = pair()
    got = selected(face, Amounts(kept={part: 1.0})).rgb
    half = selected(face, Amounts(kept={part: 0.5})).rgb
    area = inside(face.crop.landmarks, RINGS[part])
    before = away(face.rgb, face.crop.rgb, area)
    assert away(got, face.crop.rgb, area) < 0.15 * before
    assert 0.3 * before < away(half, face.crop.rgb, area) < 0.7 * before
    for other in set(RINGS) - {part}:
        where = inside(face.crop.landmarks, RINGS[other])
        assert away(got, face.rgb, where) < 0.02 * before


def test_a_part_moves_to_where_the_new_face_has_it() -> None:
    """Eyes of the target, painted green, in a face whose eyes sit six pixels lower."""
    face = pair(move=(0.0, 6.0))
    rgb = face.crop.rgb.copy()
    rgb[inside(face.crop.landmarks, RINGS["eyes"])] = (20, 220, 20)
    face = replace(face, crop=replace(face.crop, rgb=rgb))
    got = selected(face, Amounts(kept={"eyes": 1.0})).rgb.astype(int)
    green = got[..., 1] - got[..., 0] > 100
    assert face.drawn is not None
    there, here = inside(face.drawn, RINGS["eyes"]), inside(face.crop.landmarks, RINGS["eyes"])
    assert green[there].mean() > 0.85
    assert green[here & ~there].mean() < 0.3


def test_skin_brings_tone_and_texture_and_leaves_features() -> None:
    face = pair()
    rng = np.random.default_rng(1)
    spots = np.repeat(rng.normal(0, 18, (SIDE, SIDE, 1)), 3, axis=2)
    face = replace(face, crop=replace(face.crop, rgb=np.clip(face.crop.rgb + spots, 0, 255).astype(np.uint8)))
    got = selected(face, Amounts(kept={"skin": 1.0})).rgb
    cheeks = inside(face.crop.landmarks, ((50, 205, 36, 142, 101), (280, 425, 266, 371, 330)))
    alike = [np.corrcoef(face.crop.rgb[cheeks, 1], rgb[cheeks, 1])[0, 1] for rgb in (face.rgb, got)]
    assert alike[0] < 0.3
    assert alike[1] > 0.8
    tone = [float(rgb[cheeks, 0].mean()) - float(rgb[cheeks, 2].mean()) for rgb in (face.crop.rgb, got)]
    assert tone[1] == pytest.approx(tone[0], abs=12)
    for rings in RINGS.values():
        np.testing.assert_array_equal(
            got[inside(face.crop.landmarks, rings)], face.rgb[inside(face.crop.landmarks, rings)]
        )


def test_strength_goes_evenly_from_the_target_to_the_swap() -> None:
    face = pair()
    area = inside(face.crop.landmarks, (parts.OVAL,))
    steps = [selected(face, Amounts(strength=s)).rgb for s in (FADE, 0.25, 0.5, 0.75, 1.0)]
    far = [away(rgb, face.crop.rgb, area) for rgb in steps]
    assert all(one < other for one, other in pairwise(far))
    assert far[2] == pytest.approx(far[4] / 2, rel=0.15)
    assert steps[-1] is face.rgb


def test_detail_of_two_faces_does_not_melt_away_in_between() -> None:
    """Grain of equal strength in both: the plain mean would hold 0.71 of it."""
    face, rng = pair(), np.random.default_rng(2)
    both = [
        np.clip(picture(face.crop.landmarks, seed=k) + rng.normal(0, 9, (SIDE, SIDE, 1)), 0, 255).astype(
            np.uint8
        )
        for k in (0, 1)
    ]
    face = replace(face, crop=replace(face.crop, rgb=both[0]), rgb=both[1])
    got = selected(face, Amounts(strength=0.5)).rgb
    cheeks = inside(face.crop.landmarks, ((50, 205, 36, 142, 101), (280, 425, 266, 371, 330)))
    grain = [float(rgb[cheeks].mean(axis=1).std()) for rgb in (both[0], got)]
    assert grain[1] > 0.85 * grain[0]


def test_half_way_has_one_pair_of_eyes() -> None:
    """Where the drawn features lie elsewhere, the target's are moved there: no ghosts of dark eyes."""
    face = pair(move=(0.0, 6.0))
    assert face.drawn is not None
    got = selected(face, Amounts(strength=0.5)).rgb.astype(int).sum(axis=2)
    there, here = inside(face.drawn, RINGS["eyes"]), inside(face.crop.landmarks, RINGS["eyes"])
    skin = float(np.median(got[inside(face.crop.landmarks, ((50, 205, 36, 142, 101),))]))
    assert float(np.median(got[there])) < 0.5 * skin
    assert float(np.median(got[here & ~there])) > 0.75 * skin


def test_the_last_step_fades_into_the_frame() -> None:
    face = pair()
    weak = selected(face, Amounts(strength=FADE / 4))
    np.testing.assert_allclose(weak.mask, face.mask / 4)
    np.testing.assert_array_equal(weak.rgb, selected(face, Amounts(strength=FADE)).rgb)
    assert selected(face, Amounts(strength=FADE)).mask.max() == face.mask.max()


def test_amounts_over_time() -> None:
    preserve = PreserveOptions(mouth=RAMP, shape=0.5, eyes=0.25)
    options = SwapOptions(strength=RAMP, preserve=preserve, edit=EditOptions(smile=0.8, yaw=4.0))
    selection = selection_of(options)
    half = selection.at(Fraction(1))
    assert half.strength == 0.5
    assert half.kept == {"mouth": 0.5, "eyes": 0.25}
    assert half.shape_mix == pytest.approx(0.8 * 0.5 * 0.5)
    assert half.outline == pytest.approx(0.6 * 0.5 * 0.5)
    assert half.edits == EditOptions(smile=0.4, yaw=2.0)
    assert selection.at(Fraction(0)).kept == {"eyes": 0.25}
    assert selection.at(Fraction(3)).edits == options.edit
    moving = selection_of(SwapOptions(job=JobOptions(shape_mix=RAMP)))
    assert moving.at(Fraction(1, 2)).shape_mix == 0.25
    assert Selection().at() == Amounts()


@pytest.mark.parametrize("method", ["mesh", "fslsd"])
def test_around_each_method(method: str, tmp_path: Path) -> None:
    """The engine's own order: made ready, encoded, drawn, finished."""
    points = mesh_points()
    target = crop(picture(points), points)
    one = methods(tmp_path)[method]
    prepared = one.prepare(identity(photo(picture(points, skin=(120, 110, 160), seed=1), points)))

    def made(options: SwapOptions) -> RenderedFace:
        amounts = selection_of(options).at()
        ready = made_ready(target, amounts)
        return finished_face(one.render(prepared, ready, one.encode(prepared, ready), 0), amounts)

    plain, same = made(SwapOptions()), made(SwapOptions(strength=1.0, preserve=PreserveOptions()))
    np.testing.assert_array_equal(plain.rgb, same.rgb)
    np.testing.assert_array_equal(plain.mask, same.mask)
    area = plain.mask > 0.9
    kept = made(SwapOptions(preserve=PreserveOptions(mouth=1, eyes=1, brows=1, skin=1, shape=1)))
    half = made(SwapOptions(strength=0.5))
    whole = away(plain.rgb, plain.crop.rgb, area)
    assert away(kept.rgb, kept.crop.rgb, area) < whole
    assert away(half.rgb, half.crop.rgb, area) < 0.8 * whole


def methods(folder: Path) -> dict[str, MeshMethod | Fslsd256Method]:
    torch.manual_seed(3)
    export_weights(Fslsd256(PRESETS["tiny"]), folder / "net.safetensors", 0)
    job, paste = JobOptions(device="cpu"), PasteOptions(occlusion=False)
    fslsd = Fslsd256Method(job, paste, folder / "net.safetensors")
    return {"mesh": MeshMethod(job, paste), "fslsd": fslsd}


def test_shape_of_one_frame_wins_over_the_jobs(tmp_path: Path) -> None:
    """A wide source in a narrow target: proportions follow ``FaceCrop.shape_mix``, 0 is the target's."""
    points = mesh_points()
    wide = points.copy()
    wide[list(parts.LIPS), 0] += 0.25 * (points[list(parts.LIPS), 0] - SIDE / 2)
    method = methods(tmp_path)["fslsd"]
    prepared = method.prepare(identity(photo(picture(wide, seed=1), wide)))
    target = crop(picture(points), points)

    def moved(mix: float | None) -> float:
        asked: FaceCrop = replace(target, shape_mix=mix, outline=0.0)
        drawn = method.render(prepared, asked, method.encode(prepared, asked), 0)
        assert drawn.drawn is not None
        return float(np.abs(drawn.drawn - drawn.crop.landmarks).max())

    assert moved(0.0) == pytest.approx(0.0, abs=1e-3)
    assert moved(None) == moved(0.8) > 0.5
    assert moved(1.0) == pytest.approx(2 * moved(0.5), rel=0.1)
