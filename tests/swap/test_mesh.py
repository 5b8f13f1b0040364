"""The ``mesh`` method on a drawn face: geometry, light, blinks, occluders, texture fusion."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn import SIDE, crop, identity, mesh_points, photo, picture

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.landmarks import LEFT_BROW_RING, LIPS_INNER, OVAL, RIGHT_BROW_RING
from faceswap_cli.geometry import align, masks
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import appearance, occluder_head, occlusion, texture
from faceswap_cli.swap.methods.mesh import MeshMethod
from faceswap_cli.swap.occluder_head import Seen, look


@pytest.fixture(scope="module")
def method() -> MeshMethod:
    return MeshMethod(JobOptions(), PasteOptions(occlusion=False))


def test_same_face_gives_the_same_picture(method: MeshMethod) -> None:
    points = mesh_points()
    target = crop(picture(points), points)
    prepared = method.prepare(identity(photo(picture(points, seed=1), points)))
    drawn = method.render(prepared, target, method.encode(prepared, target), 0)
    inside = drawn.mask > 0.9
    difference = np.abs(drawn.rgb.astype(int) - drawn.crop.rgb.astype(int))[inside]
    assert difference.mean() < 6.0
    assert drawn.mask[0].max() == 0.0


def test_light_and_skin_tone_come_from_the_target(method: MeshMethod) -> None:
    points = mesh_points()
    dark = crop(picture(points, skin=(110, 75, 60)), points)
    prepared = method.prepare(identity(photo(picture(points), points)))
    drawn = method.render(prepared, dark, method.encode(prepared, dark), 0)
    cheek = align.apply(drawn.crop.crop_from_frame, points)[50, :2].astype(int)
    found = drawn.rgb[cheek[1] - 3 : cheek[1] + 3, cheek[0] - 3 : cheek[0] + 3].mean(axis=(0, 1))
    np.testing.assert_allclose(found, (110, 75, 60), atol=8)


def test_structure_moves_with_the_target_mesh(method: MeshMethod) -> None:
    points = mesh_points()
    moved = points.copy()
    lips = np.unique(
        [
            *LIPS_INNER,
            61,
            291,
            0,
            17,
            37,
            267,
            84,
            314,
            91,
            321,
            40,
            270,
            39,
            269,
            181,
            405,
            146,
            375,
            185,
            409,
        ]
    )
    moved[lips, 1] += 6.0
    # The target's own lips are at the old place: what is red at the new one came from the source.
    target = crop(picture(points), moved)
    prepared = method.prepare(identity(photo(picture(points), points)))
    drawn = method.render(prepared, target, method.encode(prepared, target), 0)
    red = drawn.rgb[..., 0].astype(int) - drawn.rgb[..., 1]
    where = align.apply(drawn.crop.crop_from_frame, moved)
    row, column = (where[14, :2] + where[17, :2])[::-1] / 2
    assert red[int(row), int(column)] > 75


def test_shut_eye_is_the_targets_own(method: MeshMethod) -> None:
    from faceswap_cli.faces import landmarks as parts

    points = mesh_points()
    shut = points.copy()
    for ring in (parts.LEFT_EYE, parts.RIGHT_EYE):
        shut[list(ring), 1] = shut[list(ring), 1].mean()
    plain = np.full((SIDE, SIDE, 3), (200, 150, 130), np.uint8)
    target = crop(plain, shut)
    prepared = method.prepare(identity(photo(picture(points), points)))
    drawn = method.render(prepared, target, method.encode(prepared, target), 0)
    eye = align.apply(drawn.crop.crop_from_frame, shut)[list(parts.LEFT_EYE), :2].mean(axis=0).astype(int)
    np.testing.assert_allclose(drawn.rgb[eye[1], eye[0]], (200, 150, 130), atol=25)


@pytest.mark.parametrize("rows", [(88, 104), (104, 132)], ids=["cheeks", "mouth"])
def test_occluder_is_kept_and_skin_is_not(rows: tuple[int, int]) -> None:
    points = mesh_points()
    rgb = picture(points)
    bar = rgb.copy()
    bar[rows[0] : rows[1], 40:120] = (20, 40, 160)
    clear, covered = crop(rgb, points), crop(bar, points)
    unit = clear.landmarks / SIDE
    skin = appearance.lab_from_rgb(np.full((1, 1, 3), (200, 150, 130), np.uint8))
    light = np.zeros((8, 8, 3), np.float32) + skin
    free, found = (
        occlusion.occluder_map(one.rgb, light, unit, masks.Window.full(SIDE), look(one.rgb, unit))
        for one in (clear, covered)
    )
    hull = masks.grow(masks.union(unit, (OVAL,), SIDE), -6) > 0.5
    assert free[hull].max() < 0.05
    blue = covered.rgb[..., 2].astype(int) - covered.rgb[..., 0] > 60
    assert found[blue & hull].mean() > 0.4


def test_texture_continues_skin_past_the_face() -> None:
    points = mesh_points()
    fused = texture.build_texture([photo(picture(points), points)])
    rgb = appearance.rgb_from_lab(fused.lab)
    corner = rgb[10, 10]
    assert np.abs(corner.astype(int) - (200, 150, 130)).max() < 25  # skin, not the gray background


def test_second_photo_serves_where_the_first_is_covered() -> None:
    points = mesh_points()
    covered = picture(points)
    covered[70:118, 28:62] = (15, 15, 15)  # a black patch over the subject's right cheek
    other = picture(points, seed=3)
    one = texture.build_texture([photo(other, points, 0.9)])
    both = texture.build_texture([photo(covered, points, 1.0), photo(other, points, 0.9)])
    cheek = (one.points[205, :2] * one.lab.shape[0]).astype(int)
    patch = np.s_[cheek[1] - 8 : cheek[1] + 8, cheek[0] - 8 : cheek[0] + 8]
    np.testing.assert_allclose(both.lab[patch].mean((0, 1)), one.lab[patch].mean((0, 1)), atol=6.0)


def test_a_photograph_with_open_eyes_sets_the_geometry() -> None:
    """And in its eyes the shut ones of the better photograph are not seen."""
    points = mesh_points()
    shut = points.copy()
    for upper, lower, *_ in (parts.LEFT_LIDS, parts.RIGHT_LIDS):
        shut[upper, 1] = shut[lower, 1]
    asleep = photo(picture(shut), shut, 1.0)
    awake = photo(picture(points, seed=3), points, 0.6)
    both, one = texture.build_texture([asleep, awake]), texture.build_texture([awake])
    np.testing.assert_array_equal(both.points, one.points)
    assert parts.seen_irises(both.points).min() == 1.0
    eyes = masks.union(one.points, (parts.LEFT_EYE, parts.RIGHT_EYE), one.lab.shape[0]) > 0.99
    assert np.abs(both.lab - one.lab)[eyes].mean() < 0.25 * np.abs(both.lab - one.lab)[~eyes].mean() + 0.5
    assert parts.eye_apertures(texture.build_texture([asleep]).points).max() < 0.1


def test_crop_side_follows_the_face(method: MeshMethod) -> None:
    sides = [method.crop_side(px) for px in (10, 100, 333, 5000)]
    assert sides == [64, 128, 352, 768]


def test_hair_over_a_sources_brow_is_not_taken_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network sees in front of one brow comes from the other one instead."""
    points = mesh_points()
    plain, hairy = picture(points), picture(points)
    x, y = points[list(LEFT_BROW_RING), :2].mean(axis=0).round().astype(int)
    rows, columns = np.s_[y - 14 : y + 14], np.s_[x - 10 : x + 10]
    hairy[rows, columns] = (20, 20, 140)

    def classify(net: object, rgb: U8, mesh_in_rgb: F32, share: float) -> Seen:
        blue = rgb[..., 2].astype(int) - rgb[..., 0] > 60
        hair = cv2.resize(blue.astype(np.float32), (96, 96), interpolation=cv2.INTER_AREA)
        nothing = np.zeros_like(hair)
        return Seen(np.stack([1 - hair, nothing, nothing, hair, nothing, nothing], axis=-1), share)

    def blueness(rgb: U8) -> float:
        made = texture.build_texture(identity(photo(rgb, points)).photos)
        brow = made.points[list(LEFT_BROW_RING), :2].mean(axis=0) * made.lab.shape[0]
        c, r = brow.round().astype(int)
        return float(-made.lab[r - 10 : r + 10, c - 10 : c + 10, 2].mean())

    before = blueness(hairy)
    monkeypatch.setattr(occluder_head, "classify", classify)
    assert blueness(hairy) < 0.2 * before
    assert blueness(plain) < 0.2 * before


