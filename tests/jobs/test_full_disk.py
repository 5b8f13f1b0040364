"""A full disk: one line, exit code 5, finished work is kept, and a second run resumes."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, JobOptions
from faceswap_cli.errors import OutputError
from faceswap_cli.jobs import executor
from faceswap_cli.jobs.journal import open_journal
from faceswap_cli.jobs.seal import folder_of
from faceswap_cli.jobs.store import save_analysis
from faceswap_cli.video import writer
from faceswap_cli.video.assemble import assemble
from faceswap_cli.video.copying import copy_segment, find_cuts
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.writer import write_segment
from tests.clips import make_clip
from tests.jobs.example import small_example
from tests.jobs.test_executor import render, work
from tests.jobs.test_journal import KEY, finish
from tests.jobs.test_untouched import GROUPS, swap
from tests.swap.test_engine import make_analysis
from tests.video.test_roundtrip import rendered

LOSSLESS = EncodeOptions(lossless=True)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond ``size`` bytes: writes fail as they do on a full disk, in every library."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def encode(folder: Path) -> None:
    clip = probe(folder / "a.mp4")
    with closing(read_frames(clip)) as frames:
        write_segment(folder / "new", clip, frames, LOSSLESS)


def copy(folder: Path) -> None:
    clip = probe(folder / "a.mp4")
    copy_segment(folder / "new", clip, find_cuts(clip, LOSSLESS).pts)


def join(folder: Path) -> None:
    clip = probe(folder / "a.mp4")
    assemble(folder / "new.mp4", clip, [folder / "segment-1-0"])


def store(folder: Path) -> None:
    save_analysis(folder / "new.npz", make_analysis())


def pack(folder: Path) -> None:
    executor._pack(work(folder, render), folder / "new")


@pytest.mark.parametrize("task", [encode, copy, join, store, pack])
def test_every_writer_says_so_in_one_line(task: Callable[[Path], None], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (24, 48, 64, 3), dtype=np.uint8)
    make_clip(tmp_path / "a.mp4", frames=24, options={**GROUPS, "qp": "1"}, picture=lambda k, w, h: noise[k])
    rendered(probe(tmp_path / "a.mp4"), tmp_path, 1)
    before = {path.name for path in tmp_path.iterdir()}
    with room_for(30_000), pytest.raises(OutputError, match="new") as caught:
        task(tmp_path)
    assert "space" in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} - before <= {"new"}  # a parcel goes with its folder
    assert not list(tmp_path.glob("*.part*"))
    task(tmp_path)


def test_a_record_that_cannot_be_written_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    with (
        pytest.raises(OutputError, match="run the command again to resume"),
        open_journal(output, JobOptions()) as journal,
    ):
        journal.begin(KEY)
        finish(journal)
        with room_for(10):
            finish(journal, b"other")
    assert sorted(path.name for path in folder_of(output).iterdir()) == [
        *("job.json", "lock", "segment_000003.json", "segment_000003.mp4"),
    ]


def test_a_job_on_a_full_disk_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, count = writer.segment_container, 0

    def full(*given: Any) -> Any:
        nonlocal count
        count += 1
        if count > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*given)

    clip, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    small_example(clip, 12)
    monkeypatch.setattr(writer, "segment_container", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        swap(clip, output)
    assert caught.value.exit_code == 5
    assert len(list(folder_of(output).glob("segment_*.json"))) == 1
    assert not list(tmp_path.rglob("*.part"))
    monkeypatch.setattr(writer, "segment_container", original)
    begun: list[int] = []
    swap(
        clip,
        output,
        listen=lambda e: begun.append(e.data["done"]) if e.data.get("stage") == "render" else None,
    )
    assert begun[0] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]
