"""The command line as a program that can be killed at a chosen moment; for ``test_kill.py``.

    python command.py FOLDER MOMENT ARGUMENTS...

MOMENT is ``none``, ``count`` (say on stderr how many moments there were), ``N`` (kill this process just
before its N-th step on a file in FOLDER), ``before=NAME`` or ``after=NAME`` (around the rename to NAME)
or ``Ns`` (after so many seconds of work).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

STEPS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")


class Moments:
    """Counts what is done in a folder; an audit hook sees every step before it is taken."""

    def __init__(self, folder: str, moment: str) -> None:
        self.seen = 0
        self._folder = folder
        self._deadly = int(moment) if moment.isdigit() else -1
        self._side, _, self._name = moment.partition("=")

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in STEPS or not str(arguments[0]).startswith(self._folder):
            return
        self.seen += 1
        if self.seen == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._name and event == "os.rename" and Path(arguments[1]).name == self._name:
            self._deadly = self.seen + 1
            if self._side == "before":
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    from faceswap_cli.cli import main as run
    from faceswap_cli.jobs import executor

    executor.FEW_FRAMES = 1
    folder, moment, *arguments = sys.argv[1:]
    if moment.endswith("s"):
        timer = threading.Timer(float(moment[:-1]), os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    moments = Moments(folder, moment)
    sys.addaudithook(moments)
    code = run(arguments)
    if moment == "count":
        sys.stderr.write(f"{moments.seen}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
