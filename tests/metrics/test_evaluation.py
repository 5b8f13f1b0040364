"""``evaluate`` from files to figures, with the real detector on the example clip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from faceswap_cli.config import RangeOptions
from faceswap_cli.errors import InputError, NoFaceFound, UsageError
from faceswap_cli.events import Event
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry.align import unit_from_points
from faceswap_cli.metrics.casting import part_of, recipe_for
from faceswap_cli.metrics.evaluate import Evaluation, evaluate
from faceswap_cli.metrics.figures import METRICS
from faceswap_cli.metrics.preservation import hull
from faceswap_cli.recipe.digests import content_digest
from faceswap_cli.recipe.metadata import container_entry
from faceswap_cli.recipe.record import Recipe
from faceswap_cli.records import U8
from faceswap_cli.video.packets import audio_digests, frame_times
from faceswap_cli.video.picture import read_picture
from faceswap_cli.video.probe import probe
from tests.clips import make_clip

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SOURCE, TARGET = EXAMPLES / "source.jpg", EXAMPLES / "target.mp4"
FRAMES = 15


@pytest.fixture(scope="module")
def pictures() -> list[U8]:
    """The first frames of the example clip."""
    with av.open(str(TARGET)) as container:
        decoded: Iterator[av.VideoFrame] = container.decode(video=0)
        return [next(decoded).to_ndarray(format="rgb24") for _ in range(FRAMES)]


def write(path: Path, pictures: list[U8], **options: object) -> Path:
    height, width = pictures[0].shape[:2]
    make_clip(
        path,
        size=(width, height),
        frames=len(pictures),
        picture=lambda index, _width, _height: pictures[index],
        **options,  # type: ignore[arg-type]
    )
    return path


def synthetic(path: Path, **options: object) -> Path:
    make_clip(path, **options)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def target(pictures: list[U8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("target") / "target.mp4", pictures, audio=1)


@pytest.fixture(scope="module")
def swapped(pictures: list[U8], target: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """The source's face laid flat over the target's: a swap, and a bad one."""
    import cv2

    photo = read_picture(SOURCE).rgb
    (face,) = find_faces(photo)
    faces = [find_faces(picture)[0].landmarks[:, :2] for picture in pictures]
    results = []
    for picture, points in zip(pictures, faces, strict=True):
        matrix = np.linalg.inv(unit_from_points(points)) @ unit_from_points(face.landmarks)
        laid = cv2.warpAffine(photo, matrix[:2], picture.shape[1::-1], flags=cv2.INTER_AREA)
        inside = hull(points, (picture.shape[0], picture.shape[1])) > 0
        results.append(np.where(inside[..., None], laid, picture).astype(np.uint8))
    result = write(tmp_path_factory.mktemp("result") / "result.mp4", results, audio=1)
    return evaluate(result, [SOURCE], target)


def test_the_target_itself_has_no_error(target: Path) -> None:
    events: list[Event] = []
    found = evaluate(target, [SOURCE], target, listen=events.append)
    zero = ("pose", "expression", "gaze", "coverage", "lost", "verified", "nearest", "shape", "outline")
    for name in zero:
        assert found.figures[name] == pytest.approx(0, abs=1e-5), name
    ratios = ("sharpness", "jitter", "flow_warp", "skin_flicker", "expression_gain", "seam", "seam_forehead")
    for name in ratios:
        assert found.figures[name] == pytest.approx(1, abs=1e-5), name
    assert found.figures["likeness"] < 0.7
    assert found.figures["likeness_gain"] < -0.3
    assert found.figures["outside_psnr"] == 100
    assert found.figures["identity"] > 0.6
    assert found.checks == {"frames": True, "timestamps": True, "audio": True}
    assert events[-1].data == {"stage": "evaluate", "done": FRAMES, "total": FRAMES}


def test_a_pasted_face_is_seen_for_what_it_is(swapped: Evaluation) -> None:
    figures = swapped.figures
    assert figures["coverage"] == 1
    assert figures["likeness"] > 0.6
    assert figures["likeness_gain"] > 0
    assert figures["nearest"] == 1
    assert figures["identity"] < 0.6
    assert figures["verified"] == 1
    assert figures["swap_ratio"] > 0.5
    assert 0.2 < figures["expression"] < 15
    assert 0.2 < figures["pose"] < 30
    assert figures["outside_psnr"] > 35
    assert swapped.frames == swapped.faces == FRAMES
    assert swapped.checks["frames"]
    assert swapped.checks["timestamps"]


def test_the_report_is_json_and_a_table(swapped: Evaluation) -> None:
    said = json.loads(json.dumps(swapped.as_dict(), allow_nan=False))
    assert said["figures"].keys() <= METRICS.keys()
    assert said["frames"] == FRAMES
    names = [line[0] for line in swapped.table()]
    assert "identity (training network)" in names
    assert "likeness" in names
    assert not [name for name in names if "fine" in name]
    assert said["figures"]["sharpness_fine"] > 0
    assert names[-len(swapped.checks) :] == list(swapped.checks)


def test_without_a_source_there_are_no_figures_of_it(target: Path) -> None:
    found = evaluate(target, [], target, max_frames=4)
    of_source = {"likeness", "likeness_gain", "nearest", "identity", "shape", "outline", "invented"}
    assert not of_source & found.figures.keys()
    assert {"expression", "seam", "sharpness", "coverage"} <= found.figures.keys()


def test_the_figures_are_the_same_whatever_the_threads(target: Path) -> None:
    from faceswap_cli.metrics.evaluate import EvaluateOptions

    one, four = (
        evaluate(target, [SOURCE], target, options=EvaluateOptions(workers=n), stride=2, max_frames=5)
        for n in (1, 4)
    )
    assert one.figures == four.figures
    assert one.frames == 3
    assert one.checks == {"frames": True, "timestamps": True, "audio": True}


def test_the_part_is_known_from_the_recipe(target: Path, pictures: list[U8], tmp_path: Path) -> None:
    made = Recipe(
        kind="video",
        program="0.1.0",
        target=content_digest(target),
        sources=(("ab",),),
        cast={0: 0},
        options={"range.start": "4f", "range.end": "9f"},
    )
    part = write(tmp_path / "part.mkv", pictures[4:9])
    result = replace(probe(part), metadata=container_entry(made, {}))
    assert part_of(recipe_for(result, target)) == RangeOptions(start="4f", end="9f")
    assert part_of(recipe_for(result, part)) == RangeOptions(), "made from another target"
    assert part_of(recipe_for(probe(part), target)) == RangeOptions()


def test_missing_frames_and_sound_are_told(target: Path, pictures: list[U8], tmp_path: Path) -> None:
    short = write(tmp_path / "short.mkv", pictures[:9])
    found = evaluate(short, [SOURCE], target)
    assert found.frames == 9
    assert found.checks == {"frames": False, "timestamps": False, "audio": False}


def test_pictures_have_no_figures_over_time(pictures: list[U8], tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "still.png"
    Image.fromarray(pictures[0]).save(path)
    found = evaluate(path, [SOURCE], path)
    assert found.frames == 1
    assert found.checks == {}
    assert {"likeness", "nearest", "shape", "seam", "sharpness", "gaze"} <= found.figures.keys()
    over_time = {"jitter", "flow_warp", "flicker", "skin_flicker", "pose", "expression", "expression_gain"}
    assert not over_time & found.figures.keys()


def test_sound_is_compared_by_its_packets(target: Path, tmp_path: Path) -> None:
    silent = synthetic(tmp_path / "silent.mp4")
    two = synthetic(tmp_path / "two.mkv", audio=2)
    assert audio_digests(silent) == ()
    assert len(audio_digests(two)) == 2
    assert audio_digests(target) == audio_digests(target) != ()


def test_times_of_packets_are_the_times_of_frames(tmp_path: Path) -> None:
    path = tmp_path / "vfr.mp4"
    pts = make_clip(path, vfr=True, start_offset=640)
    assert [time * 12800 for time in frame_times(path)] == pts
    with pytest.raises(InputError):
        frame_times(SOURCE.with_name("README.md"))


@pytest.mark.parametrize(("stride", "frames"), [(0, None), (1, 0)])
def test_nonsense_counts_are_refused(stride: int, frames: int | None) -> None:
    with pytest.raises(UsageError):
        evaluate(TARGET, [SOURCE], TARGET, stride=stride, max_frames=frames)


def test_clips_of_other_size_time_or_without_a_face_are_refused(target: Path, tmp_path: Path) -> None:
    small = synthetic(tmp_path / "small.mp4")
    with pytest.raises(InputError, match="64x48"):
        evaluate(small, [SOURCE], target)
    with pytest.raises(NoFaceFound, match="small"):
        evaluate(small, [SOURCE], small)
    with pytest.raises(InputError, match="same times"):
        evaluate(synthetic(tmp_path / "later.mkv", start_offset=9000, fps=Fraction(25)), [SOURCE], small)
