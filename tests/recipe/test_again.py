"""Results made again, on a small clip with nothing replaced."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faceswap_cli import pipeline
from faceswap_cli.config import (
    EncodeOptions,
    JobOptions,
    PasteOptions,
    SmoothOptions,
    SwapOptions,
    TrackOptions,
)
from faceswap_cli.errors import OutputError
from faceswap_cli.inspection import inspect_video, write_cast_and_sheet
from faceswap_cli.jobs.locks import try_lock
from faceswap_cli.jobs.seal import LOCK, folder_of
from faceswap_cli.pipeline import swap_video
from faceswap_cli.recipe.again import make_again, options_of
from faceswap_cli.recipe.inputs import find_inputs
from faceswap_cli.recipe.kept import Kept, in_use, kept_job
from faceswap_cli.recipe.metadata import read_recipe
from faceswap_cli.recipe.raw import NAME, load_raw
from faceswap_cli.records import Report, Segment
from tests.cast.people_on_stage import COLLINS, hopper_photo, make_stage, side_by_side
from tests.jobs.example import EXAMPLES, frames_digest, small_example

GROUPS = {"g": "6", "keyint_min": "6", "bf": "2", "sc_threshold": "0"}
FRAMES, FACE = 24, range(8, 15)
SOURCE = EXAMPLES / "source.jpg"
OPTIONS = SwapOptions(
    method="mesh",
    smooth=SmoothOptions(code_radius=2),
    encode=EncodeOptions(crf=30, preset="ultrafast"),
    job=JobOptions(segment_s=0.2, workers=1, keep=True, device="cpu"),
)
BASE = SwapOptions(job=JobOptions(workers=1, device="cpu"))
Rendered = list[Segment]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result with its job folder: a face in the middle of the clip."""
    clip = tmp_path_factory.mktemp("made") / "clip.mp4"
    small_example(clip, FRAMES, face=FACE, audio=1, options=GROUPS, vfr=True)
    swap_video([SOURCE], clip, clip.with_name("out.mp4"), OPTIONS)
    return clip.with_name("out.mp4")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> tuple[Rendered, list[int]]:
    """What is rendered, and how often pass 1 runs."""
    rendered: Rendered = []
    analysed: list[int] = []
    render, analyse = pipeline.render_segment, pipeline.analyse

    def counted_render(segment: Segment, *rest: Any) -> Any:
        rendered.append(segment)
        return render(segment, *rest)

    def counted_analyse(*given: Any) -> Any:
        analysed.append(1)
        return analyse(*given)

    monkeypatch.setattr(pipeline, "render_segment", counted_render)
    monkeypatch.setattr(pipeline, "analyse", counted_analyse)
    return rendered, analysed


def kept_of(result: Path) -> Kept:
    kept = kept_job(result)
    assert kept is not None
    return kept


def edit(result: Path, output: Path, base: SwapOptions = BASE, **changes: Any) -> Report:
    kept = kept_of(result)
    inputs = find_inputs(kept.recipe, known=kept.known)
    options = options_of(kept.recipe, inputs, base, {k.replace("__", "."): v for k, v in changes.items()})
    with in_use(kept):
        return make_again(kept.recipe, inputs, output, options, earlier=kept)


def test_the_same_files_give_the_same_frames(made: Path, tmp_path: Path) -> None:
    recipe = read_recipe(made)
    source, target = tmp_path / "anybody.jpeg", tmp_path / "renamed.mov"
    shutil.copy(SOURCE, source)
    shutil.copy(made.with_name("clip.mp4"), target)
    inputs = find_inputs(recipe, [source], target)
    output = tmp_path / "again.mp4"
    make_again(recipe, inputs, output, options_of(recipe, inputs, BASE))
    assert frames_digest(output) == frames_digest(made)
    assert read_recipe(output) == recipe
    assert not folder_of(output).exists()


def test_nothing_of_the_inputs_names_is_in_the_result(made: Path) -> None:
    data = made.read_bytes()
    for word in (b"source.jpg", b"clip.mp4", str(made.parent).encode(), os.fsencode(EXAMPLES)):
        assert word not in data


def test_the_kept_folder_knows_the_files(made: Path) -> None:
    kept = kept_of(made)
    assert kept.recipe == read_recipe(made)
    assert kept.known.target == made.with_name("clip.mp4")
    assert kept.known.sources == (SOURCE,)
    found, _ = load_raw(kept.folder / NAME)
    assert len(found.pts) == len(found.signatures) == FRAMES
    assert [len(piece.frames) for piece in found.pieces] == [len(FACE)]


