"""The naive baseline (``faceswap_cli.metrics.naive``) from the command line.

python benchmarks/prototype.py SOURCE.jpg TARGET.mp4 OUT.mp4 [--max-frames 90]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from faceswap_cli.metrics.naive import swap_clip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--max-frames", type=int, default=None, help="stop after this many frames")
    args = parser.parse_args()
    frames = swap_clip(args.source, args.target, args.output, args.max_frames)
    print(f"{args.output}: {frames} frames")


if __name__ == "__main__":
    main()
