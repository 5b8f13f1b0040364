"""``--hw``: the chip is found by encoding; where none works that is said, and nothing else is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, JobOptions, SwapOptions
from faceswap_cli.errors import DeviceError, UsageError
from faceswap_cli.records import Clip
from faceswap_cli.video import hardware
from faceswap_cli.video.copying import find_cuts
from faceswap_cli.video.encoders import encoding_for
from faceswap_cli.video.formats import picture_from_planes, planes_from_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.writer import write_segment
from tests.clips import make_clip
from tests.video.test_roundtrip import frames_of

HW = EncodeOptions(hw=True)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    hardware.trouble.cache_clear()
    hardware.same_samples.cache_clear()
    yield
    hardware.trouble.cache_clear()
    hardware.same_samples.cache_clear()


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chip that cannot be opened, and one that can: a software encoder stands in for it."""
    monkeypatch.setitem(hardware._ENCODERS, "h264", ("h264_none", "libx264"))
    monkeypatch.setitem(hardware._ENCODERS, "hevc", ("libx265",))
    for name in ("libx264", "libx265"):
        monkeypatch.setitem(hardware._SETTINGS, name, lambda quality, _: {"crf": f"{quality:g}"})


def clip_of(tmp_path: Path, **given: Any) -> Clip:
    make_clip(tmp_path / "a.mkv", **given)
    return probe(tmp_path / "a.mkv")


def test_no_chip_is_an_error_that_names_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hardware._ENCODERS, "h264", ("h264_none", "h264_nothing"))
    with pytest.raises(DeviceError, match=r"h264_none: not in.*h264_nothing: not in.*leave out --hw"):
        encoding_for(clip_of(tmp_path), HW)


def test_an_encoder_that_is_listed_and_has_no_chip_is_passed_over(tmp_path: Path) -> None:
    """Whatever the machine has: what is chosen works, and what is refused is refused with its reason."""
    for family, names in hardware._ENCODERS.items():
        chosen = hardware.working(family)
        assert (
            chosen is None or hardware.trouble(chosen, hardware.same_samples(chosen, "yuv420p") or "") == ""
        )
        before = names if chosen is None else names[: names.index(chosen)]
        assert all(hardware.trouble(name, hardware.same_samples(name, "yuv420p") or "") for name in before)


@pytest.mark.usefixtures("chip")
def test_the_first_that_works_writes_the_clip(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, frames=6)
    encoding = encoding_for(clip, HW)
    assert (encoding.encoder, encoding.container, encoding.options["crf"]) == ("libx264", "mp4", "19")
    kept = frames_of(clip)
    write_segment(tmp_path / "out.mp4", clip, kept, HW)
    back = list(read_frames(probe(tmp_path / "out.mp4")))
    assert [f.pts * f.time_base for f in back] == [f.pts * f.time_base for f in kept]


@pytest.mark.usefixtures("chip")
def test_quality_and_preset_are_passed_on(tmp_path: Path) -> None:
    options = encoding_for(clip_of(tmp_path), EncodeOptions(hw=True, crf=30, preset="slow")).options
    assert options == {"crf": "30", "preset": "slow"}


@pytest.mark.usefixtures("chip")
def test_ten_bits_become_hevc_unless_the_codec_is_named(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, codec="ffv1", pix_fmt="yuv420p10le")
    assert encoding_for(clip, HW).encoder == "libx265"
    assert encoding_for(clip, HW).pixel_format == "yuv420p10le"
    assert encoding_for(clip, EncodeOptions(hw=True, codec="h264")).encoder == "libx264"


@pytest.mark.parametrize(
    ("encoder", "quality", "said"),
    [
        ("h264_nvenc", 19.0, {"rc": "vbr", "cq": "19", "b": "0"}),
        ("hevc_qsv", 0.0, {"global_quality": "1"}),
        ("hevc_amf", 20.0, {"qp_i": "20", "qp_p": "20"}),
        ("av1_amf", 20.0, {"qp_i": "80", "qp_p": "80"}),
        ("h264_videotoolbox", 60.0, {"global_quality": "118"}),
    ],
)
def test_settings_stay_in_the_range_of_each_chip(encoder: str, quality: float, said: dict[str, str]) -> None:
    found = hardware.settings(encoder, EncodeOptions(crf=quality))
    assert said.items() <= found.items()


@pytest.mark.parametrize("encoder", [name for names in hardware._ENCODERS.values() for name in names])
def test_every_setting_is_one_that_the_library_knows(encoder: str) -> None:
    try:
        context = av.CodecContext.create(encoder, "w")
    except ValueError:
        pytest.skip(f"this build of the video library has no {encoder}")
    options: Any = getattr(context, "supported_options", None)
    if options is None:
        pytest.skip("this version of the video library does not list options")
    known = {option.name: option for option in (*options.generic, *options.private)}
    for name, value in hardware.settings(encoder, EncodeOptions()).items():
        named = {choice.name for choice in known[name].choices}
        if value.lstrip("+") not in named:
            assert known[name].min <= float(value) <= known[name].max, name


@pytest.mark.parametrize(("work", "packed"), [("yuv420p", "nv12"), ("yuv420p10le", "p010le")])
def test_interleaved_formats_hold_the_same_samples(work: str, packed: str, tmp_path: Path) -> None:
    clip = clip_of(tmp_path, codec="ffv1", pix_fmt=work, size=(64, 48), frames=2)
    for frame in frames_of(clip):
        back = planes_from_picture(picture_from_planes(frame.planes, clip, packed), clip)
        for ours, theirs in zip(
            (frame.planes.y, frame.planes.cb, frame.planes.cr), (back.y, back.cb, back.cr), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("chip")
def test_no_packet_of_the_input_stands_beside_those_of_a_chip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(hardware._ENCODERS, "h264", ("mpeg4",))
    monkeypatch.setitem(hardware._SETTINGS, "mpeg4", lambda quality, _: {})
    make_clip(tmp_path / "b.mp4")
    assert find_cuts(probe(tmp_path / "b.mp4"), HW).reason == "h264 becomes mpeg4"


def test_contradictions_are_refused() -> None:
    with pytest.raises(UsageError, match="without loss"):
        EncodeOptions(hw=True, lossless=True)
    with pytest.raises(UsageError, match="--cluster"):
        SwapOptions(encode=HW, job=JobOptions(cluster="auto"))


def test_codecs_that_no_chip_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not prores_ks"):
        encoding_for(clip_of(tmp_path), EncodeOptions(hw=True, codec="prores_ks"))
