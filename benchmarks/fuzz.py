"""The long fuzz campaign: damaged files of every kind, read in child processes with limits.

    python benchmarks/fuzz.py --inputs 20000 --seed 1 [--kinds clip,picture] [--commands] [--workers 2]
        [--folder DIR]

Prints a table of how the inputs ended, by format, and every one that did not end as documented; those
files are kept in DIR/bad.  The same corpus, seed and number give the same file.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fuzz.corpus import LIBRARY_KINDS, seeds
from tests.fuzz.harness import Outcome, Tally, campaign, orders
from tests.fuzz.readers import COMMANDS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--kinds", default=None)
    parser.add_argument("--commands", action="store_true", help="whole commands instead of functions")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    _use_own_key(folder)
    _import_all()
    known = tuple(COMMANDS) if asked.commands else LIBRARY_KINDS
    kinds = tuple(asked.kinds.split(",")) if asked.kinds else known
    corpus = [seed for seed in seeds(folder / "seeds", kinds) if not asked.commands or seed.kind in COMMANDS]
    wanted = list(orders(corpus, asked.first + asked.inputs, asked.seed, commands=asked.commands))[
        asked.first :
    ]
    tally, start = Tally(), time.monotonic()
    longest: list[Outcome] = []
    largest = 0

    def tell(outcome: Outcome) -> None:
        nonlocal largest
        tally.add(outcome)
        longest.append(outcome)
        longest.sort(key=lambda one: -one.seconds)
        del longest[3:]
        largest = max(largest, outcome.peak_mb)
        done = sum(sum(row.values()) for row in tally.counts.values())
        if outcome.bad:
            print(
                f"BAD {outcome.number} {outcome.kind} {outcome.seed} {outcome.end}: {outcome.detail}",
                flush=True,
            )
        if done % 500 == 0:
            print(f"{done} inputs, {len(tally.bad)} bad, {time.monotonic() - start:.0f} s", flush=True)

    campaign(wanted, corpus, folder, workers=asked.workers, tell=tell)
    _print_table(tally, time.monotonic() - start, largest, longest)
    return 1 if tally.bad else 0


def _use_own_key(folder: Path) -> None:
    """The corpus is signed with a key of its own."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        os.environ[name] = str(folder / "home")
    (folder / "home").mkdir(parents=True)


def _import_all() -> None:
    """Before the children are forked, so that a new one costs nothing."""
    import av  # noqa: F401
    import c2pa  # noqa: F401
    import cv2
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import PIL.Image
    import torch

    import faceswap_cli.cli
    import faceswap_cli.pictures
    import faceswap_cli.pipeline
    import faceswap_cli.swap.methods.fslsd
    import faceswap_cli.swap.methods.mesh
    import faceswap_cli.weights.formats  # noqa: F401

    PIL.Image.init()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _print_table(tally: Tally, seconds: float, largest: int, longest: list[Outcome]) -> None:
    ends = sorted({end for row in tally.counts.values() for end in row})
    print(f"\n| format | inputs | {' | '.join(ends)} |\n| --- | ---: |{' ---: |' * len(ends)}")
    for name, row in sorted(tally.counts.items()):
        print(f"| {name} | {sum(row.values())} | {' | '.join(str(row.get(end, 0) or '') for end in ends)} |")
    sums = {end: sum(row.get(end, 0) for row in tally.counts.values()) for end in ends}
    print(f"| all | {sum(sums.values())} | {' | '.join(map(str, sums.values()))} |")
    slow = ", ".join(f"{one.seconds:.1f} s ({one.kind} {one.seed} {one.number})" for one in longest)
    print(f"\n{len(tally.bad)} undocumented, {seconds:.0f} s, largest peak {largest} MB, longest {slow}")


if __name__ == "__main__":
    sys.exit(main())
