"""The table of what is kept says what really happens."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from faceswap_cli.config import EncodeOptions
from faceswap_cli.video.containers import FORMATS, holds, prepare_for
from faceswap_cli.video.encoders import ENCODERS, encoder_formats
from faceswap_cli.video.formats import format_depth
from faceswap_cli.video.kept import CODECS, CONTAINERS, HDR_DATA, HEAD, Container, rows
from faceswap_cli.video.losses import not_kept
from faceswap_cli.video.probe import probe
from faceswap_cli.video.transcode import transcode
from tests.clips import make_clip

PLAIN = EncodeOptions()
NAMES = [each.name for each in CONTAINERS]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "full.mkv"
    extras = {"audio": 1, "subtitles": True, "chapters": True, "attachment": True}
    make_clip(path, rotation=90, metadata={"title": "The title"}, frames=4, **extras)
    return path


@pytest.mark.parametrize("each", CONTAINERS, ids=NAMES)
def test_containers_keep_what_the_table_says_and_messages_name_the_rest(
    each: Container, full: Path, tmp_path: Path
) -> None:
    clip, output = probe(full), tmp_path / f"out{each.endings[0]}"
    lines = " ".join(not_kept(clip, output, PLAIN))
    transcode(clip, output, PLAIN)
    with av.open(str(output)) as container:
        kinds = {stream.type for stream in container.streams}
        chapters, title = container.chapters(), container.metadata.get("title")
    found = probe(output)
    assert bool(chapters) == each.chapters
    assert (title == "The title") == each.tags
    assert ("audio" in kinds) == bool(each.sound)
    assert ("attachment" in kinds) == each.attachments
    assert ("subtitle" in kinds) == (each.subtitles == "copied")
    assert (found.rotation == 90) == each.rotation
    if not each.encoders:
        assert (found.width, found.height) == (48, 64)
    lost = {
        "chapters": not each.chapters,
        "note.txt": not each.attachments,
        "subrip": each.subtitles != "copied",
        "rotation": not each.rotation and bool(each.encoders),
        "metadata": not each.tags,
    }
    assert ("(aac)" in lines and "encoded again" not in lines) == (not each.sound)
    assert {word: word in lines for word in lost} == lost


@pytest.mark.parametrize("each", [c for c in CONTAINERS if c.encoders], ids=lambda c: c.name)
def test_containers_take_the_codecs_of_the_table(each: Container) -> None:
    assert {encoder for encoder in ENCODERS.values() if holds(each.muxer, encoder)} == set(each.encoders)


@pytest.mark.parametrize("encoder", CODECS)
def test_encoders_take_the_depths_of_the_table(encoder: str) -> None:
    offered = {format_depth(name) for name in encoder_formats(encoder) if name.startswith("yuv4")}
    assert {int(bits) for bits in CODECS[encoder][1].split(",")} <= offered | {8}


@pytest.mark.parametrize("ending", [".mov", ".mkv", ".webm", ".nut"])
def test_time_codes(ending: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["timecode"] = "10:00:00:00"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    clip, output = probe(tmp_path / "a.mov"), tmp_path / f"out{ending}"
    assert not any("time code" in line for line in not_kept(clip, output, PLAIN))
    transcode(clip, output, PLAIN)
    with av.open(str(output)) as made:
        tags = {key.lower(): text for key, text in made.streams.video[0].metadata.items()}
        has_track = any(stream.type == "data" for stream in made.streams)
    assert tags["timecode"] == "10:00:00:00"
    row = next(each for each in CONTAINERS if ending in each.endings)
    assert has_track == (row.time_code == "track") or ending == ".nut"


def test_hdr_data_is_kept_by_hevc_alone(tmp_path: Path) -> None:
    data = "hdr10=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    options = {"x265-params": f"log-level=none:{data}"}
    path = tmp_path / "a.mp4"
    make_clip(path, codec="libx265", pix_fmt="yuv420p10le", color=(9, 16, 9, 1), options=options, frames=3)
    clip = probe(path)
    assert clip.mastering_display
    transcode(clip, tmp_path / "out.mkv", PLAIN)
    assert probe(tmp_path / "out.mkv").mastering_display == clip.mastering_display
    assert HDR_DATA == ("libx265",)
    assert any("mastering" in line for line in not_kept(clip, tmp_path / "out.webm", PLAIN))
    transcode(clip, tmp_path / "out.webm", PLAIN)
    assert probe(tmp_path / "out.webm").color.transfer == 16


def test_every_row_has_every_column() -> None:
    assert all(len(row) == len(HEAD) for row in rows())
    assert {ending for each in CONTAINERS for ending in each.endings} <= set(FORMATS)


@pytest.mark.parametrize("encoder", CODECS)
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm", ".nut"])
def test_the_pixel_shape_is_kept_or_named(ending: str, encoder: str, tmp_path: Path) -> None:
    row = next(each for each in CONTAINERS if ending in each.endings)
    if encoder not in row.encoders:
        return
    make_clip(tmp_path / "a.mp4", frames=2, sar=Fraction(4, 3))
    clip, output = probe(tmp_path / "a.mp4"), tmp_path / f"out{ending}"
    clip, encode = prepare_for(clip, output, EncodeOptions(codec=encoder))
    transcode(clip, output, encode)
    is_named = any("pixel shape 4:3" in line for line in not_kept(clip, output, encode))
    assert (probe(output).sample_aspect == Fraction(4, 3)) != is_named
