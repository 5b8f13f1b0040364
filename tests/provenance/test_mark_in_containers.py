"""Every container that the command line writes keeps the mark, and what was said before it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.output import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from faceswap_cli.provenance.mark import SOURCE_TYPE, container_metadata, read_mark, xmp_packet
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.containers import FORMATS
from faceswap_cli.video.picture import read_picture, write_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.writer import write_segment
from tests.clips import make_clip


def test_known_endings_are_those_of_the_writer() -> None:
    assert set(VIDEO_SUFFIXES) <= set(FORMATS)


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_video(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "target.mkv"
    make_clip(target, metadata={"comment": "shot in Lisbon", "title": "a day"})
    clip = probe(target)
    encode = EncodeOptions(codec="libvpx-vp9" if suffix == ".webm" else "libx264")
    segment, out = tmp_path / "segment.mkv", tmp_path / f"out{suffix}"
    with closing(read_frames(clip)) as frames:
        write_segment(segment, clip, frames, encode)
    assemble(out, clip, [segment], metadata=container_metadata(clip.metadata))
    written = probe(out)
    mark = read_mark(out, written.metadata)
    assert mark is not None
    assert mark.source_type == SOURCE_TYPE
    said = {key.lower(): text for key, text in written.metadata.items()}
    assert said["comment"].startswith("shot in Lisbon")
    assert said["title"] == "a day"


@pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
def test_picture(tmp_path: Path, suffix: str) -> None:
    import numpy as np
    from PIL import Image

    given, out = tmp_path / "in.png", tmp_path / f"out{suffix}"
    Image.fromarray(np.full((24, 32, 3), 99, np.uint8)).save(given)
    picture = read_picture(given)
    assert read_mark(given) is None
    write_picture(out, picture, xmp=xmp_packet(picture.xmp))
    mark = read_mark(out)
    assert mark is not None
    assert mark.source_type == SOURCE_TYPE
    again = read_picture(out)
    assert again.xmp is not None
    assert SOURCE_TYPE.encode() in xmp_packet(again.xmp)
    assert xmp_packet(again.xmp).count(b"DigitalSourceType=") == 1
