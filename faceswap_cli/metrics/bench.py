"""``faceswap bench``: how long a swap takes, against decoding and encoding the same clip.

The yardstick is a plain transcode with the same encoder settings in the same process: what
any program must spend that reads and writes this clip.  The swap is timed as a user meets it:
both passes, joining and writing.  Loading the libraries, the models and the photographs is timed
on its own: it does not grow with the clip.  On a machine that does other work at the same time
trust the seconds of processor time, not those of the clock.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import faceswap_cli
from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import UsageError
from faceswap_cli.events import Listener, ignore
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.jobs.forks import end
from faceswap_cli.metrics.memory import MemoryWatch
from faceswap_cli.metrics.rates import NetworkRate, network_rate
from faceswap_cli.pipeline import swap_video
from faceswap_cli.swap import method_name
from faceswap_cli.video.probe import probe
from faceswap_cli.video.transcode import transcode

_PACKAGES = ("torch", "numpy", "scipy", "av", "mediapipe", "opencv-contrib-python")


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a piece of work took."""

    wall_s: float
    cpu_s: float
    """Of all threads of this process and of its finished children together"""


def timed(work: Callable[[], T]) -> tuple[T, Spent]:
    """The result of ``work()`` and what it took."""
    wall, cpu = time.perf_counter(), _cpu_s()
    result = work()
    return result, Spent(time.perf_counter() - wall, _cpu_s() - cpu)


def _cpu_s() -> float:
    end()  # the workers' time is counted once the process that they came from has ended
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


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
        _, startup = timed(lambda: load_photos(people, options.detect))
        encoded, plain = timed(lambda: transcode(clip, Path(folder) / "plain.mp4", options.encode))
        output = Path(folder) / "swapped.mp4"
        with MemoryWatch() as memory:
            report, swap = timed(lambda: swap_video(people, clip.path, output, options, listen))
    rate = network_rate(options)
    return {
        "clip": clip.path.name,
        "size": f"{clip.width}x{clip.height}",
        "frames": report.frames,
        "faces_swapped": report.faces_swapped,
        "method": method_name(options.method),
        "startup_s": round(startup.wall_s, 3),
        "swap_s": round(swap.wall_s, 3),
        "transcode_s": round(plain.wall_s, 3),
        # Per frame: a range of the clip may be swapped, but all of it is transcoded.
        "ratio": round((swap.wall_s / report.frames) / (plain.wall_s / encoded), 3),
        "swap_cpu_s": round(swap.cpu_s, 3),
        "transcode_cpu_s": round(plain.cpu_s, 3),
        "fps": round(report.frames / swap.wall_s, 2),
        "transcode_fps": round(encoded / plain.wall_s, 2),
        "stages_s": {name: round(seconds, 3) for name, seconds in report.seconds.items()},
        "swap_cpu_ms": round(1000 * swap.cpu_s / report.frames, 2),
        "transcode_cpu_ms": round(1000 * plain.cpu_s / encoded, 2),
        "peak_memory_mb": memory.peak_mb,
        **({} if rate is None else _networks(rate, report.faces_swapped, swap)),
        "machine": machine(),
    }


def _networks(rate: NetworkRate, faces: int, swap: Spent) -> dict[str, float | str]:
    """The networks alone, and what part of the run they are.

    ``mfu`` is the multiply-adds of the networks in the whole run over those that products of matrices could
    have done in its processor time (on a GPU: its time).
    """
    spent = swap.cpu_s if rate.device == "cpu" else swap.wall_s
    return {
        "precision": rate.precision,
        "gmac_per_face": round(rate.multiply_adds / 1e9, 3),
        "network_ms": round(rate.network_ms, 2),
        "network_share": round(faces * rate.network_ms / 1000 / spent, 3),
        "matmul_gmacs": round(rate.matmul_gmacs, 1),
        "network_mfu": round(rate.share_of_matmul, 4),
        "mfu": round(faces * rate.multiply_adds / 1e9 / spent / rate.matmul_gmacs, 4),
    }


def bench_table(measured: dict[str, Any]) -> list[tuple[str, str]]:
    """(what, value) per line, for the terminal."""
    lines = [
        ("clip", f"{measured['clip']}, {measured['size']}, {measured['frames']} frames"),
        ("start-up", f"{measured['startup_s']:.2f} s for libraries, models and photographs"),
        ("swap", _line(measured, "swap", measured["fps"])),
        ("decode and encode alone", _line(measured, "transcode", measured["transcode_fps"])),
        ("ratio", f"{measured['ratio']:.2f}"),
    ]
    lines += [(f"  {name}", f"{seconds:.2f} s") for name, seconds in measured["stages_s"].items()]
    lines.append(
        (
            "processor ms a frame",
            f"{measured['swap_cpu_ms']:.1f}; decode and encode alone {measured['transcode_cpu_ms']:.1f}",
        )
    )
    if "network_ms" in measured:
        lines += _network_lines(measured)
    memory = measured["peak_memory_mb"]
    lines.append(("peak memory", "unknown" if memory is None else f"{memory:.0f} MB"))
    lines += [(name, str(value)) for name, value in measured["machine"].items()]
    return lines


def _network_lines(measured: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            "network",
            f"{measured['network_ms']:.1f} ms a face, {100 * measured['network_share']:.0f} % of the run",
        ),
        (
            f"products in {measured['precision']}",
            f"{measured['matmul_gmacs']:.0f} GMAC/s; the network reaches {100 * measured['network_mfu']:.1f} "
            f"%, the whole run {100 * measured['mfu']:.1f} %",
        ),
    ]


def _line(measured: dict[str, Any], what: str, fps: float) -> str:
    wall, cpu = measured[f"{what}_s"], measured[f"{what}_cpu_s"]
    return f"{wall:.2f} s, {fps:.1f} frames per second; {cpu:.2f} s of processor time"


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
    """Model name of the processor; Linux shows it in /proc only."""
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
