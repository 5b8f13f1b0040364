"""From file to file on the bundled example: the same pixels however the work is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, JobOptions, RangeOptions, SwapOptions, TrackOptions
from faceswap_cli.errors import Interrupted, NoFaceFound
from faceswap_cli.events import Event, StopRequest
from faceswap_cli.jobs import executor
from faceswap_cli.pipeline import swap_video
from faceswap_cli.provenance.mark import read_mark
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from tests.clips import make_clip

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FRAMES = 30


def planes(path: Path) -> list[np.ndarray]:
    return [
        np.concatenate([frame.planes.y.ravel(), frame.planes.cb.ravel(), frame.planes.cr.ravel()])
        for frame in read_frames(probe(path))
    ]


def run(output: Path, **job: object) -> Path:
    options = SwapOptions(
        encode=EncodeOptions(lossless=True),
        range=RangeOptions(end=f"{FRAMES}f"),
        job=JobOptions(**job),  # type: ignore[arg-type]
    )
    report = swap_video([EXAMPLES / "source.jpg"], EXAMPLES / "target.mp4", output, options)
    assert report.frames == FRAMES
    assert report.frames_with_swap == FRAMES
    return output


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("whole") / "one.mp4", segment_s=60.0, workers=1)


def test_segments_and_processes_do_not_change_pixels(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "FEW_FRAMES", 1)
    monkeypatch.setattr("faceswap_cli.jobs.plan._SHORTEST_S", 0.25)
    cut = run(tmp_path / "cut.mp4", segment_s=0.25, workers=2)
    found, expected = planes(cut), planes(whole)
    assert len(found) == len(expected) == FRAMES
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(a, b, err_msg=f"frame {k}")


def test_face_changes_and_the_rest_does_not(whole: Path) -> None:
    clip = probe(EXAMPLES / "target.mp4")
    first = next(iter(read_frames(clip))).planes.y.astype(int)
    swapped = next(iter(read_frames(probe(whole)))).planes.y.astype(int)
    changed = np.abs(swapped - first) > 0
    assert changed.mean() > 0.03
    assert not changed[:20].any()
    assert not changed[-20:].any()


def test_result_carries_the_mark_and_no_debris_stays(whole: Path) -> None:
    assert read_mark(whole, probe(whole).metadata) is not None
    assert [path.name for path in whole.parent.iterdir()] == [whole.name]


def test_a_person_who_is_not_there_leaves_no_output(tmp_path: Path) -> None:
    options = replace(SwapOptions(range=RangeOptions(end="10f")), track=TrackOptions(face="3"))
    with pytest.raises(NoFaceFound):
        swap_video([EXAMPLES / "source.jpg"], EXAMPLES / "target.mp4", tmp_path / "x.mp4", options)
    assert not list(tmp_path.iterdir())


def test_a_clip_without_a_face_leaves_no_output(tmp_path: Path) -> None:
    target = tmp_path / "plain.mp4"
    make_clip(target)
    with pytest.raises(NoFaceFound, match="no face"):
        swap_video([EXAMPLES / "source.jpg"], target, tmp_path / "x.mp4", SwapOptions())
    assert [path.name for path in tmp_path.iterdir()] == ["plain.mp4"]


def test_interrupted_job_goes_on_to_the_same_pixels(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceswap_cli.jobs.plan._SHORTEST_S", 0.25)
    options = SwapOptions(
        encode=EncodeOptions(lossless=True),
        range=RangeOptions(end=f"{FRAMES}f"),
        job=JobOptions(segment_s=0.25, workers=1),
    )
    output, stop = tmp_path / "out.mp4", StopRequest()
    inputs = [EXAMPLES / "source.jpg"], EXAMPLES / "target.mp4", output, options

    def after_some(event: Event) -> None:
        if event.kind == "progress" and event.data["stage"] == "render" and event.data["done"] > 12:
            stop.request()

    with pytest.raises(Interrupted):
        swap_video(*inputs, after_some, stop)
    kept = list((tmp_path / ".out.mp4.faceswap").glob("segment_*.json"))
    assert 0 < len(kept) < 5
    assert not output.exists()
    begun: list[int] = []
    swap_video(*inputs, lambda e: begun.append(e.data["done"]) if e.data.get("stage") == "render" else None)
    assert begun[0] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    for a, b in zip(planes(output), planes(whole), strict=True):
        np.testing.assert_array_equal(a, b)