CHANGES: dict[str, Callable[[SwapOptions], SwapOptions]] = {
    "smooth__strength": lambda o: replace(o, smooth=replace(o.smooth, strength=0.9)),
    "paste__feather": lambda o: replace(o, paste=PasteOptions(feather=0.2)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_edit_is_what_a_new_run_would_give(
    name: str, made: Path, tmp_path: Path, work: tuple[Rendered, list[int]]
) -> None:
    rendered, analysed = work
    wanted = CHANGES[name](OPTIONS)
    group, item = name.split("__")
    edited = edit(made, tmp_path / "edited.mp4", **{name: getattr(getattr(wanted, group), item)})
    assert analysed == []
    assert rendered
    assert all(segment.touched for segment in rendered)
    assert sum(segment.frames for segment in rendered) < FRAMES
    fresh = swap_video([SOURCE], made.with_name("clip.mp4"), tmp_path / "fresh.mp4", wanted)
    assert analysed == [1]
    assert frames_digest(tmp_path / "edited.mp4") == frames_digest(tmp_path / "fresh.mp4")
    assert frames_digest(tmp_path / "edited.mp4") != frames_digest(made)
    assert edited.ledger == fresh.ledger
    assert read_recipe(tmp_path / "edited.mp4") == read_recipe(tmp_path / "fresh.mp4")


def test_an_edit_that_changes_nothing_renders_nothing(
    made: Path, tmp_path: Path, work: tuple[Rendered, list[int]]
) -> None:
    report = edit(made, tmp_path / "same.mp4")
    assert work == ([], [])
    assert frames_digest(tmp_path / "same.mp4") == frames_digest(made)
    rows = [json.loads(line) for line in (folder_of(made) / "ledger.jsonl").read_text().splitlines()]
    assert [row["pts"] for row in rows] == [row.pts for row in report.ledger]
    assert not folder_of(tmp_path / "same.mp4").exists()


def test_other_encoding_leaves_copied_frames_alone(
    made: Path, tmp_path: Path, work: tuple[Rendered, list[int]]
) -> None:
    edit(made, tmp_path / "finer.mp4", encode__crf=12.0)
    rendered, analysed = work
    assert analysed == []
    assert sum(segment.frames for segment in rendered) == FRAMES
    assert [s.copied for s in rendered].count(True) == 2  # copied packets are as cheap to copy again


def test_an_edit_can_be_edited(made: Path, tmp_path: Path, work: tuple[Rendered, list[int]]) -> None:
    keeping = replace(BASE, job=replace(BASE.job, keep=True))
    edit(made, tmp_path / "one.mp4", keeping, smooth__strength=0.9)
    edit(tmp_path / "one.mp4", tmp_path / "two.mp4", smooth__strength=0.5)
    assert work[1] == []
    assert frames_digest(tmp_path / "two.mp4") == frames_digest(made)


def test_a_folder_that_has_lost_something_is_made_up_for(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out.mp4"
    shutil.copy(made, copy)
    shutil.copytree(folder_of(made), folder_of(copy))
    (folder_of(copy) / NAME).write_bytes(b"no")
    for path in folder_of(copy).glob("segment_*.mp4"):
        path.write_bytes(b"no")
    kept = kept_of(copy)
    told: list[str] = []
    inputs = find_inputs(kept.recipe, known=kept.known)
    options = options_of(kept.recipe, inputs, BASE, {"smooth.strength": 0.9})
    make_again(kept.recipe, inputs, tmp_path / "e.mp4", options, earlier=replace(kept, tell=told.append))
    assert len(told) == 1
    assert "found again" in told[0]
    edit(made, tmp_path / "f.mp4", smooth__strength=0.9)
    assert frames_digest(tmp_path / "e.mp4") == frames_digest(tmp_path / "f.mp4")


def test_a_folder_in_use_is_left_alone(made: Path) -> None:
    kept = kept_of(made)
    with (kept.folder / LOCK).open("a") as handle:
        assert try_lock(handle)
        with pytest.raises(OutputError, match="another run"), in_use(kept):
            pass
    with in_use(kept), in_use(kept):
        pass


def test_what_is_no_kept_job(tmp_path: Path) -> None:
    assert kept_job(tmp_path / "out.mp4") is None
    folder = folder_of(tmp_path / "out.mp4")
    folder.mkdir()
    for text in ("{}", '{"target": 1}', "no"):
        (folder / "recipe.json").write_text(text)
        assert kept_job(tmp_path / "out.mp4") is None


@pytest.mark.slow
def test_a_cast_is_made_again_without_its_file(tmp_path: Path) -> None:
    """Two people, each with a face of its own: who got whose is in the recipe, as digests."""
    clip = make_stage(tmp_path / "stage.mp4", side_by_side, 6)
    seen = inspect_video(clip, OPTIONS)
    assert seen.analysis is not None
    cast = write_cast_and_sheet(tmp_path / "cast.toml", seen.clip, seen.analysis).path
    text, photos = cast.read_text(), [hopper_photo(tmp_path), COLLINS]
    for photo in photos:
        text = text.replace('source = ""', f'source = "{photo.as_posix()}"', 1)
    cast.write_text(text)
    options = replace(OPTIONS, track=TrackOptions(cast=cast), job=replace(OPTIONS.job, keep=False))
    swap_video([], clip, tmp_path / "out.mp4", options)
    recipe = read_recipe(tmp_path / "out.mp4")
    assert len(recipe.sources) == 2
    assert sorted(recipe.cast.values()) == [0, 1]
    assert "cast.toml" not in recipe.text()

    folder = tmp_path / "photos"
    folder.mkdir()
    for photo, name in zip(photos, ("z.jpg", "a.jpg"), strict=True):
        shutil.copy(photo, folder / name)
    inputs = find_inputs(recipe, [folder], clip)
    assert [group[0].name for group in inputs.people] == ["z.jpg", "a.jpg"]
    make_again(recipe, inputs, tmp_path / "again.mp4", options_of(recipe, inputs, BASE))
    assert frames_digest(tmp_path / "again.mp4") == frames_digest(tmp_path / "out.mp4")
    swapped = replace(inputs, people=inputs.people[::-1])
    make_again(recipe, swapped, tmp_path / "other.mp4", options_of(recipe, inputs, BASE))
    assert frames_digest(tmp_path / "other.mp4") != frames_digest(tmp_path / "out.mp4")
