"""How time and memory grow with resolution, faces, length and workers: the tables of README.md.

    python benchmarks/scaling.py [PHOTO CLIP] [--method fslsd mesh] [--tables resolution faces length jobs]

PHOTO and CLIP (one face) default to the bundled example.  Clips are made from it: enlarged, set side by side,
or repeated.  Each row is one ``faceswap bench`` in a process of its own.  On a machine that does other work
only the processor time and the memory mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy, as the program does

import av
import numpy as np

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True)
class Row:
    """One clip and how it is swapped."""

    name: str
    height: int = 720
    faces: int = 1
    times: int = 1
    jobs: int = 0


TABLES = {
    "resolution": [Row(f"{height} lines", height) for height in (360, 540, 720, 1080)],
    "faces": [Row(f"{n} faces", faces=n) for n in (1, 2, 3)],
    "length": [Row(f"{120 * n} frames", times=n) for n in (1, 2, 4, 8)],
    "jobs": [Row(f"{n} jobs", times=4, jobs=n) for n in (1, 2, 4)],
}
COLUMNS = ("fps", "ratio", "swap_cpu_ms", "transcode_cpu_ms", "network_share", "peak_memory_mb")


def make(clip: Path, row: Row, path: Path) -> Path:
    """The pictures of ``clip`` as ``row`` wants them, without sound."""
    with av.open(str(path), "w") as target:
        new = None
        for _ in range(row.times):
            with av.open(str(clip)) as source:
                stream = source.streams.video[0]
                width = round(stream.width * row.height / stream.height / 2) * 2
                for picture in source.decode(stream):
                    rgb = picture.reformat(width, row.height, "rgb24", interpolation="BICUBIC").to_ndarray()
                    if new is None:
                        options = {"crf": "16", "preset": "veryfast"}
                        new = target.add_stream("libx264", rate=stream.average_rate, options=options)
                        assert isinstance(new, av.VideoStream)
                        new.width, new.height, new.pix_fmt = width * row.faces, row.height, "yuv420p"
                    beside = np.concatenate([rgb] * row.faces, axis=1)
                    target.mux(new.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(beside), "rgb24")))
        assert new is not None
        target.mux(new.encode(None))
    return path


def measure(photo: Path, clip: Path, method: str, jobs: int) -> dict[str, Any]:
    """One run of the benchmark, all faces swapped."""
    from faceswap_cli.config import JobOptions, SwapOptions
    from faceswap_cli.metrics.bench import bench

    options = SwapOptions(method=method, job=JobOptions(workers=jobs))
    options = replace(options, track=replace(options.track, face="all"))
    return bench(clip, options, sources=[photo])


def alone(photo: Path, clip: Path, method: str, jobs: int) -> dict[str, Any]:
    """:func:`measure` in a process of its own."""
    command = [
        sys.executable,
        __file__,
        str(photo),
        str(clip),
        "--one",
        "--method",
        method,
        "--jobs",
        str(jobs),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(name: str, photo: Path, clip: Path, method: str) -> None:
    """Print one markdown table."""
    print(f"\n{name}, {method}\n\n| | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    with tempfile.TemporaryDirectory() as folder:
        for row in TABLES[name]:
            made = make(clip, row, Path(folder) / "clip.mp4")
            found = alone(photo, made, method, row.jobs)
            print(
                f"| {row.name} | {' | '.join(str(found.get(column, '')) for column in COLUMNS)} |", flush=True
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path, nargs="?", default=EXAMPLES / "source.jpg")
    parser.add_argument("clip", type=Path, nargs="?", default=EXAMPLES / "target.mp4")
    parser.add_argument("--method", nargs="+", default=["fslsd", "mesh"])
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--jobs", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.photo, given.clip, given.method[0], given.jobs)))
        return
    for method in given.method:
        for name in given.tables:
            table(name, given.photo, given.clip, method)


if __name__ == "__main__":
    main()
