"""Time the official networks: batch sizes, precisions, share of the machine's matrix-multiply rate.

    python benchmarks/nets.py [--device cuda] [--threads 4] [--batches 1,4,16] [--frame]

Weights are random (times do not depend on them, so nothing has to be installed).  The multiply rate is that
of square matrices of the same precision, threads and device, measured in the same run.  ``--frame`` adds one
frame of ``fslsd-1024`` beside the same networks in the form of the published code (``published_form.py``),
and how far the two pictures are apart.  On a busy machine ``--clock cpu --threads 1`` counts processor
seconds instead of the clock's.
"""

from __future__ import annotations

import argparse
import copy
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent))
import published_form

from faceswap_cli.nets import fslsd, psp, stylegan2
from faceswap_cli.nets.layout import channels_last
from faceswap_cli.swap.fslsd_networks import MixOptions, OfficialNetworks, keep_large_blocks

Timer = Callable[[Callable[[], object]], float]
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
SIDE = 1024


def random_networks() -> OfficialNetworks:
    """All networks with random weights whose activations keep their spread."""
    torch.manual_seed(0)
    made = OfficialNetworks(
        encoder=psp.GradualStyleEncoder(),
        average=torch.randn(18, 512) * 0.3,
        landmark_encoder=fslsd.LandmarkEncoder(),
        editor=fslsd.LatentEditor(),
        generator=stylegan2.Generator(SIDE),
        target_encoder=fslsd.TargetEncoder(SIDE),
        decoder=fslsd.FeatureDecoder(SIDE),
    )
    parts = ("encoder", "landmark_encoder", "editor", "generator", "target_encoder", "decoder")
    for name in parts:
        channels_last(getattr(made, name)).eval().requires_grad_(False)
    return made


def each_part(nets: OfficialNetworks, change: Callable[[nn.Module], nn.Module]) -> OfficialNetworks:
    """Copies of all networks, changed."""
    parts = ("encoder", "landmark_encoder", "editor", "generator", "target_encoder", "decoder")
    return replace(nets, **{name: change(copy.deepcopy(getattr(nets, name))) for name in parts})


def default_layout(module: nn.Module) -> nn.Module:
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.contiguous()
    return module


def stopwatch(device: torch.device, clock: str, seconds: float) -> Timer:
    """Best time of one call, repeated for about ``seconds``."""
    now = time.process_time if clock == "cpu" else time.perf_counter

    def timed(work: Callable[[], object]) -> float:
        best, begun, runs = float("inf"), time.perf_counter(), 0
        while runs < 2 or (time.perf_counter() - begun < seconds and runs < 50):
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            start = now()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best, runs = min(best, now() - start), runs + 1
        return best

    return timed


def multiply_rate(device: torch.device, dtype: torch.dtype, timed: Timer) -> float:
    """FLOP/s of a square product."""
    n = 8192 if device.type == "cuda" else 3072
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return 2 * n**3 / timed(lambda: a @ b)


