"""What a job keeps, what it throws away, and who may work on it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceswap_cli.config import DetectOptions, EncodeOptions, JobOptions, SwapOptions, TrackOptions
from faceswap_cli.errors import InputError, Interrupted, NoFaceFound, OutputError
from faceswap_cli.jobs import journal as journals
from faceswap_cli.jobs.files import read_json, write_json
from faceswap_cli.jobs.journal import Journal, open_journal
from faceswap_cli.jobs.keys import Key, analysis_key, differences, job_key
from faceswap_cli.jobs.locks import try_lock
from faceswap_cli.jobs.seal import disown, folder_of, is_own_result
from faceswap_cli.jobs.store import load_analysis, save_analysis
from faceswap_cli.records import LedgerRow, Segment, SegmentResult
from tests.swap.test_engine import make_analysis, make_clip

ROOT = Path(__file__).resolve().parent.parent.parent
SEGMENT = Segment(3, 0, 400, 8, 10, True)
ROW = LedgerRow(40, 0.04, 0, 0, True, "", (1.0, 2.0, 3.0, 4.0), 1.5, -2.0, 0.0, 0.41, 0.0, 900.0)
KEY: Key = {"input": "k", "encode.crf": "18"}
JOB = JobOptions()


def finish(journal: Journal, content: bytes = b"frames") -> SegmentResult:
    path = journal.segment_path(SEGMENT)
    path.write_bytes(content)
    result = SegmentResult(SEGMENT, path, 10, 10, (ROW,))
    journal.keep(result)
    return result


def interrupted(output: Path) -> None:
    with pytest.raises(Interrupted), open_journal(output, JOB) as journal:
        journal.begin(KEY)
        finish(journal)
        raise Interrupted("stopped")


def killed(output: Path, code: str) -> None:
    """Run ``code`` with ``journal`` open in a process that is killed at its end."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from faceswap_cli.config import JobOptions\n"
        "from faceswap_cli.jobs.journal import open_journal\n"
        "from tests.jobs.test_journal import KEY, finish\n"
        "output = Path(sys.argv[1])\n"
        f"with open_journal(output, JobOptions()) as journal:\n    {code}\n    os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", program, str(output)], env=environment).returncode == -9


def test_interrupted_work_is_found_again(tmp_path: Path) -> None:
    interrupted(tmp_path / "out.mp4")
    with open_journal(tmp_path / "out.mp4", JOB) as journal:
        assert journal.begin(KEY) == []
        found = journal.done([SEGMENT, replace(SEGMENT, index=4)])
        assert list(found) == [3]
        assert found[3].ledger == (ROW,)
    assert not list(tmp_path.iterdir())


def test_another_key_starts_afresh_and_says_what_changed(tmp_path: Path) -> None:
    interrupted(tmp_path / "out.mp4")
    with open_journal(tmp_path / "out.mp4", JOB) as journal:
        assert journal.begin({**KEY, "encode.crf": "30"}) == ["encode.crf"]
        assert not journal.done([SEGMENT])
        assert not list(journal.folder.glob("segment_*"))


def test_restart_throws_away_what_is_there(tmp_path: Path) -> None:
    interrupted(tmp_path / "out.mp4")
    with open_journal(tmp_path / "out.mp4", JobOptions(restart=True)) as journal:
        assert [path.name for path in journal.folder.iterdir()] == ["lock"]
        assert journal.begin(KEY) == []
        assert not journal.done([SEGMENT])


def test_a_kept_folder_serves_the_next_run(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with open_journal(output, JobOptions(keep=True)) as journal:
        journal.begin(KEY)
        finish(journal)
        (journal.folder / "work.parcel").write_text("left over")
        (journal.folder / ".segment_000009.mp4.part").write_text("left over")
        part = tmp_path / "part"
        part.write_text("result")
        journal.seal(part)
        part.rename(output)
    names = sorted(path.name for path in folder_of(output).iterdir())
    assert names == ["job.json", "lock", "segment_000003.json", "segment_000003.mp4"]
    assert not is_own_result(output)
    with open_journal(output, JOB) as journal:
        assert journal.begin(KEY) == []
        assert list(journal.done([SEGMENT])) == [3]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("harm", ["file", "record", "digit", "missing", "plan"])
def test_what_is_not_whole_is_rendered_again(tmp_path: Path, harm: str) -> None:
    interrupted(tmp_path / "out.mp4")
    with open_journal(tmp_path / "out.mp4", JOB) as journal:
        path = journal.segment_path(SEGMENT)
        if harm == "file":
            path.write_bytes(b"frame")
        elif harm == "record":
            path.with_suffix(".json").write_text(path.with_suffix(".json").read_text()[:-9])
        elif harm == "digit":
            record = path.with_suffix(".json")
            record.write_text(
                record.read_text().replace('"identity_distance": 0.41', '"identity_distance": 0.42')
            )
        elif harm == "missing":
            path.unlink()
        asked = replace(SEGMENT, end_pts=440) if harm == "plan" else SEGMENT
        assert not journal.done([asked])


def test_nothing_stays_without_finished_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="early"), open_journal(tmp_path / "out.mp4", JOB):
        raise ValueError("early")
    with pytest.raises(NoFaceFound), open_journal(tmp_path / "out.mp4", JOB) as journal:
        finish(journal)
        raise NoFaceFound("nothing was swapped")
    assert not list(tmp_path.iterdir())


