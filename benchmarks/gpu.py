"""All that is owed of a GPU, in one go: networks, from file to file, profile 1024, beside their limits.

    python benchmarks/gpu.py [PHOTO CLIP] [--device cuda:0] [--height 1080] [--minutes 0.5]
                             [--parts network,render,clip,1024] [--batches 1,8,32] [--jobs 0,8]

Four tables in markdown, with the goals beside what was reached:

- ``network``: the network of profile 256 by batch, kernel by kernel and recorded (CUDA graphs), against a
  product of matrices in bfloat16 on the same device.
- ``render``: ``fslsd`` on decoded frames in one process: frames a second, processor time, stages.
- ``clip``: the clip at ``--height`` lines, played there and back: decoding alone, decoding and encoding, the
  swap by ``fslsd`` with its stages, in one process (0) and in several that share the device.  The
  goal is 300 frames a second, or the limit of decoder and encoder.
- ``1024``: the official networks with random weights (times do not depend on them) in bfloat16 by batch,
  against the product of matrices, and against the published form: float32, one frame at a time.

Runs on ``--device cpu`` too, to see that it runs; no goal is meant for that.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from memory import loop_clip
from nets import SIDE, default_layout, each_part, flops, multiply_rate, random_networks, stopwatch

from faceswap_cli.config import SwapOptions
from faceswap_cli.devices import resolve_device
from faceswap_cli.events import NEVER, ignore
from faceswap_cli.jobs.forks import end
from faceswap_cli.nets.fslsd256 import Fslsd256, blank_scene, multiply_adds
from faceswap_cli.nets.fslsd256_encoders import EMBEDDING, STRUCTURE_ROWS
from faceswap_cli.nets.fslsd256_encoders import SIDE as SMALL
from faceswap_cli.pipeline import analyse, gather_sources, prepare, swap_video
from faceswap_cli.records import Frame
from faceswap_cli.swap.batches import Batches
from faceswap_cli.swap.engine import Scene, StageClock, render_frames
from faceswap_cli.swap.fslsd256_weights import FILE, Calls, calls_of, half_precision, ready_net
from faceswap_cli.swap.fslsd_networks import MixOptions, OfficialNetworks
from faceswap_cli.swap.lane import SEEN_BEFORE, Replayed, Work, replayed
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from faceswap_cli.video.transcode import transcode
from faceswap_cli.weights.registry import bundled

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
GOAL_FPS, GOAL_SHARE, GOAL_TIMES = 300.0, 0.40, 10.0
PARTS = ("network", "render", "clip", "1024")
Timer = Callable[[Callable[[], object]], float]


def told(goal: str, reached: bool) -> str:
    return f"goal {goal}: {'reached' if reached else 'NOT reached'}"


def plain(work: Work) -> Work:
    """The call without its recording."""
    return work._work if isinstance(work, Replayed) else work


def face_inputs(net: Fslsd256, device: str, count: int) -> list[torch.Tensor]:
    """Arguments of ``Calls.face`` for ``count`` faces of one person."""
    rgb = torch.zeros(1, 3, SMALL, SMALL, device=device)
    with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=half_precision(device)):
        source = net.encode_source(rgb, torch.zeros(1, EMBEDDING, device=device))
    maps = [source.maps[side] for side in sorted(source.maps)]
    rows = torch.zeros(count, net.preset.rows - STRUCTURE_ROWS, net.preset.style, device=device)
    scene = blank_scene(count).apply(lambda x: x.to(device))
    return [x.float() for x in (rgb, source.w, source.z, *maps, rows, *scene.tensors())]


def network_table(device: str, batches: Sequence[int], timed: Timer) -> None:
    """Profile 256."""
    kind = torch.bfloat16 if half_precision(device) else torch.float32
    rate = max(multiply_rate(torch.device(device), kind, timed) for _ in range(2))
    net = ready_net(bundled(FILE), device)
    calls: Calls = calls_of(net, device)
    work = 2 * multiply_adds(net.preset)
    name = str(kind).rpartition(".")[2]
    print(f"\nfslsd 256: {work / 2e9:.2f} GMAC a face; matrix multiply in {name} {rate / 1e12:.1f} TFLOP/s\n")
    print("| batch | kernel by kernel, ms a face | recorded, ms a face | faces a second | share |")
    print("|---|---|---|---|---|")
    for count in batches:
        inputs = face_inputs(net, device, count)
        slow = timed(lambda inputs=inputs: plain(calls.face)(*inputs)) / count  # type: ignore[misc]
        for _ in range(SEEN_BEFORE + 1):
            calls.face(*inputs)
        quick = timed(lambda inputs=inputs: calls.face(*inputs)) / count  # type: ignore[misc]
        print(
            f"| {count} | {slow * 1e3:.3f} | {quick * 1e3:.3f} | {1 / quick:.0f} "
            f"| {work / quick / rate:.1%} |"
        )
    if isinstance(calls.face, Replayed) and not calls.face._usable:
        print("\nThe network could NOT be recorded; run with -v to see why.")


def spent() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def decoded_scene(given: argparse.Namespace, device: str) -> tuple[Scene, list[Frame]]:
    """The scene of the clip at ``--height``, and its first frames."""
    options = SwapOptions(method="fslsd")
    options = replace(options, job=replace(options.job, device=device, batch=given.batch))
    with tempfile.TemporaryDirectory(prefix="faceswap-gpu-") as folder:
        big = Path(folder) / "clip.mp4"
        loop_clip(given.clip, big, given.frames / 1500, given.height)
        clip = probe(big)
        analysis = analyse(clip, options, ignore, NEVER)
        people = gather_sources([given.photo], options, ignore)
        scene = prepare(clip, analysis, people, options)[0]
        with closing(read_frames(clip, known=analysis.pts)) as source:
            frames = list(islice(source, given.frames))
    method: Any = scene.method
    method.batches = Batches(given.batch or method.batches.size, method.batches._meter)
    return scene, frames


def render_table(given: argparse.Namespace, device: str) -> None:
    """Decoded frames."""
    scene, frames = decoded_scene(given, device)
    span = frames[0].pts, frames[-1].pts + 1
    workers = os.cpu_count() or 1
    print(f"\nfslsd 256 on {len(frames)} decoded frames, crops of {sorted(set(scene.sides.values()))} px\n")
    print("| frames a second | processor ms a frame | stages, s over threads |\n|---|---|---|")
    for warm in (True, False):
        clock, start, before = StageClock(), time.perf_counter(), time.process_time()
        for _ in render_frames(frames, scene, *span, workers, clock):
            pass
        wall, processor = time.perf_counter() - start, time.process_time() - before
        if not warm:
            stages = ", ".join(f"{name} {s:.1f}" for name, s in clock.seconds.items())
            share = processor / len(frames) * 1e3
            print(f"| {len(frames) / wall:.1f} | {share:.1f} | {stages} |", flush=True)


def clip_table(given: argparse.Namespace, device: str) -> None:
    """From file to file."""
    options = SwapOptions(method="fslsd")
    rows = []
    with tempfile.TemporaryDirectory(prefix="faceswap-gpu-") as folder:
        big = Path(folder) / "clip.mp4"
        loop_clip(given.clip, big, given.minutes, given.height)
        known = probe(big)
        start = time.perf_counter()
        with closing(read_frames(known)) as frames:
            count = sum(1 for _ in frames)
        decoding = count / (time.perf_counter() - start)
        start, before = time.perf_counter(), spent()
        transcode(known, Path(folder) / "plain.mp4", options.encode)
        limit, coding = count / (time.perf_counter() - start), (spent() - before) / count
        for jobs in (int(n) for n in given.jobs.split(",")):
            job = replace(options.job, device=device, workers=jobs)
            out = Path(folder) / f"swapped-{jobs}.mp4"
            start, before = time.perf_counter(), spent()
            report = swap_video([given.photo], big, out, replace(options, job=job))
            fps = report.frames / (time.perf_counter() - start)
            end()  # the server of workers: its time is counted now
            rows.append((jobs, fps, (spent() - before) / count, report.seconds))
    size = f"{known.width}x{known.height}"
    print(f"\nfslsd 256 from file to file: {count} frames of {size}, {os.cpu_count()} cores\n")
    print(f"decoding alone {decoding:.0f} fps, decoding and encoding {limit:.0f} fps", end=", ")
    print(f"{coding * 1e3:.1f} ms of processor time a frame\n")
    print("| processes | swap, fps | processor ms a frame | stages, s |\n|---|---|---|---|")
    for jobs, fps, processor, seconds in rows:
        stages = ", ".join(f"{name} {s:.1f}" for name, s in seconds.items())
        print(f"| {jobs} | {fps:.1f} | {processor * 1e3:.1f} | {stages} |")
    wanted, best = min(GOAL_FPS, limit), max(row[1] for row in rows)
    print()
    print(told(f"{wanted:.0f} fps (the lower of {GOAL_FPS:.0f} and the coding's limit)", best >= wanted))


def large_inputs(device: str, count: int) -> list[torch.Tensor]:
    """Of ``OfficialNetworks.swap``."""
    random = torch.manual_seed(1)
    codes = [torch.randn(count, 18, 512, generator=random) * 0.5 for _ in range(2)]
    points = torch.rand(count, 212, 2, generator=random) * 256
    pictures = torch.rand(count, 3, SIDE, SIDE, generator=random) * 2 - 1
    mask = torch.zeros(count, 1, SIDE, SIDE)
    mask[..., 300:700, 300:700] = 1
    small = torch.rand(count, 3, 256, 256, generator=random) * 2 - 1
    return [x.to(device) for x in (*codes, points, pictures, mask, small)]


def published_s(nets: OfficialNetworks, device: str, timed: Timer) -> float:
    """Seconds of one frame the official way, with the library's own choice of TF32."""
    import published_form

    source, _, points, pictures, mask, small = large_inputs(device, 1)
    theirs = each_part(nets, default_layout)
    return timed(lambda: published_form.frame(theirs, source, points, small, pictures, mask))


