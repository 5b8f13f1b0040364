"""Configuration files and data preparation."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.cli.train import duration_s
from faceswap_cli.errors import InputError, NoFaceFound, UsageError
from faceswap_cli.training.batches import NOBODY, Sampler, expression_basis
from faceswap_cli.training.options import read_options
from faceswap_cli.training.pool import Pool, from_clip, from_pictures, from_shards, open_pool, pack
from tests.training.conftest import drawn_items

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples" / "training").glob("*.toml"))
SMALL = """
preset = "tiny"
[data]
pictures = ["faces"]
[[phase]]
name = "A"
images = 10
mix = { self = 1 }
"""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_are_valid(path: Path) -> None:
    options = read_options(path)
    assert bool(options.phases) != (options.refiner is not None)
    assert all(place.is_absolute() for place in options.data.pictures)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("preset", "presett"), "unknown key presett; known are"),
        (("images = 10", "images = 0"), "images must be above 0"),
        (("self = 1", "selfie = 1"), "unknown batch kind"),
        (('"tiny"', '"huge"'), "preset must be one of"),
        (("images = 10", 'images = "many"'), "must be a number"),
        (('pictures = ["faces"]', ""), "needs pictures, clips or shards"),
        (("[data]", "[data"), "not valid TOML"),
        (('name = "A"', ""), "missing"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(SMALL.replace(*change))
    with pytest.raises(UsageError, match=message):
        read_options(path)


def test_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_options(tmp_path / "none.toml")


def test_durations() -> None:
    assert [duration_s(t) for t in ("90s", "25m", "2h", "1.5")] == [90, 1500, 7200, 90]
    with pytest.raises(UsageError, match="max-time"):
        duration_s("soon")


def test_pool_round_trip_and_damage(tmp_path: Path) -> None:
    items = list(drawn_items(people=4, frames=3))
    made = pack(items, tmp_path / "pool", held_out_share=0.5)
    again = open_pool(tmp_path / "pool")
    assert len(again) == len(items)
    assert np.array_equal(again.pixels[2], items[2].rgb)
    np.testing.assert_allclose(again.landmarks[2], items[2].landmarks)
    assert made.digest == again.digest
    # Held out by person: nobody is on both sides.
    assert not set(again.person[again.held_out]) & set(again.person[~again.held_out])
    (tmp_path / "pool" / "table.npz").write_bytes(b"x")
    with pytest.raises(InputError, match="training pool"):
        open_pool(tmp_path / "pool")


def test_empty_pool_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoFaceFound):
        pack(iter(()), tmp_path)


def test_faces_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    (folder / "anna").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "source.jpg", folder / "anna" / "one.jpg")
    (folder / "notes.txt").write_text("not a picture")
    (item,) = from_pictures(folder)
    assert item.person == "anna"
    assert item.rgb.shape == (256, 256, 3)
    eyes = item.landmarks[[33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380], :2].mean(0)
    np.testing.assert_allclose(eyes, [127.5, 121.6], atol=6)
    with pytest.raises(InputError, match="holds no files"):
        list(from_pictures(tmp_path / "empty"))


def test_frames_of_a_clip() -> None:
    items = list(from_clip(ROOT / "examples" / "target.mp4", "p", every=40))
    assert items
    assert all(item.clip == "target" and item.rgb.shape == (256, 256, 3) for item in items)
    assert [item.order for item in items] == sorted(item.order for item in items)


def test_shards(shared: Path) -> None:
    items = []
    for item in from_shards(shared / "data", "dev", ["synthetic-nolicence"]):
        items.append(item)
    assert len(items) == 6
    assert {item.licence for item in items} == {"synthetic-nolicence"}
    with pytest.raises(InputError, match="is missing"):
        next(from_shards(shared, "dev", ["open"]))


def test_batches_pair_whom_they_should(pool: Pool) -> None:
    sampler = Sampler(pool, expression_basis(pool), 0)
    for kind in ("self", "pair", "cross", "video"):
        rows = sampler._choose(kind, 6)
        same = pool.person[rows.source] == pool.person[rows.target]
        assert same.all() == (kind in ("self", "pair")), kind
        if kind == "pair":
            assert (rows.source != rows.target).all()
        if kind == "cross":
            assert not same.any()
        if kind == "video":
            early, late = rows.target[:3], rows.target[3:]
            assert (pool.clip[early] == pool.clip[late]).all()
            assert (pool.order[late] > pool.order[early]).all()


def test_batches_are_repeatable_and_bounded(pool: Pool) -> None:
    basis = expression_basis(pool)
    mix = {"self": 0.5, "cross": 0.5}
    one, two = (Sampler(pool, basis, 5).draw(mix, 2) for _ in range(2))
    assert one.kind == two.kind
    assert (one.target == two.target).all()
    assert float(one.target.abs().max()) <= 1
    assert int(one.person.max()) in (*range(3), NOBODY)


def test_a_pool_without_clips_trains_on_the_rest(tmp_path: Path) -> None:
    stills = [item for item in drawn_items(people=3) if not item.clip]
    sampler = Sampler(pack(stills, tmp_path, 0.0), expression_basis(open_pool(tmp_path)), 0)
    assert set(sampler.kinds({"self": 0.5, "video": 0.5})) == {"self"}
