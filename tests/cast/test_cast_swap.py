"""Two people in one clip, each with the face that the cast says, also when they cross or leave.

Collins and Hopper exchange their faces; where they stand in each frame is known, because the clip
is made here.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.color import rgb_from_planes
from faceswap_cli.config import (
    DetectOptions,
    EncodeOptions,
    JobOptions,
    PasteOptions,
    SwapOptions,
    TrackOptions,
)
from faceswap_cli.errors import NoFaceFound, UsageError
from faceswap_cli.events import Event
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.identity.embed import embed
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.inspection import inspect_video, write_cast_and_sheet
from faceswap_cli.pipeline import swap_video
from faceswap_cli.records import F32, LedgerRow, Report
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from tests.cast.people_on_stage import (
    COLLINS,
    SIZE,
    Places,
    crossing,
    hopper_photo,
    make_stage,
    one_leaves,
    side_by_side,
)
from tests.clips import make_clip

FRAMES = 28
OPTIONS = SwapOptions(method="mesh", job=JobOptions(workers=1), encode=EncodeOptions(crf=14))
NEAR = 0.06
"""Of the picture's width: faces closer than this to where somebody stands are that person's."""


@dataclass(frozen=True)
class Played:
    """A clip, its cast and its swap."""

    clip: Path
    cast: Path
    report: Report
    places: Places

    def rows(self) -> dict[int, list[LedgerRow]]:
        """By frame."""
        pts = sorted({row.pts for row in self.report.ledger})
        return {pts.index(p): [row for row in self.report.ledger if row.pts == p] for p in pts}

    def xs(self, frame: int) -> tuple[float, float]:
        return self.places(frame / (FRAMES - 1))


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, F32]:
    folder = tmp_path_factory.mktemp("photos")
    photos = {"collins": COLLINS, "hopper": hopper_photo(folder)}
    return {name: load_photos([path], DetectOptions()).embedding for name, path in photos.items()}


def play(folder: Path, places: Places, looks: dict[str, F32]) -> Played:
    clip = make_stage(folder / "stage.mp4", places, FRAMES)
    found = inspect_video(clip, OPTIONS)
    assert found.analysis is not None
    written = write_cast_and_sheet(folder / "cast.toml", found.clip, found.analysis)
    hopper = hopper_photo(folder)
    text = written.path.read_text()
    for entry in written.entries:
        distance = {
            name: np.linalg.norm(entry.role.faces - look, axis=1).min() for name, look in looks.items()
        }
        is_collins = distance["collins"] < distance["hopper"]
        photo = hopper.name if is_collins else COLLINS.as_posix()
        head, table, rest = text.partition(f"[people.{entry.role.name}]")
        text = head + table + rest.replace('source = ""', f'source = "{photo}"', 1)
    written.path.write_text(text)
    options = SwapOptions(
        method="mesh",
        job=OPTIONS.job,
        encode=OPTIONS.encode,
        # Glasses that stay would make whoever stands in Hopper's place look like her.
        paste=PasteOptions(glasses="remove"),
        track=TrackOptions(cast=written.path),
    )
    return Played(clip, written.path, swap_video([], clip, folder / "out.mp4", options), places)


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory, looks: dict[str, F32]) -> Played:
    return play(tmp_path_factory.mktemp("crossing"), crossing, looks)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, looks: dict[str, F32]) -> Played:
    return play(tmp_path_factory.mktemp("leaving"), one_leaves, looks)


@pytest.fixture(params=["crossed", "left"])
def played(request: pytest.FixtureRequest) -> Played:
    found: Played = request.getfixturevalue(request.param)
    return found


def test_nobody_ever_has_the_other_ones_face(played: Played) -> None:
    """By the ledger: a source is only ever put where the person stands who is to get it."""
    width = SIZE[0]
    swaps = 0
    for frame, rows in played.rows().items():
        collins, hopper = played.xs(frame)
        for row in rows:
            if not row.swapped:
                continue
            x = (row.box[0] + row.box[2]) / 2 / width
            home = collins if row.source == "hopper" else hopper
            assert abs(x - home) < NEAR, f"frame {frame}: {row.source} put at {x:.2f}, wanted at {home:.2f}"
            swaps += 1
    assert swaps > FRAMES
    assert {row.source for row in played.report.ledger if row.swapped} == {"hopper", "source"}


def test_one_person_has_one_source(played: Played) -> None:
    pairs = {(row.person, row.source) for row in played.report.ledger if row.swapped}
    assert len(pairs) == 2
    assert len({person for person, _ in pairs}) == 2


def test_the_result_shows_it(played: Played, looks: dict[str, F32]) -> None:
    """By the pixels: every face found in the result looks like the source of the person who stands there."""
    clip = probe(played.report.output)
    seen = 0
    with closing(FaceFinder(DetectOptions())) as finder:
        for frame in read_frames(clip):
            if frame.index not in (0, 3, FRAMES // 2, FRAMES - 1):
                continue
            rgb = rgb_from_planes(frame.planes, clip.color)
            places = played.xs(frame.index)
            for face in find_faces(rgb, DetectOptions(), finder):
                x = float(face.box[[0, 2]].mean()) / SIZE[0]
                # At the crossing both stand in one place; Hopper is in front.
                at = int(abs(x - places[0]) > abs(x - places[1]) - 0.03)
                wanted = ("hopper", "collins")[at]
                look = embed(rgb, face.landmarks[None])[0]
                distance = {name: float(np.linalg.norm(look - one)) for name, one in looks.items()}
                assert min(distance, key=lambda name: distance[name]) == wanted, (frame.index, x, distance)
                seen += 1
    assert seen >= 6


def test_who_is_hidden_is_left_alone(crossed: Played) -> None:
    """While Hopper stands before Collins, nothing is drawn in Collins's place."""
    middle = crossed.rows()[FRAMES // 2]
    assert [row.source for row in middle if row.swapped] == ["source"]
    before, after = (crossed.rows()[k] for k in (2, FRAMES - 3))
    assert sorted(row.source for row in before if row.swapped) == ["hopper", "source"]
    assert sorted(row.source for row in after if row.swapped) == ["hopper", "source"]


def test_who_comes_back_gets_the_same_face(left: Played) -> None:
    rows = left.rows()
    first = {row.source for row in rows[0] if row.swapped}
    middle = {row.source for row in rows[FRAMES // 2] if row.swapped}
    last = {row.source for row in rows[FRAMES - 1] if row.swapped}
    assert first == last == {"hopper", "source"}
    assert middle == {"hopper"}, "only Collins is there, and has Hopper's face"


def test_a_cast_serves_another_clip_of_the_same_people(
    crossed: Played, tmp_path: Path, looks: dict[str, F32]
) -> None:
    """Places exchanged, one of the two kept: it is still Hopper who gets the new face."""
    clip = make_stage(tmp_path / "other.mp4", lambda share: side_by_side(share)[::-1], 10)
    text = crossed.cast.read_text().replace('source = "hopper.png"', "keep = true")
    cast = crossed.cast.with_name("other.toml")
    cast.write_text(text)
    options = SwapOptions(method="mesh", job=OPTIONS.job, track=TrackOptions(cast=cast))
    report = swap_video([], clip, tmp_path / "out.mp4", options)
    swapped = [row for row in report.ledger if row.swapped]
    assert len(swapped) == 10
    assert {row.source for row in swapped} == {"source"}
    assert all(row.box[2] < SIZE[0] / 2 for row in swapped), "Hopper stands on the left now"
    assert {row.reason for row in report.ledger if not row.swapped} == {"not chosen"}


def test_the_sheet_shows_everybody(crossed: Played) -> None:
    from PIL import Image

    with Image.open(crossed.cast.with_suffix(".png")) as image:
        sheet = np.asarray(image)
    tiles = sheet[4:132, 136:264], sheet[136:264, 136:264]
    assert all(tile.std() > 20 for tile in tiles)
    assert sheet[4:132, :132].max() > 200, "the name is written there"


def test_sources_and_cast_exclude_each_other(crossed: Played, tmp_path: Path) -> None:
    options = SwapOptions(track=TrackOptions(cast=crossed.cast))
    with pytest.raises(UsageError, match="give only the target"):
        swap_video([COLLINS], crossed.clip, tmp_path / "o.mp4", options)


def test_a_clip_of_others_is_refused(crossed: Played, tmp_path: Path) -> None:
    options = SwapOptions(track=TrackOptions(cast=crossed.cast))
    nobody = tmp_path / "nobody.mp4"
    make_clip(nobody)
    with pytest.raises(NoFaceFound):
        swap_video([], nobody, tmp_path / "o.mp4", options)
    assert not (tmp_path / "o.mp4").exists()


def test_all_with_several_photos_is_one_source_for_all(tmp_path: Path) -> None:
    clip = make_stage(tmp_path / "two.mp4", side_by_side, 8)
    options = SwapOptions(method="mesh", job=OPTIONS.job, track=TrackOptions(face="all"))
    heard: list[Event] = []
    report = swap_video([COLLINS, COLLINS], clip, tmp_path / "out.mp4", options, heard.append)
    swapped = [row for row in report.ledger if row.swapped]
    assert {(row.person, row.source) for row in swapped} == {(0, "source"), (1, "source")}
    assert len(swapped) == 16
