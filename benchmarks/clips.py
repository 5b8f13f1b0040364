"""Every clip of some folders with every portrait: does it run, is the rest kept, how good is it?

    python benchmarks/clips.py FOLDER... --sources A.jpg B.jpg --out DIR [--method mesh] [--jobs 2]

Runs ``faceswap video`` in a process of its own for each clip and portrait (``--method
prototype``: the naive baseline instead), compares frames, timestamps and audio packets with the
input, evaluates, and writes DIR/table.md, DIR/table.csv, DIR/sheets/*.png (eight frames: target,
result, and the face of both) and DIR/videos.  Clips named by ``--no-face`` must end with exit code 3.
Ends with 1 when anything differs from what was expected.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatch
from fractions import Fraction
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli.errors import FaceswapError
from faceswap_cli.metrics.evaluate import EvaluateOptions, Evaluation, evaluate
from faceswap_cli.metrics.figures import METRICS
from faceswap_cli.metrics.pairs import TimeCheck, display_rgb, joined
from faceswap_cli.records import U8
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames

VIDEO = {".mp4", ".mov", ".mkv", ".mpg", ".webm", ".m4v", ".avi", ".ts"}
NO_FACE_EXIT = 3
SHOWN = 8
TILE = 200


@dataclass(frozen=True)
class Job:
    """One clip with one portrait."""

    clip: Path
    source: Path
    method: str
    out: Path
    no_face: bool
    max_frames: int | None = None

    @property
    def name(self) -> str:
        return f"{self.clip.stem}__{self.source.stem}"


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    name: str
    exit_code: int
    seconds: float
    verdict: str
    """ok, or what is wrong"""
    message: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return self.verdict == "ok"


def clips_of(folders: list[Path]) -> list[Path]:
    """Clips in the folders, or the files named, in the order of their names."""
    files = [
        file for folder in folders for file in (sorted(folder.iterdir()) if folder.is_dir() else [folder])
    ]
    return [file for file in files if file.suffix.lower() in VIDEO]


def swap(job: Job) -> tuple[int, str, Path]:
    """Run the swap: (exit code, last line of stderr, output)."""
    extension = job.clip.suffix if job.clip.suffix in {".mp4", ".mov", ".mkv"} else ".mp4"
    output = job.out / "videos" / f"{job.name}{extension}"
    script = [str(Path(__file__).with_name("prototype.py")), str(job.source), str(job.clip), str(output)]
    command = ["-m", "faceswap_cli", "video", str(job.source), str(job.clip), "-o", str(output)]
    command += ["--method", job.method, "--force", "--progress", "none"]
    done = subprocess.run(
        [sys.executable, *(script if job.method == "prototype" else command)],
        env={**os.environ, "FACESWAP_ACCEPT_TERMS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1], output


def run(job: Job) -> Outcome:
    """Swap, check, evaluate, draw; never raises for a fault of the program under test."""
    started = time.monotonic()
    code, message, output = swap(job)
    seconds = time.monotonic() - started
    if job.no_face:
        right = code == NO_FACE_EXIT and not output.exists()
        return Outcome(job.name, code, seconds, "ok" if right else f"expected exit {NO_FACE_EXIT}", message)
    if code != 0:
        return Outcome(job.name, code, seconds, f"exit {code}", message)
    try:
        found = evaluate(
            output, [job.source], job.clip, options=EvaluateOptions(workers=1), max_frames=job.max_frames
        )
    except FaceswapError as error:
        return Outcome(job.name, code, seconds, "evaluate failed", str(error))
    draw_sheet(job, output, found)
    unequal = [] if job.method == "prototype" else [name for name, equal in found.checks.items() if not equal]
    verdict = f"{', '.join(unequal)} not equal" if unequal else "ok"
    return Outcome(job.name, code, seconds, verdict, message, found.figures, found.checks)


def draw_sheet(job: Job, output: Path, found: Evaluation) -> None:
    """Eight moments as columns: target, result, the target's face, the result's face."""
    seen = found.observations
    rows = np.flatnonzero(seen.measured)
    rows = rows[np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int)]
    wanted = {int(seen.frame[row]): seen.target_points[row, :, :2] for row in rows}
    ours, theirs = probe(output), probe(job.clip)
    frames = joined(read_frames(ours), read_frames(theirs), Fraction(1, 2) / theirs.average_rate, TimeCheck())
    columns = []
    for number, (after, before) in enumerate(frames):
        if number in wanted:
            pictures = (display_rgb(before, theirs), display_rgb(after, ours))
            column = [whole(picture) for picture in pictures]
            column += [face(picture, wanted[number]) for picture in pictures]
            columns.append(np.concatenate(column))
    sheet = np.concatenate(columns, axis=1)
    cv2.imwrite(str(job.out / "sheets" / f"{job.name}.png"), sheet[..., ::-1])


def whole(picture: U8) -> U8:
    """The picture, fitted into a tile."""
    height, width = picture.shape[:2]
    scale = TILE / max(height, width)
    small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    tile = np.zeros((min(TILE, round(TILE * height / width)), TILE, 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    return tile


def face(picture: U8, points: np.ndarray) -> U8:
    """The square around the points, enlarged to a tile."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = 1.4 * float((high - low).max())
    x, y = (low + high) / 2 - side / 2
    scale = TILE / side
    matrix = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    return np.asarray(cv2.warpAffine(picture, matrix, (TILE, TILE), flags=cv2.INTER_AREA), dtype=np.uint8)


