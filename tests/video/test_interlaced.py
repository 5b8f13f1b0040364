"""Interlaced footage comes out without combs, whatever the place where reading begins."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.errors import UsageError
from faceswap_cli.records import Clip, Planes
from faceswap_cli.video.copying import find_cuts
from faceswap_cli.video.deinterlace import as_read
from faceswap_cli.video.losses import not_kept
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.transcode import transcode

FRAMES = 10
KEEP = EncodeOptions(interlaced="keep")


def field_picture(time: int) -> np.ndarray:
    """(96, 128, 3) bars that move by three pixels a field."""
    x = (np.arange(128) + 3 * time) // 8 % 2
    return np.repeat(np.repeat((40 + 160 * x).astype(np.uint8)[None, :, None], 96, 0), 3, 2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Two fields a frame, top field first."""
    path = tmp_path_factory.mktemp("interlaced") / "a.mp4"
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "10", "g": "4"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for k in range(FRAMES):
            frame = field_picture(2 * k)
            frame[1::2] = field_picture(2 * k + 1)[1::2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return probe(path)


def combs(planes: Planes) -> float:
    """How much every line differs from the lines above and below."""
    y = planes.y.astype(int)
    return float(np.abs(2 * y[1:-1] - y[:-2] - y[2:]).mean())


def test_frames_are_deinterlaced(clip: Clip) -> None:
    assert (clip.interlaced, clip.deinterlace) == ("tff", True)
    woven = list(read_frames(as_read(clip, KEEP)))
    plain = list(read_frames(clip))
    assert [frame.pts for frame in plain] == [frame.pts for frame in woven]
    assert combs(woven[5].planes) > 5 * combs(plain[5].planes)


@pytest.mark.parametrize("first", range(1, FRAMES))
def test_the_place_where_reading_begins_changes_nothing(clip: Clip, first: int) -> None:
    whole = list(read_frames(clip))
    part = list(read_frames(clip, first_pts=whole[first].pts))
    assert [frame.pts for frame in part] == [frame.pts for frame in whole[first:]]
    for a, b in zip(part, whole[first:], strict=True):
        np.testing.assert_array_equal(a.planes.y, b.planes.y)


def test_fields_are_kept_where_asked(clip: Clip, tmp_path: Path) -> None:
    transcode(as_read(clip, KEEP), tmp_path / "kept.mp4", KEEP)
    assert probe(tmp_path / "kept.mp4").interlaced == "tff"
    transcode(clip, tmp_path / "plain.mp4", EncodeOptions())
    assert probe(tmp_path / "plain.mp4").interlaced == ""


def test_a_line_says_so(clip: Clip, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    assert any("interlaced" in line for line in not_kept(clip, output, EncodeOptions()))
    assert not_kept(clip, output, KEEP) == []
    assert find_cuts(clip, EncodeOptions()).reason == "it is interlaced"
    with pytest.raises(UsageError, match="deinterlace or keep"):
        EncodeOptions(interlaced="both")


def test_both_fields_are_exact_without_loss(clip: Clip, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    transcode(clip, output, EncodeOptions(interlaced="keep", lossless=True))
    result = as_read(probe(output), KEEP)
    assert result.interlaced == "tff"
    for before, after in zip(read_frames(as_read(clip, KEEP)), read_frames(result), strict=True):
        for name in ("y", "cb", "cr"):
            assert (getattr(before.planes, name) == getattr(after.planes, name)).all()
