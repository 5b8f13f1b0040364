"""Strength over time in a clip: exact times, whatever the cuts; untouched frames; edit and rerun."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import (
    EncodeOptions,
    JobOptions,
    PreserveOptions,
    RangeOptions,
    SmoothOptions,
    SwapOptions,
)
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.jobs.untouched import treatment
from faceswap_cli.keyframes import Keyframes
from faceswap_cli.outcome import NOTHING_ASKED, check_swapped
from faceswap_cli.pictures import swap_image
from faceswap_cli.pipeline import swap_video
from faceswap_cli.preview import LINE_PX, TILE, preview
from faceswap_cli.recipe.again import make_again, options_of
from faceswap_cli.recipe.inputs import find_inputs
from faceswap_cli.recipe.kept import kept_job
from faceswap_cli.recipe.metadata import read_recipe
from faceswap_cli.records import U8, Frame, LedgerRow, Report, Segment, SegmentResult
from faceswap_cli.video.picture import Picture, read_picture, write_picture
from faceswap_cli.video.probe import probe
from tests.jobs.example import EXAMPLES, frames_digest, small_example
from tests.video.test_roundtrip import frames_of

SOURCE = EXAMPLES / "source.jpg"
FRAMES, OFFSET = 18, 700
RAMP = Keyframes([(Fraction(6, 25), 0.0), (Fraction(12, 25), 1.0)])
"""0 up to frame 6, 1 from frame 12 on."""
OPTIONS = SwapOptions(
    method="mesh",
    strength=RAMP,
    smooth=SmoothOptions(code_radius=2),
    encode=EncodeOptions(lossless=True, preset="ultrafast"),
    job=JobOptions(segment_s=5.0, workers=1, device="cpu", keep=True),
)
PLAIN = replace(OPTIONS, strength=1.0)
BASE = SwapOptions(job=JobOptions(workers=1, device="cpu"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ramp") / "clip.mp4"
    options = {"g": "3", "keyint_min": "3", "bf": "0", "sc_threshold": "0", "qp": "0", "preset": "ultrafast"}
    small_example(path, FRAMES, start_offset=OFFSET, options=options)
    return path


def swap(clip: Path, name: str, options: SwapOptions) -> tuple[list[Frame], Report]:
    output = clip.with_name(name)
    report = swap_video([SOURCE], clip, output, options)
    return frames_of(probe(output)), report


@pytest.fixture(scope="module")
def ramp(clip: Path) -> tuple[list[Frame], Report]:
    return swap(clip, "ramp.mp4", OPTIONS)


@pytest.fixture(scope="module")
def plain(clip: Path) -> tuple[list[Frame], Report]:
    return swap(clip, "plain.mp4", PLAIN)


def same(one: Frame, other: Frame) -> bool:
    planes = zip(*((f.planes.y, f.planes.cb, f.planes.cr) for f in (one, other)), strict=True)
    return all(np.array_equal(a, b) for a, b in planes)


def away(one: Frame, other: Frame) -> float:
    return float(np.abs(one.planes.y.astype(int) - other.planes.y).mean())


def test_zero_is_the_target_and_one_is_the_swap_bit_for_bit(
    clip: Path, ramp: tuple[list[Frame], Report], plain: tuple[list[Frame], Report]
) -> None:
    target = frames_of(probe(clip))
    assert all(same(target[k], ramp[0][k]) for k in range(7))
    assert all(same(plain[0][k], ramp[0][k]) for k in range(12, FRAMES))
    between = [away(ramp[0][k], target[k]) / away(plain[0][k], target[k]) for k in range(7, 12)]
    assert between == pytest.approx([k / 6 for k in range(1, 6)], abs=0.12)


def test_the_ledger_tells_how_far(
    ramp: tuple[list[Frame], Report], plain: tuple[list[Frame], Report]
) -> None:
    rows = ramp[1].ledger
    assert [row.time_s for row in rows[:3]] == pytest.approx([0, 0.04, 0.08], abs=1e-6), (
        "the clock of --start"
    )
    assert [row.reason for row in rows] == ["strength 0"] * 7 + [""] * 11
    wanted = [0.0] * 7 + [k / 6 for k in range(1, 6)] + [1.0] * 6
    assert [row.strength for row in rows] == pytest.approx(wanted, abs=1e-4)
    assert {row.strength for row in plain[1].ledger} == {1.0}
    assert ramp[1].frames_with_swap == 11


def test_groups_at_zero_are_copied(ramp: tuple[list[Frame], Report]) -> None:
    treated = [treatment(s) for s in ramp[1].segments for _ in range(s.frames)]
    assert treated[:6] == ["copied"] * 6
    assert treated[6:] == ["swapped"] * 12


@pytest.mark.parametrize(
    "options",
    [
        replace(OPTIONS, job=replace(OPTIONS.job, segment_s=0.12)),
        pytest.param(
            replace(OPTIONS, job=replace(OPTIONS.job, segment_s=0.12, workers=2)), marks=pytest.mark.slow
        ),
    ],
    ids=["segments", "workers"],
)
def test_cuts_do_not_show(clip: Path, ramp: tuple[list[Frame], Report], options: SwapOptions) -> None:
    frames, report = swap(clip, "cut.mp4", options)
    assert len(report.segments) > len(ramp[1].segments)
    assert all(same(one, other) for one, other in zip(frames, ramp[0], strict=True))
    assert report.ledger == ramp[1].ledger


def test_times_count_from_the_clips_first_frame_in_a_part_of_it(clip: Path) -> None:
    """Frame 9 is at a half whether the run begins at 0 or at frame 8 (the range is analysed on its own)."""
    _, report = swap(clip, "part.mp4", replace(OPTIONS, range=RangeOptions(start="8f", end="13f")))
    assert [row.strength for row in report.ledger] == pytest.approx(
        [2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0], abs=1e-4
    )


def test_a_result_is_made_again_and_edited(
    clip: Path, ramp: tuple[list[Frame], Report], plain: tuple[list[Frame], Report]
) -> None:
    made = clip.with_name("ramp.mp4")
    recipe = read_recipe(made)
    assert recipe.options["strength"] == RAMP
    inputs = find_inputs(recipe, [SOURCE], clip)
    again = clip.with_name("again.mp4")
    make_again(recipe, inputs, again, options_of(recipe, inputs, BASE))
    assert frames_digest(again) == frames_digest(made)
    assert read_recipe(again) == recipe
    kept = kept_job(made)
    assert kept is not None
    edited = clip.with_name("edited.mp4")
    changes = {"strength": 1.0, "encode.lossless": True}
    make_again(kept.recipe, inputs, edited, options_of(kept.recipe, inputs, BASE, changes), earlier=kept)
    assert all(same(one, other) for one, other in zip(frames_of(probe(edited)), plain[0], strict=True))


def test_zero_throughout_is_the_target(clip: Path) -> None:
    output = clip.with_name("none.mp4")
    report = swap_video([SOURCE], clip, output, replace(OPTIONS, strength=0.0))
    assert report.faces_swapped == 0
    assert frames_digest(output) == frames_digest(clip)
    assert NOTHING_ASKED in report.notes


def test_the_preview_shows_frames_that_are_swapped(clip: Path) -> None:
    report = preview([SOURCE], clip, clip.with_name("sheet.png"), OPTIONS, 1)
    assert [row.swapped for row in report.ledger] == [True]
    sheet = read_picture(clip.with_name("sheet.png")).rgb
    text = sheet[TILE : TILE + 2 * LINE_PX]
    assert sheet.shape == (TILE + 2 * LINE_PX + 10, 2 * TILE + 4, 3), "two lines below the pair"
    assert text.max() > 200
    none = preview([SOURCE], clip, clip.with_name("none.png"), replace(OPTIONS, strength=0.0), 1)
    assert [row.reason for row in none.ledger] == ["strength 0"]


def test_covered_throughout_is_still_an_error() -> None:
    def result(*reasons: str) -> SegmentResult:
        rows = tuple(
            LedgerRow(0, 0.0, 0, 0, not why, why, (0.0, 0.0, 1.0, 1.0), 0.0, 0.0, 0.0) for why in reasons
        )
        return SegmentResult(Segment(0, 0, 1, 0, 1, True), Path("s"), 1, 0, rows)

    assert check_swapped([result("strength 0", "not chosen")], Path("t")) == [NOTHING_ASKED]
    assert check_swapped([result("covered", "")], Path("t")) == []
    for reasons in (("covered",), ("not chosen",), ("strength 0", "covered")):
        with pytest.raises(NoFaceFound, match="nothing was swapped"):
            check_swapped([result(*reasons)], Path("t"))


def test_a_picture_takes_the_value_at_the_beginning(portrait: U8, tmp_path: Path) -> None:
    target = tmp_path / "target.png"
    write_picture(target, Picture(rgb=portrait))
    outputs = {name: tmp_path / f"{name}.png" for name in ("zero", "plain", "one", "eyes")}
    zero = swap_image([SOURCE], target, outputs["zero"], OPTIONS)
    assert (zero.faces_swapped, zero.ledger[0].reason, zero.ledger[0].strength) == (0, "strength 0", 0.0)
    np.testing.assert_array_equal(read_picture(outputs["zero"]).rgb, read_picture(target).rgb)
    swap_image([SOURCE], target, outputs["plain"], PLAIN)
    late = Keyframes([(Fraction(0), 1.0), (Fraction(1), 0.0)])
    swap_image([SOURCE], target, outputs["one"], replace(PLAIN, strength=late))
    swap_image([SOURCE], target, outputs["eyes"], replace(PLAIN, preserve=PreserveOptions(eyes=1.0)))
    pixels = {name: read_picture(path).rgb for name, path in outputs.items()}
    np.testing.assert_array_equal(pixels["one"], pixels["plain"])
    assert not np.array_equal(pixels["eyes"], pixels["plain"])
