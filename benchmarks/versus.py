"""Methods of the program against the naive baseline, on the same twelve runs, in one go.

    python benchmarks/versus.py DATA [--methods prototype mesh] [--frames 90] [--jobs 2]

DATA holds ``clips/``, ``research-only/clips/`` and ``portraits/``.  Prints a markdown table with
the mean and median of every figure by method.  Figures are defined in ``README.md``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np

from faceswap_cli.metrics.evaluate import evaluate

PAIRS = (
    ("lp_d0", "faker_f33"),
    ("lp_d10", "london_n006"),
    ("vasa_12", "faker_m55"),
    ("vasa_3", "sfhq_sample_2x4_r1c2"),
    ("lp_s32", "london_n104"),
    ("grid_bbaf2n", "faker_f81"),
    ("pyfeat_single_face", "faker_m7"),
    ("grid_swiz3n", "london_n129"),
    ("lp_d19", "mebeauty_1826"),
    ("styletalk_nice_clip1", "faker_f94"),
    ("intel_yes", "faker_m41"),
    ("lp_d6", "mebeauty_0329"),
)
SHOWN = (
    *("identity", "verified", "swap_ratio", "pose", "expression"),
    *("gaze", "sharpness", "jitter", "flow_warp"),
)


def measure(data: Path, clip: str, portrait: str, method: str, frames: int) -> dict[str, float]:
    """Figures of one run of the first ``frames`` frames."""
    folders = (data / "clips", data / "research-only" / "clips")
    target = next(path for folder in folders for path in folder.glob(f"{clip}.*"))
    source = data / "portraits" / f"{portrait}.jpg"
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.mp4"
        subprocess.run(_command(method, source, target, output, frames), check=True, capture_output=True)
        found = evaluate(output, [source], target, max_frames=frames)
    return dict(found.figures)


def _command(method: str, source: Path, target: Path, output: Path, frames: int) -> list[str]:
    if method == "prototype":
        script = str(Path(__file__).with_name("prototype.py"))
        return [sys.executable, script, str(source), str(target), str(output), "--max-frames", str(frames)]
    program = [sys.executable, "-m", "faceswap_cli", "video", str(source), str(target), "-o", str(output)]
    return [*program, "--method", method, "--end", f"{frames}f", "--accept-terms"]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--methods", nargs="+", default=["prototype", "mesh"])
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    root = str(Path(__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    todo = list(product(args.methods, PAIRS))
    with ProcessPoolExecutor(args.jobs) as pool:
        running = [pool.submit(measure, args.data, *pair, method, args.frames) for method, pair in todo]
        rows = [future.result() for future in running]
    print(f"| method, run | {' | '.join(SHOWN)} |\n|{'---|' * (len(SHOWN) + 1)}")
    for (method, (clip, portrait)), row in zip(todo, rows, strict=True):
        print(f"| {method}: {clip}, {portrait} | {' | '.join(f'{row[name]:.3g}' for name in SHOWN)} |")
    for method in args.methods:
        own = [row for (name, _), row in zip(todo, rows, strict=True) if name == method]
        for what, fold in (("mean", np.nanmean), ("median", np.nanmedian)):
            values = (fold([row[name] for row in own]) for name in SHOWN)
            print(f"| **{method}, {what}** | {' | '.join(f'{value:.3g}' for value in values)} |")


if __name__ == "__main__":
    main()
