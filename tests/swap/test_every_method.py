"""Every method of the table on a small clip: the face changes, and the pixels do not depend on the cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, JobOptions, SwapOptions
from faceswap_cli.pipeline import swap_video
from faceswap_cli.swap import METHODS
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from tests.jobs.example import EXAMPLES, small_example

FRAMES = 12


def swap(clip: Path, output: Path, method: str, **job: object) -> list[np.ndarray]:
    options = SwapOptions(
        method=method,
        encode=EncodeOptions(lossless=True),
        job=JobOptions(device="cpu", **job),  # type: ignore[arg-type]
    )
    report = swap_video([EXAMPLES / "source.jpg"], clip, output, options)
    assert (report.frames, report.frames_with_swap) == (FRAMES, FRAMES)
    return [frame.planes.y for frame in read_frames(probe(output))]


@pytest.mark.parametrize("method", METHODS)
def test_segments_and_workers_do_not_change_pixels(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceswap_cli.jobs.plan._SHORTEST_S", 0.1)
    monkeypatch.setattr("faceswap_cli.jobs.executor.FEW_FRAMES", 1)
    clip = tmp_path / "in.mp4"
    small_example(clip, FRAMES)
    whole = swap(clip, tmp_path / "whole.mp4", method, segment_s=60.0, workers=1)
    cut = swap(clip, tmp_path / "cut.mp4", method, segment_s=0.16, workers=2)
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(one, other)
    original = [frame.planes.y for frame in read_frames(probe(clip))]
    assert np.mean([(a != b).mean() for a, b in zip(whole, original, strict=True)]) > 0.03


def test_the_default_method_swaps_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceswap_cli.swap.BEST", "fslsd")
    clip = tmp_path / "in.mp4"
    small_example(clip, FRAMES)
    swap(clip, tmp_path / "out.mp4", SwapOptions().method, workers=1)
