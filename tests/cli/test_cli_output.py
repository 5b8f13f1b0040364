"""Where results go: names, what is refused, and nothing left behind."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path

import pytest

from faceswap_cli.errors import InputError, OutputError, UsageError
from faceswap_cli.output import (
    VIDEO_SUFFIXES,
    Naming,
    check_disk,
    check_folder,
    check_inputs,
    check_output,
    output_path,
    video_bytes,
)


@pytest.fixture
def naming(machine: Path) -> Naming:
    return Naming(machine / "my clip.mov", ".mov", VIDEO_SUFFIXES, source="anna")


def test_default_is_beside_the_target(naming: Naming, machine: Path) -> None:
    assert output_path(None, naming) == machine / "my clip_swapped.mov"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("out.mp4", "out.mp4"),
        ("out", "out.mov"),
        ("a b/ü.mkv", "a b/ü.mkv"),
        ("-odd.mp4", "-odd.mp4"),
        ("new/", "new/my clip_swapped.mov"),
        ("{stem}-{source}{ext}", "my clip-anna.mov"),
        ("{stem}.{ext}", "my clip.mov"),
        ("{index}_{stem}", "0001_my clip.mov"),
        ("{{{stem}}}.mp4", "{my clip}.mp4"),
    ],
)
def test_names(naming: Naming, asked: str, expected: str) -> None:
    assert output_path(asked, naming) == Path(expected)


def test_an_existing_folder_takes_the_default_name(naming: Naming, machine: Path) -> None:
    (machine / "results").mkdir()
    assert output_path("results", naming) == Path("results/my clip_swapped.mov")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("{person}.mp4", "{stem} {ext} {source} {index}"),
        ("{stem", "not well formed"),
        ("{}.mp4", "known"),
        ("", "empty"),
        ("out.jpg", ".mp4"),
        ("out.ts", "cannot write .ts; write out.mkv and convert it: ffmpeg -i out.mkv -c copy out.ts"),
        ("out.mpg", "cannot write .mpg; write out.mkv and convert it: ffmpeg -i out.mkv -q:v 2 out.mpg"),
    ],
)
def test_what_cannot_be_named_is_a_usage_error(naming: Naming, asked: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        output_path(asked, naming)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "asked", ["x" * 240 + ".mp4", "x" * 252 + ".mp4", "x" * 300 + "/out.mp4", "x" * 300 + "/"]
)
def test_a_name_too_long_for_the_file_system_or_the_part_file_is_told_early(
    naming: Naming, asked: str
) -> None:
    with pytest.raises(OutputError, match="too long"):
        output_path(asked, naming)


def test_a_folder_may_have_the_longest_name(machine: Path, naming: Naming) -> None:
    folder = machine / ("x" * 250)
    folder.mkdir()
    assert output_path(str(folder), naming).parent == folder


def test_existing_output(machine: Path) -> None:
    out = machine / "out.mp4"
    out.write_text("old")
    with pytest.raises(OutputError, match="--force"):
        check_output(out, [], force=False, skip_existing=False)
    assert check_output(out, [], force=True, skip_existing=False)
    assert not check_output(out, [], force=False, skip_existing=True)
    assert out.read_text() == "old"


@pytest.mark.parametrize("link", ["same", "dotted", "symbolic", "hard"])
def test_an_input_is_never_written_over(machine: Path, link: str) -> None:
    given, out = machine / "in.mp4", machine / "out.mp4"
    given.write_text("precious")
    if link == "same":
        out = given
    elif link == "dotted":
        out = machine / "sub" / ".." / "in.mp4"
        (machine / "sub").mkdir()
    elif link == "symbolic":
        out.symlink_to(given)
    else:
        os.link(given, out)
    with pytest.raises(OutputError, match="never overwritten"):
        check_output(out, [given], force=True, skip_existing=False)
    assert given.read_text() == "precious"


def test_only_regular_files_are_replaced() -> None:
    with pytest.raises(OutputError, match="regular file"):
        check_output(Path(os.devnull), [], force=True, skip_existing=False)


def test_folders(machine: Path) -> None:
    with pytest.raises(OutputError, match="mkdir -p"):
        check_folder(machine / "none" / "out.mp4")
    (machine / "file").write_text("")
    with pytest.raises(OutputError, match="not a folder"):
        check_folder(machine / "file" / "out.mp4")
    check_folder(machine / "out.mp4")
    assert sorted(path.name for path in machine.iterdir()) == ["file"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write")
def test_folder_that_cannot_be_written() -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        check_folder(Path("/proc/self/out.mp4"))


def test_disk_is_checked_with_a_margin(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(1 << 40, 0, 100 << 20))
    check_disk(machine, 30 << 20, "x")
    with pytest.raises(OutputError, match="100 MiB free"):
        check_disk(machine, 40 << 20, "the result")


def test_size_estimate_grows_with_what_is_written() -> None:
    plain = video_bytes(1000, 1280 * 720, 100)
    assert plain > 1000
    assert video_bytes(10**9, 1280 * 720, 100) > 10**9
    assert video_bytes(1000, 1280 * 720, 100, lossless=True) > 20 * plain


def test_inputs(machine: Path) -> None:
    full, empty, folder = machine / "full.mp4", machine / "empty.mp4", machine / "folder"
    full.write_text("x")
    empty.write_text("")
    folder.mkdir()
    check_inputs([full])
    for bad, told in ((empty, "0 bytes"), (folder, "empty folder"), (machine / "gone", "does not exist")):
        with pytest.raises(InputError, match=told):
            check_inputs([full, bad])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_inputs(machine: Path) -> None:
    locked = machine / "locked"
    locked.mkdir(mode=0o000)
    with pytest.raises(InputError, match="permissions"):
        check_inputs([locked])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_named_pipes_are_neither_read_nor_replaced(machine: Path, naming: Naming) -> None:
    """To open one waits for a writer, and takes what it has written."""
    os.mkfifo(machine / "pipe")
    with pytest.raises(InputError, match="is a pipe or a device"):
        check_inputs([machine / "pipe"])
    with pytest.raises(OutputError, match="is a pipe or a device"):
        output_path(str(machine / "pipe"), naming)
