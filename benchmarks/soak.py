"""A long run of mixed work in one process: do memory, open files and threads stay flat?

    python benchmarks/soak.py --minutes 30 [--methods mesh fslsd]

Small clips of several codecs, frame rates and rotations, damaged and unusable ones, pictures and inspections
are worked through in turn with each method, as a program does that calls the library for weeks.  After each
round memory in use (heap given back first), open files, threads and child processes are noted.  Ends with 1
when the second half of the rounds has more of them than the first beyond what is allowed below.  Linux only
(/proc).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from faceswap_cli.config import DetectOptions, JobOptions, SwapOptions
from faceswap_cli.errors import FaceswapError
from faceswap_cli.inspection import inspect_video
from faceswap_cli.memory import give_back
from faceswap_cli.pictures import swap_image
from faceswap_cli.pipeline import swap_video
from tests.clips import damage_packet
from tests.jobs.example import EXAMPLES, small_example

SOURCE = EXAMPLES / "source.jpg"
WARM_ROUNDS = 2
"""Models are loaded and caches filled in these; they do not count"""
ALLOWED_MB, ALLOWED_FILES, ALLOWED_THREADS = 12.0, 0.5, 0.5
"""Growth of the median from the first to the second half"""


@dataclass(frozen=True)
class State:
    """What the process holds."""

    seconds: float
    memory_mb: float
    files: int
    threads: int
    children: int


def state(since: float) -> State:
    give_back()
    status = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    files = len(os.listdir("/proc/self/fd")) - 1
    return State(time.monotonic() - since, memory / 1024, files, threading.active_count(), len(children))


def make_clips(folder: Path) -> list[Path]:
    """Whole clips first, then one with a damaged packet, one cut short and one that is none."""
    kinds: dict[str, dict[str, object]] = {
        "h264.mp4": {"audio": 1},
        "turned.mov": {"rotation": 90},
        "vfr.mkv": {"vfr": True, "audio": 2, "subtitles": True, "chapters": True},
        "hevc.mkv": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
        "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
        "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "time_base": Fraction(1, 25)},
        "damaged.mp4": {"options": {"x264-params": "keyint=8"}},
        "cut.mkv": {},
    }
    for name, given in kinds.items():
        small_example(folder / name, 20, **given)  # type: ignore[arg-type]
    damage_packet(folder / "damaged.mp4", 9)
    data = (folder / "cut.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    (folder / "none.mp4").write_bytes(b"\0" * 4000)
    return [folder / name for name in (*kinds, "none.mp4")]


def work(folder: Path, clips: list[Path], options: SwapOptions) -> list[Callable[[], object]]:
    """What one round does."""

    def swap(clip: Path, options: SwapOptions) -> None:
        ending = ".mkv" if clip.suffix == ".avi" else clip.suffix
        output = folder / f"out{ending}"
        swap_video([SOURCE], clip, output, options)
        output.unlink()
        for sidecar in folder.glob("*.c2pa"):
            sidecar.unlink()

    def picture() -> None:
        swap_image([SOURCE], SOURCE, folder / "out.jpg", options)
        (folder / "out.jpg").unlink()

    parallel = replace(options, job=replace(options.job, workers=2))
    return [
        *(lambda clip=clip: swap(clip, options) for clip in clips),  # type: ignore[misc]
        lambda: swap(clips[0], parallel),
        lambda: inspect_video(clips[2], options),
        picture,
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--methods", nargs="+", default=["mesh", "fslsd"])
    asked = parser.parse_args()
    options = [
        SwapOptions(method=method, detect=DetectOptions(workers=1), job=JobOptions(workers=1, segment_s=0.3))
        for method in asked.methods
    ]
    found: list[State] = []
    done = refused = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = make_clips(folder)
        steps = [step for each in options for step in work(folder, clips, each)]
        start = time.monotonic()
        while time.monotonic() - start < 60 * asked.minutes or len(found) < WARM_ROUNDS + 4:
            for step in steps:
                try:
                    step()
                    done += 1
                except FaceswapError as error:
                    refused += 1
                    if not found:
                        print(f"refused: {error}")
            found.append(state(start))
            one = found[-1]
            print(
                f"{one.seconds:7.0f} s  {done} done, {refused} refused  {one.memory_mb:7.1f} MB  "
                f"{one.files} files  {one.threads} threads  {one.children} children",
                flush=True,
            )
    return told(found[WARM_ROUNDS:])


def told(rounds: list[State]) -> int:
    """Compare the halves."""
    middle = len(rounds) // 2

    def growth(name: str) -> float:
        first, second = ([getattr(one, name) for one in part] for part in (rounds[:middle], rounds[middle:]))
        return statistics.median(second) - statistics.median(first)

    allowed = {"memory_mb": ALLOWED_MB, "files": ALLOWED_FILES, "threads": ALLOWED_THREADS, "children": 0.5}
    grown = {name: growth(name) for name in allowed}
    print(f"\n{len(rounds)} rounds after {WARM_ROUNDS} to warm up; growth from the first half to the second:")
    for name, value in grown.items():
        print(f"  {name:10} {value:+.1f} (allowed {allowed[name]:+.1f})")
    return int(any(value > allowed[name] for name, value in grown.items()))


if __name__ == "__main__":
    sys.exit(main())
