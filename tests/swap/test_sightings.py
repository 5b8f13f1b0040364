"""What is in front of the faces of a clip, and the frames that a preview shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from faceswap_cli.config import SwapOptions
from faceswap_cli.inspection import inspect_video
from faceswap_cli.preview import hardest_frames
from faceswap_cli.records import Analysis
from faceswap_cli.swap.sightings import Sighting, sightings
from faceswap_cli.video.probe import probe
from tests.cast.people_on_stage import make_stage, side_by_side

FRAMES = 40


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stage") / "stage.mp4"
    make_stage(path, side_by_side, FRAMES)
    return path


@pytest.fixture(scope="module")
def report(stage: Path) -> Any:
    return inspect_video(stage, SwapOptions())


def test_a_clip_says_who_wears_glasses(report: Any) -> None:
    people = report.analysis.people
    by_place = sorted(zip((p.mean_x for p in people), report.glasses, strict=True))
    assert [share for _, share in by_place] == [0.0, 1.0]


def test_glasses_cover_a_part_of_the_face(report: Any, stage: Path) -> None:
    people = report.analysis.people
    seen = list(sightings(probe(stage), report.analysis, people, 2))
    assert len(seen) == 4
    covered = {one.glasses: one.covered for one in seen}
    assert covered[True] > 0.1 > covered[False]


def preview_pts(analysis: Analysis, seen: tuple[Sighting, ...], count: int, swapped: int = 0) -> list[int]:
    """``hardest_frames`` where the strength is 0 before frame ``swapped``."""
    first = int(analysis.pts[swapped])
    scene: Any = SimpleNamespace(
        prepared={0: None}, amounts=lambda pts: SimpleNamespace(strength=float(pts >= first))
    )
    return [pts for pts, _ in hardest_frames(analysis, scene, count, seen)]


def test_a_preview_shows_covered_frames_among_the_hardest(report: Any) -> None:
    analysis = report.analysis
    hardest = preview_pts(analysis, (), 3)
    step = int(np.median(np.diff(analysis.pts)))
    apart = [pts for pts in analysis.pts.tolist() if min(abs(pts - one) for one in hardest) >= 3 * step]
    clear = Sighting(0, apart[0], False, 0.01)
    hand = replace(clear, pts=apart[-1], covered=0.3)
    assert preview_pts(analysis, (clear,), 3) == hardest
    assert hand.pts in preview_pts(analysis, (clear, hand), 3)
    assert len(preview_pts(analysis, (clear, hand), 3)) == len(hardest)
    late = preview_pts(analysis, (replace(hand, pts=int(analysis.pts[0])),), 3, swapped=20)
    assert min(late) >= int(analysis.pts[20])