def test_two_runs_exclude_each_other(tmp_path: Path) -> None:
    with open_journal(tmp_path / "out.mp4", JOB):
        with pytest.raises(OutputError, match="another run"), open_journal(tmp_path / "out.mp4", JOB):
            pass
        with open_journal(tmp_path / "other.mp4", JOB):
            pass


def test_equal_names_in_two_folders_never_meet(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        interrupted(tmp_path / name / "clip.mp4")
    with open_journal(tmp_path / "a" / "clip.mp4", JOB) as journal:
        journal.begin(KEY)
    assert not list((tmp_path / "a").iterdir())
    with open_journal(tmp_path / "b" / "clip.mp4", JOB) as journal:
        assert journal.begin(KEY) == []
        assert list(journal.done([SEGMENT])) == [3]


def test_a_folder_removed_under_a_waiting_run_is_made_again(tmp_path: Path) -> None:
    """Runs that begin while others end: never two at a time, never an error but "another run"."""
    output, inside, most, done = tmp_path / "out.mp4", 0, 0, 0
    guard = threading.Lock()

    def one() -> None:
        nonlocal inside, most, done
        for _ in range(40):
            try:
                with open_journal(output, JOB):
                    with guard:
                        inside += 1
                        most = max(most, inside)
                    time.sleep(0.0005)
                    with guard:
                        inside -= 1
                        done += 1
            except OutputError as error:
                assert "another run" in str(error)  # noqa: PT017  most attempts end so

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert done > 0
    assert not list(tmp_path.iterdir())


def test_a_killed_run_holds_no_lock(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    killed(output, "journal.begin(KEY); finish(journal)")
    with open_journal(output, JOB) as journal:
        assert journal.begin(KEY) == []
        assert list(journal.done([SEGMENT])) == [3]


def test_a_run_killed_after_the_rename_knows_its_result(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    code = "journal.begin(KEY); finish(journal); part = output.with_name('p'); part.write_text('x'); "
    killed(output, code + "journal.seal(part); part.rename(output)")
    assert is_own_result(output)
    with (
        pytest.raises(OutputError, match="a different command"),
        open_journal(output, JOB) as journal,
    ):
        journal.begin({**KEY, "encode.crf": "30"})
    assert is_own_result(output)
    with open_journal(output, JOB) as journal:
        assert journal.begin(KEY) == []
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert not is_own_result(output)


def test_a_result_that_was_changed_or_disowned_is_not_ones_own(tmp_path: Path) -> None:
    for name in ("changed.mp4", "disowned.mp4"):
        output = tmp_path / name
        code = "journal.begin(KEY); part = output.with_name('p'); part.write_text('x'); "
        killed(output, code + "journal.seal(part); part.rename(output)")
        assert is_own_result(output)
    (tmp_path / "changed.mp4").write_text("another file")
    assert not is_own_result(tmp_path / "changed.mp4")
    disown(tmp_path / "disowned.mp4")
    assert not is_own_result(tmp_path / "disowned.mp4")


def test_a_run_waits_for_the_workers_of_a_killed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.mp4"
    killed(output, "pass")
    handle = (folder_of(output) / journals.WORKERS).open("a")
    assert try_lock(handle, shared=True)
    monkeypatch.setattr(journals, "WORKERS_END_S", 0.2)
    with pytest.raises(OutputError, match="not ended yet"), open_journal(output, JOB):
        pass
    handle.close()
    with open_journal(output, JOB):
        pass
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / ".out.mp4.faceswap").write_text("a file in the way")
    with pytest.raises(OutputError, match=r"out\.mp4"), open_journal(tmp_path / "out.mp4", JOB):
        pass
    with pytest.raises(OutputError, match="No such file"), open_journal(tmp_path / "no" / "o.mp4", JOB):
        pass


def test_the_key_names_pixels_not_workers(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"0123456789")
    clip, options = replace(make_clip(), path=path), SwapOptions()
    key = job_key(clip, "sources", {0: 0}, "weights", options)
    more = JobOptions(workers=7, keep=True, restart=True)
    same = replace(options, job=more, detect=DetectOptions(workers=7))
    assert job_key(clip, "sources", {0: 0}, "weights", same) == key
    coarser = replace(options, encode=EncodeOptions(crf=30))
    others = {
        "sources": job_key(clip, "others", {0: 0}, "weights", options),
        "cast": job_key(clip, "sources", {1: 0}, "weights", options),
        "weights": job_key(clip, "sources", {0: 0}, "other weights", options),
        "encode.crf": job_key(clip, "sources", {0: 0}, "weights", coarser),
    }
    for name, other in others.items():
        assert differences(key, other) == [name]
    path.write_bytes(b"0123456780")
    assert differences(key, job_key(clip, "sources", {0: 0}, "weights", options)) == ["input"]
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        job_key(clip, "sources", {0: 0}, "weights", options)


def test_the_analysis_depends_neither_on_the_choice_nor_on_the_encoder(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"0123456789")
    clip, options = replace(make_clip(), path=path), SwapOptions()
    key = analysis_key(clip, options, None, 40)
    same = replace(options, track=TrackOptions(face="2"), encode=EncodeOptions(crf=30))
    assert analysis_key(clip, same, None, 40) == key
    finer = replace(options, detect=DetectOptions(min_face_px=12))
    assert differences(key, analysis_key(clip, finer, None, 40)) == ["detect.min_face_px"]
    assert differences(key, analysis_key(clip, options, 0, 40)) == ["range"]


def test_an_analysis_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = make_analysis()
    save_analysis(tmp_path / "a.npz", kept)
    found = load_analysis(tmp_path / "a.npz")
    assert found.shots == kept.shots
    assert (found.damaged_packets, len(found.tracks)) == (kept.damaged_packets, len(kept.tracks))
    np.testing.assert_array_equal(found.pts, kept.pts)
    for name in ("pts", "landmarks", "crop_from_display", "confidence", "opacity", "embedding"):
        for a, b in zip(found.tracks, kept.tracks, strict=True):
            stored, given = getattr(a, name), getattr(b, name)
            assert stored.dtype == given.dtype
            np.testing.assert_array_equal(stored, given)
    for a, b in zip(found.people, kept.people, strict=True):
        assert (a.person, a.tracks, a.frames) == (b.person, b.tracks, b.frames)
        assert (a.mean_size_px, a.mean_x) == (b.mean_size_px, b.mean_x)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("harm", ["cut", "bit", "key", "missing", "other", "none"])
def test_a_damaged_analysis_is_made_again(tmp_path: Path, harm: str) -> None:
    with open_journal(tmp_path / "out.mp4", JobOptions(keep=True)) as journal:
        journal.keep_analysis(KEY, make_analysis())
        path = journal.folder / "analysis.npz"
        data = path.read_bytes()
        if harm == "cut":
            path.write_bytes(data[:-100])
        elif harm == "bit":
            path.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
        elif harm == "missing":
            path.unlink()
        elif harm == "other":
            path.with_suffix(".json").write_text("[]")
        found = journal.analysis({**KEY, "input": "other"} if harm == "key" else KEY)
        assert (found is None) == (harm != "none")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_what_is_no_analysis_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz is not a readable analysis"):
        load_analysis(path)
    with pytest.raises(InputError, match="No such file"):
        load_analysis(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"pts": 1.5}, {"box": [1, 2, 3]}, {"box": ["1", 2, 3, 4]}, {"yaw": None}, {"occluded": 10**400},
        {"in_front": {"rim": None}}, {"in_front": 3},
        {"reason": 3}, {"swapped": 1}, {"more": 1},
    ],
)  # fmt: skip
def test_a_row_that_is_none_is_not_believed(change: dict[str, Any], tmp_path: Path) -> None:
    """A record may be whole and still say nonsense: it may be another one's."""
    with open_journal(tmp_path / "out.mp4", JOB) as journal:
        path = finish(journal).path.with_suffix(".json")
        record = read_json(path)
        write_json(path, {**record, "ledger": [{**record["ledger"][0], **change}]})
        assert not journal.done([SEGMENT])
        write_json(path, record)
        assert journal.done([SEGMENT])


def test_records_are_json(tmp_path: Path) -> None:
    with open_journal(tmp_path / "out.mp4", JOB) as journal:
        record = read_json(finish(journal).path.with_suffix(".json"))
        assert record["frames"] == 10
        assert record["ledger"][0]["identity_distance"] == 0.41
