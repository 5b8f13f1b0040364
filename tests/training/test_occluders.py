"""Drawn occluders, the run that learns from them, and the model that comes out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from faceswap_cli.errors import InputError
from faceswap_cli.faces.landmarks import LEFT_EYE, OVAL, RIGHT_EYE
from faceswap_cli.geometry import masks
from faceswap_cli.nets.occluder import CHANNELS_IN, CLASSES, SIDE, SIDE_OUT, OccluderHead
from faceswap_cli.records import F32
from faceswap_cli.training import hands, masking, occluders
from faceswap_cli.training.covering import already_covered
from faceswap_cli.training.glasses import draw_glasses
from faceswap_cli.training.masking import MaskOptions, Run, to_batch
from faceswap_cli.training.own_glasses import MAP_SIDE, OwnGlasses, find_own
from faceswap_cli.training.own_things import OwnThings
from faceswap_cli.training.pool import Pool
from tests.training.conftest import mesh

QUICK = MaskOptions(images=10**4, batch=4, chunk=16, passes=2, exam=4)


def test_a_capsule_is_as_large_and_as_high_as_it_should_be() -> None:
    ends = np.array([[[30.0, 40.0], [90.0, 40.0]]], np.float32)
    height, inside = hands.height_field(ends, np.array([[10.0, 10.0]], np.float32), 128)
    assert np.count_nonzero(inside > 0) == pytest.approx(60 * 20 + np.pi * 100, rel=0.02)
    assert height.max() == pytest.approx(8.0, abs=0.1)
    assert inside[40, 60] == pytest.approx(9.5, abs=0.1)


def test_hands_reach_over_the_face_in_the_color_of_the_skin() -> None:
    skin = np.array([0.8, 0.6, 0.5], np.float32)
    shares = []
    for seed in range(30):
        rgb, alpha = hands.hand(np.random.default_rng(seed), skin, np.array([64.0, 70.0]), 80.0, 128)
        assert rgb.shape == (128, 128, 3)
        assert alpha.min() >= 0
        assert alpha.max() <= 1
        shares.append(float(alpha.mean()))
        if shares[-1] > 0.02:
            mean = rgb[alpha > 0.9].mean(axis=0)
            np.testing.assert_allclose(mean / mean.sum(), skin / skin.sum(), atol=0.06)
    assert 0.05 < np.mean(shares) < 0.6


def test_fingers_lie_across_the_place_that_they_touch() -> None:
    """Unless they are curled; and hands do not come from above."""
    skin, mouth = np.array([0.8, 0.6, 0.5], np.float32), np.array([64.0, 90.0], np.float32)
    reached, above = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        alpha = hands.hand(rng, skin, np.array([64.0, 70.0]), 80.0, 128, mouth)[1]
        reached.append(alpha[82:98, 56:72].max() > 0.9)
        above.append(alpha[0, 32:96].mean())
    assert np.mean(reached) > 0.7
    assert np.mean(above) < 0.1


def test_half_of_the_hands_and_sticks_are_at_nose_mouth_or_chin(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[F32 | None] = []

    def note(*args: object) -> hands.Layer:
        touched.append(args[5])  # type: ignore[arg-type]
        return np.zeros((SIDE, SIDE, 3), np.float32), np.zeros((SIDE, SIDE), np.float32)

    monkeypatch.setattr(occluders, "hand", note)
    rng = np.random.default_rng(0)
    face = occluders._cut(pool, 0, rng)
    for _ in range(60):
        occluders._hand(pool, face, rng)
    places = [place for place in touched if place is not None]
    assert 20 < len(places) < 40
    low, high = (face.points[k, 1] * SIDE for k in (1, 199))
    assert all(low - 1 <= place[1] <= high + 1 for place in places)


@pytest.mark.parametrize("kind", ["_blob", "_bar", "_cup", "_mask", "_hand", "_hair"])
def test_every_kind_of_thing_covers_a_part_of_the_face(kind: str, pool: Pool) -> None:
    rng = np.random.default_rng(1)
    face = occluders._cut(pool, 0, rng)
    draw: Callable[..., hands.Layer] = getattr(occluders, kind)
    first = () if kind == "_hair" else (pool,)
    hull = masks.union(face.points, (OVAL,), SIDE) > 0.5
    seen = []
    for _ in range(12):
        rgb, alpha = draw(*first, face, rng)
        assert rgb.shape == (SIDE, SIDE, 3)
        assert rgb.dtype == alpha.dtype == np.float32
        assert min(float(rgb.min()), float(alpha.min())) >= 0
        assert max(float(rgb.max()), float(alpha.max())) <= 1 + 1e-5
        seen.append(float((alpha > 0.5)[hull].mean()))
    assert 0.003 < np.mean(seen) < 0.9


def test_glasses_follow_the_pose_of_the_mesh(pool: Pool) -> None:
    """Both lenses lie over the eyes, rims around them, and a turned head turns them along."""
    rng = np.random.default_rng(0)
    face = occluders._cut(pool, 0, rng)
    points = face.points * SIDE
    mirror = np.zeros((SIDE, SIDE, 3), np.float32)
    for seed in range(30):
        pair = draw_glasses(np.random.default_rng(seed), points, mirror)
        for ring in (LEFT_EYE, RIGHT_EYE):
            x, y = points[list(ring), :2].mean(axis=0).round().astype(int)
            assert pair.lens[y, x] > 0.9
        assert 0.001 < pair.rim.mean() < 0.1
        assert pair.tint.min() >= 0
        worn = pair.over(face.rgb, points, np.random.default_rng(seed))
        assert np.isfinite(worn).all()
        assert np.abs(worn - face.rgb).max() > 0.05


def test_samples_depend_on_chance_only_through_their_generator(pool: Pool) -> None:
    one, two, other = (occluders.draw_sample(pool, 2, np.random.default_rng(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(one.rgb, two.rgb)
    np.testing.assert_array_equal(one.shares, two.shares)
    assert np.abs(one.rgb.astype(int) - other.rgb).max() > 10
    assert one.rgb.dtype == np.uint8
    assert one.shares.min() >= 0
    np.testing.assert_allclose(one.shares.sum(axis=0), 1, atol=1e-5)


def test_what_changed_is_what_is_called_covered(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without camera, shadows and skin changes, pictures differ from clear ones where truth says so."""
    monkeypatch.setattr(occluders, "_camera", lambda rgb, rng: np.asarray(rgb * 255, np.uint8))
    monkeypatch.setattr(occluders, "skin_things", lambda face, rng: face.rgb)
    monkeypatch.setattr(
        occluders, "already_covered", lambda rgb, points, glasses: (rgb[..., 0] * 0, rgb[..., 0] * 0 + 1)
    )

    def laid(picture: np.ndarray, layer: hands.Layer, rng: hands.Rng) -> tuple[np.ndarray, np.ndarray]:
        return picture * (1 - layer[1][..., None]) + layer[0] * layer[1][..., None], layer[1]

    monkeypatch.setattr(occluders, "_laid", laid)
    monkeypatch.setattr(occluders, "GLASSES", 0.0)
    for seed in range(8):
        clear = occluders._cut(pool, 1, np.random.default_rng(seed)).rgb
        sample = occluders.draw_sample(pool, 1, np.random.default_rng(seed))
        changed = np.abs(sample.rgb / 255 - clear).max(axis=2) > 0.02
        assert not changed[sample.shares[0] > 0.99].any()