def flops(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def workloads(nets: OfficialNetworks, count: int) -> dict[str, Callable[[], object]]:
    """One call of every network as the method runs it."""
    device, dtype = nets.device, nets.dtype

    def picture(side: int) -> torch.Tensor:
        x = torch.rand(count, 3, side, side, device=device) * 2 - 1
        return x.to(dtype).contiguous(memory_format=torch.channels_last)

    small, large = picture(256), picture(SIDE)
    codes = (torch.randn(count, 18, 512, device=device) * 0.5).to(dtype)
    points = torch.rand(count, 212, 2, device=device) * 256
    mask = torch.rand(count, 1, SIDE, SIDE, device=device).to(dtype)
    seen = nets.target_encoder(large)
    return {
        "pSp encoder, target rows": lambda: nets.encoder(small, range(11, 17)),
        "landmark encoder": lambda: nets.landmark_encoder.from_points(points),
        "generator": lambda: nets.generator.features(codes),
        "target encoder": lambda: nets.target_encoder(large),
        "decoder": lambda: nets.decoder(seen, seen, mask),
    }


def one_frame(nets: OfficialNetworks, timed: Timer) -> None:
    """Ours beside the published form, in this run, on the same weights and inputs."""
    rng = torch.manual_seed(1)
    source = torch.randn(1, 18, 512, generator=rng) * 0.5
    points = torch.rand(1, 212, 2, generator=rng) * 256
    small = torch.rand(1, 3, 256, 256, generator=rng) * 2 - 1
    large = torch.rand(1, 3, SIDE, SIDE, generator=rng) * 2 - 1
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 300:700, 300:700] = 1
    plain = each_part(nets, default_layout)

    def ours() -> torch.Tensor:
        target = torch.zeros(1, 18, 512)
        target[:, 11:17] = nets.invert(small, range(11, 17)).cpu()
        return nets.swap(source, target, points, large, mask, MixOptions())

    on = [x.to(nets.device) for x in (source, points, small, large, mask)]

    def published() -> torch.Tensor:
        return published_form.frame(plain, *on)

    # The published form first: it must not profit from how we ask for memory.
    theirs, kept = timed(published), keep_large_blocks() if nets.device.type == "cpu" else False
    own = timed(ours)
    rate = multiply_rate(nets.device, torch.float32, timed)
    again = timed(published)
    # Others may have been at work during one measurement of the rate: the better of two counts.
    rate = max(rate, multiply_rate(nets.device, torch.float32, timed))
    a, b = ours().float(), published().float()
    print(f"\nfp32: matrix multiply {rate / 1e12:.3f} TFLOP/s")
    print("\n| one frame, fp32 | GFLOP | s | share of matmul rate |\n|---|---|---|---|")
    for name, seconds, work in (
        ("published form", theirs, published),
        ("published form, memory blocks kept", again, published),
        ("ours", own, ours),
    ):
        done = flops(work)
        print(f"| {name} | {done / 1e9:.0f} | {seconds:.2f} | {done / seconds / rate:.0%} |")
    print(
        f"\nours / published form: {own / theirs:.2f} (memory blocks kept for both: {own / again:.2f});",
        end=" ",
    )
    print(f"largest difference {float((a - b).abs().max() / b.std()):.1e} of the spread; blocks kept: {kept}")


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--device", default="cpu")
    ask.add_argument("--threads", type=int, default=torch.get_num_threads())
    ask.add_argument("--batches", default="1,4,16")
    ask.add_argument("--precisions", default="fp32,bf16")
    ask.add_argument("--seconds", type=float, default=3.0, help="spent on each figure")
    ask.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    ask.add_argument("--frame", action="store_true")
    ask.add_argument("--compile", action="store_true", help="torch.compile the networks")
    given = ask.parse_args()
    torch.set_num_threads(given.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device(given.device)
    timed = stopwatch(device, given.clock, given.seconds)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    machine = name or platform.machine()
    print(f"torch {torch.__version__}, {machine}, {given.threads} threads, {given.clock} clock")
    nets = random_networks()
    with torch.inference_mode():
        if given.frame:
            moved = each_part(replace(nets, average=nets.average.to(device)), lambda m: m.to(device))
            one_frame(moved, timed)
        elif device.type == "cpu":
            keep_large_blocks()
        batches = [int(n) for n in given.batches.split(",") if n]
        for precision in given.precisions.split(",") if batches else ():
            table(nets, device, precision, batches, timed, given.compile)


def table(
    nets: OfficialNetworks,
    device: torch.device,
    precision: str,
    batches: list[int],
    timed: Timer,
    compiled: bool,
) -> None:
    dtype = PRECISIONS[precision]
    rate = max(multiply_rate(device, dtype, timed) for _ in range(2))
    print(f"\n{precision}: matrix multiply {rate / 1e12:.3f} TFLOP/s\n")
    print("| network | batch | GFLOP/picture | ms/picture | TFLOP/s | share |\n|---|---|---|---|---|---|")

    def ready(module: nn.Module) -> nn.Module:
        module = module.to(device, dtype)
        if compiled:
            module.compile()
        return module

    moved = each_part(replace(nets, average=nets.average.to(device)), ready)
    for count in batches:
        for name, work in workloads(moved, count).items():
            done, seconds = flops(work), timed(work)
            print(
                f"| {name} | {count} | {done / count / 1e9:.1f} | {seconds / count * 1e3:.1f} "
                f"| {done / seconds / 1e12:.3f} | {done / seconds / rate:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
