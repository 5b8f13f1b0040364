"""Level 3: faces of the clip, what it is tuned on, and what the file says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceswap_cli.config import DetectOptions, JobOptions, RangeOptions, SwapOptions
from faceswap_cli.enrol import clip as clips
from faceswap_cli.enrol import tune as tuning
from faceswap_cli.enrol.clip import clip_views, spread
from faceswap_cli.enrol.lowrank import Deltas
from faceswap_cli.enrol.make import EnrolOptions, enrol
from faceswap_cli.enrol.tune import TuneOptions
from faceswap_cli.errors import InputError, NoFaceFound
from faceswap_cli.events import Event
from faceswap_cli.identity.enrolled import Enrolled, elsewhere
from faceswap_cli.identity.faceid import read_faceid, source_of, write_faceid
from faceswap_cli.pipeline import swap_video
from faceswap_cli.recipe.digests import content_digest
from faceswap_cli.records import U8
from faceswap_cli.swap.fslsd256_weights import load_swap_net
from faceswap_cli.video.probe import probe
from tests.clips import make_clip
from tests.enrol.made_person import made

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "examples" / "target.mp4"


def quiet(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


@pytest.fixture
def quick(installed: Path, monkeypatch: pytest.MonkeyPatch) -> TuneOptions:
    """Few samples, few steps."""
    monkeypatch.setattr("faceswap_cli.enrol.objective.BATCH", 1)
    monkeypatch.setattr(tuning, "_STRANGERS", 1)
    monkeypatch.setattr(tuning, "EVERY", 2)
    monkeypatch.setattr(clips, "FRAMES", 7)
    for name, value in (("_OWN", 2), ("_MADE", 2), ("_JUDGED", 1)):
        monkeypatch.setattr(f"faceswap_cli.enrol.make.{name}", value)
    return TuneOptions(steps=(1, 2, 4), rates=(1e-2, 1e-3, 2e-3))


@pytest.fixture
def photo(tmp_path: Path, portrait: U8) -> Path:
    path = tmp_path / "me.png"
    Image.fromarray(portrait).save(path)
    return path


def test_faces_of_the_clip_are_found_and_cut() -> None:
    views = clip_views(CLIP, DetectOptions())
    assert len(views) == clips.FRAMES
    for view in views:
        assert view.rgb.shape == (1, 3, 256, 256)
        eyes = view.points[0, [33, 263], :2].mean(0)
        assert (eyes - torch.tensor([0.5, 0.45])).abs().max() < 0.12


def test_frames_are_spread_evenly_however_long_the_clip_is(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, frames=120)
    clip = probe(path)
    few, looked_up = ([frame.pts for frame in spread(clip, count)] for count in (40, 6))
    assert len(few) == 40
    assert len(looked_up) == 6
    for found, count in ((few, 40), (looked_up, 6)):
        steps = np.diff(found) * float(clip.time_base) * 25
        assert (np.abs(steps - 120 / count) < 1.1).all(), steps


def test_a_clip_without_a_face_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path)
    with pytest.raises(NoFaceFound, match=r"only 0 pictures of clip\.mp4 show one person's face"):
        clip_views(path, DetectOptions())


def test_only_those_who_look_alike_are_taken() -> None:
    rows = [np.full(128, value, np.float32) for value in (0.0, 0.01, 0.2, 0.005, 0.02)]
    assert clips._one_person(rows) == [0, 1, 3, 4]
    assert clips._one_person([]) == []


def test_the_file_says_for_which_clip(quick: TuneOptions, photo: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    options = EnrolOptions(level=3, clip=CLIP, tuning=quick)
    found = enrol("anna", [photo], options, lambda stage, done, total: heard.append(stage))
    assert [outcome.level for outcome in found.outcomes] == [1, 2, 3]
    assert heard[-1] == "level 3"
    last = found.outcomes[-1]
    assert last.steps == 4
    person = found.content.person
    assert (person.level == 3) == last.helped
    assert person.clip == (content_digest(CLIP) if last.helped else "")
    write_faceid(tmp_path / "anna.faceid", found.content)
    assert read_faceid(tmp_path / "anna.faceid").person.clip == person.clip


def test_level_3_goes_on_from_level_2(
    quick: TuneOptions, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it begins with are the changes that were kept, not the last ones tried."""
    begun: list[dict[str, np.ndarray]] = []
    real = Deltas.take

    def take(self: Deltas, arrays: dict[str, np.ndarray]) -> None:
        begun.append(dict(arrays))
        real(self, arrays)

    monkeypatch.setattr(Deltas, "take", take)
    kept: dict[int, bool] = {}
    run = tuning._run

    def always(shop: object, material: object, level: int, part: object) -> object:
        best, outcome = run(shop, material, level, part)  # type: ignore[arg-type]
        kept[level] = bool(best.deltas)
        return best, replace(outcome, before=1.0, after=0.5)

    monkeypatch.setattr(tuning, "_run", always)
    enrol("anna", [photo], EnrolOptions(level=3, clip=CLIP, tuning=quick), quiet)
    first, second = begun
    assert first == {}
    assert kept == {1: False, 2: True, 3: True}
    assert second
    assert all(name.endswith(("/up", "/down")) for name in second)


def test_changes_are_taken_over_and_begin_alike(tiny_weights: Path) -> None:
    nets = [load_swap_net(tiny_weights).eval().requires_grad_(False) for _ in range(2)]
    first, second = (Deltas(net, 4, seed=3) for net in nets)
    begun = first.arrays()
    assert all(np.array_equal(value, second.arrays()[name]) for name, value in begun.items())
    with torch.no_grad():
        for value in first.parameters():
            value.add_(0.1)
    second.take(first.arrays())
    assert all(np.array_equal(value, second.arrays()[name]) for name, value in first.arrays().items())
    second.take({})
    assert not any(value.any() for name, value in second.arrays().items() if name.endswith("/up"))


def tuned_for(clip: str) -> Enrolled:
    return replace(made().person, level=3, clip=clip)


def test_a_file_without_its_clip_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "anna.faceid"
    for clip in ("", "ab" * 20, "../" + "ab" * 32):
        write_faceid(path, replace(made(), person=tuned_for(clip)))
        with pytest.raises(InputError, match="for which clip it was tuned"):
            read_faceid(path)
    write_faceid(path, replace(made(), person=replace(made().person, clip="ab" * 32)))
    with pytest.raises(InputError, match="for which clip it was tuned"):
        read_faceid(path)


def test_another_clip_warns_and_works(tmp_path: Path) -> None:
    person = tmp_path / "anna.faceid"
    told: dict[str, list[str]] = {}
    for clip in (content_digest(CLIP), "ab" * 32):
        told[clip] = []
        content = made()
        write_faceid(person, replace(content, person=tuned_for(clip)))

        def listen(event: Event, heard: list[str] = told[clip]) -> None:
            if event.kind == "warning":
                heard.append(str(event.data["message"]))

        options = SwapOptions(
            method="mesh",
            job=JobOptions(device="cpu", workers=1, restart=True),
            range=RangeOptions(end="4f"),
        )
        out = tmp_path / "out.mp4"
        out.unlink(missing_ok=True)
        swap_video([person], CLIP, out, options, listen)
        assert out.is_file()
    own, other = told.values()
    assert not any("tuned for another clip" in text for text in own)
    assert sum("anna was tuned for another clip" in text for text in other) == 1
    assert elsewhere([None, source_of([person]).enrolled], "cd" * 32)
