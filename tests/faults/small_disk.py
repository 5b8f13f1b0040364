"""A job on a disk of its own that is too small, run again with more room until it is done.

    unshare -rm python small_disk.py FOLDER ROOM_KB...

FOLDER/job becomes the small disk.  ROOM_KB is what is free beside the inputs and the first pass in each run.
Prints a JSON object for each run: free space, exit code, message, and the names of what is there afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from faceswap_cli.cli import as_known
from faceswap_cli.errors import FaceswapError
from tests.faults.small_job import SmallJob
from tests.jobs.example import frames_digest


def mount(place: Path, size_kb: int, how: str) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"{how}size={size_kb}k,nr_inodes=400", "none", str(place)], check=True
    )


def main() -> int:
    folder, rooms = Path(sys.argv[1]), [int(text) for text in sys.argv[2:]]
    place, given = folder / "job", folder / "given"
    place.mkdir()
    mount(place, 1 << 20, "")
    shutil.copytree(given, place, dirs_exist_ok=True, copy_function=shutil.copy2)
    stat = os.statvfs(place)
    used_kb = (stat.f_blocks - stat.f_bfree) * stat.f_bsize // 1024
    job = SmallJob(place / "in.mp4", place / "out.mp4")
    before = job.clip.read_bytes()
    for room in rooms:
        mount(place, used_kb + room, "remount,")
        told = {"room_kb": room, "exit": 0, "message": ""}
        try:
            job.run()
        except (FaceswapError, OSError, MemoryError) as error:
            known = as_known(error)
            told |= {"exit": known.exit_code, "message": str(known)}
        told["names"] = sorted(path.name for path in place.rglob("*"))
        told["segments"] = job.segments_done
        told["input kept"] = job.clip.read_bytes() == before
        told["digest"] = frames_digest(job.output) if job.output.exists() else ""
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        if job.output.exists():
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
