"""Segments keep their times whatever the clock: a tick a frame, or a first frame in the first ticks."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.copying import copy_segment, find_cuts
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.writer import write_segment
from tests.clips import make_clip


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(("ticks", "start"), [(25, 0), (30, 0), (50, 0), (1000, 7), (12800, 3), (90000, 0)])
def test_times_survive_segments_and_assembly(ticks: int, start: int, codec: str, tmp_path: Path) -> None:
    path, output = tmp_path / "a.mkv" if ticks == 1000 else tmp_path / "a.mp4", tmp_path / "out.mkv"
    fps = Fraction(min(ticks, 50))
    make_clip(path, codec=codec, fps=fps, frames=24, time_base=Fraction(1, ticks), start_offset=start)
    clip = probe(path)
    with closing(read_frames(clip)) as frames:
        times = [frame.pts for frame in frames]
    segments = []
    for first, end in pairwise((0, 3, 6, 10, 17, 24)):
        segments.append(tmp_path / f"s{first}")
        last = times[end] if end < 24 else None
        with closing(read_frames(clip, first_pts=times[first], end_pts=last)) as frames:
            write_segment(segments[-1], clip, frames, EncodeOptions())
        found = probe(segments[-1])
        with closing(read_frames(found)) as frames:
            seconds = [frame.pts * found.time_base for frame in frames]
        assert seconds == [pts * clip.time_base for pts in times[first:end]]
    assemble(output, clip, segments)
    result = probe(output)
    tolerance = Fraction(1, 1900) if ticks not in (1000,) else 0  # Matroska counts milliseconds
    with closing(read_frames(result)) as frames:
        again = [frame.pts * result.time_base for frame in frames]
    assert len(again) == 24
    assert all(abs(a - b * clip.time_base) <= tolerance for a, b in zip(again, times, strict=True))


def test_copied_packets_keep_theirs(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    options = {"x264-params": "keyint=6:min-keyint=6:scenecut=0:open-gop=0:bframes=2"}
    make_clip(path, fps=Fraction(25), frames=24, time_base=Fraction(1, 25), options=options)
    clip = probe(path)
    cuts = find_cuts(clip, EncodeOptions())
    assert len(cuts.clean) > 2
    pts = cuts.pts[(cuts.pts >= cuts.clean[1]) & (cuts.pts < cuts.clean[2])]
    copy_segment(tmp_path / "s", clip, pts)
    found = probe(tmp_path / "s")
    with closing(read_frames(found)) as frames:
        assert [frame.pts * found.time_base for frame in frames] == [p * clip.time_base for p in pts.tolist()]
