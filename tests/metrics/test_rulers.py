"""The order that the figures must put things in: a person's own photograph, a swap, half a swap, no swap."""

from __future__ import annotations

import csv
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from faceswap_cli.config import SwapOptions
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.metrics.evaluate import EvaluateOptions, Evaluation, evaluate
from faceswap_cli.metrics.likeness import likeness_code
from faceswap_cli.metrics.naive import swap_clip, swap_frame
from faceswap_cli.metrics.source import portrait_codes
from faceswap_cli.metrics.suite import NAIVE, UNTOUCHED, Pair, pairs_of, portraits_of, run_suite
from faceswap_cli.records import F32, U8
from faceswap_cli.video.picture import read_picture
from tests.clips import make_clip

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SOURCE, TARGET = EXAMPLES / "source.jpg", EXAMPLES / "target.mp4"
POOL = Path(os.environ.get("POOL_OF_FACES", "/nowhere"))
"""A folder with ``train.csv`` and its shards: photographs of which some show one person twice."""
FRAMES = 9


@pytest.fixture(scope="module")
def pictures() -> list[U8]:
    with av.open(str(TARGET)) as container:
        decoded: Iterator[av.VideoFrame] = container.decode(video=0)
        return [next(decoded).to_ndarray(format="rgb24") for _ in range(FRAMES)]


@pytest.fixture(scope="module")
def write(pictures: list[U8], tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[U8]], Path]:
    folder = tmp_path_factory.mktemp("clips")

    def to_file(shown: list[U8]) -> Path:
        path = folder / f"{len(list(folder.iterdir()))}.mp4"
        height, width = shown[0].shape[:2]
        make_clip(path, size=(width, height), frames=len(shown), picture=lambda k, _w, _h: shown[k])
        return path

    return to_file


