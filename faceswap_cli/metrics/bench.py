"""``faceswap bench``: how long a swap takes, against decoding and encoding the same clip.

The yardstick is a plain transcode with the same encoder settings in the same process: what
any program must spend that reads and writes this clip.  The swap is timed as a user meets it:
both passes, loading of the models, joining and writing; only Python's imports come before.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import faceswap_cli
from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import UsageError
from faceswap_cli.events import Listener, ignore
from faceswap_cli.pipeline import swap_video
from faceswap_cli.video.probe import probe
from faceswap_cli.video.transcode import transcode

_PACKAGES = ("torch", "numpy", "scipy", "av", "mediapipe", "opencv-contrib-python")


def bench(
    path: Path | None,
    options: SwapOptions,
    listen: Listener = ignore,
    *,
    sources: Sequence[Path] = (),
) -> dict[str, Any]:
    """Swap ``path`` (None: the example clip) once and time it; every value is JSON-ready.

    ``sources`` default to the example's picture.  Nothing is left behind on disk.
    """
    clip = probe(path or _example("target.mp4"))
    people = list(sources) or [_example("source.jpg")]
    with tempfile.TemporaryDirectory(prefix="faceswap-bench-") as folder:
        started = time.perf_counter()
        transcode(clip, Path(folder) / "plain.mp4", options.encode)
        plain_s = time.perf_counter() - started
        started = time.perf_counter()
        report = swap_video(people, clip.path, Path(folder) / "swapped.mp4", options, listen)
        swap_s = time.perf_counter() - started
    return {
        "clip": clip.path.name,
        "size": f"{clip.width}x{clip.height}",
        "frames": report.frames,
        "faces_swapped": report.faces_swapped,
        "method": options.method,
        "swap_s": round(swap_s, 3),
        "transcode_s": round(plain_s, 3),
        "ratio": round(swap_s / plain_s, 3),
        "fps": round(report.frames / swap_s, 2),
        "transcode_fps": round(report.frames / plain_s, 2),
        "stages_s": {name: round(seconds, 3) for name, seconds in report.seconds.items()},
        "peak_memory_mb": peak_memory_mb(),
        "machine": machine(),
    }


def bench_table(measured: dict[str, Any]) -> list[tuple[str, str]]:
    """(what, value) per line, for the terminal."""
    lines = [
        ("clip", f"{measured['clip']}, {measured['size']}, {measured['frames']} frames"),
        ("swap", f"{measured['swap_s']:.2f} s, {measured['fps']:.1f} frames per second"),
        ("decode and encode alone", f"{measured['transcode_s']:.2f} s, {measured['transcode_fps']:.1f} fps"),
        ("ratio", f"{measured['ratio']:.2f}"),
    ]
    lines += [(f"  {name}", f"{seconds:.2f} s") for name, seconds in measured["stages_s"].items()]
    memory = measured["peak_memory_mb"]
    lines.append(("peak memory", "unknown" if memory is None else f"{memory:.0f} MB"))
    lines += [(name, str(value)) for name, value in measured["machine"].items()]
    return lines


def peak_memory_mb() -> float | None:
    """Largest resident size of this process so far, in 10^6 bytes; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def machine() -> dict[str, str | int]:
    """What the figures were measured on: processor, cores, accelerator, versions."""
    import torch

    affinity = getattr(os, "sched_getaffinity", None)
    found: dict[str, str | int] = {
        "processor": _processor(),
        "cores": len(affinity(0)) if affinity is not None else os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "faceswap": faceswap_cli.__version__,
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Model name of the processor; Linux tells it in /proc only."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _example(name: str) -> Path:
    """A file of the examples folder of a checkout; an installed package has none."""
    path = Path(faceswap_cli.__file__).resolve().parents[1] / "examples" / name
    if not path.is_file():
        raise UsageError(f"the example {name} is not installed; name a clip and --source PHOTO")
    return path
