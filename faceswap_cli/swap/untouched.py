"""Rendering where there is nothing to render: an untouched segment, packet by packet as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from faceswap_cli.jobs.plan import frames_within
from faceswap_cli.records import Segment, SegmentResult
from faceswap_cli.swap.engine import Scene
from faceswap_cli.swap.ledger import ledger_rows
from faceswap_cli.video.copying import copy_segment


def copied_segment(segment: Segment, scene: Scene, path: Path, tell: Callable[[int], None]) -> SegmentResult:
    """Copy the packets of ``segment`` to ``path``; the ledger still names the faces that were left alone."""
    pts = frames_within(segment, scene.analysis)
    count = copy_segment(path, scene.clip, pts)
    tell(count)
    rows = (row for one in pts.tolist() for row in ledger_rows(one, (), scene))
    return SegmentResult(segment, path, count, 0, tuple(rows))