def write_tables(outcomes: list[Outcome], out: Path) -> str:
    """table.csv and table.md; returns the latter."""
    names = list(METRICS)
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["name", "verdict", "exit", "seconds", *names, "frames", "timestamps", "audio", "message"]
        )
        for one in outcomes:
            figures = [f"{one.figures[name]:.4f}" if name in one.figures else "" for name in names]
            checks = [str(one.checks.get(name, "")) for name in ("frames", "timestamps", "audio")]
            writer.writerow(
                [one.name, one.verdict, one.exit_code, f"{one.seconds:.1f}", *figures, *checks, one.message]
            )
    lines = [f"| clip and portrait | verdict | s | {' | '.join(names)} |", "|---" * (len(names) + 3) + "|"]
    for one in outcomes:
        figures = [f"{one.figures[name]:.3g}" if name in one.figures else "" for name in names]
        lines.append(f"| {one.name} | {one.verdict} | {one.seconds:.0f} | {' | '.join(figures)} |")
    measured = [one.figures for one in outcomes if one.figures]
    means = [[figures[name] for figures in measured if name in figures] for name in names]
    shown = [f"{np.mean(values):.3g}" if values else "" for values in means]
    lines.append(f"| **mean of {len(measured)}** | | | {' | '.join(shown)} |")
    text = "\n".join(lines) + "\n"
    (out / "table.md").write_text(text, encoding="utf-8")
    return text


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Run and measure a method over folders of clips.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--sources", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", default="mesh", help="a method of the program, or prototype")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--max-frames", type=int, help="evaluate so many frames only")
    parser.add_argument(
        "--no-face", nargs="*", default=["*no_face", "*no_person"], help="stems without a face"
    )
    args = parser.parse_args()
    for folder in ("videos", "sheets"):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
    jobs = [
        Job(
            clip,
            source,
            args.method,
            args.out,
            any(fnmatch(clip.stem, p) for p in args.no_face),
            args.max_frames,
        )
        for clip, source in product(clips_of(args.folders), args.sources)
    ]
    outcomes = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for outcome in pool.map(run, jobs):
            outcomes.append(outcome)
            print(
                f"{len(outcomes)}/{len(jobs)} {outcome.name}: {outcome.verdict} {outcome.message}", flush=True
            )
    print(write_tables(outcomes, args.out))
    sys.exit(0 if all(outcome.good for outcome in outcomes) else 1)


if __name__ == "__main__":
    main()
