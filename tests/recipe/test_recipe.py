"""The recipe in a result: what it holds, where it survives, and what a stranger's is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, JobOptions, MarkOptions, SmoothOptions, SwapOptions
from faceswap_cli.errors import InputError, UsageError, WeightsError
from faceswap_cli.provenance.mark import SOURCE_TYPE, container_metadata, mark_in_xmp, read_mark, xmp_packet
from faceswap_cli.recipe import digests
from faceswap_cli.recipe.again import check_program, options_of
from faceswap_cli.recipe.inputs import Inputs, Known, find_inputs
from faceswap_cli.recipe.metadata import container_entry, find_recipe, read_recipe, xmp_with
from faceswap_cli.recipe.record import (
    LONGEST_TEXT,
    PICTURE,
    VIDEO,
    Recipe,
    parsed,
    recipe_of,
    shaping_keys,
    with_options,
)
from faceswap_cli.records import SourceIdentity, SourcePhoto
from faceswap_cli.swap import build_method
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.picture import Picture, write_picture
from faceswap_cli.video.probe import probe
from tests.clips import make_clip

OPTIONS = SwapOptions(
    smooth=SmoothOptions(strength=0.8),
    encode=EncodeOptions(crf=23.5, preset="ultrafast"),
    job=JobOptions(seed=7, workers=3, keep=True),
    mark=MarkOptions(label=True, consent=Path("secret-consent.toml")),
)


def person(*photos: Path) -> SourceIdentity:
    empty = np.zeros((478, 3), np.float32)
    pictures = tuple(SourcePhoto(p, np.zeros((2, 2, 3), np.uint8), empty, empty[0]) for p in photos)
    return SourceIdentity("Anna", pictures, np.zeros(128, np.float32), "0" * 64)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("clip.mp4", "anna1.jpg", "anna2.jpg", "bert.jpg")}
    for name, path in found.items():
        path.write_bytes(name.encode())
    return found


@pytest.fixture
def recipe(files: dict[str, Path]) -> Recipe:
    people = [person(files["anna1.jpg"], files["anna2.jpg"]), person(files["bert.jpg"])]
    method = build_method("mesh", OPTIONS.job, OPTIONS.paste)
    return recipe_of(VIDEO, files["clip.mp4"], people, {0: 1, 2: 0}, method, OPTIONS)


def test_text_and_back(recipe: Recipe) -> None:
    found = parsed(recipe.text(), "out.mp4")
    assert found == recipe
    assert (found.options["encode.crf"], found.options["job.seed"], found.method) == (23.5, 7, "mesh")
    assert recipe.text().isascii()


def test_only_what_shapes_pixels_is_told(recipe: Recipe, tmp_path: Path) -> None:
    text = recipe.text()
    for word in ("Anna", "anna", "bert", "clip.mp4", str(tmp_path), "secret"):
        assert word not in text
    names = set(shaping_keys())
    assert {"smooth.strength", "paste.feather", "range.start", "mark.label", "job.seed"} <= names
    how = {"job.workers", "job.device", "job.cluster", "job.keep", "track.cast", "track.reference"}
    assert not names & (how | {"job.parsing", "mark.consent", "policy.model", "job.measure_identity"})
    assert recipe.changed_options().keys() >= {"smooth.strength", "encode.crf", "mark.label"}
    assert "paste.feather" not in recipe.changed_options()


def test_a_photograph_has_another_digest_in_every_result(files: dict[str, Path], recipe: Recipe) -> None:
    method = build_method("mesh", OPTIONS.job, OPTIONS.paste)
    other = recipe_of(VIDEO, files["bert.jpg"], [person(files["anna1.jpg"])], {0: 0}, method, OPTIONS)
    assert other.sources[0][0] not in recipe.sources[0]


def test_a_picture_has_no_settings_of_clips(files: dict[str, Path]) -> None:
    method = build_method("mesh", OPTIONS.job, OPTIONS.paste)
    found = recipe_of(PICTURE, files["clip.mp4"], [person(files["bert.jpg"])], {}, method, OPTIONS)
    assert not [name for name in found.options if name.startswith(("smooth", "encode", "range"))]
    assert "paste.feather" in found.options


DAMAGES: dict[str, Any] = {
    "schema": 2,
    "kind": "song",
    "target": "abc",
    "sources": [[]],
    "cast": {"0": 5},
    "program": "\x1b[2J",
    "options": {"policy.model": "x.onnx"},
    "libraries": {"a": 1},
    "weights": "../x",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_recipe_is_refused(name: str, recipe: Recipe) -> None:
    content = json.loads(recipe.text()) | {name: DAMAGES[name]}
    with pytest.raises(InputError, match=r"recipe in out\.mp4"):
        parsed(json.dumps(content), "out.mp4")


@pytest.mark.parametrize(
    "options",
    [
        {"mark.consent": "x"},
        {"job.parsing": "/etc/passwd"},
        {"smooth.strength": "much"},
        {"smooth.strength": float("nan")},
        {"smooth.strength": 2},
        {"job.seed": None},
        {"no\x1b.such": 1},
        [1],
    ],
)
def test_settings_of_strangers_are_checked(options: Any, recipe: Recipe) -> None:
    content = json.loads(recipe.text()) | {"options": options}
    with pytest.raises(InputError, match="damaged") as caught:
        parsed(json.dumps(content), "out.mp4")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "[" * 100_000, "x" * 3 * LONGEST_TEXT])
def test_what_is_no_recipe_at_all(text: str) -> None:
    with pytest.raises(InputError, match=r"out\.mp4"):
        parsed(text, "out.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v", ".mkv", ".webm"])
def test_every_container_keeps_it(suffix: str, recipe: Recipe, tmp_path: Path) -> None:
    target = tmp_path / f"target{'.webm' if suffix == '.webm' else '.mp4'}"
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    make_clip(target, frames=3, codec=codec)
    output = tmp_path / f"out{suffix}"
    for _ in range(2):  # the second time the target is a result itself
        clip = probe(target)
        metadata = container_metadata(clip.metadata) | container_entry(recipe, clip.metadata)
        assemble(output, clip, [target], metadata=metadata)
        found = probe(output)
        assert find_recipe(output, found.metadata) == recipe
        assert sum("swaprecipe" in name.lower() for name in found.metadata) == 1
        assert read_mark(output, found.metadata) is not None
        recipe = replace(recipe, program="0.2")
        target = output.rename(tmp_path / f"again{suffix}")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_every_picture_keeps_it(suffix: str, recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, kind=PICTURE)
    path = tmp_path / f"out{suffix}"
    write_picture(path, Picture(rgb=np.full((16, 16, 3), 90, np.uint8), xmp=xmp_with(xmp_packet(), recipe)))
    assert read_recipe(path) == recipe
    mark = read_mark(path)
    assert mark is not None
    assert mark.source_type == SOURCE_TYPE


def test_an_older_recipe_of_a_picture_is_replaced(recipe: Recipe) -> None:
    newer = replace(recipe, program="0.2")
    packet = xmp_with(xmp_packet(xmp_with(xmp_packet(), recipe)), newer)
    assert packet.count(b"SwapRecipe") == 1
    assert mark_in_xmp(packet) is not None
    element = xmp_packet().replace(
        b"</rdf:RDF>", b"<rdf:Description><f:SwapRecipe>old</f:SwapRecipe></rdf:Description></rdf:RDF>"
    )
    assert b"old" not in xmp_with(element, newer)


def test_other_ways_to_write_xmp_are_read(recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, kind=PICTURE)
    packet = xmp_with(xmp_packet(), recipe).decode()
    start = packet.index("faceswap:SwapRecipe=")
    quoted = packet[start + 20 : packet.index("/>", start)]
    told = packet.replace(f" faceswap:SwapRecipe={quoted}/>", f"><x:SwapRecipe>{quoted[1:-1]}</x:SwapRecipe>")
    path = tmp_path / "out.png"
    write_picture(path, Picture(rgb=np.zeros((4, 4, 3), np.uint8), xmp=told.encode()))
    assert find_recipe(path) == recipe


def test_too_many_photographs_leave_it_out(recipe: Recipe) -> None:
    crowd = replace(recipe, sources=(tuple(f"{k:024x}" for k in range(3000)),), cast={0: 0})
    assert container_entry(crowd, {}) == {}
    assert b"SwapRecipe" not in xmp_with(xmp_packet(), crowd)


def test_a_file_without_a_recipe(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", frames=2)
    with pytest.raises(InputError, match=r"clip\.mp4 holds no recipe"):
        read_recipe(tmp_path / "clip.mp4")


def test_long_files_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "WHOLE_BYTES", 64)
    monkeypatch.setattr(digests, "PIECE_BYTES", 16)
    path = tmp_path / "long"
    path.write_bytes(bytes(1000))
    before = digests.content_digest(path)
    for place in (0, 330, 999):  # the first piece, the second, the last
        data = bytearray(1000)
        data[place] = 1
        path.write_bytes(data)
        assert digests.content_digest(path) != before
    path.write_bytes(bytes(1001))
    assert digests.content_digest(path) != before


def test_files_are_found_by_what_they_hold(files: dict[str, Path], recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    names = {"anna1.jpg": "z.jpg", "anna2.jpg": "y.jpg", "bert.jpg": "x.jpg"}
    moved = {old: files[old].rename(folder / new) for old, new in names.items()}
    (folder / "other.jpg").write_bytes(b"other")
    found = find_inputs(recipe, [folder], files["clip.mp4"])
    assert found.people == ((moved["anna1.jpg"], moved["anna2.jpg"]), (moved["bert.jpg"],))
    assert found.unused == (folder / "other.jpg",)
    known = Known(files["clip.mp4"], (folder,))
    assert find_inputs(recipe, known=known) == found


def test_other_files_are_named(files: dict[str, Path], recipe: Recipe, tmp_path: Path) -> None:
    photos = [files["anna1.jpg"], files["anna2.jpg"], files["bert.jpg"]]
    other = tmp_path / "other.jpg"
    other.write_bytes(b"other")
    with pytest.raises(InputError, match=r"other\.jpg is not the original target"):
        find_inputs(recipe, photos, other)
    with pytest.raises(InputError, match=r"1 of 3 original source photographs.*other\.jpg is none of them"):
        find_inputs(recipe, [*photos[:2], other], files["clip.mp4"])
    alone = replace(recipe, sources=(recipe.sources[1],), cast={0: 0})
    with pytest.raises(InputError, match=r"other\.jpg is not the original source"):
        find_inputs(alone, [other], files["clip.mp4"])
    with pytest.raises(InputError, match=r"gone\.mp4 no longer exists"):
        find_inputs(recipe, photos, tmp_path / "gone.mp4")
    with pytest.raises(UsageError, match="--target"):
        find_inputs(recipe, photos)
    with pytest.raises(UsageError, match="--source"):
        find_inputs(recipe, target=files["clip.mp4"])
    with pytest.raises(UsageError, match="--parsing"):
        find_inputs(replace(recipe, parsing="ab" * 12), photos, files["clip.mp4"])


def test_another_program_needs_force(recipe: Recipe) -> None:
    options = replace(OPTIONS, job=replace(OPTIONS.job, device="cpu"))
    same = replace(recipe, device="cpu")
    assert check_program(same, options, force=False) == []
    older = replace(same, program="0.0.1")
    with pytest.raises(UsageError, match=r"version 0\.0\.1.*--force"):
        check_program(older, options, force=False)
    assert "0.0.1" in check_program(older, options, force=True)[0]
    for other in (replace(same, weights="ab"), replace(same, models="ab")):
        with pytest.raises(WeightsError, match="--force"):
            check_program(other, options, force=False)
        assert len(check_program(other, options, force=True)) == 1
    moved = replace(same, device="cuda", libraries={**same.libraries, "av": "1.0"})
    assert [text.split()[2] for text in check_program(moved, options, force=False)] == ["cuda,", "av"]


def test_settings_come_from_the_recipe_and_the_machine(recipe: Recipe) -> None:
    base = SwapOptions(
        smooth=SmoothOptions(strength=0.1),
        job=JobOptions(workers=2, seed=1),
        mark=MarkOptions(compare="side"),
    )
    inputs = Inputs(Path("t"), ((Path("s"),),))
    found = options_of(recipe, inputs, base)
    assert (found.smooth.strength, found.job.seed, found.job.workers) == (0.8, 7, 2)
    assert (found.mark.label, found.mark.compare) == (True, None)
    changed = options_of(recipe, inputs, base, {"smooth.strength": 0.3})
    assert changed == replace(found, smooth=replace(found.smooth, strength=0.3))
    assert with_options(base, {}) == base