@pytest.fixture(scope="module")
def ladder(pictures: list[U8], write: Callable[[list[U8]], Path]) -> dict[str, Evaluation]:
    """A naive swap at three strengths."""
    photo = read_picture(SOURCE).rgb
    points = find_faces(photo)[0].landmarks[:, :2]
    whole = [swap_frame(photo, points, rgb, find_faces(rgb)[0].landmarks[:, :2]) for rgb in pictures]
    half = [((a.astype(np.uint16) + b) // 2).astype(np.uint8) for a, b in zip(whole, pictures, strict=True)]
    target = write(pictures)
    clips = {"whole": write(whole), "half": write(half), "target": target}
    return {name: evaluate(clip, [SOURCE], target) for name, clip in clips.items()}


@pytest.mark.parametrize("name", ["likeness", "likeness_gain", "swap_ratio"])
def test_a_whole_swap_is_more_like_the_source_than_half_a_swap(
    ladder: dict[str, Evaluation], name: str
) -> None:
    whole, half, none = (ladder[key].figures[name] for key in ("whole", "half", "target"))
    assert whole > half > none


def test_an_untouched_target_has_nothing_of_the_source(ladder: dict[str, Evaluation]) -> None:
    none = ladder["target"].figures
    assert none["likeness_gain"] < -0.3
    assert none["nearest"] == none["verified"] == none["coverage"] == 0
    assert none["shape"] == none["outline"] == pytest.approx(0, abs=1e-5)
    assert ladder["whole"].figures["nearest"] == 1


def test_the_photograph_itself_is_the_most_like_the_source(
    ladder: dict[str, Evaluation], tmp_path: Path
) -> None:
    """Flipped, in other light and coded again: as near to another photograph as one can be made."""
    photo = read_picture(SOURCE).rgb
    other = np.clip(photo[:, ::-1].astype(np.float32) * (0.85, 0.8, 0.72), 0, 255).astype(np.uint8)
    path = tmp_path / "other.jpg"
    Image.fromarray(other).save(path, quality=80)
    found = evaluate(path, [SOURCE], path).figures
    assert found["likeness"] > 0.85 > ladder["whole"].figures["likeness"]


def test_the_source_must_be_nearest_of_the_gallery(pictures: list[U8], tmp_path: Path) -> None:
    """The gallery holds the source's own double: nobody is nearer to a result than it is."""
    path = tmp_path / "target.png"
    Image.fromarray(pictures[0]).save(path)
    codes = portrait_codes([SOURCE, path, tmp_path / "no face.png"], EvaluateOptions().detect)
    assert list(codes) == [SOURCE, path]
    alone = evaluate(SOURCE, [SOURCE], SOURCE)
    assert alone.figures["likeness"] == pytest.approx(1, abs=1e-4)
    crowd = EvaluateOptions(gallery=np.stack(list(codes.values())))
    assert evaluate(SOURCE, [SOURCE], SOURCE, options=crowd).figures["nearest"] == 0


def test_the_naive_baseline_keeps_time_and_size(tmp_path: Path) -> None:
    output = tmp_path / "naive.mp4"
    assert swap_clip(SOURCE, TARGET, output, 5) == 5
    found = evaluate(output, [SOURCE], TARGET, max_frames=5)
    assert found.frames == 5
    assert found.figures["coverage"] == 1
    assert found.figures["likeness_gain"] > 0


def test_a_suite_compares_with_the_baseline_and_the_target(tmp_path: Path, pictures: list[U8]) -> None:
    for name in ("portraits", "clips"):
        (tmp_path / name).mkdir()
    (tmp_path / "portraits" / "a.jpg").write_bytes(SOURCE.read_bytes())
    Image.fromarray(pictures[0]).save(tmp_path / "portraits" / "b.png")
    (tmp_path / "clips" / "one.mp4").write_bytes(TARGET.read_bytes())
    found = run_suite(
        pairs_of(tmp_path), [NAIVE, UNTOUCHED], SwapOptions(), portraits=portraits_of(tmp_path), frames=4
    )
    assert [run.problem for run in found.runs] == ["", ""]
    assert found.compared() == (Pair(tmp_path / "portraits/a.jpg", tmp_path / "clips/one.mp4").name,)
    summary = found.summary()
    assert summary[NAIVE]["likeness"]["mean"] > summary[UNTOUCHED]["likeness"]["mean"]
    # The target's own portrait is in the gallery; whoever is swapped in is nearer to the source.
    assert summary[UNTOUCHED]["nearest"]["mean"] == 0
    assert "sharpness_fine" in summary[NAIVE]


def one_person_twice() -> list[tuple[U8, U8]]:
    """(neutral, smiling) studio photographs, 256 px."""
    rows: dict[str, dict[str, tuple[str, str]]] = {}
    with (POOL / "train.csv").open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            kind = row["file"].removeprefix("london_")[:1]
            if row["set"] == "london" and kind in ("n", "s"):
                rows.setdefault(row["identity"], {})[kind] = (row["shard"], row["file"])
    chosen = [found for _, found in sorted(rows.items()) if len(found) == 2][:12]

    def read(shard: str, name: str) -> U8:
        with tarfile.open(POOL / shard) as archive:
            member = archive.extractfile(name)
            assert member is not None
            return np.asarray(Image.open(io.BytesIO(member.read())).convert("RGB"))

    return [(read(*found["n"]), read(*found["s"])) for found in chosen]


@pytest.mark.skipif(not (POOL / "train.csv").is_file(), reason="POOL_OF_FACES names no pool of faces")
def test_another_photograph_of_a_person_is_above_every_swap() -> None:
    people = one_person_twice()
    meshes = [[find_faces(rgb)[0].landmarks for rgb in pair] for pair in people]

    def code(person: int, kind: int) -> F32:
        return likeness_code(people[person][kind], meshes[person][kind])

    same, swapped, half, strangers = [], [], [], []
    for one in range(len(people)):
        other = (one + 1) % len(people)
        source, target = people[one][0], people[other][0]
        source_points, points = meshes[one][0], meshes[other][0]
        result = swap_frame(source, source_points[:, :2], target, points[:, :2])
        mixed = ((result.astype(np.uint16) + target) // 2).astype(np.uint8)
        own = code(one, 0)
        same.append(own @ code(one, 1))
        swapped.append(own @ likeness_code(result, points))
        half.append(own @ likeness_code(mixed, points))
        strangers.append(own @ code(other, 0))
    assert np.mean(same) > 0.85
    assert np.mean(strangers) < 0.55
    assert np.mean(np.array(same) > np.array(swapped)) > 0.9
    assert np.mean(same) > np.mean(swapped) + 0.1
    assert np.mean(swapped) > np.mean(half) > np.mean(strangers)
