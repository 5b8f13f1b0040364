"""A result of several sources: each person is measured against the face that they got."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from faceswap_cli.cli import main
from faceswap_cli.config import EncodeOptions, JobOptions, PasteOptions, SwapOptions, TrackOptions
from faceswap_cli.errors import InputError
from faceswap_cli.events import ignore
from faceswap_cli.inspection import inspect_video, write_cast_and_sheet
from faceswap_cli.metrics.casting import NOBODY, casting_by_recipe, recipe_for, seats_of_ledger
from faceswap_cli.metrics.evaluate import EvaluateOptions, Evaluation, evaluate
from faceswap_cli.pipeline import swap_video
from faceswap_cli.records import Report
from faceswap_cli.video.probe import probe
from tests.cast.people_on_stage import COLLINS, SIZE, hopper_photo, make_stage, side_by_side
from tests.metrics.synthetic import face

FRAMES = 8
OPTIONS = SwapOptions(method="mesh", job=JobOptions(workers=1), encode=EncodeOptions(crf=14))


@dataclass(frozen=True)
class Played:
    """Collins stands on the left and gets Hopper's face, Hopper on the right gets hers."""

    clip: Path
    cast: Path
    hopper: Path
    report: Report

    def measure(self, *sources: Path, cast: Path | None = None, ledger: bool = False) -> Evaluation:
        rows = self.report.ledger if ledger else ()
        options = EvaluateOptions(cast=cast, ledger=rows, workers=2)
        return evaluate(self.report.output, sources, self.clip, options=options)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("stage")
    clip = make_stage(folder / "stage.mp4", side_by_side, FRAMES)
    seen = inspect_video(clip, OPTIONS)
    assert seen.analysis is not None
    cast = write_cast_and_sheet(folder / "cast.toml", seen.clip, seen.analysis).path
    hopper = hopper_photo(folder)
    text = cast.read_text()
    for photo in (hopper, COLLINS):  # people are named from the left
        text = text.replace('source = ""', f'source = "{photo.as_posix()}"', 1)
    cast.write_text(text)
    options = replace(OPTIONS, track=TrackOptions(cast=cast), paste=PasteOptions(glasses="remove"))
    report = swap_video([], clip, folder / "out.mp4", options)
    assert {row.source for row in report.ledger} == {"hopper", "source"}
    return Played(clip, cast, hopper, report)


@pytest.fixture(scope="module")
def measured(played: Played) -> Evaluation:
    return played.measure(COLLINS, played.hopper, ledger=True)


def test_each_person_has_their_own_source(measured: Evaluation) -> None:
    assert [(one.person, one.source, one.faces) for one in measured.people] == [
        (0, "hopper.png", FRAMES),
        (1, "source.jpg", FRAMES),
    ]
    for one in measured.people:
        assert one.figures["swap_ratio"] > 0.52, "nearer to the source than to the target"
        assert one.figures["shape"] > 0.1
        assert one.figures["coverage"] == 1


def test_the_wrong_person_would_be_seen(played: Played, measured: Evaluation) -> None:
    rows = tuple(replace(row, person=1 - row.person) for row in played.report.ledger)
    options = EvaluateOptions(ledger=rows, workers=2)
    wrong = evaluate(played.report.output, [COLLINS, played.hopper], played.clip, options=options)
    for one, other in zip(measured.people, reversed(wrong.people), strict=True):
        assert other.figures["identity"] > one.figures["identity"] + 0.05


def test_the_figures_of_all_are_taken_against_the_right_sources(measured: Evaluation) -> None:
    alone = [one.figures for one in measured.people]
    for name in ("likeness", "likeness_gain", "identity", "shape", "invented"):
        mean = sum(figures[name] for figures in alone) / 2
        assert measured.figures[name] == pytest.approx(mean, abs=0.02), name


def test_a_first_pass_and_a_cast_file_find_the_same_people(played: Played, measured: Evaluation) -> None:
    for found in (played.measure(played.hopper, COLLINS), played.measure(cast=played.cast)):
        assert [one.figures for one in found.people] == [one.figures for one in measured.people]
        assert [one.source for one in found.people] == ["hopper.png", "source.jpg"]