def test_hair_as_light_as_skin_is_found_by_its_hue() -> None:
    """Shade and shine on the same place are not hair."""
    points = mesh_points() / np.float32(SIDE)
    cheek = (points[[227, 117], :2].mean(axis=0) * SIDE).astype(int)
    plain = appearance.lab_from_rgb(picture(mesh_points()))
    nothing = np.zeros(plain.shape[:2], np.bool_)

    def found(change: tuple[float, float, float]) -> float:
        lab = plain.copy()
        lab[cheek[1] - 20 : cheek[1] + 20, : cheek[0] + 8] += change
        hair = texture.hair_beside(lab, appearance.skin_weight(plain, points), points, nothing)
        return float(hair[cheek[1], cheek[0]])

    _, a, b = plain[cheek[1], cheek[0]]
    across = 10 * np.array([b, -a]) / np.hypot(a, b)
    assert found((0.0, *across)) > 0.9
    assert found((10.0, -0.2 * a, -0.2 * b)) < 0.1
    assert found((-10.0, -0.15 * a, -0.15 * b)) < 0.1


def test_an_edge_of_light_far_from_hair_is_none() -> None:
    """The sunlit cheek of a bald man: it was left out of his texture and filled with flat skin."""
    points = mesh_points() / np.float32(SIDE)
    rim, cheek = ((points[list(ids), :2].mean(axis=0) * SIDE).astype(int) for ids in ((227, 234), (117,)))
    lab = appearance.lab_from_rgb(picture(mesh_points()))
    skin = appearance.skin_weight(lab, points)
    lab[cheek[1] - 16 : cheek[1] + 16, : cheek[0] + 8] += (16.0, -6.0, 14.0)
    nothing = np.zeros(lab.shape[:2], np.bool_)
    found = [texture.hair_beside(lab, skin, points, nothing, known) for known in (None, ~nothing, nothing)]
    np.testing.assert_array_equal(found[0], found[1])
    assert min(hair[rim[1], rim[0]] for hair in found) > 0.9
    deep = masks.union(points, (parts.OVAL,), SIDE, -0.085 * SIDE) > 0.5
    assert found[0][deep].sum() > 100
    assert found[2][deep].sum() == 0


