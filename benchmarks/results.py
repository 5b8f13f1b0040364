"""Write RESULTS.md: the shipped state measured on a suite, in one run.

    python benchmarks/results.py SUITE [--pairs 14] [--max-frames 60] [--jobs 2] [--out benchmarks/RESULTS.md]

SUITE is a folder with ``portraits/`` and ``clips/`` (``faceswap evaluate --suite``).  The page names the
weights, the machine and the day.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from faceswap_cli.config import SwapOptions
from faceswap_cli.metrics.figures import METRICS
from faceswap_cli.metrics.suite import NAIVE, SHOWN, UNTOUCHED, Suite, pairs_of, run_suite
from faceswap_cli.weights.registry import bundled

METHODS = ("fslsd", "mesh", NAIVE, UNTOUCHED)
WEIGHTS = ("fslsd-256.safetensors", "refiner.safetensors", "proportions.safetensors", "rims.safetensors")


def page(found: Suite, command: str, frames: int) -> str:
    """The page as markdown."""
    digests = ", ".join(
        f"`{name}` {hashlib.sha256(bundled(name).read_bytes()).hexdigest()[:12]}" for name in WEIGHTS
    )
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=here, check=False
    ).stdout.strip()
    summary = found.summary()
    lines = [
        "# Results",
        "",
        "Written by `benchmarks/results.py`; do not edit. What each metric means and does not see:",
        "[docs/metrics.md](../docs/metrics.md).",
        "",
        f"- date: {date.today().isoformat()}, commit {commit or 'unknown'}",
        f"- weights: {digests}",
        f"- machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        f"- command: `{command}`",
        f"- {len(found.compared())} clips with one portrait each, the first {frames} frames; mean (median)",
        "",
        "| metric | better | " + " | ".join(f"`{method}`" for method in summary) + " |",
        "|---|---|" + "---|" * len(summary),
    ]
    for name in SHOWN:
        cells = [
            f"{figures[name]['mean']:.3g} ({figures[name]['median']:.3g})" if name in figures else "-"
            for figures in summary.values()
        ]
        metric = METRICS[name]
        better = "near 1" if metric.good == "one" else metric.good
        lines.append(f"| {metric.title(name)} | {better} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("suite", type=Path)
    ask.add_argument("--pairs", type=int, default=14)
    ask.add_argument("--max-frames", type=int, default=60)
    ask.add_argument("--jobs", type=int, default=2)
    ask.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    given = ask.parse_args()
    chosen = pairs_of(given.suite, given.pairs)
    found = run_suite(chosen, METHODS, SwapOptions(), frames=given.max_frames, jobs=given.jobs)
    for run in found.runs:
        if run.problem:
            print(f"{run.method}: {run.pair}: {run.problem}", file=sys.stderr)
    command = f"python benchmarks/results.py SUITE --pairs {given.pairs} --max-frames {given.max_frames}"
    given.out.write_text(page(found, command, given.max_frames), encoding="utf-8")
    print(given.out)


if __name__ == "__main__":
    main()