def test_photographs_that_are_missing_are_counted(played: Played) -> None:
    with pytest.raises(InputError, match="has 2 source people, and 1 of their photographs is missing"):
        played.measure(COLLINS)


def test_another_cast_file_is_refused(played: Played) -> None:
    text = played.cast.read_text()
    other = played.cast.with_name("other.toml")
    other.write_text(text.replace(f'source = "{COLLINS.as_posix()}"', "keep = true"))
    with pytest.raises(InputError, match=r"other\.toml is not what out\.mp4 was made with"):
        played.measure(cast=other)


def test_people_that_other_models_found_are_not_guessed(played: Played) -> None:
    clips = probe(played.report.output), probe(played.clip)
    recipe = recipe_for(clips[0], played.clip)
    assert recipe is not None
    old = replace(recipe, models="00" * 32)
    photos = [COLLINS, played.hopper]
    with pytest.raises(InputError, match=r"other models .* --cast"):
        casting_by_recipe(old, photos, clips, OPTIONS, (), ignore)
    known = casting_by_recipe(old, photos, clips, OPTIONS, played.report.ledger, ignore)
    assert sorted(known.names) == [0, 1], "the ledger knows who is who"


def test_a_face_far_from_everybody_is_nobody(played: Played) -> None:
    seats = seats_of_ledger(played.report.ledger)
    clips = probe(played.report.output), probe(played.clip)
    recipe = recipe_for(clips[0], played.clip)
    assert recipe is not None
    casting = casting_by_recipe(
        recipe, [COLLINS, played.hopper], clips, OPTIONS, played.report.ledger, ignore
    )
    (left, *_) = seats[0]
    near, far = face(40, (left.x, left.y)), face(40, (SIZE[0] / 2, 5))
    assert casting.person(0.0, near) == left.person
    assert casting.person(0.0, far) == NOBODY
    assert casting.person(999.0, near) == NOBODY
    assert casting.source(NOBODY).photo is None


def test_gates_hold_for_each_person_of_a_cast(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["video", "--cast", str(played.cast), str(played.clip), "-o", str(tmp_path / "out.mp4")]
    command += ["--method", "mesh", "--glasses", "remove", "--jobs", "1", "--accept-terms", "--json"]
    assert main([*command, "--fail-under", "swap_ratio=0.99,coverage=0.5"]) == 10
    told = capsys.readouterr()
    assert "person 1 (hopper.png): 0." in told.err
    assert "person 2 (source.jpg): 0." in told.err
    data = json.loads(told.out)
    assert [one["source"] for one in data["evaluation"]["people"]] == ["hopper.png", "source.jpg"]
    assert data["verdict"] == data["evaluation"]["verdict"]
    assert [(one["face"], one["coverage"]) for one in data["by_person"]] == [("1", 1.0), ("2", 1.0)]


def test_one_source_of_two_people_is_measured_on_each(tmp_path: Path) -> None:
    clip = make_stage(tmp_path / "stage.mp4", side_by_side, FRAMES)
    options = replace(OPTIONS, track=TrackOptions(face="all"))
    report = swap_video([COLLINS], clip, tmp_path / "out.mp4", options)
    known = evaluate(report.output, [COLLINS], clip, options=EvaluateOptions(ledger=report.ledger))
    assert [one.name for one in known.people] == ["person 1 (source.jpg)", "person 2 (source.jpg)"]
    assert known.verdict.reasons[0].startswith(("person 1 (source.jpg): ", "person 2 (source.jpg): "))
    found = evaluate(report.output, [COLLINS], clip)  # by its recipe and a first pass
    assert [one.figures for one in found.people] == [one.figures for one in known.people]


def test_the_command_shows_a_column_for_each_person(
    played: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["evaluate", str(played.report.output), "--target", str(played.clip), "--max-frames", "2"]
    assert main([*files, "--cast", str(played.cast)]) == 0
    assert "person 1: hopper.png" in capsys.readouterr().out
    assert main([*files, "-s", str(COLLINS), "-s", str(played.hopper), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["source"] for one in told["people"]] == ["hopper.png", "source.jpg"]
    assert main([*files, "--cast", str(played.cast), "-s", str(COLLINS)]) == 2
    assert "leave out --source" in capsys.readouterr().err