def test_hair_beside_a_face_is_found_up_to_the_brow() -> None:
    """Joined to what surrounds the face: no mole, and no beard, though one is joined to hair as well."""
    points = mesh_points() / np.float32(SIDE)
    brow, mouth, cheek = points[list(RIGHT_BROW_RING), :2], points[61, :2], points[50, :2]
    end = brow[brow[:, 0].argmin()]
    rgb = picture(mesh_points())
    x, y = (end * SIDE).astype(int)
    rgb[y - 12 : y + 12, :x] = (15, 15, 15)
    for place in (cheek, (mouth[0], mouth[1] + 0.06)):
        x, y = (np.asarray(place) * SIDE).astype(int)
        rgb[y - 3 : y + 3, x - 3 : x + 3] = (15, 15, 15)
    rgb[y - 3 : y + 3, :x] = (15, 15, 15)
    lab = appearance.lab_from_rgb(rgb)
    hair = texture.hair_beside(
        lab, appearance.skin_weight(lab, points), points, np.zeros(lab.shape[:2], np.bool_)
    )
    at = np.array([[end[0] - 0.04, end[1]], brow.mean(axis=0), cheek, [mouth[0], mouth[1] + 0.06]])
    np.testing.assert_allclose(masks.sample(hair, at.astype(np.float32)), [1, 0, 0, 0], atol=0.05)
