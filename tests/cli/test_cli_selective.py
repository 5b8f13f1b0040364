"""``--strength``, ``--preserve`` and keyframes reach the library from wherever they are said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from faceswap_cli.batch.manifest import Entry, read_manifest, row_options
from faceswap_cli.cli.ledger import coverage
from faceswap_cli.config import PreserveOptions, SwapOptions
from faceswap_cli.config_files import resolve
from faceswap_cli.errors import UsageError
from faceswap_cli.jobs.keys import option_key
from faceswap_cli.keyframes import Keyframes
from tests.cli.fakes import FakePipeline, Ran, row

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("accepted")
RAMP = Keyframes([(Fraction(0), 0.0), (Fraction(2), 1.0)])


@pytest.mark.parametrize("command", ["image", "video"])
def test_flags_reach_the_library(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, command: str
) -> None:
    target = photo if command == "image" else clip
    flags = ("--strength", "0s:0,2s:1", "--preserve", "mouth,eyes=0.5,skin=0s:0,2s:1", "--shape-mix", "0.25")
    ran = run(command, photo, target, "-o", f"out{target.suffix}", *flags, "--json")
    assert ran.code == 0, ran.err
    options = pipeline.calls[0][4]
    assert options.strength == RAMP
    assert options.preserve == PreserveOptions(mouth=1.0, eyes=0.5, skin=RAMP)
    assert options.job.shape_mix == 0.25


def test_tables_and_environment_and_flag(
    run: Run, pipeline: FakePipeline, photo: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "faceswap.toml").write_text(
        'strength = {"0s" = 0, "2s" = 1}\n'
        '[preserve]\nmouth = 0.4\nbrows = {"0s" = 0, "00:00:02" = 1}\n'
        '[job]\nshape_mix = {"0s" = 0, "2s" = 1}\n'
    )
    monkeypatch.setenv("FACESWAP_PRESERVE_EYES", "0s:0,2s:1")
    assert run("image", photo, photo, "-o", "out.jpg", "--preserve", "mouth").code == 0
    options = pipeline.calls[0][4]
    assert options.strength == options.job.shape_mix == RAMP
    assert options.preserve == PreserveOptions(mouth=1.0, brows=RAMP, eyes=RAMP)
    shown = run("config", "--json").json["settings"]
    assert shown["strength"]["value"] == "0s:0,2s:1"
    assert shown["strength"]["variable"] == "FACESWAP_STRENGTH"
    assert "0s:0,2s:1" in run("config").out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--strength", "2"), ("strength must be 0 to 1, not 2", "--strength")),
        (("--strength", "0s:0,2s:1.5"), ("strength must be 0 to 1, not 1.5",)),
        (("--strength", "much"), ("--strength must be a number", "keyframes")),
        (("--preserve", "nose"), ("'nose'", "mouth, eyes, brows, skin, shape")),
        (("--preserve", "mouth,mouth"), ("mouth twice",)),
        (("--preserve", "mouth=x"), ("--preserve mouth must be a number",)),
        (("--preserve", "mouth=3"), ("preserve mouth must be 0 to 1", "--preserve")),
        (("--preserve", ""), ("empty",)),
        (("--preserve", "0s:1"), ("does not know '0s:1'",)),
        (("--shape-mix", "1.6"), ("shape_mix must be 0 to 1.5",)),
        (("--outline", "1.1"), ("outline must be 0 to 1",)),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    run: Run, photo: Path, flags: tuple[str, ...], words: tuple[str, ...]
) -> None:
    run("image", photo, photo, "-o", "out.jpg", *flags).failed(2, *words)


def test_a_table_of_no_number_is_told_with_its_file(run: Run, photo: Path, machine: Path) -> None:
    (machine / "faceswap.toml").write_text('[smooth]\nstrength = {"0s" = 0}\n')
    run("image", photo, photo, "-o", "out.jpg").failed(2, "smooth.strength", "faceswap.toml")
    (machine / "faceswap.toml").write_text("[preserve]\nnose = 1\n")
    run("image", photo, photo, "-o", "out.jpg").failed(2, "preserve.nose", "preserve.mouth")


def test_lines_of_manifests(machine: Path) -> None:
    (machine / "jobs.jsonl").write_text(
        '{"source": "a.jpg", "target": "b.mp4", "strength": {"0s": 0, "2s": 1}, "preserve": "eyes=0.5"}\n'
    )
    (machine / "jobs.csv").write_text(
        'source,target,strength,preserve,preserve.skin\na.jpg,b.mp4,"0s:0,2s:1",eyes=0.5,\n'
    )
    base = resolve({"preserve": "mouth"}, environ={}, folder=machine)
    for name in ("jobs.jsonl", "jobs.csv"):
        (entry,) = read_manifest(machine / name)
        options = row_options(base, entry, machine)
        assert options.strength == RAMP
        assert options.preserve == PreserveOptions(mouth=1.0, eyes=0.5)
    entry = Entry("jobs.csv line 2", ("a.jpg",), "b.jpg", None, {"strength": "high"})
    with pytest.raises(UsageError, match=r"jobs\.csv line 2: --strength"):
        row_options(base, entry, machine)


def test_keyframes_are_part_of_a_jobs_key() -> None:
    """Another ramp is another job: what lies in its folder must not be used."""
    keys = [
        option_key(options)
        for options in (
            SwapOptions(),
            SwapOptions(strength=RAMP),
            SwapOptions(strength=Keyframes([(Fraction(0), 0.0), (Fraction(3), 1.0)])),
            SwapOptions(preserve=PreserveOptions(mouth=RAMP)),
            replace(SwapOptions(), job=replace(SwapOptions().job, shape_mix=RAMP)),
        )
    ]
    assert all(one != other for row, one in enumerate(keys) for other in keys[:row])


def test_frames_at_zero_are_not_missed() -> None:
    """``--fail-under coverage`` is about frames that were to be swapped."""
    rows = [replace(row(0, swapped=False), reason="strength 0"), row(1), row(2), row(3, swapped=False)]
    assert coverage(rows) == pytest.approx(2 / 3)
    assert coverage(rows[:3]) == 1.0
    assert coverage(rows[:1]) is None
