"""What a segment costs and how much of it travels: the figures that docs/scale.md reckons with.

    python benchmarks/cluster.py SOURCE.jpg CLIP.mp4 [--heights 720 1080] [--seconds 32] [--method fslsd]
        [--address auto]

Enlarges or shrinks the clip to each height, plays it to and fro for ``--seconds``, and prints the seconds
of one core that pass 1 and rendering take per frame (processor time: a busy machine does not change it
much), the sizes of what is sent and what comes back, and the memory that a segment asks for.  With
``--address`` the same clip is also swapped on that Ray cluster and on this machine, one after the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2

from benchmarks.memory import loop_clip
from faceswap_cli.config import DetectOptions, JobOptions, SwapOptions
from faceswap_cli.events import NEVER, ignore
from faceswap_cli.jobs.executor import Work, worker_memory_mb
from faceswap_cli.pipeline import analyse, gather_sources, prepare, render_segment, swap_video
from faceswap_cli.swap.portable import packed
from faceswap_cli.video.probe import probe

T = TypeVar("T")


def core_seconds(work: Callable[[], T]) -> tuple[T, float]:
    """The result and the processor time of all threads."""
    before = time.process_time()
    result = work()
    return result, time.process_time() - before


def measure(source: Path, path: Path, folder: Path, method: str) -> dict[str, Any]:
    """One segment in the middle of the clip, as a node renders it: one thread."""
    options = SwapOptions(method=method, job=JobOptions(workers=1), detect=DetectOptions(workers=1))
    clip = probe(path)
    people = gather_sources([source], options, ignore)
    analysis, pass1 = core_seconds(lambda: analyse(clip, options, ignore, NEVER))
    scene, job = prepare(clip, analysis, people, options)
    segment = job.segments[len(job.segments) // 2]
    result, spent = core_seconds(lambda: render_segment(segment, scene, folder / "one.mp4", options))
    work = packed(Work(scene, options, folder, render_segment))
    assert work.freight is not None
    shared, part = (len(pickle.dumps(x, protocol=5)) for x in (work.scene, work.freight.part(segment)))
    return {
        "frame": f"{clip.width}x{clip.height}",
        "crop": max(scene.sides.values()),
        "pass 1, core ms/frame": round(1000 * pass1 / len(analysis.pts), 1),
        "render, core ms/frame": round(1000 * spent / result.frames, 1),
        "halo, frames": 2 * segment.halo,
        "input, MB/min": round(clip.path.stat().st_size / clip.duration_s * 60 / 1e6, 1),
        "result, MB/min": round(result.path.stat().st_size / _seconds(segment, clip) * 60 / 1e6, 1),
        "segment, frames": result.frames,
        "sent once a node, MB": round(shared / 1e6, 1),
        "sent with it, MB": round(part / 1e6, 2),
        "memory, MB": worker_memory_mb(clip, max(scene.sides.values())) + scene.method.memory_mb,
    }


def _seconds(segment: Any, clip: Any) -> float:
    return float((segment.end_pts - segment.first_pts) * clip.time_base)


def compare(source: Path, path: Path, folder: Path, address: str) -> dict[str, Any]:
    """Wall seconds of pass 2 on the cluster and on this machine, from one run."""
    found: dict[str, Any] = {}
    for name, cluster in (("cluster", address), ("here", None)):
        options = SwapOptions(job=dataclasses.replace(JobOptions(), cluster=cluster))
        report = swap_video([source], path, folder / f"{name}.mp4", options)
        found[name] = round(report.seconds["render"], 1)
    return {**found, "ratio": round(found["cluster"] / found["here"], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--heights", type=int, nargs="+", default=[720, 1080])
    parser.add_argument("--seconds", type=float, default=32.0)
    parser.add_argument("--method", default="fslsd")
    parser.add_argument("--address", default=None)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        for height in given.heights:
            path = Path(name) / f"{height}.mp4"
            loop_clip(given.clip, path, given.seconds / 60, height)
            row = measure(given.source, path, Path(name), given.method)
            if given.address:
                row.update(compare(given.source, path, Path(name), given.address))
            print("; ".join(f"{key} {value}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
