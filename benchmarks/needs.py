"""What the program needs: download, disk, memory and time, as the table of the README.

    python benchmarks/needs.py [--no-download] [--out benchmarks/needs.json]

Writes the figures and prints the lines of the README; a test compares the two.  The clip is the example on
1280x720 pixels, one face.  Two lengths are swapped, so that starting (loading libraries, reading the
photograph) is known apart from the time for each second of video.  On a machine that does other work the
processor time is the figure to trust.  Linux only (/proc).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import av
import cv2
import numpy as np

from faceswap_cli.metrics.memory import tree, tree_mb

ROOT = Path(__file__).resolve().parent.parent
SIZE, RATE = (1280, 720), 25
LENGTHS_S = (2, 6)
OURS = "faceswap-cli"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def lines(found: dict[str, Any]) -> list[str]:
    """The table and the sentence below it, as they are in the README."""
    machine = found["machine"]
    video = found["video"]
    each = video["cpu_s_per_s"]
    return [
        "| needs | |",
        "|---|---|",
        f"| download | {found['download_mb'] / 1000:.1f} GB |",
        f"| disk | {found['disk_mb'] / 1000:.1f} GB |",
        f"| memory | {video['memory_mb'] / 1000:.1f} GB |",
        f"| time | {each:.0f} s of processor time for each second of 720p video with one face: "
        f"from {each / machine['cores']:.0f} s on {machine['cores']} free cores |",
        "",
        f"Measured on {found['date']} with `python benchmarks/needs.py` on {machine['cores']} cores "
        f"({machine['processor']}, {machine['system']}, Python {machine['python']}), without a GPU.",
    ]


def closure(name: str) -> Iterator[Distribution]:
    """The installed package ``name`` and all that it needs, extras left out."""
    from packaging.requirements import Requirement

    waiting, seen = [name], set[str]()
    while waiting:
        key = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if key in seen:
            continue
        seen.add(key)
        try:
            found = distribution(key)
        except PackageNotFoundError:
            continue
        yield found
        for text in found.requires or ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                waiting.append(need.name)


def disk_bytes(found: Distribution) -> int:
    """Of the files that an installer wrote, and of what Python compiles beside them."""
    if re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower() == OURS:  # may be a checkout
        files = [*(ROOT / "faceswap_cli").rglob("*.py"), *(ROOT / "weights").glob("*.*")]
        return sum(path.stat().st_size for path in files if path.is_file())
    paths = {Path(str(found.locate_file(file))) for file in found.files or ()}
    return sum(path.stat().st_size for path in paths if path.is_file())


def download_bytes(packages: list[Distribution]) -> int:
    """Of the wheels of ``packages`` in these versions, downloaded; our own is what lies in the repository."""
    wanted, ours = [], 0
    for found in packages:
        name = found.metadata["Name"]
        if re.sub(r"[-_.]+", "-", name).lower() == OURS:
            ours = disk_bytes(found)
        else:
            wanted.append(f"{name}=={found.version}")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        subprocess.run([*command, "--extra-index-url", CPU_INDEX, *wanted], check=True)
        return ours + sum(path.stat().st_size for path in Path(folder).iterdir())


def make_clip(path: Path, seconds: int) -> Path:
    """The example on 1280x720 pixels, there and back, so that it is one shot."""
    width, height = SIZE
    with av.open(str(ROOT / "examples" / "target.mp4")) as reader:
        pictures = [frame.to_ndarray(format="rgb24") for frame in reader.decode(video=0)]
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with av.open(str(path), "w") as writer:
        stream = writer.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * RATE):
            picture = pictures[order[number % len(order)]]
            scale = min(width / picture.shape[1], height / picture.shape[0])
            size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
            left, top = (width - size[0]) // 2, (height - size[1]) // 2
            edges = (top, height - size[1] - top, left, width - size[0] - left)
            picture = cv2.copyMakeBorder(picture, *edges, cv2.BORDER_REFLECT_101)
            writer.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        writer.mux(stream.encode(None))
    return path


def swap(clip: Path, output: Path) -> dict[str, float]:
    """One run of the program: wall and processor seconds, and the peak of its memory."""
    command = [
        sys.executable,
        "-m",
        "faceswap_cli",
        "video",
        str(ROOT / "examples" / "source.jpg"),
        str(clip),
    ]
    environment = {**os.environ, "FACESWAP_ACCEPT_TERMS": "1", "PYTHONPATH": str(ROOT)}
    started, peak, spent = time.monotonic(), 0.0, dict[int, float]()
    running = subprocess.Popen(
        [*command, "-o", str(output), "--force", "-q"], env=environment, stdout=subprocess.DEVNULL
    )
    while running.poll() is None:
        peak = max(peak, tree_mb(running.pid))
        spent |= tree_cpu(running.pid)
        time.sleep(0.2)
    if running.returncode:
        raise SystemExit(f"the swap failed with exit code {running.returncode}")
    return {"wall_s": time.monotonic() - started, "cpu_s": sum(spent.values()), "memory_mb": peak}


def tree_cpu(root: int) -> dict[int, float]:
    """Processor seconds of a process and its descendants so far; the system's sums leave workers out."""
    ticks = os.sysconf("SC_CLK_TCK")
    return {pid: (int(fields[11]) + int(fields[12])) / ticks for pid, fields in tree(root).items() if fields}


def video() -> dict[str, float]:
    """Time and memory, from two lengths."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            swap(make_clip(Path(folder) / "clip.mp4", length), Path(folder) / "out.mp4")
            for length in LENGTHS_S
        ]
    more = LENGTHS_S[1] - LENGTHS_S[0]
    cpu, wall = ((runs[1][name] - runs[0][name]) / more for name in ("cpu_s", "wall_s"))
    return {
        "cpu_s_per_s": round(cpu, 2),
        "wall_s_per_s": round(wall, 2),
        "start_cpu_s": round(max(runs[0]["cpu_s"] - cpu * LENGTHS_S[0], 0), 2),
        "memory_mb": round(max(run["memory_mb"] for run in runs)),
    }


def processor() -> str:
    """As the system names it."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    named = re.search(r"^model name\s*: (.+)$", text, re.M)
    return re.sub(r"\((?:R|TM)\)| CPU|@.*", "", named[1]).strip() if named else platform.machine()


def main() -> None:
    """Command line."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", type=Path, default=Path(__file__).with_name("needs.json"))
    ask.add_argument("--no-download", action="store_true", help="keep the size that is in the file")
    given = ask.parse_args()
    packages = list(closure(OURS))
    kept = json.loads(given.out.read_text()) if given.no_download else {}
    found = {
        "date": date.today().isoformat(),
        "machine": {
            "cores": os.cpu_count(),
            "processor": processor(),
            "system": platform.system(),
            "python": platform.python_version(),
            "load": [round(one, 1) for one in os.getloadavg()],
        },
        "download_mb": kept["download_mb"] if kept else round(download_bytes(packages) / 1e6),
        "disk_mb": round(sum(map(disk_bytes, packages)) / 1e6),
        "packages": {one.metadata["Name"]: one.version for one in packages if one.metadata["Name"] != OURS},
        "video": video(),
    }
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()
