"""Wall time of one clip by the number of worker processes, in one go, and that the result is the same.

    python benchmarks/jobs.py PHOTO CLIP [--jobs 1 2 4] [--height 1080] [--end 120f]

With ``--height`` the clip is first enlarged to that many lines.  Prints a markdown table: seconds,
share of the first row, processor seconds, and whether the decoded frames are those of the first row.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import av

from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames


def enlarged(clip: Path, height: int, path: Path) -> Path:
    """The pictures of ``clip`` at ``height`` lines, without sound."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        width = round(stream.width * height / stream.height / 2) * 2
        new = target.add_stream(
            "libx264", rate=stream.average_rate, options={"crf": "16", "preset": "veryfast"}
        )
        assert isinstance(new, av.VideoStream)
        new.width, new.height, new.pix_fmt = width, height, "yuv420p"
        for picture in source.decode(stream):
            larger = picture.reformat(width, height, "yuv420p", interpolation="BICUBIC")
            larger.pts, larger.time_base = picture.pts, picture.time_base
            target.mux(new.encode(larger))
        target.mux(new.encode(None))
    return path


def run(photo: Path, clip: Path, output: Path, jobs: int, more: list[str]) -> tuple[float, float]:
    """(wall, processor) seconds of one run of the command."""
    command = [sys.executable, "-m", "faceswap_cli", "video", str(photo), str(clip), "-o", str(output)]
    flags = ["--method", "mesh", "--jobs", str(jobs), "--accept-terms", "--no-config", "--quiet"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command, *flags, *more], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, spent


def digest(path: Path) -> str:
    """Of all decoded frames and their times."""
    found = hashlib.sha256()
    with closing(read_frames(probe(path))) as frames:
        for frame in frames:
            found.update(str(frame.pts).encode())
            for plane in (frame.planes.y, frame.planes.cb, frame.planes.cr):
                found.update(plane.tobytes())
    return found.hexdigest()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--height", type=int)
    parser.add_argument("--end", help="as of 'faceswap video'")
    given = parser.parse_args()
    root = str(Path(__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        clip = given.clip
        if given.height:
            clip = enlarged(clip, given.height, Path(folder) / "in.mp4")
        found = probe(clip)
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"{found.width}x{found.height}, {found.frames} frames; {os.cpu_count()} cores, load {load}; "
              f"Python {platform.python_version()}, av {av.__version__}\n")  # fmt: skip
        print("| jobs | seconds | of the first | processor seconds | same frames |\n|---|---|---|---|---|")
        first: tuple[float, str] | None = None
        for jobs in given.jobs:
            output = Path(folder) / f"{jobs}.mp4"
            wall, spent = run(given.photo, clip, output, jobs, ["--end", given.end] if given.end else [])
            own = digest(output)
            first = first or (wall, own)
            same = "yes" if own == first[1] else "NO"
            print(f"| {jobs} | {wall:.1f} | {wall / first[0]:.2f} | {spent:.1f} | {same} |", flush=True)


if __name__ == "__main__":
    main()
