"""The program as a process: start-up, signals, pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import faceswap_cli
from faceswap_cli.__main__ import main as start
from faceswap_cli.cli.options import ShowFlags
from faceswap_cli.cli.session import Invocation, Session, read_settings

ROOT = Path(faceswap_cli.__file__).resolve().parents[1]
PROGRAM = [sys.executable, "-m", "faceswap_cli"]

SLOW_JOB = """
import sys, time, types
import faceswap_cli
from faceswap_cli.cli.options import ShowFlags
from faceswap_cli.cli.session import Invocation, Session, read_settings
from faceswap_cli.cli import main
from faceswap_cli.events import progress

def swap_video(sources, target, output, options, listen, stop):
    print("running", flush=True)
    for done in range(600):
        listen(progress("render", done, 600))
        if {soft}:
            stop.check("rendering, segment 1 of 3 is done")
        time.sleep(0.05)

module = types.ModuleType("faceswap_cli.pipeline")
module.swap_video = swap_video
sys.modules["faceswap_cli.pipeline"] = faceswap_cli.pipeline = module
sys.exit(main(sys.argv[1:]))
"""


def _environment(machine: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "FACESWAP_ACCEPT_TERMS": "1"}


def _run(machine: Path, *argv: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *argv],
        capture_output=True,
        text=True,
        env=_environment(machine),
        timeout=60,
        check=False,
        **more,  # type: ignore[call-overload]
    )


def test_version_and_module_start(machine: Path) -> None:
    ran = _run(machine, "--version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"faceswap {faceswap_cli.__version__}\n", "")


def test_no_arguments_show_help(machine: Path) -> None:
    ran = _run(machine)
    assert ran.returncode == 0
    assert "video" in ran.stdout


def test_exit_code_and_one_line_reach_the_shell(machine: Path) -> None:
    ran = _run(machine, "video", "a.jpg", "b.mp4")
    assert (ran.returncode, ran.stdout) == (4, "")
    assert ran.stderr.splitlines() == [
        "faceswap: error: a.jpg does not exist; check the spelling and the folder"
    ]


@pytest.fixture
def job(machine: Path, photo: Path, clip: Path) -> object:
    """Start a job that runs for half a minute; wait until it works."""
    started = []

    def start(soft: bool, *flags: str) -> subprocess.Popen[str]:
        code = SLOW_JOB.format(soft=soft)
        process = subprocess.Popen(
            [sys.executable, "-c", code, "video", str(photo), str(clip), *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(machine),
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_stops_softly_and_says_how_to_go_on(
    job: object, clip: Path, number: signal.Signals, code: int
) -> None:
    process = job(True)  # type: ignore[operator]
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    lines = err.splitlines()
    assert "press Ctrl-C again to stop now" in lines[1]
    assert lines[-1].startswith(
        "faceswap: error: stopped while rendering, segment 1 of 3 is done; to resume: "
    )
    assert str(clip) in lines[-1]


def test_second_signal_stops_at_once(job: object) -> None:
    process = job(False)  # type: ignore[operator]
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None, "the first one only asks"
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - asked < 5
    last = err.splitlines()[-1]
    assert last.startswith(
        "faceswap: error: stopped at once; finished segments are kept; to resume: faceswap "
    )


def test_ctrl_c_while_modules_load_has_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("faceswap_cli.cli.main", stopped)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert start() == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "faceswap: error: stopped\n"


def test_the_first_line_comes_before_the_libraries(machine: Path, photo: Path, clip: Path) -> None:
    """They take seconds to load; until then nothing else would be seen."""
    code = (
        "import os, sys; from faceswap_cli.cli import session\n"
        "def say(self, line):\n"
        "    print(line, *{'torch', 'av', 'cv2', 'numpy'} & set(sys.modules), flush=True)\n"
        "    os._exit(0)\n"
        "session.Session.say = say; sys.argv[0] = 'faceswap'\n"
        "from faceswap_cli.__main__ import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "video", str(photo), str(clip), "--accept-terms"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == f"faceswap: {photo.name} into {clip.name}\n", ran.stderr


def test_spooled_stdin_goes_even_when_stopped_at_once(
    machine: Path, photo: Path, clip: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with clip.open("rb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_JOB.format(soft=False), "video", str(photo), "-", "-o", "x.mp4"],
            stdin=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**_environment(machine), "TMPDIR": str(scratch)},
        )
    assert process.stdout is not None
    process.stdout.readline()
    assert list(scratch.iterdir()), "stdin is kept while the job runs"
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert list(scratch.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("command", ["config", "config --json", "--help", "terms"])
def test_closed_pipe_is_quiet(machine: Path, command: str) -> None:
    line = f'{{ sleep 1; "{sys.executable}" -m faceswap_cli {command}; echo "rc $?" >&2; }} | true'
    ran = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env=_environment(machine), timeout=60, check=False
    )
    assert ran.stderr == "rc 0\n"


def test_stderr_survives_the_start_of_the_detectors() -> None:
    """Their chatter is kept off descriptor 2 while several threads start them at once."""
    code = (
        "import sys, threading, time\n"
        "from faceswap_cli.faces.landmarker import quiet_start\n"
        "def start():\n"
        "    with quiet_start():\n"
        "        time.sleep(0.05)\n"
        "threads = [threading.Thread(target=start) for _ in range(6)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "sys.stderr.write('still here\\n')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ran.stderr == "still here\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_the_line_of_a_first_signal_comes_before_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ShowFlags(no_config=True)
    session = Session(Invocation(()), flags, read_settings(flags), soft_stop=True)
    told: list[str] = []

    def slowly(line: str) -> None:
        time.sleep(0.2)
        told.append(line)

    with session:
        monkeypatch.setattr(session._display, "say", slowly)
        signal.raise_signal(signal.SIGINT)
        assert session.stop.requested
        assert told == []
    assert [line.partition(";")[0] for line in told] == ["faceswap: finishing the current segment"]


@pytest.mark.parametrize(("given", "threads"), [(None, 1), ("2", 2)])
def test_small_products_start_no_threads_unless_asked_for(
    given: str | None, threads: int, machine: Path
) -> None:
    env = {
        k: v for k, v in _environment(machine).items() if k not in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    }
    env |= {} if given is None else {"OPENBLAS_NUM_THREADS": given}
    # By what happened, not by the variable: numpy must be loaded after it is set.
    counted = (
        "from faceswap_cli.cli import main\nmain(['--version'])\nimport numpy as np\n"
        "np.ones((900, 900)) @ np.ones((900, 900))\nimport os\nprint(len(os.listdir('/proc/self/task')))"
    )
    if not Path("/proc/self/task").is_dir() or (os.cpu_count() or 1) < 2:
        pytest.skip("threads cannot be counted here")
    found = subprocess.run(
        [sys.executable, "-c", counted], capture_output=True, text=True, env=env, timeout=60, check=True
    )
    assert int(found.stdout.split()[-1]) == threads
