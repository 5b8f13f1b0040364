"""Each row of docs/reliability.md: what fails, what is told, what is kept; then the same command finishes."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from faceswap_cli.cli import as_known
from faceswap_cli.errors import DeviceError, FaceswapError, InputError, OutputError, UsageError
from faceswap_cli.jobs.seal import folder_of
from faceswap_cli.swap import renderer
from faceswap_cli.video import reader, writer
from tests.faults.small_job import FRAMES, OPTIONS, SmallJob, at_segment, copy_of
from tests.jobs.example import EXAMPLES, ROOT, frames_digest, small_example
from tests.jobs.test_executor import processes_with


def slow(value: Any) -> Any:
    """A variant that need not run every time."""
    return pytest.param(value, marks=pytest.mark.slow)


def ended(job: SmallJob, kind: type[FaceswapError], **given: Any) -> str:
    """The message of a run that fails; no output, no part files, and the input as it was named."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  looked at below
        job.run(**given)
    known = as_known(caught.value)
    assert type(known) is kind, repr(caught.value)
    assert "\n" not in str(known)
    assert not job.output.exists()
    assert not [path for path in job.clip.parent.rglob("*") if ".part" in path.name]
    assert job.names() == ["in.mp4"]
    return str(known)


def finishes(job: SmallJob, whole: str) -> None:
    """The command is run again and resumes; only the result is left."""
    job.run()
    assert frames_digest(job.output) == whole
    assert job.names() == ["in.mp4", "out.mp4"]
    assert not folder_of(job.output).exists()


# -- the input changes


def test_input_cut_short_while_running(job: SmallJob, whole: str) -> None:
    """Video packets of the last segment vanish: no shorter output is made of what is left."""
    data, stat = job.clip.read_bytes(), job.clip.stat()

    def cut() -> None:
        with job.clip.open("r+b") as file:
            file.truncate(len(data) // 3)

    message = ended(job, InputError, listen=at_segment(0, cut))
    assert "in.mp4" in message
    job.clip.write_bytes(data)
    os.utime(job.clip, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert job.segments_done >= 1
    finishes(job, whole)


def test_input_replaced_by_another_of_the_same_times(job: SmallJob, tmp_path: Path) -> None:
    """Frame times tell nothing: the file itself is looked at again before the result gets its name."""
    other = tmp_path / "other.mp4"
    small_example(other, FRAMES, audio=1, options={"x264-params": "keyint=4:qp=30"})
    message = ended(job, InputError, listen=at_segment(1, lambda: os.replace(other, job.clip)))
    assert "changed during the job" in message


def test_input_gone_while_running(job: SmallJob, whole: str) -> None:
    away = job.clip.with_name(".away")
    with pytest.raises(InputError, match=r"in\.mp4"):
        job.run(listen=at_segment(0, lambda: job.clip.rename(away)))
    assert not job.output.exists()
    away.rename(job.clip)
    finishes(job, whole)


# -- reading fails


def failing_reads(monkeypatch: pytest.MonkeyPatch, code: int, packets: int) -> None:
    """The input's disk fails after so many packets of one opening."""
    original = reader._packets

    def demux(container: Any, stream: Any, *rest: Any) -> Iterator[Any]:
        def broken(_: Any) -> Iterator[Any]:
            for number, packet in enumerate(container.demux(stream)):
                if number == packets:
                    av.error.err_check(-code)
                yield packet

        return original(SimpleNamespace(demux=broken, name=container.name), stream, *rest)

    monkeypatch.setattr(reader, "_packets", demux)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOMEM])
