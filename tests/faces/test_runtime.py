"""What the face models drag in when they are loaded, seen from a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LOADED = """
import sys
seen = []
def hook(event, arguments):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork"):
        seen.append(arguments)
from faceswap_cli.faces.landmarker import Landmarker
sys.addaudithook(hook)
Landmarker("short", 1, 0.5).close()
assert not seen, seen
assert not {"matplotlib", "matplotlib.pyplot", "sounddevice"} & set(sys.modules)
"""
WANTED_AFTER_ALL = """
from faceswap_cli.faces.runtime import load_mediapipe
load_mediapipe()
import matplotlib.pyplot
from mediapipe.tasks.python.vision import drawing_utils
assert drawing_utils.plt.figure is matplotlib.pyplot.figure
try:
    drawing_utils.plt.nothing_of_that_name
except AttributeError as error:
    assert "nothing_of_that_name" in str(error)
else:
    raise AssertionError
"""


def run(code: str, home: Path) -> None:
    places = {name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")}
    environment = {**os.environ, **places, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_the_models_start_no_program_and_write_nothing_into_the_users_folders(tmp_path: Path) -> None:
    run(LOADED, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_was_left_out_is_there_when_somebody_wants_it(tmp_path: Path) -> None:
    run(WANTED_AFTER_ALL, tmp_path)
