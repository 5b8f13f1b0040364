from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from faceswap_cli.config import RangeOptions
from faceswap_cli.errors import UsageError
from faceswap_cli.keyframes import seconds_of
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import frame_times, pts_range
from tests.clips import make_clip


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", Fraction(12)),
        ("12.5", Fraction(25, 2)),
        (".5", Fraction(1, 2)),
        ("12.5s", Fraction(25, 2)),
        ("1:30", Fraction(90)),
        ("01:02:03.004", Fraction(3723004, 1000)),
        ("0:0:0", Fraction(0)),
    ],
)
def test_seconds(text: str, seconds: Fraction) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "nan", "1:2:3:4", "00:61", "1:00:75", "12 s", "f", "\u0661"]
)
def test_nonsense_names_the_forms(text: str) -> None:
    with pytest.raises(UsageError, match=r"--end .*hh:mm:ss"):
        seconds_of(text, "--end")


@pytest.mark.parametrize("text", ["soon", "12ss", "5 f", "9" * 40 + "f"])
def test_an_invalid_time_is_refused_before_any_file_is_read(text: str) -> None:
    for name in ("start", "end"):
        with pytest.raises(UsageError, match=rf"--{name} .*a frame number"):
            RangeOptions(**{name: text})


def test_ranges_fall_on_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    times = make_clip(path, vfr=True, start_offset=1000)
    clip = probe(path)
    assert frame_times(clip).tolist() == times
    assert pts_range(clip, RangeOptions()) == (None, None)
    assert pts_range(clip, RangeOptions(start="3f", end="7f")) == (times[3], times[7])
    assert pts_range(clip, RangeOptions(start="0s", end="99")) == (times[0], None)
    tick = float(clip.time_base)
    just_after = (times[4] - times[0] + 0.5) * tick
    assert pts_range(clip, RangeOptions(start=f"{just_after:.9f}"))[0] == times[5]


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("100f", None, "after the last"),
        ("9", None, "after the last"),
        ("5f", "5f", "no frame lies"),
        ("0.3", "0.1", "no frame lies"),
    ],
)
def test_empty_ranges_are_refused(start: str, end: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path)
    with pytest.raises(UsageError, match=message):
        pts_range(probe(path), RangeOptions(start=start, end=end))