def test_read_error_is_no_early_end(
    code: int, job: SmallJob, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_reads(monkeypatch, code, 7)
    assert "cannot be read any further" in ended(job, InputError)
    monkeypatch.undo()
    finishes(job, whole)


# -- memory


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


MEMORY: dict[str, tuple[Any, str, type[Exception], int]] = {
    "drawing": (renderer, "_draw", MemoryError, 8),
    "a GPU": (renderer, "_draw", OutOfMemoryError, 8),
    "decoding": (reader, "planes_from_picture", MemoryError, 16),
    "encoding": (writer, "picture_from_planes", MemoryError, 6),
}
"""Where -> function, error, and after how many calls: in the second segment"""


@pytest.mark.parametrize("where", ["drawing", "a GPU", slow("decoding"), slow("encoding")])
def test_memory_refused(where: str, job: SmallJob, whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, kind, after = MEMORY[where]
    original, calls = getattr(module, name), SimpleNamespace(count=0)

    def refused(*given: Any, **named: Any) -> Any:
        calls.count += 1
        if calls.count > after:
            raise kind("no memory")
        return original(*given, **named)

    monkeypatch.setattr(module, name, refused)
    assert "out of memory" in ended(job, DeviceError)
    monkeypatch.setattr(module, name, original)
    assert job.segments_done >= 1
    finishes(job, whole)


def test_a_decoder_without_memory_is_no_damage(job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    class Packet:
        size = 1

        def decode(self) -> None:
            av.error.err_check(-errno.ENOMEM)

    monkeypatch.setattr(reader, "_packets", lambda *_: iter([Packet()]))
    ended(job, DeviceError)


# -- encoder


@pytest.mark.parametrize(
    ("given", "words"), [({"preset": "nonsense"}, "try another --preset"), ({"codec": "nothing"}, "nothing")]
)
def test_encoder_that_cannot_open(given: dict[str, Any], words: str, job: SmallJob) -> None:
    encode = replace(OPTIONS.encode, **given)
    assert words in ended(job, UsageError, options=replace(OPTIONS, encode=encode))


def test_encoder_that_fails_on_the_way(job: SmallJob, whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = writer.DecodingClock.stamped, SimpleNamespace(count=0)

    def stamped(self: Any, packets: Any) -> Any:
        calls.count += 1
        if calls.count > 6:
            av.error.err_check(-errno.EINVAL)
        return original(self, packets)

    monkeypatch.setattr(writer.DecodingClock, "stamped", stamped)
    with pytest.raises(FaceswapError) as caught:
        job.run()
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    finishes(job, whole)


# -- permissions


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Root may write everywhere: become somebody who may not."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def open_job(analysed_job: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallJob]:
    """In a folder that everybody can get to."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    monkeypatch.setenv("XDG_DATA_HOME", str(place / "data"))
    yield copy_of(analysed_job, place / "job")
    for path in (place / "job", place / "job" / ".out.mp4.faceswap"):
        if path.exists():
            path.chmod(0o755)
    shutil.rmtree(place)


@pytest.mark.parametrize("lost", [".", ".out.mp4.faceswap"])
def test_permission_lost_while_running(lost: str, open_job: SmallJob, whole: str) -> None:
    folder = open_job.clip.parent
    with as_nobody(folder):
        with pytest.raises(OutputError, match="cannot") as caught:
            open_job.run(listen=at_segment(0, lambda: (folder / lost).chmod(0o555)))
        assert "\n" not in str(caught.value)
        assert open_job.names() == ["in.mp4"]
        (folder / lost).chmod(0o755)
        finishes(open_job, whole)


def test_input_that_may_not_be_read_any_more(open_job: SmallJob, whole: str) -> None:
    with as_nobody(open_job.clip.parent):
        with pytest.raises(InputError, match=r"in\.mp4"):
            open_job.run(listen=at_segment(0, lambda: open_job.clip.chmod(0)))
        open_job.clip.chmod(0o644)
        finishes(open_job, whole)


# -- clocks


@pytest.mark.parametrize("jump_s", [-4e8, slow(-3600.0), slow(3600.0), slow(9e8)])
def test_the_clock_jumps(jump_s: float, job: SmallJob, whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now, jumped = time.time, SimpleNamespace(by=0.0)
    monkeypatch.setattr(time, "time", lambda: now() + jumped.by)
    monkeypatch.setattr(time, "time_ns", lambda: int((now() + jumped.by) * 1e9))

    def jump() -> None:
        jumped.by = jump_s

    job.run(listen=at_segment(0, jump))
    assert frames_digest(job.output) == whole
    from faceswap_cli.provenance.verify import read_statement

    statement = read_statement(job.output)
    assert statement is not None
    assert statement.state == "valid"


# -- signals


@pytest.mark.parametrize("gap_s", [0.0, slow(0.05)])
def test_a_storm_of_signals(gap_s: float, job: SmallJob, whole: str) -> None:
    """In a real process with workers: it ends at once, leaves nothing half done, and goes on."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("FACESWAP_")},
        "PYTHONPATH": str(ROOT), "FACESWAP_ACCEPT_TERMS": "1", "STORM": str(job.clip.parent),
        "XDG_DATA_HOME": str(job.clip.parent.parent / "data"),
        "XDG_CONFIG_HOME": str(job.clip.parent.parent / "config"),
    }  # fmt: skip
    command = [sys.executable, "-m", "faceswap_cli", "video", str(EXAMPLES / "source.jpg"), str(job.clip)]
    command += ["-o", str(job.output), "--method", "mesh", "--preset", "ultrafast", "--segment", "0.16"]
    process = subprocess.Popen([*command, "--jobs", "2"], env=environment, stderr=subprocess.PIPE, text=True)
    head = folder_of(job.output) / "job.json"
    while not head.exists() and process.poll() is None:
        time.sleep(0.02)
    for _ in range(60):
        process.send_signal(signal.SIGTERM)
        time.sleep(gap_s)
    _, told = process.communicate(timeout=100)
    # Killed by the signal itself in the very last instant is 143 to a shell, too.
    assert process.returncode in (143, 0, -signal.SIGTERM), told
    assert "Traceback" not in told
    give_up = time.monotonic() + 120
    while left := processes_with(f"STORM={job.clip.parent}"):
        assert time.monotonic() < give_up, left
        time.sleep(0.1)
    if process.returncode == 0:
        assert frames_digest(job.output) == whole
        job.output.unlink()
    assert job.names() == ["in.mp4"]
    finishes(job, whole)


def test_signals_nest_without_waiting_for_each_other() -> None:
    """A handler that takes a lock hangs when it is interrupted by itself: ten thousand times, it must not."""
    code = """
import os, signal, threading, time
from faceswap_cli.events import StopRequest
stop = [StopRequest()]
signal.signal(signal.SIGALRM, lambda *_: stop[0].request(143))
signal.setitimer(signal.ITIMER_REAL, 1e-5, 1e-5)
for _ in range(20000):
    stop[0] = StopRequest()
    stop[0].request(130)
    assert stop[0].requested
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
