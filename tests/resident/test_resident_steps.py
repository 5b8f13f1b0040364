"""Each step on the device beside its counterpart on the host, which works with numpy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.provenance.watermark import watermarked
from faceswap_cli.records import FaceCrop, RenderedFace
from faceswap_cli.resident import detail, eyes, features, front, lab, mark, rasters, relight, shading
from faceswap_cli.resident.tables import along
from faceswap_cli.swap import appearance, occlusion
from faceswap_cli.swap import eyes as host_eyes
from faceswap_cli.swap import features as host_features
from faceswap_cli.swap.methods import mesh
from faceswap_cli.swap.occluder_head import look
from tests.resident.made import Bench, blinking, speaking, within
from tests.swap.drawn import identity, mesh_points, photo, picture

SIDE = 224
OPEN = (0.285, 0.285)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)], scope="module")
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


def unit(points: np.ndarray) -> np.ndarray:
    return np.asarray(points / SIDE, np.float32)


def noisy(seed: int, channels: int = 3) -> np.ndarray:
    """A Lab picture with form and texture."""
    rng = np.random.default_rng(seed)
    rough = cv2.resize(rng.normal(0, 12, (9, 9, channels)).astype(np.float32), (SIDE, SIDE))
    fine = cv2.GaussianBlur(rng.normal(0, 6, (SIDE, SIDE, channels)).astype(np.float32), (0, 0), 0.8)
    return np.asarray(rough + fine + np.array([55, 14, 16][:channels]), np.float32)


@pytest.mark.parametrize("border", [cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT, cv2.BORDER_DEFAULT])
def test_blurs_are_opencvs(bench: Bench, border: int) -> None:
    image = noisy(1)
    (found,) = bench.down(along(bench.up(image), bench.tables.blur(SIDE, 3.7, border)))
    within(found, cv2.GaussianBlur(image, (0, 0), 3.7, borderType=border), 1e-3, 1.0)


@pytest.mark.parametrize(
    ("wanted", "how"), [(96, cv2.INTER_AREA), (300, cv2.INTER_CUBIC), (65, cv2.INTER_LINEAR)]
)
def test_changes_of_size_are_opencvs(bench: Bench, wanted: int, how: int) -> None:
    image = noisy(2)
    (found,) = bench.down(along(bench.up(image), bench.tables.resize(SIDE, wanted, how)))
    within(found, cv2.resize(image, (wanted, wanted), interpolation=how), 2e-3, 1.0)


def test_colours_go_to_lab_and_back(bench: Bench) -> None:
    """The host reads the way there from a table that is 0.7 off at most."""
    rgb = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    found = lab.lab_from_rgb(bench.up(rgb.astype(np.float32) / 255), bench.tables)
    (there,) = bench.down(found)
    within(there, appearance.lab_from_rgb(rgb), 0.75, 0.98, 0.3)
    (back,) = bench.down((lab.rgb_from_lab(found, bench.tables) * 255).round())
    within(back, rgb, 0, 1.0)
    host = appearance.rgb_from_lab(there.copy())
    within(host, back, 1, 1.0)


def test_colours_outside_the_cube_are_cut_off(bench: Bench) -> None:
    wild = (
        np.random.default_rng(4).uniform((-10, -120, -120), (120, 120, 120), (64, 64, 3)).astype(np.float32)
    )
    (found,) = bench.down((lab.rgb_from_lab(bench.up(wild), bench.tables) * 255).round())
    within(found, appearance.rgb_from_lab(wild.copy()), 1, 0.99, 0)


def test_lightness_is_the_hosts(bench: Bench) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    (found,) = bench.down(lab.lightness(bench.up(rgb.astype(np.float32)), bench.tables))
    within(found, appearance.lightness(rgb), 1.6, 0.99, 1e-4)  # a grey step where it is rounded otherwise


def test_skin_and_its_light(bench: Bench) -> None:
    points, n = mesh_points(SIDE), appearance.LIGHT_SIDE
    others = [picture(points, side=SIDE, seed=1), picture(points, (90, 60, 50), SIDE, 2)]
    others[1][:80] = (30, 25, 20)  # hair over the forehead
    small = [appearance.lab_from_rgb(cv2.resize(rgb, (n, n), interpolation=cv2.INTER_AREA)) for rgb in others]
    skin, _ = rasters.skin_masks([unit(points)] * 2)
    brows = np.full(2, unit(points)[list(parts.BROWS), 1].mean(), np.float32)
    pictures = bench.up(*small)
    weight = shading.skin_weight(pictures, skin.to(bench.device), bench.there(brows), bench.tables)
    wanted = [appearance.skin_weight(one, unit(points)) for one in small]
    for found, host in zip(bench.down(weight), wanted, strict=True):
        within(found, host, 0.06, 0.995, 0.01)
    meshes = bench.there(np.stack([unit(points)[:, :2]] * 2))
    light = shading.light_at(pictures, bench.up(*wanted), meshes, bench.tables).cpu().numpy()
    for found, one, host in zip(light, small, wanted, strict=True):
        within(found, appearance.light_at(one, host, unit(points)), 0.02, 1.0)


def test_too_little_skin_is_taken_as_it_is(bench: Bench) -> None:
    blank = torch.zeros(1, 1, 96, 96, device=bench.device)
    found = shading.skin_weight(
        torch.zeros(1, 3, 96, 96, device=bench.device), blank, blank[0, 0, 0, :1], bench.tables
    )
    assert found.isfinite().all()
    assert float(found.abs().max()) == 0.0


def test_detail_is_measured_and_matched(bench: Bench) -> None:
    points = unit(mesh_points(SIDE))
    inside = mesh.inner_face(points, Window.full(SIDE))
    code = np.zeros((2, mesh.CODE), np.float32)
    code[:, mesh.LIGHT : mesh.LIGHT + 4] = np.log([[0.7, 1.0, 2.0, 1.2], [2.6, 2.5, 4.0, 0.05]])
    pictures = [noisy(7), noisy(8) * 0.3]
    noise = [mesh.noise((SIDE, SIDE), seed) for seed in (3, 4)]
    luma = bench.up(*(x[..., 0] for x in pictures))
    mask = bench.up(inside, inside)
    bands, grain = detail.measure_detail(detail.split_bands(luma, bench.tables), mask)
    wanted = bench.there(np.stack([detail.wanted_of(one) for one in code]))
    found = bench.down(detail.match_detail(luma, wanted, mask, bench.up(*noise), bench.tables))
    for k, one in enumerate(pictures):
        host = appearance.measure_detail(appearance.split_bands(one[..., 0]), inside)
        np.testing.assert_allclose(bands[k].cpu(), host.bands, rtol=1e-3)
        assert float(grain[k]) == pytest.approx(host.grain, rel=2e-3)
        mesh.match_detail(one, code[k], inside, 3 + k)
        within(found[k], one[..., 0], 0.03, 1.0)


def test_too_few_pixels_tell_no_detail(bench: Bench) -> None:
    empty = torch.zeros(1, 1, SIDE, SIDE, device=bench.device)
    layers = detail.split_bands(bench.up(noisy(1)[..., 0]), bench.tables)
    bands, grain = detail.measure_detail(layers, empty)
    assert bands.tolist() == [[1.0, 1.0, 1.0]]
    assert grain.tolist() == [0.0]
    assert detail.measure_chroma(bench.up(noisy(1)), empty).tolist() == [[1.0, 1.0]]


def test_colour_is_measured(bench: Bench) -> None:
    inside = mesh.inner_face(unit(mesh_points(SIDE)), Window.full(SIDE))
    found = detail.measure_chroma(bench.up(noisy(3)), bench.up(inside))[0].cpu()
    np.testing.assert_allclose(found, appearance.measure_chroma(noisy(3), inside), rtol=1e-4)


def test_pictures_are_relit(bench: Bench) -> None:
    old, new, drawn = (np.clip(noisy(k), (0, -60, -60), (100, 60, 60)).astype(np.float32) for k in (1, 2, 3))
    eyes = masks.union(unit(mesh_points(SIDE)), rasters.EYES, SIDE)
    colourful = np.array([0.6, 1.1], np.float32)
    pictures = [bench.up(x) for x in (drawn, old, new)]
    (found,) = bench.down(relight.relight(*pictures, bench.there(colourful[None]), bench.up(eyes)))
    within(found, appearance.relight(drawn, old, new, colourful, eyes), 1e-3, 1.0)


def test_colours_are_limited(bench: Bench) -> None:
    small, warped, light = noisy(4), noisy(5)[:128, :128].copy(), noisy(6)[:128, :128].copy()
    found = relight.limit_colour(*(bench.up(x) for x in (small, warped, light)), bench.tables)
    host_features.limit_colour(small, warped, light)
    within(bench.down(found)[0], small, 1e-3, 1.0)


def test_sources_are_carried(bench: Bench) -> None:
    """Places are rounded to 1/32 px on the host."""
    points = mesh_points()
    person = mesh.MeshMethod.__new__(mesh.MeshMethod)
    person._mapper = 0.0
    prepared = person.prepare(identity(photo(picture(points, seed=1), points)))
    target = unit(speaking(mesh_points(SIDE), SIDE))
    code = np.zeros(mesh.CODE, np.float32)
    code[: mesh.LIGHT] = np.random.default_rng(1).normal((60, 15, 12), 6, (478, 3)).ravel()
    trust = bench.there(mesh.trust_of(target)[None])
    there = relight.person_on(prepared, SIDE, bench.device)
    carried = relight.carry(
        there, bench.there(target[None, :, :2]), trust, bench.there(code[None]), bench.tables
    )
    wanted = mesh.carry(prepared, target, code)
    within(carried.move[0].permute(1, 2, 0).cpu().numpy(), wanted.move, 1e-5, 1.0)
    within(carried.light_to[0].permute(1, 2, 0).cpu().numpy(), wanted.light_to, 0.01, 1.0)
    eyes = masks.union(target, rasters.EYES, SIDE)
    (found,) = bench.down(carried.lab(there.fine, bench.up(eyes), bench.tables))
    within(found, wanted.lab(Window.full(SIDE)), 8.0, 0.97, 0.5)
    assert np.abs(found - wanted.lab(Window.full(SIDE))).mean() < 0.1


def layers_of(bench: Bench, wanted: np.ndarray, own: np.ndarray) -> dict[str, torch.Tensor]:
    drawn = rasters.face_masks([wanted], [own], [OPEN], SIDE, bench.lane)
    full = drawn.full.to(bench.device).float() / 255
    layers = {name: full[:, k : k + 1] for k, name in enumerate(rasters.FULL)}
    layers["eyes"] = torch.maximum(layers["left_eye"], layers["right_eye"])
    return {**layers, "moves": drawn.moves.to(bench.device), "known": drawn.known.to(bench.device)}


def test_features_are_kept(bench: Bench) -> None:
    own = unit(speaking(mesh_points(SIDE), SIDE))
    wanted = own + np.array([0.006, -0.004, 0], np.float32)
    window = Window.full(SIDE)
    drawn, target, warped = noisy(1), noisy(2), noisy(3)
    target[..., 1] += 18  # redder lips than the drawn ones
    layer = layers_of(bench, wanted, own)
    there = {name: bench.up(x) for name, x in (("drawn", drawn), ("target", target), ("warped", warped))}
    made = there["drawn"]
    for name in ("eye_colour", "lip_colour"):
        made = features.keep_colour(made, there["warped"], layer[name], bench.tables)
    host_features.keep_colour(drawn, lambda part: np.ascontiguousarray(part.of(warped)), wanted, window)
    within(bench.down(made)[0], drawn, 0.4, 0.999, 0.1)  # the host makes wide blurs at a reduced size
    made = bench.up(drawn)
    before = drawn.copy()
    made = features.limit_lips(made, there["target"], layer["lips"], layer["own_lips"], bench.tables)
    host_features.limit_lips(drawn, target, own, wanted, window)
    assert np.abs(drawn - before).max() > 2.0
    within(bench.down(made)[0], drawn, 0.1, 1.0)
    before, dim = drawn.copy(), target - np.array([25, 0, 12], np.float32)
    made = features.limit_eyes(bench.up(drawn), bench.up(dim), layer["eyes"], layer["own_eyes"], bench.tables)
    host_features.limit_eyes(drawn, dim, own, wanted, window)
    assert np.abs(drawn - before).max() > 5.0
    within(bench.down(made)[0], drawn, 0.1, 1.0)
    made = bench.up(drawn)
    made = features.keep_mouth(made, there["target"], layer["mouth"], layer["moves"][:, 0], bench.tables)
    host_features.keep_mouth(drawn, target, own, wanted, window)
    within(bench.down(made)[0], drawn, 1.5, 0.999, 0.2)


def test_lips_that_are_not_seen_tell_nothing(bench: Bench) -> None:
    own = unit(mesh_points(SIDE)) + np.array([2.0, 0, 0], np.float32)
    layer = layers_of(bench, own, own)
    made = features.limit_lips(
        bench.up(noisy(1)), bench.up(noisy(2)), layer["lips"], layer["own_lips"], bench.tables
    )
    within(bench.down(made)[0], noisy(1), 0.0, 1.0)


def test_eyes_that_shut_are_the_targets(bench: Bench) -> None:
    points = blinking(mesh_points(SIDE))
    own, wanted = unit(points), unit(points) + np.array([0.004, 0.003, 0], np.float32)
    drawn, target = noisy(1), noisy(2)
    usual = tuple(parts.eye_apertures(unit(mesh_points(SIDE))).tolist())
    shut = rasters.shut_eyes([wanted, wanted], [own, own], [(0.01, 0.01), usual], SIDE)
    assert shut is not None
    assert set(shut.faces.tolist()) == {1}
    eyes = features.ShutEyes(
        shut.faces.to(bench.device),
        shut.areas.to(bench.device).float() / 255,
        *(x.to(bench.device) for x in (shut.moves, shut.soft, shut.amounts)),
    )
    plain, made = bench.down(features.keep_shut_eyes(bench.up(drawn, drawn), bench.up(target, target), eyes))
    within(plain, drawn, 0.0, 1.0)
    before = drawn.copy()
    crop = FaceCrop(0, np.zeros((SIDE, SIDE, 3), np.uint8), np.eye(3), points, open_eyes=usual)
    host_features.keep_shut_eyes(drawn, target, crop, wanted, Window.full(SIDE))
    assert np.abs(drawn - before).max() > 4.0
    within(made, drawn, 1.5, 0.997, 0.5)


@pytest.mark.parametrize("known", [1.0, 0.0])
@pytest.mark.parametrize("pale", [False, True])
def test_open_eyes_are_the_targets_in_the_sources_colour(bench: Bench, known: float, pale: bool) -> None:
    own = unit(mesh_points(SIDE))
    wanted = own + np.array([0.006, -0.004, 0], np.float32)
    drawn, target = noisy(1), noisy(2)
    for ring, iris in host_eyes.EYES:
        target[masks.union(own, (ring,), SIDE) > 0.5] += (25, -8, -8)
        target[host_eyes.disc(own[list(iris)], Window.full(SIDE), 1.0) > 0.5] -= (40, 0, 4)
    target[masks.union(own, (parts.LEFT_EYE,), SIDE) > 0.5] -= (0, 0, 25)  # a reflection on glasses
    tone = np.array((60, -2, -12) if pale else (20, 9, 14), np.float32)
    tones = host_eyes.EyeTones(tone, np.array([85, 1, 3], np.float32), known)
    layer = layers_of(bench, wanted, own)
    seen = eyes.Seen(layer["moves"][:, 1:], layer["known"], eyes.told(tones).to(bench.device))
    (made,) = bench.down(eyes.keep_eyes(bench.up(drawn), bench.up(target), layer, seen, bench.tables))
    before = drawn.copy()
    crop = FaceCrop(0, np.zeros((SIDE, SIDE, 3), np.uint8), np.eye(3), own * np.float32(SIDE), open_eyes=OPEN)
    host_eyes.keep_eyes(drawn, target, crop, wanted, Window.full(SIDE), tones)
    assert np.abs(drawn - before).max() > 20.0
    within(made, drawn, 2.0, 0.999, 0.5)


def test_eyes_as_open_as_usual_do_not_shut() -> None:
    points = unit(mesh_points(SIDE))
    usual = tuple(parts.eye_apertures(points).tolist())
    assert rasters.shut_eyes([points], [points], [usual], SIDE) is None


@pytest.mark.parametrize("pixels", [2.4, -1.5, 7.0, 0.2])
def test_areas_grow_and_shrink(bench: Bench, pixels: float) -> None:
    mask = np.random.default_rng(2).random((96, 80)).astype(np.float32)
    (found,) = bench.down(front.grow(bench.up(mask), pixels))
    np.testing.assert_array_equal(found, masks.grow(mask, pixels))


def covered_face() -> tuple[np.ndarray, np.ndarray]:
    """A drawn face with a bar of another colour before its cheek."""
    points = mesh_points(SIDE)
    rgb = picture(points, side=SIDE)
    rgb[110:200, 70:112] = (30, 70, 160)
    return rgb, unit(points)


def test_the_network_sees_what_the_hosts_sees(bench: Bench) -> None:
    rgb, points = covered_face()
    outline = rasters.outlines([points]).to(bench.device)
    found = front.covered(bench.up(rgb.astype(np.float32)), outline, bench.tables)
    most = 0.004 if bench.device == "cpu" else 0.03  # convolutions of a card are rounded to fewer bits
    within(bench.down(found)[0], look(rgb, points).covered, most, 1.0)
    assert float(found.max()) > 0.5


def test_what_lies_in_front_is_found(bench: Bench) -> None:
    rgb, points = covered_face()
    window, seen = Window.full(SIDE), look(rgb, points)
    target = appearance.lab_from_rgb(rgb)
    light = np.tile(np.array([68, 14, 16], np.float32), (64, 64, 1))
    host = occlusion.occluder_map(target, cv2.resize(light, occlusion.reduced(window)), points, window, seen)
    drawn = layers_of(bench, points, points)["features"]
    pictures = [bench.up(x) for x in (target, light, seen.covered)]
    found = front.front_map(*pictures, drawn, bench.tables)
    assert host.max() > 0.9
    within(bench.down(found)[0], host, 0.02, 1.0)


@pytest.mark.parametrize("side", [96, 224, 640])
def test_the_mark_is_the_hosts(bench: Bench, side: int) -> None:
    points = mesh_points(side)
    rgb = picture(points, side=side)
    crop = FaceCrop(0, rgb, np.eye(3), points)
    face = RenderedFace(crop, rgb, np.ones((side, side), np.float32))
    wanted = watermarked(face, crop, 0.9).rgb
    assert (wanted != rgb).any()
    (found,) = bench.down(mark.marked(bench.up(rgb.astype(np.float32)), 0.9, bench.tables))
    within(found, wanted, 1, 0.999, 0)