def test_hair_over_the_forehead_is_told_and_a_beard_is_skin() -> None:
    rng = np.random.default_rng(0)
    points = mesh(rng)
    unit = points[:, :2] / 256
    rgb = np.full((128, 128, 3), (0.8, 0.62, 0.52), np.float32)
    rows = (np.arange(128) + 0.5) / 128
    hair = rows < unit[10, 1] + 0.06
    rgb[hair] = (0.1, 0.08, 0.07)
    beard = rows > unit[17, 1] + 0.02
    rgb[beard] = (0.2, 0.16, 0.14)
    covered, weight = already_covered(rgb, np.asarray(unit, np.float32))
    hull = masks.grow(masks.union(unit, (OVAL,), 128), -3) > 0.5
    assert covered[hull & hair[:, None]].mean() > 0.6
    assert covered[hull & (rows > unit[6, 1])[:, None]].max() == 0
    assert weight[hull & beard[:, None]].mean() > 1.5
    assert weight[0, 0] < 0.1


def test_hair_beside_a_cheek_covers_it_and_a_shadow_or_glasses_are_not_sure_to_be_hair() -> None:
    points = mesh(np.random.default_rng(0))
    unit = np.asarray(points[:, :2] / 256, np.float32)
    rows, columns = (np.mgrid[:128, :128] + 0.5) / 128
    oval = unit[list(OVAL)]
    lock = columns < oval[:, 0].min() + 0.06
    cheek = masks.union(unit, (OVAL,), 128) > 0.5
    cheek &= lock & (rows > unit[6, 1] + 0.02) & (rows < unit[13, 1] - 0.04)
    found = []
    for color in ((0.1, 0.08, 0.07), (0.45, 0.3, 0.24)):
        rgb = np.full((128, 128, 3), (0.8, 0.62, 0.52), np.float32)
        rgb[rows < unit[10, 1]] = (0.1, 0.08, 0.07)
        rgb[lock] = color
        found.append(already_covered(rgb, unit))
        found.append(already_covered(rgb, unit, glasses=True))
    (hair, sure), (hair_or_rim, unsure), (shade, _), _ = found
    assert hair[cheek].mean() > 0.6
    assert sure[cheek].mean() > 0.4
    assert hair_or_rim[cheek].mean() < 0.1
    assert unsure[cheek].mean() < 0.2
    assert shade[cheek].mean() < 0.1


