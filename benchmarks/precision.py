"""Frames drawn in bfloat16 beside the same frames in float32: PSNR of the frame, and of the face in it.

    python benchmarks/precision.py [PHOTO CLIP] [--frames 12] [--device cpu] [--profile 256]

Without a clip the bundled example is taken.  Both runs share pass 1 and the prepared source, so that only the
networks that see the target and draw differ.  The PSNR is that of the planes as the encoder gets them, once
over all samples and once over the samples that either run has changed.  Profile 1024 draws one picture with
random weights, so that nothing has to be installed; trained weights have smaller ranges.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from faceswap_cli import pipeline
from faceswap_cli.config import SwapOptions
from faceswap_cli.events import NEVER, ignore
from faceswap_cli.records import Analysis, Clip, Frame, Planes
from faceswap_cli.swap import fslsd256_weights
from faceswap_cli.swap.engine import StageClock, render_frames
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
WANTED_DB = 45.0


@contextmanager
def precision(half: bool) -> Iterator[None]:
    """Products in bfloat16 or in float32, whatever the processor does best."""
    usual = fslsd256_weights.half_precision
    fslsd256_weights.half_precision = lambda device: half
    fslsd256_weights.ready_net.cache_clear()
    try:
        yield
    finally:
        fslsd256_weights.half_precision = usual
        fslsd256_weights.ready_net.cache_clear()


def rendered(
    photo: Path, clip: Clip, frames: list[Frame], analysis: Analysis, options: SwapOptions
) -> list[Planes]:
    """The frames after the swap."""
    people = pipeline.gather_sources([photo], options, ignore)
    scene, _ = pipeline.prepare(clip, analysis, people, options)
    end = frames[-1].pts + 1
    with closing(render_frames(iter(frames), scene, frames[0].pts, end, 1, StageClock())) as done:
        return [one.frame.planes for one in done]


def psnr(a: np.ndarray, b: np.ndarray, bits: int = 8) -> float:
    """dB; 100 when equal."""
    error = float(np.square(a.astype(np.float64) - b).mean()) if a.size else 0.0
    return 100.0 if error == 0 else 10 * float(np.log10(((1 << bits) - 1) ** 2 / error))


def compared(before: Frame, half: Planes, whole: Planes) -> tuple[float, float, float]:
    """PSNR over the frame and over what was changed, and the largest difference in levels of 8 bits."""
    pairs = [(getattr(before.planes, p), getattr(half, p), getattr(whole, p)) for p in ("y", "cb", "cr")]
    old, a, b = (np.concatenate([plane.ravel() for plane in planes]) for planes in zip(*pairs, strict=True))
    drawn = (a != old) | (b != old)
    largest = float(np.abs(a.astype(int) - b).max()) / (1 << (half.bit_depth - 8))
    return psnr(a, b, half.bit_depth), psnr(a[drawn], b[drawn], half.bit_depth), largest


def profile_256(photo: Path, path: Path, count: int, device: str) -> float:
    """Prints a line per figure; the least PSNR over what was changed."""
    options = SwapOptions(method="fslsd")
    options = replace(options, job=replace(options.job, device=device, workers=1))
    clip = probe(path)
    with closing(read_frames(clip)) as source:
        frames = list(itertools.islice(source, count))
    analysis = pipeline.analyse(clip, options, ignore, NEVER, (None, frames[-1].pts + 1))
    runs = []
    for half in (True, False):
        with precision(half):
            runs.append(rendered(photo, clip, frames, analysis, options))
    found = np.array([compared(*three) for three in zip(frames, *runs, strict=True)])
    print(
        f"| fslsd 256, {path.name}, {len(frames)} frames on {device} | {found[:, 0].min():.1f} "
        f"| {found[:, 1].mean():.1f} | {found[:, 1].min():.1f} | {found[:, 2].max():.0f} |"
    )
    return float(found[:, 1].min())


def profile_1024(device: str) -> float:
    """One picture by random networks, relative to the range of what they draw."""
    from nets import SIDE, each_part, random_networks

    from faceswap_cli.swap.fslsd_networks import MixOptions

    networks = random_networks()
    random = torch.manual_seed(1)
    codes = [torch.randn(1, 18, 512, generator=random) * 0.5 for _ in range(2)]
    points = torch.rand(1, 212, 2, generator=random) * 256
    picture = torch.rand(1, 3, SIDE, SIDE, generator=random) * 2 - 1
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 300:700, 300:700] = 1
    drawn = []
    for dtype in (torch.bfloat16, torch.float32):

        def moved(part: torch.nn.Module, dtype: torch.dtype = dtype) -> torch.nn.Module:
            return part.to(device, dtype)

        ready = each_part(replace(networks, average=networks.average.to(device)), moved)
        with torch.inference_mode():
            drawn.append(ready.swap(*codes, points, picture, mask, MixOptions()).cpu().numpy())
    half, whole = drawn
    spread = float(whole.max() - whole.min())
    found = 10 * float(np.log10(spread**2 / np.square(half - whole).mean()))
    print(
        f"| fslsd 1024, random weights, one picture on {device} | {found:.1f} | {found:.1f} | {found:.1f} | |"
    )
    return found


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("photo", nargs="?", type=Path, default=EXAMPLES / "source.jpg")
    ask.add_argument("clip", nargs="?", type=Path, default=EXAMPLES / "target.mp4")
    ask.add_argument("--frames", type=int, default=12)
    ask.add_argument("--device", default="cpu")
    ask.add_argument("--profile", choices=("256", "1024", "both"), default="256")
    given = ask.parse_args()
    print("| bfloat16 beside float32 | frame, least dB | face, mean dB | face, least dB | most levels |")
    print("|---|---|---|---|---|")
    least = []
    if given.profile != "1024":
        least.append(profile_256(given.photo, given.clip, given.frames, given.device))
    if given.profile != "256":
        least.append(profile_1024(given.device))
    return 0 if min(least) >= WANTED_DB else 1


if __name__ == "__main__":
    sys.exit(main())
