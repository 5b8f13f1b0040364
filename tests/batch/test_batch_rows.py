"""Names of results: where they may lie, and what they must not meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceswap_cli.batch.leftovers import leftovers
from faceswap_cli.batch.records import FOLDER, Records, row_key
from faceswap_cli.batch.rows import (
    Place,
    Request,
    Row,
    own_results,
    pairs,
    place_of,
    plan_rows,
    products,
    settle,
)
from faceswap_cli.batch.targets import Target, examine, expand_sources, expand_targets
from faceswap_cli.config import EncodeOptions, JobOptions, SwapOptions
from faceswap_cli.errors import InputError, OutputError, UsageError
from faceswap_cli.provenance.mark import container_metadata, made_here, read_mark, sheet_packet
from faceswap_cli.video.picture import Picture, write_picture
from tests.cli.fakes import picture
from tests.clips import make_clip

OPTIONS = SwapOptions()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def looks(*names: str) -> dict[Path, Target]:
    """Still pictures, without a look at any file."""
    return {Path(name): Target(Path(name)) for name in names}


def planned(place: Place, *requests: Request) -> list[Row]:
    return plan_rows(requests, looks(*(str(request.target) for request in requests)), place)


def asked(target: str, output: str | None = None, source: str = "me.jpg") -> Request:
    return Request((Path(source),), Path(target), OPTIONS, output, "jobs.csv line 2" if output else "")


def outputs(rows: list[Row]) -> list[str]:
    return [str(row.output) for row in rows]


def test_default_names(here: Path) -> None:
    targets = [Path("in/a.png"), Path("b.gif")]
    one = products([Path("me.jpg")], targets, OPTIONS)
    assert outputs(planned(place_of("out"), *one)) == ["out/a_swapped.png", "out/b_swapped.png"]
    two = products([Path("x.jpg"), Path("y.jpg")], targets, OPTIONS)
    rows = planned(place_of("out", several=True), *two)
    assert outputs(rows) == ["out/a_x.png", "out/a_y.png", "out/b_x.png", "out/b_y.png"]


def test_templates(here: Path) -> None:
    (here / "my.photos").mkdir()
    requests = products([Path("me.jpg"), Path("my.photos")], [Path("a.png")], OPTIONS)
    rows = planned(place_of("out/{source}/{index}-{stem}.{ext}"), *requests)
    assert outputs(rows) == ["out/me/0001-a.png", "out/my.photos/0002-a.png"]
    assert outputs(planned(place_of("{stem}_x{ext}"), asked("in/a.png"))) == ["a_x.png"]


def test_pairs_need_equal_numbers() -> None:
    found = pairs([Path("x.jpg"), Path("y.jpg")], [Path("a.png"), Path("b.png")], OPTIONS)
    assert [(r.sources[0].name, r.target.name) for r in found] == [("x.jpg", "a.png"), ("y.jpg", "b.png")]
    with pytest.raises(UsageError, match="not 1 and 2"):
        pairs([Path("x.jpg")], [Path("a.png"), Path("b.png")], OPTIONS)


@pytest.mark.parametrize("bad", [None, "", "-", "out.mp4", "out/x.PNG"])
def test_places_that_hold_no_batch(here: Path, bad: str | None) -> None:
    with pytest.raises(UsageError, match="-o"):
        place_of(bad)


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "link/x.png", "../", ".."])
@pytest.mark.parametrize("own_folder", [True, False])
def test_a_manifest_cannot_write_outside(here: Path, name: str, own_folder: bool) -> None:
    (here / "out").mkdir()
    (here / "elsewhere").mkdir()
    (here / "out" / "link").symlink_to(here / "elsewhere")
    place = place_of("out") if own_folder else place_of(None, here / "out" / "jobs.csv")
    if name.startswith("/") and not own_folder:
        name = "sub/../../x.png"  # absolute names are allowed here: see below
    with pytest.raises(UsageError, match=r"^jobs\.csv line 2: .* outside .*out"):
        planned(place, asked("a.png", name))


def test_names_that_only_look_dangerous(here: Path) -> None:
    rows = planned(place_of("out"), asked("a.png", "..x.png"), asked("a.png", "sub/../y.png"))
    assert outputs(rows) == ["out/..x.png", "out/y.png"]
    inside = planned(place_of("out"), asked("a.png", str(here / "out" / "z.png")))
    assert inside[0].output == here / "out" / "z.png"


def test_parts_of_names_cannot_lead_outside(here: Path) -> None:
    with pytest.raises(UsageError, match="outside"):
        planned(place_of("out/{source}/x{ext}"), Request((Path(".."),), Path("a.png"), OPTIONS))
    with pytest.raises(UsageError, match="outside"):
        planned(place_of("out"), asked("...png", "{stem}/x.png"))


def test_without_an_output_folder_absolute_names_are_the_users_word(here: Path) -> None:
    (here / "lists").mkdir()
    (here / "far").mkdir()
    place = place_of(None, here / "lists" / "jobs.csv")
    rows = planned(
        place, asked("a.png", str(here / "far" / "x.png")), asked("far/a.png"), asked("a.png", "y.png")
    )
    assert [row.output for row in rows] == [
        here / "far" / "x.png",
        Path("far/a_swapped.png"),
        here / "lists" / "y.png",
    ]
    with pytest.raises(OutputError, match=r"line 2: folder .*nowhere.* does not exist"):
        planned(place, asked("a.png", str(here / "nowhere" / "x.png")))


def test_two_results_of_one_name(here: Path) -> None:
    with pytest.raises(
        UsageError, match=r"out/a_swapped\.png would be written twice: x/a\.png .* and y/a\.png"
    ):
        planned(place_of("out"), asked("x/a.png"), asked("y/a.png"))
    (here / "out").mkdir()
    (here / "same").symlink_to(here / "out")
    with pytest.raises(UsageError, match="written twice"):
        planned(place_of("."), asked("a.png", "out/x.png"), asked("b.png", "same/x.png"))


def test_a_picture_cannot_be_called_a_video(here: Path) -> None:
    with pytest.raises(UsageError, match=r"jobs\.csv line 2: .*cannot write \.mp4"):
        planned(place_of("out"), asked("a.png", "x.mp4"))
    with pytest.raises(UsageError, match=r"result of a\.png: .*\{who\}"):
        planned(place_of("out/{who}"), asked("a.png"))


def test_a_clip_that_nothing_can_encode_fails_alone(here: Path) -> None:
    make_clip(here / "a.mp4")
    look = examine([here / "a.mp4", here / "gone.mp4", here])
    assert look[here / "a.mp4"].kind == "video"
    assert isinstance(look[here / "gone.mp4"].problem, InputError)
    assert "folder" in str(look[here].problem)
    requests = [Request((Path("me.jpg"),), path, OPTIONS) for path in look]
    rows = plan_rows(requests, look, place_of("out"))
    assert [row.output is None for row in rows] == [False, True, True]
    wrong = SwapOptions(encode=EncodeOptions(codec="nosuch"))
    with pytest.raises(UsageError, match="nosuch"):
        plan_rows([Request((Path("me.jpg"),), here / "a.mp4", wrong)], look, place_of("out"))


def test_results_among_the_targets_are_told_apart() -> None:
    requests = [asked("in/a.png"), asked("in/a_swapped.png"), asked("in/b.png")]
    rows = planned(place_of("in"), *requests)
    assert own_results(requests, rows) == {Path("in/a_swapped.png")}
    numbered = [asked("in/a.png"), asked("in/b.png"), asked("in/z0001.png"), asked("in/z0002.png")]
    found = own_results(numbered, planned(place_of("in/z{index}{ext}"), *numbered))
    assert found == {Path("in/z0001.png"), Path("in/z0002.png")}


def marked(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, Picture(rgb=np.full((8, 8, 3), 99, np.uint8), xmp=sheet_packet()))
    return path


def left_out(*names: str, named: tuple[str, ...] = ()) -> dict[str, str]:
    targets = [Path(name) for name in names]
    requests = [Request((Path("me.jpg"),), path, OPTIONS) for path in targets]
    looks = examine(targets)
    rows = plan_rows(requests, looks, place_of("out"))
    found = leftovers(requests, rows, looks, [Path("me.jpg")], {Path(name) for name in named})
    return {path.name: why for path, why in found.items()}


def test_sheets_and_the_source_are_no_targets(here: Path) -> None:
    picture(Path("me.jpg"))
    Path("copy.jpg").write_bytes(Path("me.jpg").read_bytes())
    Image.new("RGB", (9, 9)).save("b.png")
    sheet = marked(Path("b_preview.png")).name
    assert left_out("me.jpg", "b.png", sheet) == {"me.jpg": "the source", sheet: "made by faceswap"}
    assert left_out("copy.jpg", "b.png") == {"copy.jpg": "the source"}
    assert left_out("me.jpg", "b.png", sheet, named=("me.jpg", sheet)) == {}
    assert left_out(sheet) == {}, "a second pass over results is allowed"
    with pytest.raises(UsageError, match=r"no target is left: skipped me.jpg \(the source\)"):
        left_out("me.jpg")


def test_what_this_program_wrote_is_known(here: Path) -> None:
    assert made_here(marked(Path("a.png")))
    assert read_mark(Path("a.png")) is None, "a sheet of untouched pictures is not marked as AI-made"
    assert not made_here(picture(Path("b.png")))
    assert made_here(Path("c.mp4"), container_metadata())
    assert not made_here(Path("c.mp4"), {"comment": "mine"})


def _files(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return paths


def test_expanding(here: Path) -> None:
    _files(
        here,
        "in/b.MP4",
        "in/a.jpg",
        "in/note.txt",
        "in/.hidden.mp4",
        "in/deep/c.mkv",
        "in/[x].mp4",
        "f/1.png",
    )
    found = [str(path) for path in expand_targets(["in", "in/deep/*", "odd.bin"])]
    assert found == ["in/[x].mp4", "in/a.jpg", "in/b.MP4", "in/deep/c.mkv", "odd.bin"]
    assert [p.name for p in expand_targets(["in/**"])] == ["[x].mp4", "a.jpg", "b.MP4", "c.mkv"]
    assert [p.name for p in expand_targets(["in/[x].mp4"])] == ["[x].mp4"], "a name before a pattern"
    assert [str(p) for p in expand_sources(["f", "in/*.jpg"])] == ["f", "in/a.jpg"], "a folder is one person"
    for pattern in ("in/*.avi", "nowhere/*"):
        with pytest.raises(InputError, match="no picture or video matches"):
            expand_targets([pattern])
    (here / "empty").mkdir()
    with pytest.raises(InputError, match="no picture or video"):
        expand_targets(["empty"])
    for bad in ("", "-"):
        with pytest.raises(UsageError):
            expand_targets([bad])


def settled(rows: list[Row], base: Path, *protected: Path, **flags: bool) -> list[Row]:
    how = {"force": False, "skip_existing": False, **flags}
    return settle(rows, Records(base), protected, **how)


def test_what_lies_at_an_output(here: Path) -> None:
    _files(here, "out/a_swapped.png", "a.png", "b.png", "me.jpg")
    rows = planned(place_of("out"), asked("a.png"), asked("b.png"))
    with pytest.raises(OutputError, match=r"a_swapped\.png exists; use --force .*--skip-existing"):
        settled(rows, here / "out")
    assert [r.state for r in settled(rows, here / "out", force=True)] == ["todo", "todo"]
    assert [r.state for r in settled(rows, here / "out", skip_existing=True)] == ["skipped", "todo"]
    (here / "out" / "b_swapped.png").mkdir()
    with pytest.raises(OutputError, match="not a regular file"):
        settled(rows, here / "out", force=True)


def test_no_input_is_written_over(here: Path) -> None:
    _files(here, "a.png", "b.png", "me.jpg")
    rows = planned(place_of("."), asked("a.png", "b.png"), asked("b.png", "c.png"))
    for flags in ({"force": True}, {"skip_existing": True}, {}):
        with pytest.raises(OutputError, match=r"b\.png is an input and is never overwritten"):
            settled(rows, here, here / "a.png", here / "b.png", **flags)
    (here / "c.png").hardlink_to(here / "a.png")
    with pytest.raises(OutputError, match=r"c\.png is an input"):
        settled([rows[1]], here, here / "a.png", force=True)


def test_a_record_stands_for_its_result_only(here: Path) -> None:
    (photo, target, out) = _files(here, "me.jpg", "a.png", "out/r.png")
    records = Records(here / "out")
    key = row_key([photo], target, OPTIONS)
    out.unlink()
    records.begin(out, key)
    assert records.done(out, key) is None, "there is no result yet"
    out.write_bytes(b"whole")
    assert records.done(out, key) == {}, "renamed, and then the program died"
    records.finish(out, key, {"frames": 3})
    assert records.done(out, key) == {"frames": 3}
    assert records.done(out, row_key([photo], target, SwapOptions(method="mesh"))) is None
    other = SwapOptions(job=JobOptions(workers=3, measure_identity=True))
    assert row_key([photo], target, other) == key, "how it is run does not matter"
    target.write_bytes(b"another picture")
    assert row_key([photo], target, OPTIONS) != key
    out.write_bytes(b"edited by hand")
    assert records.done(out, key) is None
    records.begin(out, key)
    assert records.done(out, key) is None, "what was there before is not the job's"
    next((here / "out" / FOLDER).iterdir()).write_text("{")
    assert records.done(out, key) is None
    records.forget([out])
    assert [path.name for path in (here / "out").iterdir()] == ["r.png"]


def test_records_that_cannot_be_kept_stop_nothing(here: Path) -> None:
    (blocked,) = _files(here, "out")
    records = Records(blocked)
    records.begin(here / "r.png", "key")
    assert records.trouble
    assert records.done(here / "r.png", "key") is None
    records.forget([here / "r.png"])