def test_the_head_is_small() -> None:
    net = OccluderHead()
    products = 0

    def count(layer: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal products
        assert isinstance(layer, torch.nn.Conv2d)
        products += layer.weight.numel() * out.shape[2] * out.shape[3]

    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        assert net.eval()(torch.zeros(1, CHANNELS_IN, SIDE, SIDE)).shape == (
            1,
            len(CLASSES),
            SIDE_OUT,
            SIDE_OUT,
        )
    assert sum(p.numel() for p in net.parameters()) < 1_000_000
    assert products < 400_000_000


def test_mirrored_samples_are_mirrored_in_every_map(pool: Pool) -> None:
    sample = occluders.draw_sample(pool, 0, np.random.default_rng(3))
    plain, mirrored = to_batch([sample], [False]), to_batch([sample], [True])
    for one, other in (
        (plain.x, mirrored.x),
        (plain.shares, mirrored.shares),
        (plain.weight, mirrored.weight),
    ):
        torch.testing.assert_close(one.flip(3), other)


def test_a_run_that_was_stopped_goes_on_with_the_same_numbers(pool: Pool, tmp_path: Path) -> None:
    """Eight steps at once, or five and three with a restart in the middle of a chunk."""
    whole, first = Run(pool, tmp_path / "whole", QUICK), Run(pool, tmp_path / "parts", QUICK)
    losses = [whole.step(batch) for batch, _ in zip(whole.batches(), range(8), strict=False)]
    for batch, _ in zip(first.batches(), range(5), strict=False):
        first.step(batch)
    first.save()
    second = Run(pool, tmp_path / "parts", QUICK)
    assert second.images == 20
    rest = [second.step(batch) for batch, _ in zip(second.batches(), range(3), strict=False)]
    np.testing.assert_allclose(rest, losses[5:], rtol=1e-6)
    for one, other in zip(whole.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_run_learns(pool: Pool, tmp_path: Path) -> None:
    run = Run(pool, tmp_path, replace(QUICK, batch=8, chunk=16, passes=20, rate=5e-3))
    losses = [run.step(batch) for batch, _ in zip(run.batches(), range(40), strict=False)]
    assert np.mean(losses[-6:]) < 0.75 * np.mean(losses[:6])


def test_another_pool_or_seed_is_refused(pool: Pool, tmp_path: Path) -> None:
    Run(pool, tmp_path, QUICK).save()
    with pytest.raises(InputError, match="another folder"):
        Run(pool, tmp_path, replace(QUICK, seed=1))


def test_the_command_leaves_a_model_and_figures(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "MaskOptions", partial(MaskOptions, chunk=32, exam=8))
    folder = Path(str(pool.pixels.filename)).parent  # type: ignore[attr-defined]
    assert masking.main([str(folder), str(tmp_path / "run"), "--images", "16", "--max-time", "1h"]) == 0
    weights = tmp_path / "run" / "occluder.safetensors"
    stored = load_file(weights)
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert stored.keys() == {name for name in OccluderHead().state_dict() if not name.endswith("_tracked")}
    again = Run(pool, tmp_path / "again", QUICK, weights)
    torch.testing.assert_close(again.net.answer.bias, stored["answer.bias"].float())
    rows = [json.loads(line) for line in (tmp_path / "run" / masking.METRICS).read_text().splitlines()]
    assert rows[-1]["images"] == 16
    assert all(0 <= rows[-1][name] <= 1 for name in CLASSES)


@pytest.mark.parametrize(
    ("arguments", "code"), [(["nowhere", "out"], 4), (["nowhere", "out", "--max-time", "soon"], 4)]
)
def test_bad_input_is_an_exit_code_and_a_line(
    arguments: list[str], code: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = [str(tmp_path / arguments[0]), str(tmp_path / arguments[1]), *arguments[2:]]
    assert masking.main(given) == code
    assert caplog.records[-1].getMessage()


def test_chunk_and_batch_must_fit() -> None:
    with pytest.raises(InputError, match="multiple of batch"):
        MaskOptions(chunk=100, batch=16)


def test_every_row_of_a_pool_gives_a_sample(pool: Pool) -> None:
    for row in range(len(pool)):
        sample = occluders.draw_sample(pool, row, np.random.default_rng(row))
        assert np.isfinite(sample.weight).all()
        assert np.isfinite(sample.points).all()
        assert sample.rgb.std() > 1


def test_own_glasses_are_kept_and_lie_where_they_were_found(pool: Pool, tmp_path: Path) -> None:
    """A square in the map of a crop lands where the crop's own pixels do, mirrored or not."""
    marked = np.zeros((MAP_SIDE, MAP_SIDE, 2), np.uint8)
    marked[40:80, 30:60, 1] = 255
    OwnGlasses({3: marked}, frozenset({1})).save(tmp_path / "own.npz")
    own = OwnGlasses.load(tmp_path / "own.npz")
    assert own.doubted == {1}
    np.testing.assert_array_equal(own.maps[3], marked)
    picture = np.zeros_like(np.asarray(pool.pixels[3]))
    double = picture.shape[0] // MAP_SIDE
    picture[40 * double : 80 * double, 30 * double : 60 * double] = 255
    pixels = np.asarray(pool.pixels).copy()
    pixels[3] = picture
    for seed in range(4):
        face = occluders._cut(replace(pool, pixels=pixels), 3, np.random.default_rng(seed), own)
        assert face.worn is not None
        assert face.worn[..., 0].max() == 0
        assert np.abs(face.worn[..., 1] - face.rgb[..., 0]).mean() < 0.01


def test_own_glasses_count_and_doubt_does_not(pool: Pool) -> None:
    maps = np.zeros((MAP_SIDE, MAP_SIDE, 2), np.uint8)
    maps[50:70, 20:108, 1] = 255
    own = OwnGlasses({0: maps}, frozenset({1}))
    worn = occluders.draw_sample(pool, 0, np.random.default_rng(0), own)
    assert worn.shares[CLASSES.index("lens")].mean() > 0.01
    for seed in range(6):
        doubted = occluders.draw_sample(pool, 1, np.random.default_rng(seed), own)
        x, y = (doubted.points[[33, 263], :2].mean(axis=0) * SIDE).astype(int)
        if doubted.shares[0, y, x] > 0.99:
            assert doubted.weight[y, x] < 1e-6


@pytest.fixture
def things(pool: Pool, tmp_path: Path) -> OwnThings:
    """Row 0 has a box over its lower half in front of it, row 1 a mask, row 2 is doubtful at the right."""
    box = [[0.3, 0.6], [0.7, 0.6], [0.7, 1.0], [0.3, 1.0]]
    right = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
    faces = [{"row": 0, "thing": [box]}, {"row": 1, "mask": [box]}, {"row": 2, "unknown": [right]}]
    (tmp_path / "things.json").write_text(json.dumps({"pool": pool.digest, "faces": faces}))
    return OwnThings.load(tmp_path / "things.json", pool)


def test_marks_of_another_pool_are_refused(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "things.json").write_text(json.dumps({"pool": "other", "faces": []}))
    with pytest.raises(InputError, match="another pool"):
        OwnThings.load(tmp_path / "things.json", pool)


def test_marks_count_inside_and_their_edges_do_not(things: OwnThings) -> None:
    thing, mask, unknown = (plane > 127 for plane in np.moveaxis(things.maps(0), -1, 0))
    assert thing[100, 64]
    assert thing[-1, 64], "a mark that ends at the border goes on"
    assert not mask.any()
    row = round(0.6 * thing.shape[0])
    assert unknown[row - 1 : row + 2, 64].any()
    assert not unknown[row - 8, 64]
    assert not (unknown & thing).any()
    assert list(things.rows) == [0, 1]


def test_what_faces_have_in_front_is_learned(
    pool: Pool, things: OwnThings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occluders, "CLEAR", 1.0)
    for row, name in ((0, "thing"), (1, "mask")):
        sample = occluders.draw_sample(pool, row, np.random.default_rng(3), None, things)
        x, y = (sample.points[152, :2] * SIDE).astype(int)
        shares = sample.shares[:, y - 6, x]
        assert shares[CLASSES.index(name)] > 0.9
        assert sample.weight[y - 6, x] > 1
    doubtful = occluders.draw_sample(pool, 2, np.random.default_rng(3), None, things)
    assert (doubtful.weight == 0).mean() > 0.2


def test_marked_things_are_laid_over_other_faces_at_the_same_place(pool: Pool, things: OwnThings) -> None:
    face = occluders._cut(pool, 4, np.random.default_rng(0))
    chin, forehead = ((face.points[k, :2] * SIDE).astype(int) for k in (18, 10))
    at_chin, at_forehead = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        rgb, alpha = things.lay(pool, face.points * SIDE, SIDE, face.skin, rng)
        assert rgb.shape == (SIDE, SIDE, 3)
        assert 0 <= alpha.min() <= alpha.max() <= 1
        at_chin.append(alpha[chin[1], chin[0]])
        at_forehead.append(alpha[forehead[1], forehead[0]])
    assert np.mean(at_chin) > 0.7
    assert np.mean(at_forehead) < 0.1


def test_a_run_draws_faces_with_marked_things_more_often(
    pool: Pool, things: OwnThings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    draw = occluders.draw_sample

    def note(pool: Pool, row: int, *rest: object) -> occluders.Sample:
        drawn.append(row)
        return draw(pool, row, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(masking, "draw_sample", note)
    monkeypatch.setattr(masking, "_HELD", 1.0)
    next(Run(pool, tmp_path / "run", QUICK, things=things).batches())
    assert set(drawn) <= {0, 1}


def test_a_head_that_has_learned_nothing_finds_few_glasses(pool: Pool) -> None:
    net = OccluderHead()
    torch.nn.init.zeros_(net.answer.weight)
    with torch.no_grad():
        net.answer.bias.copy_(torch.tensor([5.0, 0, 0, 0, 0, 0]))
    found = find_own(net, pool)
    assert not found.maps
    assert not found.doubted
