"""Does memory stay flat?  Loops a clip to ten minutes of 1080p, swaps it, and samples the process tree.

    python benchmarks/memory.py SOURCE.jpg CLIP.mp4 [--minutes 10] [--height 1080] [--method mesh]

Prints the peak of the memory (shared pages once) of ``faceswap video`` and all its children, and its slope
over the second half of the run (MB per minute of wall time).  Linux only (/proc).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from faceswap_cli.metrics.memory import tree_mb


def loop_clip(clip: Path, output: Path, minutes: float, height: int) -> int:
    """One round of ``clip`` at ``height``, there and back, then copies of its packets; frames written.

    Playing backwards makes the loop seamless, so that it is one shot of one person.
    """
    with av.open(str(clip)) as reader:
        stream = reader.streams.video[0]
        rate = stream.average_rate or Fraction(25)
        frames = [frame.to_ndarray(format="rgb24") for frame in islice(reader.decode(stream), 60)]
    width = round(frames[0].shape[1] * height / frames[0].shape[0] / 2) * 2
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    rounds = -(-round(minutes * 60 * rate) // len(order))
    with av.open(str(output), "w") as writer:
        # ultrafast has no B frames, so packets may be repeated with their times moved.
        out = writer.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "ultrafast"})
        out.width, out.height, out.pix_fmt = width, height, "yuv420p"
        packets = []
        for position in order:
            scaled = cv2.resize(frames[position], (width, height), interpolation=cv2.INTER_CUBIC)
            packets += out.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(scaled)))
        packets += out.encode(None)
        data = [(bytes(packet), packet.is_keyframe) for packet in packets]
        for number in range(rounds * len(data)):
            packet = av.Packet(data[number % len(data)][0])
            packet.is_keyframe = data[number % len(data)][1]
            packet.stream, packet.time_base = out, 1 / rate
            packet.pts = packet.dts = number
            packet.duration = 1
            writer.mux(packet)
    return rounds * len(data)


def watch(command: list[str], every_s: float = 1.0) -> tuple[int, list[tuple[float, float]]]:
    """Run ``command``; (exit code, [(seconds, MB)])."""
    environment = {**os.environ, "FACESWAP_ACCEPT_TERMS": "1"}
    samples = []
    started = time.monotonic()
    with subprocess.Popen(command, env=environment) as process:
        while process.poll() is None:
            samples.append((time.monotonic() - started, tree_mb(process.pid)))
            time.sleep(every_s)
    return process.returncode, samples


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Peak and slope of memory over a long clip.")
    parser.add_argument("source", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--method", default="mesh")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faceswap-memory-") as folder:
        long, output = Path(folder) / "long.mp4", Path(folder) / "swapped.mp4"
        frames = loop_clip(args.clip, long, args.minutes, args.height)
        print(f"{frames} frames of {args.height} lines, {args.minutes:g} minutes")
        command = [sys.executable, "-m", "faceswap_cli", "video", str(args.source), str(long)]
        code, samples = watch([*command, "-o", str(output), "--method", args.method])
    if code != 0 or len(samples) < 4:
        sys.exit(f"faceswap video ended with {code} after {len(samples)} samples")
    seconds, memory = np.array(samples).T
    late = seconds > seconds[-1] / 2
    slope = 60 * float(np.polyfit(seconds[late], memory[late], 1)[0])
    print(f"wall {seconds[-1]:.0f} s, {frames / seconds[-1]:.1f} frames per second")
    print(f"peak {memory.max():.0f} MB, slope over the second half {slope:+.1f} MB per minute")


if __name__ == "__main__":
    main()
