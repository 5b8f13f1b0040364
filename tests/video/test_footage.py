"""The identity run over footage on disk: nothing is swapped, and everything is as it was.

It runs over each clip of the folder ``FACESWAP_FOOTAGE`` (your own clips, say), by default ``shared/cases``
beside the repository, and is skipped without one.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.records import Clip
from faceswap_cli.video.animate import ANIMATIONS
from faceswap_cli.video.carry import MUXER_OWN
from faceswap_cli.video.containers import FORMATS, output_extension, prepare_for
from faceswap_cli.video.losses import not_kept
from faceswap_cli.video.picture import animation_frames, is_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.transcode import transcode
from tests.video.test_roundtrip import frames_of

ROOT = Path(__file__).parents[2]
FOLDER = Path(
    os.environ.get(
        "FACESWAP_FOOTAGE", Path(os.environ.get("FACESWAP_SHARED", ROOT.parent / "shared")) / "cases"
    )
)
EXACT = EncodeOptions(lossless=True, interlaced="keep")
READ_ONLY = (".wmv", ".asf", ".mpg", ".mpeg", ".vob", ".mxf", ".flv", ".3gp")


def clips() -> list[Path]:
    found = sorted(FOLDER.iterdir()) if FOLDER.is_dir() else []
    return [path for path in found if path.suffix.lower() in (*FORMATS, *READ_ONLY) and _moves(path)]


def _moves(path: Path) -> bool:
    return not is_picture(path) or animation_frames(path) > 1


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no footage in {FOLDER}; set FACESWAP_FOOTAGE")
@pytest.mark.parametrize("path", clips() or [FOLDER], ids=lambda path: path.name)
def test_nothing_changes(path: Path, tmp_path: Path) -> None:
    clip = probe(path)
    output = tmp_path / f"out{output_extension(clip, EXACT)}"
    lost = not_kept(clip, output, EXACT)
    transcode(clip, output, EXACT)
    made = probe(output)
    _same_pictures(clip, made, output)
    for name in ("rotation", "mirrored", "sample_aspect", "interlaced"):
        assert getattr(made, name) == getattr(clip, name), name
    assert made.transparent == clip.transparent or any("transparency" in line for line in lost)
    if clip.container in ANIMATIONS:
        return
    named = clip.color.tagged or made.color.tagged  # what was RGB is always named
    assert made.color == replace(clip.color, tagged=named)
    if not any("HDR" in line for line in lost):
        assert (made.mastering_display, made.light_level) == (clip.mastering_display, clip.light_level)
    _same_tracks(path, output, lost)


def _same_pictures(clip: Clip, made: Clip, output: Path) -> None:
    old = frames_of(prepare_for(clip, output, EXACT)[0])
    new = frames_of(prepare_for(made, output, EXACT)[0])
    times = [f.pts * f.time_base for f in old]
    assert times == [f.pts * f.time_base for f in new]
    if len({b - a for a, b in itertools.pairwise(times)}) < 2:
        assert made.average_rate == clip.average_rate
    for before, after in zip(old, new, strict=True):
        for plane in ("y", "cb", "cr"):
            np.testing.assert_array_equal(getattr(before.planes, plane), getattr(after.planes, plane))
        assert (before.alpha is None) == (after.alpha is None)
        if before.alpha is not None and after.alpha is not None:
            np.testing.assert_array_equal(before.alpha, after.alpha)


def _same_tracks(path: Path, output: Path, lost: list[str]) -> None:
    """Kinds, tags and packets of the streams, chapters and tags of the file: but for what ``lost`` names."""
    old, new = _tracks(path), _tracks(output)
    for index, (kind, _, _) in enumerate(old["streams"]):
        named = any(f"stream {index} " in line for line in lost)
        if kind != "data" and not named:
            assert old["streams"][index] in new["streams"]
    if not lost:
        assert [s[0] for s in old["streams"]] == [s[0] for s in new["streams"]]
    assert old["chapters"] == new["chapters"]
    assert old["tags"].items() <= new["tags"].items()
    assert old["timecode"] == new["timecode"]


def _tracks(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        streams: list[Any] = []
        for stream in container.streams:
            sound = stream.type == "audio"
            streams.append([stream.type, stream.metadata.get("language", "und"), [] if sound else None])
        for packet in container.demux(list(container.streams.audio)) if container.streams.audio else []:
            if packet.size:
                streams[packet.stream.index][2].append(_payload(bytes(packet)))
        chapters = [
            (c["start"] * Fraction(c["time_base"]), c["end"] * Fraction(c["time_base"]), c["metadata"])
            for c in container.chapters()
        ]
        lowered = {key.lower(): value for key, value in container.metadata.items()}
        tags = {key: value for key, value in lowered.items() if key not in (*MUXER_OWN, "timecode")}
        every = [{k.lower(): v for k, v in stream.metadata.items()} for stream in container.streams]
        codes = {tags_of["timecode"] for tags_of in (*every, lowered) if "timecode" in tags_of}
    return {"streams": streams, "chapters": chapters, "tags": tags, "timecode": codes}


def _payload(packet: bytes) -> bytes:
    """AAC of a transport stream without the header that each of its packets has."""
    if packet[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return packet[7:]
    return packet[9:] if packet[:2] in (b"\xff\xf0", b"\xff\xf8") else packet
