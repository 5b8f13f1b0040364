"""What a job keeps, what it throws away, and who may work on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from faceswap_cli.config import EncodeOptions, JobOptions, SwapOptions
from faceswap_cli.errors import Interrupted, NoFaceFound, OutputError
from faceswap_cli.jobs.journal import Journal, job_key, open_journal
from faceswap_cli.records import LedgerRow, Segment, SegmentResult
from tests.swap.test_engine import make_clip

SEGMENT = Segment(3, 0, 400, 8, 10, True)
ROW = LedgerRow(40, 0.04, 0, 0, True, "", (1.0, 2.0, 3.0, 4.0), 1.5, -2.0, 0.0, 0.41, 0.0, 900.0)


def finish(journal: Journal, content: bytes = b"frames") -> SegmentResult:
    path = journal.segment_path(SEGMENT)
    path.write_bytes(content)
    result = SegmentResult(SEGMENT, path, 10, 10, (ROW,))
    journal.keep(result)
    return result


def interrupted(output: Path, key: str = "k") -> None:
    with pytest.raises(Interrupted), open_journal(output, key) as journal:
        finish(journal)
        raise Interrupted("stopped")


def test_interrupted_work_is_found_again(tmp_path: Path) -> None:
    interrupted(tmp_path / "out.mp4")
    with open_journal(tmp_path / "out.mp4", "k") as journal:
        found = journal.done([SEGMENT, replace(SEGMENT, index=4)])
        assert list(found) == [3]
        assert found[3].ledger == (ROW,)
        assert not journal.afresh
    assert not list(tmp_path.iterdir())


def test_another_key_starts_afresh(tmp_path: Path) -> None:
    interrupted(tmp_path / "out.mp4")
    with open_journal(tmp_path / "out.mp4", "other") as journal:
        assert journal.afresh
        assert not journal.done([SEGMENT])


@pytest.mark.parametrize("harm", ["file", "record", "missing", "plan"])
def test_what_is_not_whole_is_rendered_again(tmp_path: Path, harm: str) -> None:
    interrupted(tmp_path / "out.mp4")
    with open_journal(tmp_path / "out.mp4", "k") as journal:
        path = journal.segment_path(SEGMENT)
        if harm == "file":
            path.write_bytes(b"frame")
        elif harm == "record":
            path.with_suffix(".json").write_text(path.with_suffix(".json").read_text()[:-9])
        elif harm == "missing":
            path.unlink()
        asked = replace(SEGMENT, end_pts=440) if harm == "plan" else SEGMENT
        assert not journal.done([asked])


def test_nothing_stays_without_finished_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="early"), open_journal(tmp_path / "out.mp4", "k"):
        raise ValueError("early")
    with pytest.raises(NoFaceFound), open_journal(tmp_path / "out.mp4", "k") as journal:
        finish(journal)
        raise NoFaceFound("nothing was swapped")
    assert not list(tmp_path.iterdir())


def test_two_runs_exclude_each_other(tmp_path: Path) -> None:
    with open_journal(tmp_path / "out.mp4", "k"):
        with pytest.raises(OutputError, match="another run"), open_journal(tmp_path / "out.mp4", "k"):
            pass
        with open_journal(tmp_path / "other.mp4", "k"):
            pass


def test_a_killed_run_holds_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from faceswap_cli.jobs.journal import open_journal\n"
        "with open_journal(Path(sys.argv[1]), 'k'): os.kill(os.getpid(), 9)\n"
    )
    output = tmp_path / "out.mp4"
    root = str(Path(__file__).resolve().parent.parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    assert subprocess.run([sys.executable, "-c", code, str(output)], env=environment).returncode == -9
    with open_journal(output, "k") as journal:
        assert not journal.afresh


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / ".out.mp4.faceswap").write_text("a file in the way")
    with pytest.raises(OutputError, match=r"out\.mp4"), open_journal(tmp_path / "out.mp4", "k"):
        pass


def test_the_key_names_pixels_not_workers(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"0123456789")
    clip, options = replace(make_clip(), path=path), SwapOptions()
    key = job_key(clip, "sources", {0: 0}, "weights", options)
    same = replace(options, job=JobOptions(workers=7))
    assert job_key(clip, "sources", {0: 0}, "weights", same) == key
    coarser = replace(options, encode=EncodeOptions(crf=30))
    others = [
        job_key(clip, "others", {0: 0}, "weights", options),
        job_key(clip, "sources", {1: 0}, "weights", options),
        job_key(clip, "sources", {0: 0}, "other weights", options),
        job_key(clip, "sources", {0: 0}, "weights", coarser),
    ]
    path.write_bytes(b"0123456780")
    others.append(job_key(clip, "sources", {0: 0}, "weights", options))
    assert len({key, *others}) == 6


def test_records_are_json(tmp_path: Path) -> None:
    with open_journal(tmp_path / "out.mp4", "k") as journal:
        result = finish(journal)
        record = json.loads(result.path.with_suffix(".json").read_text())
        assert record["frames"] == 10
        assert record["ledger"][0]["identity_distance"] == 0.41