def large_table(device: str, batches: Sequence[int], timed: Timer) -> None:
    """Profile 1024 against the published form in this run."""
    on = torch.device(device)
    rate = max(multiply_rate(on, torch.bfloat16, timed) for _ in range(2))
    whole = random_networks()
    whole = each_part(replace(whole, average=whole.average.to(on)), lambda part: part.to(on))
    theirs = published_s(whole, device, timed)
    nets = each_part(whole, lambda part: part.to(torch.bfloat16))
    del whole

    def frame(*inputs: torch.Tensor) -> torch.Tensor:
        source, target, points, pictures, mask, small = inputs
        codes = nets.invert(small, range(11, 17))
        target = torch.cat([target[:, :11], codes, target[:, 17:]], dim=1)
        return nets.swap(source, target, points, pictures, mask, MixOptions())

    print(f"\nfslsd 1024: matrix multiply in bfloat16 {rate / 1e12:.1f} TFLOP/s;", end=" ")
    print(f"published form (float32, one frame at a time) {theirs * 1e3:.1f} ms a frame\n")
    print(
        "| batch | GFLOP a frame | kernel by kernel, ms a frame | recorded | TFLOP/s | share | x published |"
    )
    print("|---|---|---|---|---|---|---|")
    best, share = theirs, 0.0
    for count in batches:
        inputs = large_inputs(device, count)
        done = flops(lambda inputs=inputs: frame(*inputs)) / count  # type: ignore[misc]
        slow = timed(lambda inputs=inputs: frame(*inputs)) / count  # type: ignore[misc]
        call = replayed(frame, device)
        for _ in range(SEEN_BEFORE + 1):
            call(*inputs)
        quick = timed(lambda call=call, inputs=inputs: call(*inputs)) / count  # type: ignore[misc]
        best, share = min(best, quick), max(share, done / quick / rate)
        print(
            f"| {count} | {done / 1e9:.0f} | {slow * 1e3:.2f} | {quick * 1e3:.2f} "
            f"| {done / quick / 1e12:.1f} | {done / quick / rate:.0%} | {theirs / quick:.1f} |",
            flush=True,
        )
    print()
    print(told(f"{GOAL_SHARE:.0%} of the product", share >= GOAL_SHARE))
    print(told(f"{GOAL_TIMES:.0f} x the published form", theirs / best >= GOAL_TIMES))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("photo", nargs="?", type=Path, default=EXAMPLES / "source.jpg")
    ask.add_argument("clip", nargs="?", type=Path, default=EXAMPLES / "target.mp4")
    ask.add_argument("--device", default="cuda:0")
    ask.add_argument("--height", type=int, default=1080)
    ask.add_argument("--minutes", type=float, default=0.5)
    ask.add_argument("--jobs", default=f"0,{os.cpu_count() or 2}", help="processes, one run for each number")
    ask.add_argument("--parts", default=",".join(PARTS))
    ask.add_argument("--batches", default="1,4,16,32")
    ask.add_argument("--frames", type=int, default=256, help="of the part render")
    ask.add_argument(
        "--batch", type=int, default=0, help="faces at a time in the part render; 0: as many as fit"
    )
    ask.add_argument("--large-batches", default="1,4,8,16")
    ask.add_argument("--seconds", type=float, default=3.0, help="spent on each figure")
    given = ask.parse_args()
    parts = given.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        ask.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    device = resolve_device(given.device).name
    on_cuda = device.startswith("cuda")
    card = torch.cuda.get_device_name(device) if on_cuda else "no accelerator"
    print(f"{card}, torch {torch.__version__}, CUDA {torch.version.cuda}, {os.cpu_count()} cores")
    timed = stopwatch(torch.device(device), "wall", given.seconds)
    with torch.inference_mode():
        if "network" in parts:
            network_table(device, [int(n) for n in given.batches.split(",")], timed)
        if "1024" in parts:
            large_table(device, [int(n) for n in given.large_batches.split(",")], timed)
    if "render" in parts:
        render_table(given, device)
    if "clip" in parts:
        clip_table(given, device)


if __name__ == "__main__":
    main()
